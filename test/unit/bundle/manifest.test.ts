import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {BundleManifest} from '../../../src/bundle/manifest.ts'
import {parseManifest} from '../../../src/bundle/parse-manifest.ts'
import {verifyManifestBytes} from '../../../src/bundle/verify-manifest.ts'
import {isVersion, partsOfName} from '../../../src/bundle/version.ts'
import {
  canonicalBytes,
  canonicalManifest,
  manifestJson,
} from '../../../src/bundle/write-manifest.ts'
import {isErrorCode} from '../../../src/system/codes.ts'
import type {JsonValue} from '../../../src/system/json.ts'
import {canonicalJson} from '../../../src/trust/canonical-json.ts'
import {policyOf, testSigner} from '../../support/bundles.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'

const VECTORS = join(import.meta.dirname, '../../vectors/manifests')

const manifest: BundleManifest = {
  bundleName: 'edge-agent-v1.4.2',
  version: '1.4.2-rc.1+build.7',
  timestamp: 1_716_979_200,
  files: [
    {path: '0', sha256: '0'.repeat(64), size: 0, mode: '0644'},
    {path: 'B/[x] (1).txt', sha256: '1'.repeat(64), size: 9_007_199_254, mode: '0644'},
    {path: 'a/run.sh', sha256: '2'.repeat(64), size: 3, mode: '0755'},
    {path: 'constructor', sha256: '3'.repeat(64), size: 4, mode: '0644'},
    {path: 'gr\u00fc\u00df.txt', sha256: '4'.repeat(64), size: 5, mode: '0644'},
  ],
  rel: {
    spec: 1,
    kind: 'bundle',
    product: 'edge-agent',
    channel: 'stable',
    sequence: 42,
    expires: 1_719_571_200,
    minVersion: '1.3.0',
    minFrom: '1.2.0',
    minUpdater: '1.0.0',
    targets: ['linux-amd64', 'linux-arm64'],
    totalSize: 9_007_199_266,
    links: [{path: 'latest', target: 'a/run.sh'}],
    extensions: {'x-build': 'ci/4711'},
  },
}

const text = (pieces: Iterable<string>) => [...pieces].join('')

test('the canonical form is that of RFC 8785 over the JSON that is written', () => {
  const signatures = [{keyid: 'a'.repeat(64), sig: `${'A'.repeat(86)}==`}]
  const json = text(manifestJson({manifest, signatures, signature: `${'A'.repeat(86)}==`}))
  const value = JSON.parse(json) as {manifest: JsonValue}
  assert.is(text(canonicalManifest(manifest)), canonicalJson(value.manifest))
  assert.is(canonicalBytes(manifest).toString(), canonicalJson(value.manifest))
})

test('what is written is read back as it was', () => {
  const signatures = [{keyid: 'a'.repeat(64), sig: `${'A'.repeat(86)}==`}]
  const file = {manifest, signatures, signature: `${'A'.repeat(86)}==`}
  assert.equal(parseManifest(Buffer.from(text(manifestJson(file)))), file)
})

test('a D2 manifest is read back as it was, and has no rel section', () => {
  const {bundleName, version, timestamp} = manifest
  const files = manifest.files.map(({path, sha256}) => ({path, sha256}))
  const file = {manifest: {bundleName, version, timestamp, files}, signatures: []}
  const json = text(manifestJson(file))
  assert.equal(Object.keys(JSON.parse(json).manifest), [
    'bundle_name',
    'version',
    'timestamp',
    'files',
  ])
  assert.equal(parseManifest(Buffer.from(json)), file)
})

test('a buffer that is guessed too small grows', () => {
  const path = 'd/'.repeat(300)
  const files = Array.from({length: 2000}, (_, at) => ({
    path: `${path}${String(at).padStart(4, '0')}`,
    sha256: '0'.repeat(64),
  }))
  const large: BundleManifest = {...manifest, files}
  assert.is(canonicalBytes(large).toString(), text(canonicalManifest(large)))
})

const refused = join(VECTORS, 'refused')

for (const code of readdirSync(refused))
  for (const name of readdirSync(join(refused, code)))
    test(`refuses ${name} with ${code}`, () => {
      const bytes = readFileSync(join(refused, code, name))
      if (!isErrorCode(code)) assert.unreachable(`${code} is no code`)
      else throwsCode(() => parseManifest(bytes), code)
    })

test('there is a vector for every code of the reader', () => {
  const want = ['files_empty', 'files_missing', 'json_duplicate_key', 'kind_unsupported']
  for (const code of [...want, 'manifest_malformed', 'mode_forbidden', 'spec_unsupported'])
    assert.ok(readdirSync(refused).includes(code), code)
})

// these were signed by released versions with the test key: every later version must verify them
for (const name of readdirSync(join(VECTORS, 'good')).filter((file) => file.endsWith('.json')))
  test(`still verifies ${name}`, async () => {
    const bytes = readFileSync(join(VECTORS, 'good', name))
    const {publicKey} = testSigner()
    const policy = policyOf([publicKey], {legacy: 'allow'})
    const verified = await verifyManifestBytes(bytes, policy)
    assert.equal(verified.signedBy, [publicKey.keyId])
    await rejectsCode(
      () => verifyManifestBytes(bytes, policyOf([testSigner(2).publicKey], {legacy: 'allow'})),
      verified.manifest.rel === undefined ? 'signature_invalid' : 'key_unknown',
    )
  })

test('versions are SemVer 2.0.0 to the letter', () => {
  for (const good of ['0.0.0', '1.4.2', '1.5.0-rc.1', '1.0.0+build.5', '1.0.0-a.b-c+1.0'])
    assert.ok(isVersion(good), good)
  const bad = [
    '',
    'v1.4.2',
    '1.4',
    '1.4.2 ',
    ' 1.4.2',
    '01.4.2',
    '1.4.2-01',
    '=1.4.2',
    'latest',
    '1.4.2\n',
  ]
  for (const text of bad) assert.not(isVersion(text), text)
})

test('product and version come from the name of a directory', () => {
  const cases: readonly (readonly [string, string, string | undefined])[] = [
    ['edge-agent-v1.4.2', 'edge-agent', '1.4.2'],
    ['edge-agent-1.5.0-rc.1', 'edge-agent', '1.5.0-rc.1'],
    ['x-2-y-3.0.0', 'x-2-y', '3.0.0'],
    ['dist', 'dist', undefined],
    ['-1.0.0', '-1.0.0', undefined],
  ]
  for (const [name, product, version] of cases)
    assert.equal(partsOfName(name), {product, version}, name)
})

test.run()
