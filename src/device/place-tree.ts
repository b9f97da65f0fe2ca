import {join} from 'node:path'
import type {VerifiedManifest, VerifyPolicy} from '../bundle/verify-policy.ts'
import {RelError} from '../system/error.ts'
import {statIfThere} from '../system/files.ts'
import {trustedNow} from './clock-mark.ts'
import {type Device, recordsOf, tell} from './device.ts'
import {removeTree} from './durable-fs.ts'
import {paths, unfinishedPath, versionPath, whileWriting, writing} from './layout.ts'
import type {Slot} from './record.ts'
import type {Check, Place} from './stage.ts'
import {isShortage, policyOf, slotOf, upgradeError, verifyInstalled} from './verify-installed.ts'
import {checkSpace, copyTree, freeSpace, PortWriter} from './write-tree.ts'

/** The tree of a directory or an archive on this machine. */
export function bundlePlace(source: string): Place {
  return (device, check) => placeTree(device, source, check)
}

/**
 * Writes, syncs and verifies the tree of a source, then gives it its name. Whatever is refused
 * leaves nothing. Shared with the first installation.
 */
async function placeTree(device: Device, source: string, check: Check): Promise<Slot> {
  const isTree = (await import('../bundle/verify.ts')).kindOfPath(source) === 'tree'
  const archiveSize = isTree ? 0 : (statIfThere(source)?.size ?? 0)
  return placeWith(device, archiveSize, check, (policy, writer) =>
    verifyInto(source, isTree, policy, writer),
  )
}

/** Begins the writer with the manifest that it has verified, and writes all that this one lists. */
type Fill = (policy: VerifyPolicy, writer: PortWriter) => Promise<VerifiedManifest>

/** As placeTree, whatever writes the tree; `archiveSize` is what checkSpace wants to know. */
export async function placeWith(
  device: Device,
  archiveSize: number,
  check: Check,
  fill: Fill,
): Promise<Slot> {
  const {root, world} = device
  let partial: string | undefined
  const writer = new PortWriter(world.fs, (verified) => {
    check(verified)
    checkSpace(freeSpace(root), verified.manifest, archiveSize)
    const {version} = verified.manifest
    partial = unfinishedPath(version, 'partial')
    dropTree(device, partial)
    return partial
  })
  try {
    const policy = policyOf(root, device.config, trustedNow(device))
    const verified = await fill(policy, writer)
    await whileWriting(() => writer.finish())
    const slot = slotOf(verified, policy.now)
    tell(device, 'upgrade_downloaded', {version: slot.version, digest: slot.digest})
    const written = unfinishedPath(slot.version, 'partial')
    const {verifyDirectory} = await import('../bundle/verify.ts')
    await verifyDirectory(join(root, written), policy)
    await giveName(device, written, slot)
    return slot
  } catch (error) {
    if (partial !== undefined) dropTree(device, partial)
    throw upgradeError(error)
  }
}

async function verifyInto(
  source: string,
  isTree: boolean,
  policy: VerifyPolicy,
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
  return whileWriting(() => verifyArchive(source, policy, undefined, writer))
}

/**
 * Gives a complete version its name. One that nothing refers to makes room; what a record names stays
 * while it is as signed, for between two renames it would be nowhere. Refuses with
 * upgrade_layout_invalid.
 */
export async function giveName(device: Device, partial: string, slot: Slot): Promise<void> {
  if (await isInPlace(device, slot)) return dropTree(device, partial)
  const {version} = slot
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

/** That a record names these very bytes, and that they are there. */
async function isInPlace(device: Device, {version, digest}: Slot): Promise<boolean> {
  const {root, config} = device
  if (paths.states.every((path) => statIfThere(join(root, path)) === undefined)) return false
  const {running, previous, candidate, target} = recordsOf(device).record
  const named = [running, previous, candidate, target].find(
    (it) => it?.version === version && it.digest === digest,
  )
  if (named === undefined) return false
  try {
    await verifyInstalled(root, config, named)
    return true
  } catch (error) {
    if (error instanceof RelError && !isShortage(error)) return false
    throw error
  }
}

/** Removes a tree of ours, if it is there. */
export function dropTree({root, world}: Device, path: string): void {
  if (statIfThere(join(root, path))?.isDirectory() === true)
    writing(() => removeTree(world.fs, path))
}
