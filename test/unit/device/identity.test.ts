import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {suite} from 'uvu'
import * as assert from 'uvu/assert'
import {applyPack, planPack} from '../../../src/bundle/archive/pack.ts'
import {apply} from '../../../src/device/apply.ts'
import type {Device} from '../../../src/device/device.ts'
import {identityOf} from '../../../src/device/identity.ts'
import {install, makeRoot} from '../../../src/device/init.ts'
import {checkReleaseManifest} from '../../../src/device/release-check.ts'
import {checkSource, stage} from '../../../src/device/stage.ts'
import {verifyDevice} from '../../../src/device/status.ts'
import {adopt, checkTakeover} from '../../../src/device/takeover.ts'
import {upgradeError} from '../../../src/device/verify-installed.ts'
import {releaseText, signRelease} from '../../../src/release/release-manifest.ts'
import type {Anchor} from '../../../src/trust/anchor.ts'
import {planFirst} from '../../../src/trust/anchor-plan.ts'
import type {AllowedSigner} from '../../../src/trust/sigstore/allowed-signer.ts'
import {signWithSigstore} from '../../../src/trust/sigstore/sign.ts'
import {signedAnchor, testKey, testSigner} from '../../support/anchors.ts'
import {bundleOf, configJson, deviceAt, plain} from '../../support/device/node.ts'
import '../../support/no-network.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {testArtifact} from '../../support/releases.ts'
import {writeTree} from '../../support/signed-tree.ts'
import {
  type Claims,
  type MockSigstore,
  releaseClaims,
  startMockSigstore,
} from '../../support/sigstore-mock.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const workflow = 'https://github.com/acme/app/.github/workflows/release.yml'
const tagSigner: AllowedSigner = {
  issuer: releaseClaims.iss,
  san: `${workflow}@refs/tags/v{version}`,
  repoId: '123456',
  trigger: ['push'],
  notBefore: 0,
}

const test = suite<{mock: MockSigstore}>('identities of a node')

test.before(async (context) => {
  context.mock = await startMockSigstore()
})
test.after(async ({mock}) => mock.close())

function claimsOf(version: string, change: Claims = {}): Claims {
  const ref = `refs/tags/v${version}`
  return {...releaseClaims, ref, san: `${workflow}@${ref}`, ...change}
}

async function signed(mock: MockSigstore, bytes: Uint8Array, claims: Claims): Promise<Buffer> {
  const {url, trustedRoot, now} = mock
  const env = {SIGSTORE_ID_TOKEN: mock.token(claims)}
  const services = {fulcioUrl: url, rekorUrl: url}
  return (await signWithSigstore(bytes, {...services, trustedRoot, env, now})).bundleBytes
}

/** A bundle in a folder; with claims, also signed by the workflow that they describe. */
async function treeOf(mock: MockSigstore, version: string, claims?: Claims): Promise<string> {
  const folder = temporaryFolder()
  const bundle = await bundleOf(version)
  writeTree(folder, bundle)
  if (claims !== undefined)
    writeFileSync(join(folder, SIDECAR), await signed(mock, bundle.manifestBytes, claims))
  return folder
}

const SIDECAR = 'manifest.sig.bundle'

type Mode = 'both' | 'sigstore' | 'either'

async function anchorAt(mock: MockSigstore, key = 'archive'): Promise<Anchor> {
  const roles = [
    {role: 'root', keys: [testKey('root')], threshold: 1},
    {role: 'manifest', keys: [testKey(key)], threshold: 1},
    {role: 'artifact', keys: [testKey('artifact')], threshold: 1},
  ] as const
  return {...planFirst(roles, mock.now + 86_400), allowedSigners: [tagSigner]}
}

let first: Promise<string> | undefined

/** A node that runs 1.0.0 and trusts the mock's Sigstore. */
async function nodeWith(mock: MockSigstore, identity: Mode, key?: string): Promise<Device> {
  const folder = temporaryFolder()
  const anchorPath = join(folder, 'trust.json')
  writeFileSync(anchorPath, await signedAnchor(await anchorAt(mock, key), 'root'))
  writeFileSync(join(folder, 'trusted_root.json'), JSON.stringify(mock.rootJson))
  const plainDevice = deviceAt(join(folder, 'node'), {}, {identity})
  const device = {...plainDevice, world: {...plainDevice.world, now: () => mock.now}}
  makeRoot(device.root)
  first ??= treeOf(mock, '1.0.0', claimsOf('1.0.0'))
  const source = await first
  const configText = JSON.stringify({...configJson, identity})
  await install(device, {configText, anchorPath, source})
  return device
}

test('what the workflow has signed is staged, runs, and is verified again from disk', async ({
  mock,
}) => {
  const device = await nodeWith(mock, 'both')
  await stage(device, await treeOf(mock, '1.1.0', claimsOf('1.1.0')), plain)
  await apply(device, plain)
  await verifyDevice(device)
  rmSync(join(device.root, 'versions/1.1.0', SIDECAR))
  await rejectsCode(() => verifyDevice(device), 'upgrade_identity_not_allowed')
})

