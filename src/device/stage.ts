import {join} from 'node:path'
import type {VerifiedManifest} from '../bundle/verify-policy.ts'
import {RelError} from '../system/error.ts'
import {statIfThere} from '../system/files.ts'
import {advance, type Device, recordsOf, tell} from './device.ts'
import {removeTree} from './durable-fs.ts'
import {paths, type Records, unfinishedPath, versionPath, writing} from './layout.ts'
import {isSafeVersion, type Slot} from './record.ts'
import {resume} from './resume.ts'
import {checkGates, checkUnattended} from './state.ts'
import {policyOf, slotOf, upgradeError, verifyInstalled} from './verify-installed.ts'
import {checkSpace, copyTree, freeSpace, PortWriter} from './write-tree.ts'

export type StageOptions = {
  readonly isRetry: boolean
  readonly isUnattended: boolean
}

/** What was verified, and what it would be called once it is staged. */
export type Candidate = {readonly slot: Slot; readonly verified: VerifiedManifest}

type Check = (verified: VerifiedManifest) => void

/**
 * Verifies a directory or an archive for this node and asks the gates; writes nothing.
 * Refuses with the codes of upgradeError and checkGates.
 */
export async function checkSource(
  device: Device,
  source: string,
  options: StageOptions,
): Promise<Candidate> {
  const records = recordsOf(device)
  if (options.isUnattended) checkUnattended(device.config.policy, 'stage')
  try {
    const {verifyBundle} = await import('../bundle/verify.ts')
    const policy = policyOf(device.root, device.config, device.world.now())
    const verified = await verifyBundle(source, policy)
    gatesOf(device, records, options)(verified)
    return {slot: slotOf(verified, policy.now), verified}
  } catch (error) {
    throw upgradeError(error)
  }
}

/** The gates, asked of what was signed. */
export function gatesOf(
  {config, world}: Device,
  {record, floor}: Records,
  {isRetry}: Pick<StageOptions, 'isRetry'>,
): Check {
  return (verified) => {
    const {manifest} = verified
    const slot = slotOf(verified, world.now())
    if (!isSafeVersion(manifest.version))
      throw new RelError('upgrade_signature_invalid', 'the version is no name for a folder')
    checkGates({
      enabled: config.enabled,
      allowedChannels: config.allowedChannels,
      minVersion: config.minVersion,
      floor,
      running: record.running.version,
      failed: record.failed,
      candidate: {...slot, channel: slot.channel, minFrom: manifest.rel?.minFrom},
      isRetry,
    })
  }
}

/**
 * Puts a verified tree at versions/VERSION and records it: when this returns it is on disk. What
 * runs is not touched, whatever happens.
 */
export async function stage(
  device: Device,
  source: string,
  options: StageOptions,
): Promise<Records> {
  if (options.isUnattended) checkUnattended(device.config.policy, 'stage')
  const records = await resume(device)
  const check = gatesOf(device, records, options)
  tell(device, 'upgrade_started', {step: 'stage'})
  try {
    const slot = await placeTree(device, source, check)
    const staged = advance(device, records, 'staged', {candidate: slot})
    tell(device, 'upgrade_staged', {version: slot.version, digest: slot.digest})
    return staged
  } catch (error) {
    const known = upgradeError(error)
    const code = known instanceof RelError ? known.code : 'internal_error'
    tell(device, 'upgrade_stage_failed', {error_code: code})
    throw known
  }
}

/**
 * Writes, syncs and verifies the tree of a source, then gives it its name. Whatever is refused
 * leaves nothing. Shared with the first installation.
 */
export async function placeTree(device: Device, source: string, check: Check): Promise<Slot> {
  const {root, world} = device
  let partial: string | undefined
  const isTree = (await import('../bundle/verify.ts')).kindOfPath(source) === 'tree'
  const archiveSize = isTree ? 0 : (statIfThere(source)?.size ?? 0)
  const writer = new PortWriter(world.fs, (verified) => {
    check(verified)
    checkSpace(freeSpace(root), verified.manifest, archiveSize)
    const {version} = verified.manifest
    partial = unfinishedPath(version, 'partial')
    dropTree(device, partial)
    return partial
  })
  try {
    const policy = policyOf(root, device.config, world.now())
    const verified = await verifyInto(source, isTree, policy, writer)
    writing(() => writer.finish())
    const slot = slotOf(verified, policy.now)
    tell(device, 'upgrade_downloaded', {version: slot.version, digest: slot.digest})
    const written = unfinishedPath(slot.version, 'partial')
    const {verifyDirectory} = await import('../bundle/verify.ts')
    await verifyDirectory(join(root, written), policy)
    giveName(device, written, slot.version)
    return slot
  } catch (error) {
    if (partial !== undefined) dropTree(device, partial)
    throw upgradeError(error)
  }
}

async function verifyInto(
  source: string,
  isTree: boolean,
  policy: ReturnType<typeof policyOf>,
  writer: PortWriter,
): Promise<VerifiedManifest> {
  if (isTree) {
    const {verifyDirectory} = await import('../bundle/verify.ts')
    const verified = await verifyDirectory(source, policy)
    writing(() => {
      writer.begin(verified)
      copyTree(source, verified, writer)
    })
    return verified
  }
  const {verifyArchive} = await import('../bundle/archive/verify-archive.ts')
  try {
    return await verifyArchive(source, policy, undefined, writer)
  } catch (error) {
    return writing(() => {
      throw error
    })
  }
}

/** A tree that nothing refers to makes room; it is never what runs, nor what a rollback needs. */
function giveName(device: Device, partial: string, version: string): void {
  const {root, world} = device
  const place = versionPath(version)
  const stat = statIfThere(join(root, place))
  if (stat !== undefined && !stat.isDirectory())
    throw new RelError('upgrade_layout_invalid', `${place} is no folder, and not ours`)
  const trash = unfinishedPath(version, 'trash')
  writing(() => {
    dropTree(device, trash)
    if (stat !== undefined) world.fs.run({op: 'rename', path: place, to: trash})
    world.fs.run({op: 'rename', path: partial, to: place})
    world.fs.run({op: 'sync_dir', path: paths.versions})
    dropTree(device, trash)
  })
}

/** Removes a tree of ours, if it is there. */
function dropTree({root, world}: Device, path: string): void {
  if (statIfThere(join(root, path))?.isDirectory() === true)
    writing(() => removeTree(world.fs, path))
}

/** What is staged, verified again. Refuses with upgrade_nothing_staged, upgrade_staged_corrupt. */
export async function checkStaged(device: Device, {record}: Records): Promise<Candidate> {
  const {candidate} = record
  if (record.state !== 'staged' || candidate === undefined)
    throw new RelError('upgrade_nothing_staged', 'nothing is staged')
  try {
    return {slot: candidate, verified: await verifyInstalled(device.root, device.config, candidate)}
  } catch (error) {
    if (!(error instanceof RelError) || error.code !== 'upgrade_checksum_mismatch') throw error
    throw new RelError('upgrade_staged_corrupt', error.message, {cause: error})
  }
}
