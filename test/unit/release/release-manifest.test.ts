import fc from 'fast-check'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {parseManifest} from '../../../src/bundle/parse-manifest.ts'
import type {ReleaseFile} from '../../../src/release/release.ts'
import {
  checkArtifactSignature,
  checkRelease,
  isArtifactName,
  parseRelease,
  releaseLimits,
  releaseText,
  signRelease,
} from '../../../src/release/release-manifest.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {RelError} from '../../../src/system/error.ts'
import {checkSignatures} from '../../../src/trust/envelope.ts'
import {testAnchor, testNow, testSigner} from '../../support/anchors.ts'
import {throwsCode} from '../../support/rejects.ts'
import {testBytes, testRelease, testSlots} from '../../support/releases.ts'

const anchor = testAnchor(
  {role: 'root', keys: ['root']},
  {role: 'manifest', keys: ['manifest'], products: ['edge-agent']},
  {role: 'artifact', keys: ['artifact']},
  {role: 'license', keys: ['license']},
)

type Json = {[key: string]: Json} | Json[] | string | number | boolean | null

function jsonOf(file: ReleaseFile): {[key: string]: Json} {
  return JSON.parse(releaseText(file))
}

function bytesOf(json: unknown): Buffer {
  return Buffer.from(JSON.stringify(json))
}

test('a signed release reads back equal, whatever its white space', async () => {
  const file = await testRelease({
    minVersion: '1.3.0',
    minFrom: '1.2.0',
    expires: testNow + 10,
    commit: 'a'.repeat(40),
  })
  assert.equal(parseRelease(Buffer.from(releaseText(file))), file)
  assert.equal(parseRelease(bytesOf(jsonOf(file))), file)
  assert.equal(checkRelease(file, anchor, testNow).signedBy, [
    testSigner('manifest').publicKey.keyId,
  ])
})

test('signing again with another key adds, with the same changes nothing', async () => {
  const file = await testRelease()
  const again = await signRelease(file.release, testSigner('manifest'), file.signatures)
  assert.equal(again, file)
  const both = await signRelease(file.release, testSigner('other'), file.signatures)
  assert.is(both.signatures.length, 2)
  assert.is(both.digest, file.digest)
})

test('is not taken for a bundle, nor its signature for that of another kind', async () => {
  const file = await testRelease()
  throwsCode(() => parseManifest(Buffer.from(releaseText(file))), 'kind_unsupported')
  const keys = {keys: [testSigner('manifest').publicKey], threshold: 1}
  throwsCode(
    () => checkSignatures('license', file.canonical, file.signatures, keys),
    'signature_invalid',
  )
})

/** Sets a value deep in the JSON; undefined removes it. */
function set(json: {[key: string]: Json}, path: string, value: Json | undefined): unknown {
  const keys = path.split('/')
  const last = keys.pop() ?? ''
  const holder = keys.reduce((at, key) => at[key] as {[key: string]: Json}, json)
  if (value === undefined) delete holder[last]
  else holder[last] = value
  return json
}

