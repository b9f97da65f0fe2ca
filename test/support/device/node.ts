import {mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {DeviceConfig} from '../../../src/device/config.ts'
import {parseConfig} from '../../../src/device/config.ts'
import type {Device, DeviceEvent, World} from '../../../src/device/device.ts'
import {type DurableFs, realFs} from '../../../src/device/durable-fs.ts'
import {install, makeRoot} from '../../../src/device/init.ts'
import {signedAnchor, testAnchor, testNow} from '../anchors.ts'
import {type SignedTree, signedTree, writeTree} from '../signed-tree.ts'
import {temporaryFolder} from '../tmp.ts'

export const configJson = {
  spec: 1,
  product: 'app',
  upgrade: {enabled: true, allowed_channels: ['stable'], boot_health_window_secs: 30},
  health: {command: ['true']},
}

/** Two small files, one of them in a folder: every kind of operation, and few of each. */
export function bundleOf(
  version: string,
  change: {readonly expires?: number; readonly product?: string; readonly channel?: string} = {},
  timestamp?: number,
): Promise<SignedTree> {
  const files = {
    'bin/app': {content: `app ${version}\n`, mode: '0755' as const},
    'data.txt': `data ${version}\n`,
  }
  return signedTree(files, {}, (manifest) => ({
    ...manifest,
    bundleName: `app-v${version}`,
    version,
    timestamp: timestamp ?? manifest.timestamp,
    ...(manifest.rel === undefined ? {} : {rel: {...manifest.rel, ...change}}),
  }))
}

/** Anchor, and signed bundles of the given versions, in a folder of their own. */
export type Sources = {readonly anchor: string; readonly of: (version: string) => string}

export async function makeSources(...versions: readonly string[]): Promise<Sources> {
  const folder = join(temporaryFolder(), 'with space')
  mkdirSync(folder)
  const anchor = join(folder, 'trust.json')
  const trust = testAnchor({role: 'root', keys: ['root']}, {role: 'manifest', keys: ['archive']})
  writeFileSync(anchor, await signedAnchor(trust, 'root'))
  for (const version of versions) writeTree(join(folder, version), await bundleOf(version))
  return {anchor, of: (version) => join(folder, version)}
}

export type FakeWorld = {
  /** Versions that never become healthy. */
  readonly broken?: readonly string[]
  readonly restart?: () => void
  /** Called when a version was asked. */
  readonly onHealth?: (isHealthy: boolean) => void
  readonly isStopped?: boolean
  readonly fs?: DurableFs
}

/** A node whose program is a list of versions that are broken. */
export function deviceAt(
  root: string,
  fake: FakeWorld = {},
  change: object = {},
): Device & {
  readonly events: DeviceEvent[]
} {
  const events: DeviceEvent[] = []
  const config: DeviceConfig = parseConfig(Buffer.from(JSON.stringify({...configJson, ...change})))
  const world: World = {
    fs: fake.fs ?? realFs(root),
    now: () => testNow,
    restart: async () => fake.restart?.() as undefined,
    health: async (version) => {
      const isBroken = fake.broken?.includes(version) === true
      fake.onHealth?.(!isBroken)
      return isBroken ? 'it is broken' : undefined
    },
    isStopped: async () => fake.isStopped ?? false,
    onEvent: (event) => void events.push(event),
  }
  return {root, config, world, events}
}

/** Installs 1.0.0 in a folder. */
export async function installOne(device: Device, sources: Sources): Promise<void> {
  makeRoot(device.root)
  await install(device, {
    configText: JSON.stringify(configJson),
    anchorPath: sources.anchor,
    source: sources.of('1.0.0'),
  })
}

/** A node that runs 1.0.0. */
export async function makeNode(sources: Sources, fake: FakeWorld = {}) {
  const root = join(temporaryFolder(), 'the node')
  const device = deviceAt(root, fake)
  await installOne(device, sources)
  return device
}

/** What an operator gives when nothing special is asked for. */
export const plain = {isRetry: false, isUnattended: false}
