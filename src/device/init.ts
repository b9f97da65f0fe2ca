import {lstatSync, mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {RelError} from '../system/error.ts'
import {fileError, readFileLimited, statIfThere} from '../system/files.ts'
import {loadAnchor} from '../trust/anchor-store.ts'
import {anchorText} from '../trust/anchor-write.ts'
import {anchorTrust} from '../trust/trust-source.ts'
import {type DeviceConfig, MAX_CONFIG_BYTES, parseConfig} from './config.ts'
import type {Device} from './device.ts'
import {replaceFile, swapLink} from './durable-fs.ts'
import {
  linkedVersion,
  paths,
  readableRecords,
  settle,
  versionPath,
  writeRecord,
  writing,
} from './layout.ts'
import {placeTree} from './place-tree.ts'
import {floorText, type Slot} from './record.ts'
import {higher} from './state.ts'
import {policyOf, slotOf, upgradeError} from './verify-installed.ts'

/**
 * Makes the folder of a node, which may not exist yet. Refuses with file_exists where there is a
 * node already.
 */
export function makeRoot(root: string): void {
  try {
    mkdirSync(root, {recursive: true, mode: 0o755})
  } catch (error) {
    throw fileError(error, root, 'write')
  }
  if (paths.states.some((path) => statIfThere(join(root, path)) !== undefined))
    throw new RelError('file_exists', 'this folder is a node already', {
      hint: 'rel device status shows it; --repair rebuilds its records.',
    })
  const current = statIfThere(join(root, paths.current))
  if (current !== undefined && statIfThere(join(root, paths.private)) === undefined)
    throw new RelError('file_exists', 'current is there, and was not made by rel')
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
  {product, target}: DeviceConfig,
  anchorPath: string,
  source: string,
  now: number,
): Promise<Slot> {
  const file = loadAnchor(anchorPath)
  const trust = anchorTrust(file, 'manifest')
  const expect = {product, ...(target === undefined ? {} : {target})}
  const {verifyBundle} = await import('../bundle/verify.ts')
  try {
    const {legacy} = file.anchor
    return slotOf(await verifyBundle(source, {trust, expect, now, legacy}), now)
  } catch (error) {
    throw upgradeError(error)
  }
}

/**
 * Installs the first version. The record comes last: until it is there the folder is no node, and
 * running this again begins anew.
 */
export async function install(
  device: Device,
  input: {readonly configText: string; readonly anchorPath: string; readonly source: string},
): Promise<Slot> {
  const {root, world} = device
  const {anchor, signatures} = loadAnchor(input.anchorPath)
  writing(() => {
    for (const path of [paths.private, paths.versions])
      if (lstatSync(join(root, path), {throwIfNoEntry: false}) === undefined)
        world.fs.run({op: 'mkdir', path})
    replaceFile(world.fs, paths.anchor, anchorText({anchor, signatures}))
    replaceFile(world.fs, paths.config, input.configText)
  })
  const slot = await placeTree(device, input.source, () => undefined)
  writing(() => {
    swapLink(world.fs, paths.current, versionPath(slot.version))
    replaceFile(world.fs, paths.floor, floorText(slot.version), 0o600)
    writeRecord(world.fs, {
      seq: 0,
      state: 'committed',
      running: slot,
      attempts: 0,
      floor: slot.version,
      failed: [],
    })
  })
  return slot
}

/**
 * Rebuilds records that are damaged from what runs, if that verifies. The floor is the highest that
 * can still be read, and never below what runs. Nobody can go back to an earlier version after it.
 */
export async function repair(device: Device): Promise<Slot> {
  const {root, config, world} = device
  const version = linkedVersion(root, 'current')
  if (version === undefined)
    throw new RelError('upgrade_layout_invalid', 'current is missing: nothing says what runs')
  const policy = policyOf(root, config, world.now())
  settle(world)
  try {
    const {verifyDirectory} = await import('../bundle/verify.ts')
    const expect = {...policy.expect, version}
    const verified = await verifyDirectory(join(root, versionPath(version)), {...policy, expect})
    const slot = slotOf(verified, policy.now)
    const {floors, seq} = readableRecords(root)
    const floor = floors.reduce(higher, version)
    writing(() => {
      replaceFile(world.fs, paths.floor, floorText(floor), 0o600)
      const record = {state: 'committed', running: slot, attempts: 0, floor, failed: []} as const
      writeRecord(world.fs, {...record, seq: seq + 1})
    })
    return slot
  } catch (error) {
    throw upgradeError(error)
  }
}
