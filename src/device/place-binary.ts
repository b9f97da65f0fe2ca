import {lstatSync} from 'node:fs'
import {join} from 'node:path'
import type {Release, ReleaseArtifact} from '../release/release.ts'
import {parseRelease, releaseLimits} from '../release/release-manifest.ts'
import {checkArtifactFile, verifyRelease} from '../release/verify-release.ts'
import {RelError} from '../system/error.ts'
import {entriesIn, readFileLimited} from '../system/files.ts'
import type {AnchorFile} from '../trust/anchor.ts'
import {trustedNow} from './clock-mark.ts'
import type {DeviceConfig} from './config.ts'
import {type Device, tell} from './device.ts'
import {unfinishedPath, writing} from './layout.ts'
import {machineOf, pickArtifact} from './pick-artifact.ts'
import {dropTree, giveName} from './place-tree.ts'
import {blocksOf, kept} from './program.ts'
import {isSafeVersion, type Slot} from './record.ts'
import type {Check, Place} from './stage.ts'
import {anchorOf, type Signed, slotOf, upgradeError} from './verify-installed.ts'
import {checkFree, freeSpace} from './write-tree.ts'

/** A release for this node: what was signed, and which of its artifacts is the program. */
type Chosen = {
  readonly signed: Signed
  readonly release: Release
  readonly artifact: ReleaseArtifact
}

/** The program of a release that was fetched: its manifest as it was signed, and the file. */
export function binaryPlace(releaseText: string, filePath: string): Place {
  return (device, check) => place(device, Buffer.from(releaseText), () => filePath, check)
}

/** The program of a folder with release.json and the artifacts that it lists. */
export function releasePlace(folder: string): Place {
  return (device, check) =>
    place(device, readRelease(folder), ({name}) => join(folder, name), check)
}

/** What a folder holds for this node, verified; nothing is written. */
export async function checkFolder(
  config: DeviceConfig,
  trusted: AnchorFile,
  folder: string,
  now: number,
  check?: Check,
): Promise<Signed> {
  const {signed, release, artifact} = await choose(readRelease(folder), config, trusted, now)
  check?.(signed)
  await checkArtifactFile(join(folder, artifact.name), release, artifact, trusted.anchor, now)
  return signed
}

function readRelease(folder: string): Buffer {
  return readFileLimited(join(folder, kept.release), releaseLimits.bytes)
}

/**
 * The signatures, then the meaning, then which artifact this node takes. Refuses as verifyRelease
 * and pickArtifact do.
 */
async function choose(
  bytes: Uint8Array,
  config: DeviceConfig,
  {anchor}: AnchorFile,
  now: number,
  version?: string,
): Promise<Chosen> {
  const file = parseRelease(bytes)
  const {release} = file
  const expect = {product: config.product, ...(version === undefined ? {} : {version})}
  await verifyRelease(file, {anchor, expect, now})
  if (!isSafeVersion(release.version))
    throw new RelError('upgrade_signature_invalid', 'the version is no name for a folder')
  const component = config.profile.kind === 'binary' ? config.profile.component : ''
  const {whole: artifact} = pickArtifact(release, {component, ...machineOf(config.target, process)})
  const {channel, minFrom, timestamp} = release
  const rel = {channel, ...(minFrom === undefined ? {} : {minFrom})}
  const manifest = {version: release.version, timestamp, rel, files: [artifact.name]}
  return {signed: {manifest, contentSha256: artifact.sha256}, release, artifact}
}

/** Writes, syncs and verifies the program, then gives the version its name. */
async function place(
  device: Device,
  bytes: Buffer,
  pathOf: (artifact: ReleaseArtifact) => string,
  check: Check,
): Promise<Slot> {
  const {root, config} = device
  const now = trustedNow(device)
  let partial: string | undefined
  try {
    const {signed, artifact} = await choose(bytes, config, anchorOf(root), now)
    check(signed)
    const {version} = signed.manifest
    checkRoom(device, artifact.size)
    const unfinished = unfinishedPath(version, 'partial')
    dropTree(device, unfinished)
    partial = unfinished
    writing(() => write(device, unfinished, bytes, pathOf(artifact), artifact.size))
    const slot = slotOf(signed, now)
    tell(device, 'upgrade_downloaded', {version, digest: slot.digest})
    await verifyKept(root, config, unfinished, {version, now})
    await giveName(device, unfinished, slot)
    return slot
  } catch (error) {
    if (partial !== undefined) dropTree(device, partial)
    throw upgradeError(error)
  }
}

function write(
  {world: {fs}}: Device,
  folder: string,
  manifest: Buffer,
  from: string,
  size: number,
): void {
  const [release, program] = [join(folder, kept.release), join(folder, kept.program)]
  fs.run({op: 'mkdir', path: folder})
  fs.run({op: 'create', path: release, mode: 0o644})
  fs.run({op: 'write', path: release, bytes: manifest})
  fs.run({op: 'create', path: program, mode: 0o644})
  for (const bytes of exactly(from, size)) fs.run({op: 'write', path: program, bytes})
  fs.run({op: 'sync', path: release})
  fs.run({op: 'sync', path: program})
  fs.run({op: 'sync_dir', path: folder})
}

/** A file that grows while it is read must not fill the disk; the digest is checked from disk. */
function* exactly(path: string, size: number): Generator<Buffer> {
  let left = size
  for (const block of sourceBlocks(path)) {
    left -= block.length
    if (left < 0)
      throw new RelError('upgrade_checksum_mismatch', `the program is longer than ${size} bytes`)
    yield block
  }
}

function sourceBlocks(path: string): Iterable<Buffer> {
  const stat = lstatSync(path, {throwIfNoEntry: false})
  if (stat === undefined) throw new RelError('file_missing', `${path} does not exist`)
  if (!stat.isFile()) throw new RelError('file_unreadable', `${path} is not a file`)
  return blocksOf(path)
}

/** Below the root once; beside the program twice, as the new one and as the way back (D1's 3x). */
function checkRoom({root, world}: Device, size: number): void {
  const folder = world.programFs?.root ?? root
  const isOne = lstatSync(folder).dev === lstatSync(root).dev
  checkFree(freeSpace(root), {bytes: isOne ? 3 * size : size, files: 16})
  if (!isOne) checkFree(freeSpace(folder), {bytes: 2 * size, files: 4})
}

/**
 * That a folder below the root holds a release and its program exactly as signed, as of a time.
 * Refuses as choose and checkArtifactFile do, with file_unlisted and file_absent.
 */
export async function verifyKept(
  root: string,
  config: DeviceConfig,
  folder: string,
  {version, now}: {readonly version: string; readonly now: number},
): Promise<Signed> {
  const path = join(root, folder)
  checkNames(path)
  const trusted = anchorOf(root)
  const bytes = readFileLimited(join(path, kept.release), releaseLimits.bytes)
  const {signed, release, artifact} = await choose(bytes, config, trusted, now, version)
  await checkArtifactFile(join(path, kept.program), release, artifact, trusted.anchor, now)
  return signed
}

function checkNames(path: string): void {
  const names = entriesIn(path)
  const wanted: readonly string[] = Object.values(kept)
  const more = names.find(({name}) => !wanted.includes(name))
  if (more !== undefined) throw new RelError('file_unlisted', `${more.name} is not of the release`)
  for (const name of wanted)
    if (names.find((it) => it.name === name)?.isFile() !== true)
      throw new RelError('file_absent', `${name} is missing, or no file`)
}
