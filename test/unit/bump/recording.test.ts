import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {GateSpec} from '../../../src/bump/playbook-gates.ts'
import {parsePlaybook} from '../../../src/bump/playbook-parse.ts'
import {recordingTape, replayTape} from '../../../src/bump/recording.ts'
import type {GateContext} from '../../../src/bump/world.ts'
import type {Http} from '../../../src/system/http.ts'
import {traefikPlaybook} from '../../support/bump/sample.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

test('a recording keeps answers, and no secret that came with them', async () => {
  const folder = temporaryFolder()
  const url = 'https://files.example/asset'
  const http: Http = {
    send: async () => ({
      status: 200,
      url: `${url}?X-Amz-Signature=s3cret`,
      headers: {etag: '"1"', 'set-cookie': 'session=s3cret'},
      body: Buffer.from('answer'),
      isRevalidated: false,
    }),
    download: () => Promise.reject(new Error('not asked for')),
  }
  const tape = recordingTape(folder, http, 1_750_000_000)
  const asked = {url: 'https://forge.example/asset', authorization: 'Bearer s3cret'}
  await tape.http().send(asked)
  tape.save()
  assert.not.match(readFileSync(join(folder, 'recording.json'), 'utf8'), /s3cret/)
  const answer = await replayTape(folder).http().send(asked)
  assert.equal([answer.body.toString(), answer.url, answer.headers], ['answer', url, {etag: '"1"'}])
})

const asset = {
  arch: 'amd64',
  name: 'traefik.tar.gz',
  sha256: 'a'.repeat(64),
  size: 7,
  path: '/cache/a',
  level: 'L1',
} as const
const context: GateContext = {
  playbook: parsePlaybook(traefikPlaybook, 'traefik.yaml'),
  old: 'v3.3.4',
  new: 'v3.3.5',
  inputs: {NEW: 'v3.3.5'},
  folder: '/work',
  evidenceFolder: '/evidence',
  assets: [asset],
  now: 1_750_000_000,
}
const spec: GateSpec = {uses: 'command', name: 'build', run: ['make'], timeout_secs: 60}
const verdict = {gate: 'build', verdict: 'passed', summary: 'it ended well', caveats: [], logs: []}
const silent: Http = {
  send: () => Promise.reject(new Error('not asked for')),
  download: () => Promise.reject(new Error('not asked for')),
}

async function recorded(): Promise<string> {
  const folder = temporaryFolder()
  const tape = recordingTape(folder, silent, context.now)
  await tape.gates(async () => ({...verdict, verdict: 'passed'}))(spec, context)
  tape.save()
  return folder
}

const replayed = (folder: string) =>
  replayTape(folder).gates(() => Promise.reject(new Error('a gate was run')))

test('a verdict is given once, wherever the checkout and the cache are', async () => {
  const run = replayed(await recorded())
  const elsewhere = {...context, folder: '/other', assets: [{...asset, path: '/other/a'}]}
  assert.equal(await run(spec, elsewhere), verdict)
  await rejectsCode(() => run(spec, context), 'not_recorded')
})

const others: readonly (readonly [string, GateSpec, Partial<GateContext>])[] = [
  ['another gate', {...spec, run: ['make', 'other']}, {}],
  ['another new version', spec, {new: 'v3.3.6'}],
  ['another old version', spec, {old: 'v3.3.3'}],
  ['other bytes', spec, {assets: [{...asset, sha256: 'b'.repeat(64)}]}],
  ['no file', spec, {assets: []}],
]
for (const [name, other, change] of others)
  test(`a recorded verdict says nothing of ${name}`, async () => {
    const run = replayed(await recorded())
    await rejectsCode(() => run(other, {...context, ...change}), 'not_recorded')
  })

test.run()