test('an archive with the Sigstore bundle in it does as well', async ({mock}) => {
  const device = await nodeWith(mock, 'sigstore')
  const directory = await treeOf(mock, '1.1.0', claimsOf('1.1.0'))
  const output = join(temporaryFolder(), 'app.tar.zst')
  await applyPack(planPack({directory, output, format: 'tar.zst', replace: false}))
  await stage(device, output, plain)
  await apply(device, plain)
  await verifyDevice(device)
})

const wrong: readonly [string, string, Claims | undefined][] = [
  ['no Sigstore bundle', 'sigstore_bundle_missing', undefined],
  [
    'another workflow',
    'identity_not_allowed',
    {san: `${workflow.replace('release', 'test')}@refs/tags/v1.1.0`},
  ],
  ['a branch', 'identity_not_allowed', {san: `${workflow}@refs/heads/main`}],
  ['another tag', 'identity_version_mismatch', {san: `${workflow}@refs/tags/v1.0.0`}],
  ['another repository of that name', 'identity_repository_mismatch', {repository_id: '7'}],
  ['another issuer', 'identity_issuer_mismatch', {iss: 'https://issuer.test'}],
  ['a pull request', 'identity_trigger_mismatch', {event_name: 'pull_request'}],
]

const refusing = new Map<Mode, Device>()

for (const mode of ['both', 'sigstore'] as const)
  for (const [name, cause, change] of wrong)
    test(`policy ${mode} does not take ${name}`, async ({mock}) => {
      // what is refused leaves a node as it was
      const device = await (refusing.get(mode) ?? nodeWith(mock, mode))
      refusing.set(mode, device)
      const claims = change === undefined ? undefined : claimsOf('1.1.0', change)
      const tree = await treeOf(mock, '1.1.0', claims)
      const error = await rejectsCode(
        () => checkSource(device, tree, plain),
        'upgrade_identity_not_allowed',
      )
      assert.is(error.details?.cause_code, cause)
      await rejectsCode(() => stage(device, tree, plain), 'upgrade_identity_not_allowed')
    })

test('a takeover asks for identities before it changes anything', async ({mock}) => {
  const folder = temporaryFolder()
  const anchorPath = join(folder, 'trust.json')
  writeFileSync(anchorPath, await signedAnchor(await anchorAt(mock), 'root'))
  writeFileSync(join(folder, 'trusted_root.json'), JSON.stringify(mock.rootJson))
  const root = join(folder, 'edge')
  mkdirSync(join(root, 'versions'), {recursive: true})
  for (const version of ['0.9.0', '1.0.0'])
    cpSync(await treeOf(mock, version, claimsOf(version)), join(root, `versions/v${version}`), {
      recursive: true,
    })
  symlinkSync('versions/v1.0.0', join(root, 'current'))
  symlinkSync('versions/v0.9.0', join(root, 'previous'))
  const node = deviceAt(root, {}, {identity: 'both'})
  const given = {configText: JSON.stringify({...configJson, identity: 'both'}), anchorPath}
  const plan = () => checkTakeover(root, node.config, given, mock.now)
  assert.is((await plan()).previous?.version, '0.9.0')
  rmSync(join(root, 'versions/v0.9.0', SIDECAR))
  const taken = await plan()
  assert.is(taken.previous, undefined, 'what has no identity is no way back')
  const hidden = join(folder, SIDECAR)
  renameSync(join(root, 'versions/v1.0.0', SIDECAR), hidden)
  const before = readdirSync(root, {recursive: true}).sort()
  await rejectsCode(plan, 'upgrade_identity_not_allowed')
  assert.equal(readdirSync(root, {recursive: true}).sort(), before)
  renameSync(hidden, join(root, 'versions/v1.0.0', SIDECAR))
  await adopt({...node, world: {...node.world, now: () => mock.now}}, taken, anchorPath)
  for (const version of ['v0.9.0', 'v1.0.0'])
    rmSync(join(root, 'versions', version), {recursive: true})
  await verifyDevice(node)
})

test('a Sigstore bundle of other bytes does not count', async ({mock}) => {
  const device = await nodeWith(mock, 'both')
  const tree = await treeOf(mock, '1.1.0', claimsOf('1.1.0'))
  const other = await signed(mock, Buffer.from('other bytes'), claimsOf('1.1.0'))
  writeFileSync(join(tree, SIDECAR), other)
  const error = await rejectsCode(() => stage(device, tree, plain), 'upgrade_identity_not_allowed')
  assert.is(error.details?.cause_code, 'sigstore_digest_mismatch')
})

