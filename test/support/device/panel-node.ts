import {cpSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {applyPack, planPack} from '../../../src/bundle/archive/pack.ts'
import {parseConfig} from '../../../src/device/config.ts'
import type {Device} from '../../../src/device/device.ts'
import {install, makeRoot} from '../../../src/device/init.ts'
import type {License} from '../../../src/release/license.ts'
import {armouredLicense, issueLicense} from '../../../src/release/license-file.ts'
import type {Release, ReleaseArtifact} from '../../../src/release/release.ts'
import {releaseText, signRelease} from '../../../src/release/release-manifest.ts'
import {channelOf} from '../../../src/release/version.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import type {AnchorKey} from '../../../src/trust/anchor.ts'
import {planFirst} from '../../../src/trust/anchor-plan.ts'
import {signedAnchor, testKey, testNow, testSigner} from '../anchors.ts'
import {draft, flip, startPanel, type TestPanel, type TestRelease, wanted} from '../panel.ts'
import {type SignedTree, signedTree, writeTree} from '../signed-tree.ts'
import {temporaryFolder} from '../tmp.ts'
import {deviceAt, type FakeWorld} from './node.ts'

/** What every release of the tests has. */
export const bundleSlot = {component: 'bundle', os: 'linux', arch: 'amd64'} as const

/** After every test: anchors of processes that have the machine's clock must not end. */
const FAR = 4_102_444_800

export type BundleTerms = {
  readonly version: string
  /** Says so in the manifest of the bundle; the one of the version otherwise. */
  readonly channel?: string
  readonly timestamp?: number
  readonly product?: string
  /** Random bytes in the bundle, which do not compress. */
  readonly filler?: Buffer
}

/** A small signed bundle, packed as a .tar.gz. */
export async function packedBundle(terms: BundleTerms): Promise<Buffer> {
  const {version, product = 'app', filler} = terms
  const files = {
    'bin/app': {content: `app ${version}\n`, mode: '0755' as const},
    'data.txt': `data ${version}\n`,
    ...(filler === undefined ? {} : {filler}),
  }
  const tree = await signedTree(files, {}, (manifest) => ({
    ...manifest,
    bundleName: `${product}-v${version}`,
    version,
    timestamp: terms.timestamp ?? manifest.timestamp,
    ...(manifest.rel === undefined
      ? {}
      : {rel: {...manifest.rel, product, channel: terms.channel ?? channelOf(version)}}),
  }))
  return packed(tree)
}

/** The archive of a tree. */
export async function packed(tree: SignedTree): Promise<Buffer> {
  const folder = temporaryFolder()
  const [directory, output] = [join(folder, 'tree'), join(folder, 'bundle.tar.gz')]
  writeTree(directory, tree)
  await applyPack(planPack({directory, output, format: 'tar.gz', replace: false}))
  return readFileSync(output)
}

/** An artifact over bytes, signed by the artifact key of the tests. */
export async function artifactOf(name: string, bytes: Buffer): Promise<ReleaseArtifact> {
  const signer = testSigner('artifact')
  return {
    name,
    ...bundleSlot,
    size: bytes.length,
    sha256: sha256Hex(bytes),
    signature: Buffer.from(await signer.sign(bytes)).toString('base64'),
    keyId: signer.publicKey.keyId,
    required: true,
  }
}

/** A release of one bundle, signed by the manifest key of the tests. */
export async function bundleRelease(
  version: string,
  bytes: Buffer,
  terms: Partial<Release> = {},
): Promise<TestRelease> {
  const name = `app_${version.replaceAll('+', '_')}_linux_amd64.tar.gz`
  const release: Release = {
    product: 'app',
    version,
    channel: channelOf(version),
    timestamp: testNow - 60,
    artifacts: [await artifactOf(name, bytes)],
    ...terms,
  }
  const file = await signRelease(release, testSigner('manifest'))
  return {file, text: releaseText(file), bytes: new Map([[name, bytes]])}
}

/** The anchor of a node: keys of the tests, and the two online keys of its panel. */
export async function nodeAnchor(
  panel?: Pick<TestPanel, 'panel'>,
  isFresh = true,
  online = 'online',
): Promise<Buffer> {
  const panelKeys = (key: 'license' | 'freshness'): AnchorKey[] =>
    panel === undefined ? [] : [{publicKey: panel.panel.keys[key].publicKey, name: `panel ${key}`}]
  const grant = (role: Parameters<typeof planFirst>[0][number]['role'], keys: AnchorKey[]) => ({
    role,
    keys,
    threshold: 1,
  })
  const roles = [
    grant('root', [testKey('root')]),
    grant('manifest', [testKey('manifest'), testKey('archive')]),
    grant('artifact', [testKey('artifact')]),
    grant('license', [testKey('license'), ...panelKeys('license')]),
    ...(isFresh ? [grant('freshness', [testKey(online), ...panelKeys('freshness')])] : []),
  ]
  return signedAnchor(planFirst(roles, FAR), 'root')
}

const licenseTerms: License = {
  id: '01JD0000000000000000000000',
  product: 'app',
  customer: 'Acme GmbH',
  track: 'stable',
  entitlements: [],
  issued: testNow - 86_400,
  expires: FAR,
  serial: 1,
}

/** The file of a licence, signed by the licence key of the tests. */
export async function licenseText(change: Partial<License> = {}, by = 'license'): Promise<string> {
  return armouredLicense(await issueLicense({...licenseTerms, ...change}, testSigner(by)))
}

/** A real panel with the product app, which takes what the tests sign. */
export async function startAppPanel(
  options: Parameters<typeof startPanel>[0] = {},
): Promise<TestPanel> {
  const panel = await startPanel({products: {}, ...options})
  await wanted(200, panel.ask('PUT', '/v1/products/app'))
  await wanted(200, panel.ask('PUT', '/v1/products/app/keys', {body: await nodeAnchor(panel)}))
  await wanted(200, panel.ask('PUT', '/v1/products/app/matrix', {body: {required: [bundleSlot]}}))
  return panel
}

/** Draft, upload and flip of one bundle. */
export async function publishBundle(
  panel: TestPanel,
  version: string,
  bytes?: Buffer,
): Promise<TestRelease> {
  const release = await bundleRelease(version, bytes ?? (await packedBundle({version})))
  await draft(panel, release)
  await wanted(200, flip(panel, release))
  return release
}

/** A licence of the panel itself, as its customer gets it. */
export async function panelLicense(
  {ask}: Pick<TestPanel, 'ask'>,
  {track = 'stable', expires = FAR}: {track?: string; expires?: number} = {},
): Promise<{readonly id: string; readonly file: string}> {
  const body = {product: 'app', customer: 'Acme', track, expires}
  const {json} = await wanted(201, ask('POST', '/v1/licenses', {body}))
  return {id: String(json.id), file: String(json.file)}
}

export type NodeTerms = {
  readonly url: string
  readonly protocol?: 'd0' | 'd2'
  readonly anchor: Buffer
  /** None where undefined. */
  readonly license?: string | undefined
  readonly upgrade?: object
  readonly fake?: FakeWorld
}

/** device.json of a node with a panel. */
export function panelConfig({url, protocol = 'd0', upgrade = {}}: NodeTerms): object {
  return {
    spec: 1,
    product: 'app',
    node: 'n1',
    target: 'linux-amd64',
    source: {panel: url, protocol, component: 'bundle'},
    upgrade: {
      enabled: true,
      allowed_channels: ['stable'],
      boot_health_window_secs: 30,
      ...upgrade,
    },
    health: {command: ['true']},
  }
}

/** A node that runs 1.0.0 and asks a panel; device.json and the anchor are on disk. */
export async function panelNode(terms: NodeTerms): Promise<ReturnType<typeof deviceAt>> {
  const root = join(temporaryFolder(), 'the node')
  const configText = JSON.stringify(panelConfig(terms))
  template ??= installedNode(terms.anchor)
  cpSync(await template, root, {recursive: true, verbatimSymlinks: true})
  writeFileSync(join(root, 'device.json'), configText)
  writeFileSync(join(root, 'trust_anchor.json'), terms.anchor)
  if (terms.license !== undefined) writeFileSync(join(root, 'license'), terms.license)
  return {...deviceAt(root, terms.fake), config: parseConfig(Buffer.from(configText))}
}

let template: Promise<string> | undefined

/** Installed once, and copied for every node. */
async function installedNode(anchor: Buffer): Promise<string> {
  const folder = temporaryFolder()
  const [root, anchorPath, source] = [
    join(folder, 'node'),
    join(folder, 'trust.json'),
    join(folder, '1.0.0.tar.gz'),
  ]
  const configText = JSON.stringify(panelConfig({url: 'http://127.0.0.1:9', anchor}))
  writeFileSync(anchorPath, anchor)
  writeFileSync(source, await packedBundle({version: '1.0.0'}))
  makeRoot(root)
  const device = {...deviceAt(root), config: parseConfig(Buffer.from(configText))}
  await install(device, {configText, anchorPath, source})
  return root
}

/** The same node with a clock of its own. */
export function atTime<T extends Device>(device: T, time: number): T {
  return {...device, world: {...device.world, now: () => time}}
}
