import {lstatSync, mkdirSync, realpathSync, statfsSync} from 'node:fs'
import {dirname, join} from 'node:path'
import type {VerifyPolicy} from '../bundle/verify-policy.ts'
import {RelError} from '../system/error.ts'
import {fileError, readFileLimited, statIfThere} from '../system/files.ts'
import {loadAnchor} from '../trust/anchor-store.ts'
import {anchorText} from '../trust/anchor-write.ts'
import {type DeviceConfig, MAX_CONFIG_BYTES, parseConfig} from './config.ts'
import type {Device} from './device.ts'
import {replaceFile} from './durable-fs.ts'
import {checkFileSystem} from './file-system.ts'
import {keepReserve, paths, writeRecord, writing} from './layout.ts'
import {checkFolder} from './owned.ts'
import {checkFirstStart, firstStart} from './profile.ts'
import {floorText, type Slot} from './record.ts'
import {localPlace} from './stage.ts'
import {policyWith, type Signed, slotOf, upgradeError} from './verify-installed.ts'

/**
 * Makes the folder of a node, which may not exist yet. Refuses with file_exists where there is a
 * node already, and with upgrade_layout_invalid on a file system that does not keep its promises.
 */
export function makeRoot(root: string): void {
  try {
    mkdirSync(root, {recursive: true, mode: 0o755})
  } catch (error) {
    throw fileError(error, root, 'write')
  }
  checkNoNode(root)
  checkFolder(realpathSync(root))
  checkFileSystem(statfsSync(root).type, false)
  const current = statIfThere(join(root, paths.current))
  if (current !== undefined && statIfThere(join(root, paths.private)) === undefined)
    throw new RelError('file_exists', 'current is there, and was not made by rel', {
      hint: 'rel device init DIR --adopt takes over what another updater has made.',
    })
}

/** Refuses with file_exists. */
export function checkNoNode(root: string): void {
  if (paths.states.some((path) => statIfThere(join(root, path)) !== undefined))
    throw new RelError('file_exists', 'this folder is a node already', {
      hint: 'rel device status shows it; --repair rebuilds its records.',
    })
}

/** A configuration that is to become device.json. Refuses with upgrade_config_invalid, file_*. */
export function readConfigFile(path: string): {
  readonly config: DeviceConfig
  readonly configText: string
} {
  const bytes = readFileLimited(path, MAX_CONFIG_BYTES)
  return {config: parseConfig(bytes), configText: bytes.toString('utf8')}
}

/** What would be installed, verified; nothing is written. Refuses as install does. */
export async function checkFirst(
  config: DeviceConfig,
  anchorPath: string,
  source: string,
  now: number,
): Promise<Slot> {
  try {
    return slotOf(await verifyFirst(config, anchorPath, source, now), now)
  } catch (error) {
    throw upgradeError(error)
  }
}

async function verifyFirst(
  config: DeviceConfig,
  anchorPath: string,
  source: string,
  now: number,
): Promise<Signed> {
  if (config.profile.kind === 'binary') {
    const {checkFolder} = await import('./place-binary.ts')
    return checkFolder(config, loadAnchor(anchorPath), source, now)
  }
  const {verifyBundle} = await import('../bundle/verify.ts')
  return verifyBundle(source, firstPolicy(config, anchorPath, now))
}

/** Whom a node will trust, before it has its files: the trusted root beside the anchor comes along. */
export function firstPolicy(config: DeviceConfig, anchorPath: string, now: number): VerifyPolicy {
  const trustedRoot = join(dirname(anchorPath), paths.trustedRoot)
  return policyWith(loadAnchor(anchorPath), config, trustedRoot, now)
}

/** What makes a folder a node besides its version. */
export type NodeFiles = {readonly configText: string; readonly anchorPath: string}

/**
 * Installs the first version, or takes over the program that is there when it is in the release.
 * The record comes last: until it is there the folder is no node, and running this again begins
 * anew. Refuses with upgrade_checksum_mismatch where another program is there.
 */
export async function install(
  device: Device,
  input: NodeFiles & {readonly source: string},
): Promise<Slot> {
  writeNodeFiles(device, input)
  const place = await localPlace(device, input.source)
  const slot = await place(device, (signed) => checkFirstStart(device, signed.contentSha256))
  writing(() => firstStart(device, slot))
  writeFirstRecord(device, slot)
  return slot
}

/** The folders, the trust anchor and the configuration of a node. */
export function writeNodeFiles(device: Device, {configText, anchorPath}: NodeFiles): void {
  const {root, config, world} = device
  const {anchor, signatures} = loadAnchor(anchorPath)
  const trustedRoot = config.identity === undefined ? undefined : trustedRootBeside(anchorPath)
  writing(() => {
    for (const path of [paths.private, paths.versions])
      if (lstatSync(join(root, path), {throwIfNoEntry: false}) === undefined)
        world.fs.run({op: 'mkdir', path})
    keepReserve(world.fs)
    replaceFile(world.fs, paths.anchor, anchorText({anchor, signatures}))
    replaceFile(world.fs, paths.config, configText)
    if (trustedRoot !== undefined) replaceFile(world.fs, paths.trustedRoot, trustedRoot)
  })
}

/** Sigstore's trusted root of a site that has its own; the public one is a part of rel. */
function trustedRootBeside(anchorPath: string): string | undefined {
  const path = join(dirname(anchorPath), paths.trustedRoot)
  if (statIfThere(path) === undefined) return undefined
  return readFileLimited(path, MAX_TRUSTED_ROOT_BYTES).toString('utf8')
}

/** As parseTrustedRoot reads at most. */
const MAX_TRUSTED_ROOT_BYTES = 1024 * 1024

/** The floor, then the record that makes the folder a node. */
export function writeFirstRecord({world}: Device, slot: Slot, previous?: Slot): void {
  const floor = slot.version
  writing(() => replaceFile(world.fs, paths.floor, floorText(floor), 0o600))
  writeRecord(world.fs, {
    seq: 0,
    state: 'committed',
    running: slot,
    ...(previous === undefined ? {} : {previous}),
    attempts: 0,
    floor,
    failed: [],
  })
}