test('a trusted root whose logs have ended proves nothing newer', async ({mock}) => {
  const device = await nodeWith(mock, 'both')
  const root = structuredClone(mock.rootJson)
  const end = new Date((mock.now - 3600) * 1000).toISOString()
  for (const {publicKey} of root.tlogs) publicKey.validFor.end = end
  for (const authority of root.certificateAuthorities) authority.validFor.end = end
  const tree = await treeOf(mock, '1.1.0', claimsOf('1.1.0'))
  writeFileSync(join(device.root, 'trusted_root.json'), JSON.stringify(root))
  await rejectsCode(() => stage(device, tree, plain), 'upgrade_identity_not_allowed')
  writeFileSync(join(device.root, 'trusted_root.json'), '{}')
  const damaged = await rejectsCode(
    () => stage(device, tree, plain),
    'upgrade_identity_not_allowed',
  )
  assert.is(damaged.details?.cause_code, 'trusted_root_invalid')
})

test('a false key is told apart from a false identity', async ({mock}) => {
  const device = await nodeWith(mock, 'both')
  const tree = await treeOf(mock, '1.1.0', claimsOf('1.1.0'))
  const path = join(tree, 'manifest.json')
  const json = JSON.parse(readFileSync(path, 'utf8')) as {signatures: {sig: string}[]}
  for (const signature of json.signatures) signature.sig = `${'A'.repeat(86)}==`
  writeFileSync(path, JSON.stringify(json))
  await rejectsCode(() => stage(device, tree, plain), 'upgrade_signature_invalid')
})

test('with either, a key does, and where it is missing the identity', async ({mock}) => {
  const device = await nodeWith(mock, 'either')
  await stage(device, await treeOf(mock, '1.1.0'), plain)
  const stranger = await nodeWith(mock, 'either', 'nobody')
  await rejectsCode(
    async () => stage(stranger, await treeOf(mock, '1.1.0'), plain),
    'upgrade_identity_not_allowed',
  )
  await stage(stranger, await treeOf(mock, '1.1.0', claimsOf('1.1.0')), plain)
})

async function releaseBytes(by: string): Promise<Buffer> {
  const slot = {component: 'bundle', os: 'linux', arch: 'amd64'}
  const artifacts = [await testArtifact(slot, 'app.tar.zst', Buffer.from('bytes'))]
  const release = {
    product: 'app',
    version: '1.1.0',
    channel: 'stable',
    timestamp: 1,
    artifacts,
  } as const
  return Buffer.from(releaseText(await signRelease(release, testSigner(by))))
}

/** The refusal of a release, or 'taken'. */
async function verdict(
  mock: MockSigstore,
  mode: Mode | undefined,
  by: string,
  claims: Claims | undefined,
): Promise<string> {
  const rootPath = join(temporaryFolder(), 'trusted_root.json')
  writeFileSync(rootPath, JSON.stringify(mock.rootJson))
  const anchor = await anchorAt(mock)
  const bytes = await releaseBytes(by)
  const sidecar = claims === undefined ? undefined : await signed(mock, bytes, claims)
  const identity = identityOf(mode, anchor.allowedSigners, rootPath, mock.now)
  const terms = {anchor, identity, product: 'app', version: '1.1.0', now: mock.now}
  try {
    await checkReleaseManifest(bytes, sidecar, terms)
    return 'taken'
  } catch (error) {
    return (upgradeError(error) as {code: string}).code
  }
}

const [good, bad] = [claimsOf('1.1.0'), claimsOf('1.1.0', {repository_id: '7'})]
const [unsigned, foreign] = ['upgrade_signature_invalid', 'upgrade_identity_not_allowed']
const verdicts: readonly [Mode | undefined, string, Claims | undefined, string][] = [
  [undefined, 'archive', undefined, 'taken'],
  [undefined, 'stranger', good, unsigned],
  ['both', 'archive', good, 'taken'],
  ['both', 'archive', undefined, foreign],
  ['both', 'archive', bad, foreign],
  ['both', 'stranger', good, unsigned],
  ['sigstore', 'stranger', good, 'taken'],
  ['sigstore', 'archive', undefined, foreign],
  ['sigstore', 'archive', bad, foreign],
  ['either', 'archive', undefined, 'taken'],
  ['either', 'stranger', good, 'taken'],
  ['either', 'stranger', bad, foreign],
]

for (const [mode, by, claims, wanted] of verdicts) {
  const bundle = claims === undefined ? 'no' : claims === good ? 'a good' : 'a foreign'
  test(`a release by ${by} with ${bundle} identity, policy ${mode ?? 'keys'}: ${wanted}`, async ({
    mock,
  }) => {
    assert.is(await verdict(mock, mode, by, claims), wanted)
  })
}

test('nothing of an identity is asked where there is none to be asked', () => {
  assert.is(identityOf(undefined, [tagSigner], '/nowhere', 0), undefined)
})

test.run()
