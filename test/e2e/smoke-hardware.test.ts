import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {sha256Hex} from '../../src/system/hash.ts'
import {runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

const cwd = temporaryFolder()
writeFileSync(join(cwd, 'start4.elf'), 'made up firmware\n')
writeFileSync(join(cwd, 'serial.log'), 'made up boot\n')

type Document = {
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: {readonly code: string}
}

const board = ['--board', 'Raspberry Pi 4 Model B Rev 1.5']
const files = ['--file', 'start4.elf', '--log', 'serial.log']
const key = ['--key', 'bench']

async function hardware(...words: readonly string[]): Promise<Document> {
  const {stdout} = await runRel(
    ['smoke', 'hardware', 'rpi4-firmware', '1.20240424', '--json', ...words],
    {cwd},
  )
  return JSON.parse(stdout) as Document
}

test('evidence says what ran where and when, signed, and is never replaced', async () => {
  const made = await runRel(['keys', 'new', 'bench', '--no-passphrase', '--json'], {cwd})
  assert.is(made.code, 0, made.stderr)
  const when = ['--tested-at', '2026-04-10T12:00:00Z']
  const {result} = await hardware(...board, ...files, ...key, ...when, '--out', 'evidence.json')
  const written = JSON.parse(readFileSync(join(cwd, 'evidence.json'), 'utf8'))
  assert.equal(written.evidence, {
    ...{item: 'rpi4-firmware', version: '1.20240424', about: 'gpu_firmware'},
    board: 'Raspberry Pi 4 Model B Rev 1.5',
    files: [{name: 'start4.elf', sha256: sha256Hex('made up firmware\n')}],
    log_sha256: sha256Hex('made up boot\n'),
    tested_at: Date.UTC(2026, 3, 10, 12) / 1000,
  })
  assert.equal(
    written.signatures.map(({keyid}: {keyid: string}) => keyid),
    [result?.key_id],
  )
  const again = await hardware(...board, ...files, ...key, '--out', 'evidence.json')
  assert.is(again.error?.code, 'file_exists')
})

const refusals: readonly (readonly [string, readonly string[]])[] = [
  ['input_required', [...board, ...files]],
  ['usage_invalid', [...board, ...files, ...key, '--tested-at', 'yesterday']],
  ['usage_invalid', [...board, ...files, ...key, '--tested-at', '2026-02-31T99:00:00Z']],
  ['usage_invalid', [...board, '--log', 'serial.log', ...key]],
  ['evidence_invalid', ['--board', 'Pi\n4', ...files, ...key]],
  ['evidence_invalid', ['--board', '', ...files, ...key]],
  ['file_missing', [...board, '--file', 'start5.elf', '--log', 'serial.log', ...key]],
  ['file_missing', [...board, '--file', 'start4.elf', '--log', 'other.log', ...key]],
]
for (const [code, words] of refusals)
  test(`no evidence is written: ${code} ${words.slice(-4).join(' ').replace('\n', ' ')}`, async () => {
    const {error} = await hardware(...words, '--out', 'none.json')
    assert.is(error?.code, code)
    assert.throws(() => readFileSync(join(cwd, 'none.json')))
  })

test.run()