const first = 'agent-linux-amd64'
const entry = `manifest/rel/artifacts/${first}`
const malformed: readonly [string, string, Json | undefined, ErrorCode][] = [
  ['an unknown key at the top', 'more', 1, 'release_malformed'],
  ['an unknown key in the manifest', 'manifest/more', 1, 'release_malformed'],
  ['an unknown key in rel', 'manifest/rel/more', 1, 'release_malformed'],
  ['an unknown key of an artifact', `${entry}/more`, 1, 'release_malformed'],
  ['no manifest', 'manifest', undefined, 'release_malformed'],
  ['no rel', 'manifest/rel', undefined, 'release_malformed'],
  ['no version', 'manifest/version', undefined, 'release_malformed'],
  ['a version with v', 'manifest/version', 'v1.4.2', 'version_invalid'],
  ['a version of no channel', 'manifest/version', '1.4.2-alpha.1', 'channel_unknown_prerelease'],
  ['another channel', 'manifest/rel/channel', 'beta', 'channel_not_of_version'],
  ['an invented channel', 'manifest/rel/channel', 'nightly', 'channel_not_of_version'],
  ['another bundle name', 'manifest/bundle_name', 'edge-agent', 'release_malformed'],
  ['a newer format', 'manifest/rel/spec', 2, 'spec_unsupported'],
  ['kind bundle', 'manifest/rel/kind', 'bundle', 'kind_unsupported'],
  ['a time as text', 'manifest/timestamp', '1', 'release_malformed'],
  ['a product with a slash', 'manifest/rel/product', 'a/b', 'release_malformed'],
  ['a short commit', 'manifest/rel/commit', 'abc', 'release_malformed'],
  ['a digest that is short', `manifest/files/${first}`, 'aa', 'release_malformed'],
  ['a digest in capitals', `manifest/files/${first}`, 'A'.repeat(64), 'release_malformed'],
  ['a file without an entry', 'manifest/files/other', 'a'.repeat(64), 'release_malformed'],
  ['an entry without a file', `manifest/files/${first}`, undefined, 'release_malformed'],
  ['no artifacts', 'manifest/rel/artifacts', {}, 'release_empty'],
  ['a negative size', `${entry}/size`, -1, 'json_number'],
  ['a size over the limit', `${entry}/size`, releaseLimits.artifactBytes + 1, 'release_limit'],
  ['a signature that is short', `${entry}/signature`, 'AAAA', 'release_malformed'],
  [
    'a signature with loose bits',
    `${entry}/signature`,
    `${'A'.repeat(85)}B==`,
    'signature_malformed',
  ],
  ['a key id that is short', `${entry}/key_id`, 'aa', 'release_malformed'],
  ['required as text', `${entry}/required`, 'true', 'release_malformed'],
  ['a slot twice', `${entry}/arch`, 'arm64', 'artifact_slot_duplicate'],
  ['signatures that are none', 'signatures', 'x', 'signature_malformed'],
]
for (const [name, path, value, code] of malformed)
  test(`refuses ${name}`, async () => {
    const json = jsonOf(await testRelease())
    throwsCode(() => parseRelease(bytesOf(set(json, path, value))), code)
  })

test('refuses what is too long before reading it', () => {
  throwsCode(() => parseRelease(Buffer.alloc(releaseLimits.bytes + 1, 0x20)), 'release_limit')
})

test('refuses a key given twice', async () => {
  const text = releaseText(await testRelease()).replace(
    '"timestamp"',
    '"timestamp": 1, "timestamp"',
  )
  throwsCode(() => parseRelease(Buffer.from(text)), 'json_duplicate_key')
})

for (const name of ['a', 'agent-1.4.2.tar.gz', 'agent_x+y', 'K3s.tgz', `a${'b'.repeat(127)}`])
  test(`${name.slice(0, 24)} is a name of an artifact`, () => {
    assert.ok(isArtifactName(name))
  })
for (const name of [
  '',
  '.a',
  'a.',
  '../a',
  'a/b',
  'a..b',
  'a b',
  'ä',
  '-a',
  `a${'b'.repeat(128)}`,
  'a%2fb',
])
  test(`${JSON.stringify(name.slice(0, 24))} is none`, () => {
    assert.not(isArtifactName(name))
  })

test('names that differ in case alone are refused', async () => {
  const json = jsonOf(await testRelease())
  const other = first.toUpperCase()
  set(json, `manifest/files/${other}`, 'a'.repeat(64))
  const {release} = await testRelease()
  const {signature, keyId} = release.artifacts[0] ?? {signature: '', keyId: ''}
  const slot = {component: 'sbom', os: 'any', arch: 'any'}
  const more = {...slot, size: 1, signature, key_id: keyId, required: false}
  set(json, `manifest/rel/artifacts/${other}`, more)
  throwsCode(() => parseRelease(bytesOf(json)), 'release_malformed')
})

