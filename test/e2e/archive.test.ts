import {spawn, spawnSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {temporaryFolder} from '../support/tmp.ts'

const rel = join(import.meta.dirname, '..', '..', 'bin', 'dev.ts')

/** A project with a key and a signed directory; `run` is a shell in it. */
function project() {
  const folder = temporaryFolder()
  const run = (...args: string[]) => {
    const env = {PATH: process.env.PATH, HOME: folder, SOURCE_DATE_EPOCH: '1767225600'}
    const {status, stdout} = spawnSync(process.execPath, [rel, ...args, '--json'], {
      cwd: folder,
      env,
    })
    return {status, json: JSON.parse(stdout.toString())}
  }
  mkdirSync(join(folder, 'dist', 'bin'), {recursive: true})
  writeFileSync(join(folder, 'dist', 'main.py'), 'print("hello")\n')
  writeFileSync(join(folder, 'dist', 'bin', 'run'), '#!/bin/sh\n', {mode: 0o755})
  assert.is(run('keys', 'new', 'release', '--no-passphrase').status, 0)
  const signed = run('sign', 'dist', '--key', 'release', '--product', 'app', '--version', '1.4.2')
  assert.is(signed.status, 0)
  return {folder, run}
}

const trusted = ['--public-key', 'release', '--at', '2026-01-02T00:00:00Z']

test('sign, pack, verify, unpack: the round trip of a release', () => {
  const {folder, run} = project()
  for (const ending of ['tar', 'tar.gz', 'tar.zst']) {
    const archive = `app-1.4.2.${ending}`
    const packed = run('pack', 'dist', '-o', archive)
    assert.is(packed.status, 0)
    assert.is(packed.json.result.files, 2)
    assert.is(run('verify', archive, ...trusted).json.result.source, 'archive')
    const target = `unpacked-${ending}`
    assert.is(run('unpack', archive, '-C', target, ...trusted).status, 0)
    assert.is(run('verify', target, ...trusted).status, 0)
    const again = run('pack', target, '-o', `again.${ending}`)
    assert.is(again.json.result.sha256, packed.json.result.sha256)
  }
  assert.is(run('pack', 'dist', '-o', 'app-1.4.2.tar').json.error.code, 'file_exists')
  assert.is(run('pack', 'dist', '-o', 'app-1.4.2.tar', '--force').status, 0)
  assert.equal(
    readdirSync(folder).filter((name) => /rel-tmp|rel-unpack/.test(name)),
    [],
  )
})

test('a dry run of either command writes nothing', () => {
  const {folder, run} = project()
  const planned = run('pack', 'dist', '-o', 'app.tar.zst', '--dry-run')
  assert.is(planned.status, 0)
  assert.not.ok(existsSync(join(folder, 'app.tar.zst')))
  assert.is(
    run('pack', 'dist', '-o', 'app.tar.zst').json.result.tar_size,
    planned.json.result.tar_size,
  )
  assert.is(run('unpack', 'app.tar.zst', '-C', 'out', '--dry-run', ...trusted).status, 0)
  assert.not.ok(existsSync(join(folder, 'out')))
})

test('a changed archive, another version and a missing key are refused, and nothing is unpacked', () => {
  const {folder, run} = project()
  run('pack', 'dist', '-o', 'app.tar')
  const bytes = readFileSync(join(folder, 'app.tar'))
  const at = bytes.indexOf('print("hello")')
  bytes.write('PRINT', at)
  writeFileSync(join(folder, 'evil.tar'), bytes)
  const cases = [
    [['unpack', 'evil.tar', ...trusted], 'file_digest_mismatch', 20],
    [['unpack', 'app.tar', ...trusted, '--version', '9.9.9'], 'version_mismatch', 20],
    [['unpack', 'app.tar'], 'input_required', 2],
  ] as const
  for (const [args, code, exit] of cases) {
    const {status, json} = run(...args, '-C', 'out')
    assert.equal([json.error.code, status], [code, exit])
    assert.not.ok(existsSync(join(folder, 'out')))
  }
  assert.is(run('pack', 'dist', '-o', 'app.zip').json.error.code, 'usage_invalid')
})

for (const [signal, exit] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  test(`${signal} while packing leaves neither an archive nor a temporary file`, async () => {
    const {folder, run} = project()
    // half random: the highest level needs much longer for it than a signal takes
    const block = Buffer.concat([randomBytes(1 << 19), Buffer.alloc(1 << 19, 'many bytes ')])
    writeFileSync(join(folder, 'dist', 'large'), Buffer.concat(Array(40).fill(block)))
    const facts = ['--product', 'app', '--version', '1.4.2']
    assert.is(run('sign', 'dist', '--key', 'release', ...facts).status, 0)
    const before = readdirSync(folder)
    const args = ['pack', 'dist', '-o', 'app.tar.zst', '--level', '19', '--json']
    const env = {PATH: process.env.PATH, HOME: folder}
    const child = spawn(process.execPath, [rel, ...args], {cwd: folder, env})
    const isWriting = () => readdirSync(folder).some((name) => name.includes('rel-tmp'))
    const timer = setInterval(() => isWriting() && child.kill(signal), 20)
    const printed: Buffer[] = []
    child.stdout.on('data', (bytes: Buffer) => printed.push(bytes))
    const [code] = await once(child, 'close')
    clearInterval(timer)
    assert.is(code, exit)
    assert.is(JSON.parse(Buffer.concat(printed).toString()).error.code, 'interrupted')
    assert.equal(readdirSync(folder), before)
  })

test.run()
