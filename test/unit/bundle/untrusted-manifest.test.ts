import {spawnSync} from 'node:child_process'
import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {manifestLimits} from '../../../src/bundle/manifest.ts'
import {verifyManifestBytes} from '../../../src/bundle/verify-manifest.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {canonicalJson} from '../../../src/trust/canonical-json.ts'
import {addSignature} from '../../../src/trust/envelope.ts'
import {facts, NOW, policyOf, testSigner} from '../../support/bundles.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

// Length first, then signature, then meaning: what nobody trusted has signed is not understood.

const [trusted, stranger] = [testSigner(1), testSigner(2)]
const policy = policyOf([trusted.publicKey])
const sha256 = 'a'.repeat(64)

type Change = Readonly<Record<string, unknown>>

/** A manifest of one file, and what is wrong with it. */
function manifest(path: string, change: Change = {}, rel: Change = {}) {
  return {
    bundle_name: 'edge-agent-v1.0.0',
    version: '1.0.0',
    timestamp: NOW,
    files: {[path]: sha256},
    rel: {
      ...{spec: 1, kind: 'bundle', product: facts.product, channel: 'stable', sequence: 1},
      ...{targets: [], total_size: 1, entries: {[path]: {mode: '0644', size: 1}}, links: {}},
      ...rel,
    },
    ...change,
  }
}

type Manifest = ReturnType<typeof manifest>

async function signedBy(signer: typeof trusted, content: Manifest): Promise<Buffer> {
  const signatures = await addSignature('manifest', canonicalJson(content as never), [], signer)
  return Buffer.from(JSON.stringify({manifest: content, signatures}))
}

const hostile: readonly (readonly [ErrorCode, Manifest])[] = [
  ['path_traversal', manifest('../../etc/passwd')],
  ['path_absolute', manifest('/etc/passwd')],
  ['path_reserved', manifest('manifest.json')],
  ['mode_forbidden', manifest('a', {}, {entries: {a: {mode: '4755', size: 1}}})],
  ['total_size_mismatch', manifest('a', {}, {total_size: 2})],
  ['files_empty', manifest('a', {files: {}}, {entries: {}, total_size: 0})],
  ['manifest_malformed', manifest('a', {surprise: 'x'})],
  ['manifest_malformed', manifest('a', {}, {targets: ['x', 'x']})],
  ['link_invalid', manifest('a', {}, {links: {b: '../../etc'}})],
  ['kind_unsupported', manifest('a', {}, {kind: 'release'})],
]

for (const [code, content] of hostile)
  test(`${code} is said of what a trusted key signed; of a stranger's only that it is one's`, async () => {
    await rejectsCode(
      async () => verifyManifestBytes(await signedBy(trusted, content), policy),
      code,
    )
    const theirs = await signedBy(stranger, content)
    await rejectsCode(() => verifyManifestBytes(theirs, policy), 'key_unknown')
  })

/** As large as is read at all: deep paths, which take most to judge. */
function largest(): string {
  const folders = Array.from({length: 60}, (_, level) => `D${level % 7}x`).join('/')
  const [files, entries]: string[][] = [[], []]
  let bytes = 1024
  for (let at = 0; ; at++) {
    const file = `"${at % 7}/${folders}/${at}":"${sha256}"`
    const entry = `"${at % 7}/${folders}/${at}":{"mode":"0644","size":1}`
    bytes += file.length + entry.length + 2
    if (bytes > manifestLimits.bytes) break
    files?.push(file)
    entries?.push(entry)
  }
  const rel = `"spec":1,"kind":"bundle","product":"edge-agent","channel":"stable","sequence":1,"targets":[],"total_size":${files?.length},"links":{},"entries":{${entries?.join(',')}}`
  const content = `"bundle_name":"edge-agent","version":"1.0.0","timestamp":1,"files":{${files?.join(',')}},"rel":{${rel}}`
  const sig = Buffer.alloc(64).toString('base64')
  return `{"manifest":{${content}},"signatures":[{"keyid":"${'b'.repeat(64)}","sig":"${sig}"}]}`
}

test('64 MiB that nobody trusted has signed are refused within 90 MiB of heap', () => {
  const path = join(temporaryFolder(), 'manifest.json')
  const text = largest()
  assert.ok(text.length > 0.99 * manifestLimits.bytes && text.length <= manifestLimits.bytes)
  writeFileSync(path, text)
  const child = join(import.meta.dirname, '../../support/judge-manifest.ts')
  const {stdout, stderr} = spawnSync(process.execPath, ['--max-old-space-size=90', child, path], {
    encoding: 'utf8',
  })
  assert.is(stdout, 'key_unknown', stderr.slice(-500))
})

test.run()