const refusals: readonly [string, () => Promise<ReleaseFile>, ErrorCode][] = [
  ['nobody signed', async () => ({...(await testRelease()), signatures: []}), 'signature_missing'],
  ['a stranger signed', () => testRelease({manifestKey: 'stranger'}), 'key_unknown'],
  [
    'an artifact key signed the manifest',
    () => testRelease({manifestKey: 'artifact'}),
    'key_not_for_role',
  ],
  [
    'a licence key signed the manifest',
    () => testRelease({manifestKey: 'license'}),
    'key_not_for_role',
  ],
  [
    'a manifest key signed an artifact',
    () => testRelease({artifactKey: 'manifest'}),
    'key_not_for_role',
  ],
  ['a stranger signed an artifact', () => testRelease({artifactKey: 'stranger'}), 'key_unknown'],
  ['another product', () => testRelease({product: 'other'}), 'key_not_for_product'],
  ['it has expired', () => testRelease({expires: testNow - 1}), 'release_expired'],
  [
    'something was changed',
    async () => {
      const json = jsonOf(await testRelease())
      return parseRelease(bytesOf(set(json, `${entry}/size`, 7)))
    },
    'signature_invalid',
  ],
]
for (const [name, make, code] of refusals)
  test(`is refused when ${name}`, async () => {
    const file = await make()
    throwsCode(() => checkRelease(file, anchor, testNow), code)
  })

test('a revoked release is refused', async () => {
  const file = await testRelease()
  throwsCode(
    () => checkRelease(file, {...anchor, revokedDigests: [file.digest]}, testNow),
    'digest_revoked',
  )
})

test('one signature cannot meet a threshold of two', async () => {
  const strict = testAnchor(
    {role: 'root', keys: ['root']},
    {role: 'manifest', keys: ['manifest']},
    {role: 'artifact', keys: ['artifact', 'second'], threshold: 2},
  )
  const file = await testRelease()
  throwsCode(() => checkRelease(file, strict, testNow), 'threshold_not_met')
})

test('an artifact is its bytes, its size, its digest and its signature', async () => {
  const {release} = await testRelease({slots: testSlots.slice(0, 1)})
  const [artifact] = release.artifacts
  assert.ok(artifact)
  const bytes = testBytes(artifact.name, release.version)
  checkArtifactSignature(anchor, release, artifact, bytes, testNow)
  const refuse = (change: object, content: Uint8Array): void => {
    throwsCode(
      () => checkArtifactSignature(anchor, release, {...artifact, ...change}, content, testNow),
      'artifact_mismatch',
    )
  }
  refuse({}, bytes.subarray(1))
  refuse({}, Buffer.concat([Buffer.from('x'), bytes.subarray(1)]))
  refuse({signature: Buffer.alloc(64, 7).toString('base64')}, bytes)
  throwsCode(
    () =>
      checkArtifactSignature(anchor, release, {...artifact, keyId: 'a'.repeat(64)}, bytes, testNow),
    'key_unknown',
  )
})

test('any bytes give a release or a refusal with a code, and a release writes back as it was', async () => {
  const text = releaseText(await testRelease({minFrom: '1.0.0', commit: 'a'.repeat(40)}))
  const mutated = fc
    .tuple(fc.nat(text.length), fc.nat(12), fc.oneof(fc.string({maxLength: 8}), fc.json()))
    .map(([at, cut, piece]) => `${text.slice(0, at)}${piece}${text.slice(at + cut)}`)
  const number = fc.tuple(fc.nat(9), fc.nat()).map(([at, value]) => {
    let seen = -1
    return text.replace(/\d+/g, (digits) => (++seen === at ? String(value) : digits))
  })
  fc.assert(
    fc.property(fc.oneof(mutated, number, fc.json(), fc.string()), (input) => {
      let file: ReleaseFile
      try {
        file = parseRelease(Buffer.from(input))
      } catch (error) {
        assert.ok(error instanceof RelError, `${error}`)
        assert.is.not(error.code, 'internal_error')
        return
      }
      assert.equal(parseRelease(Buffer.from(releaseText(file))), file)
    }),
    {numRuns: 2000, seed: 20261121},
  )
})

test.run()
