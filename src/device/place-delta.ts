import {createHash} from 'node:crypto'
import {closeSync, constants, fstatSync, openSync, readSync} from 'node:fs'
import {join} from 'node:path'
import {DeltaArchive, entryName} from '../bundle/delta/delta-archive.ts'
import {
  type Brought,
  type DeltaEnd,
  type DeltaPlan,
  type DeltaTree,
  deltaFailed,
  parseDelta,
  planDelta,
  type SizedFile,
} from '../bundle/delta/delta-document.ts'
import {decodePiece, decodesDeltas} from '../bundle/delta/pieces.ts'
import {MANIFEST_NAME} from '../bundle/manifest.ts'
import {shownPath} from '../bundle/path-rules.ts'
import type {VerifiedManifest, VerifyPolicy} from '../bundle/verify-policy.ts'
import type {Sidecars} from '../bundle/vouched-sidecars.ts'
import {RelError} from '../system/error.ts'
import {fileError, statIfThere} from '../system/files.ts'
import {freeMemory} from '../system/free-memory.ts'
import {countDeltaFailure, mayTakeDelta} from './delta-tries.ts'
import {type Device, recordsOf} from './device.ts'
import {versionPath, writing} from './layout.ts'
import {placeWith} from './place-tree.ts'
import type {Check, Place} from './stage.ts'
import type {PortWriter} from './write-tree.ts'

const BLOCK = 1024 * 1024

/**
 * The tree that a delta makes out of what is installed (docs/formats/delta.md). Whatever is wrong
 * with the delta is refused with upgrade_delta_failed, and the whole bundle is the answer to it;
 * the gates of the node and errors of its disk keep their own codes.
 */
export function deltaPlace(path: string): Place {
  return async (device, check) => {
    await checkTakesDeltas(device)
    let version: string | undefined
    const archiveSize = statIfThere(path)?.size ?? 0
    try {
      return await placeWith(device, archiveSize, check, (policy, writer) =>
        withArchive(path, async (archive) => {
          const {verified, sidecars} = await verifiedHead(archive, policy)
          checkTries(device, verified.manifest.version)
          version = verified.manifest.version
          writing(() => writer.begin(verified))
          for (const [name, bytes] of sidecars) writing(() => writer.sidecar(name, bytes))
          await writeFiles(archive, await planOf(device, archive, verified), writer)
          for (const {path: at, target} of verified.manifest.rel?.links ?? [])
            writer.link(at, target)
          return verified
        }),
      )
    } catch (error) {
      if (version !== undefined && isDeltaFailure(error)) countFailure(device, version)
      throw error
    }
  }
}

/** What a delta leads to, verified, and that it starts from what is installed; writes nothing. */
export async function checkDelta(
  device: Device,
  path: string,
  policy: VerifyPolicy,
  check: Check,
): Promise<VerifiedManifest> {
  await checkTakesDeltas(device)
  return withArchive(path, async (archive) => {
    const {verified} = await verifiedHead(archive, policy)
    check(verified)
    await planOf(device, archive, verified)
    return verified
  })
}

async function checkTakesDeltas({config: {deltaMaxBytes, profile}}: Device): Promise<void> {
  if (deltaMaxBytes === 0 || profile.kind !== 'tree') throw deltaFailed('this node takes no deltas')
  if (!(await decodesDeltas()))
    throw deltaFailed(`node ${process.version} ignores the dictionary of zstd`)
}

async function withArchive<T>(
  path: string,
  work: (archive: DeltaArchive) => Promise<T>,
): Promise<T> {
  const archive = new DeltaArchive(path)
  try {
    return await work(archive)
  } finally {
    archive.close()
  }
}

function isDeltaFailure(error: unknown): boolean {
  return error instanceof RelError && error.code === 'upgrade_delta_failed'
}

function checkTries(device: Device, version: string): void {
  if (mayTakeDelta(device, version)) return
  throw deltaFailed(`deltas to ${version} have failed here before`)
}

/** What went wrong first is what is told, also where it cannot be remembered. */
function countFailure(device: Device, version: string): void {
  try {
    countDeltaFailure(device, version)
  } catch (error) {
    if (!(error instanceof RelError)) throw error
  }
}

type Head = {
  readonly verified: VerifiedManifest
  readonly sidecars: Sidecars
}

/** The new manifest, by the policy of the node, and the sidecars that somebody vouches for. */
async function verifiedHead(archive: DeltaArchive, policy: VerifyPolicy): Promise<Head> {
  const {judgeOf} = await import('../bundle/archive/verify-archive.ts')
  const sidecars = await archive.head()
  try {
    const manifest = sidecars.get(MANIFEST_NAME) ?? Buffer.alloc(0)
    const {verified, vouched} = await judgeOf(policy)(manifest, sidecars)
    const isKept = (name: string) => name === MANIFEST_NAME || vouched.has(name)
    return {verified, sidecars: new Map([...sidecars].filter(([name]) => isKept(name)))}
  } catch (error) {
    throw asDeltaError(error)
  }
}

/** Where everything comes from, and the folder of the old tree. */
type Plan = DeltaPlan & {readonly folder: string}

async function planOf(
  device: Device,
  archive: DeltaArchive,
  {manifest, contentSha256: digest}: VerifiedManifest,
): Promise<Plan> {
  const document = parseDelta(await archive.document())
  const old = await installedTree(device, document.from)
  const plan = planDelta(document, old, {manifest, digest}, device.config.deltaMaxBytes)
  return {...plan, folder: old.folder}
}

async function writeFiles(
  archive: DeltaArchive,
  {reused, brought, folder}: Plan,
  writer: PortWriter,
): Promise<void> {
  for (const {file, old} of reused) reuseFile(join(folder, old.path), file, writer)
  for (const [at, each] of brought.entries()) {
    await archive.open(entryName(at), each.size)
    await bring(archive, each, folder, writer)
    await archive.end()
  }
  await archive.finish()
}

type Installed = DeltaTree & {readonly folder: string}

/**
 * The tree that a delta starts from, by its manifest as it was when it was installed: its digest is
 * in the record. Files of it are compared when they are read.
 */
async function installedTree(device: Device, from: DeltaEnd): Promise<Installed> {
  const {running, previous} = recordsOf(device).record
  const slot = [running, previous].find((it) => it?.digest === from.digest)
  if (slot === undefined || slot.version !== from.version)
    throw deltaFailed(`it starts from ${shownPath(from.version)}, which is not installed`)
  const folder = join(device.root, versionPath(slot.version))
  const {loadManifest} = await import('../bundle/inspect.ts')
  try {
    const {file, contentSha256} = await loadManifest(join(folder, MANIFEST_NAME))
    if (contentSha256 === slot.digest) return {manifest: file.manifest, digest: slot.digest, folder}
  } catch (error) {
    throw asDeltaError(error)
  }
  throw deltaFailed(`the manifest of ${slot.version} was changed on this node`)
}

/** Copies a file of the old tree that is still as it was signed. */
function reuseFile(from: string, file: SizedFile, writer: PortWriter): void {
  const fd = openOld(from, file.size)
  try {
    const output = new HashedFile(file, writer)
    for (const bytes of blocksOf(fd, from)) output.write(bytes)
    output.end()
  } finally {
    closeSync(fd)
  }
}

async function bring(
  archive: DeltaArchive,
  {file, patch}: Brought,
  folder: string,
  writer: PortWriter,
): Promise<void> {
  if (patch !== undefined) return patchFile(archive, file, patch, folder, writer)
  const output = new HashedFile(file, writer)
  for (let left = file.size; left > 0; ) {
    const bytes = await archive.some(left)
    output.write(bytes)
    left -= bytes.length
  }
  output.end()
}

/** One piece of the old file, one frame and what they give are in memory at a time. */
async function patchFile(
  archive: DeltaArchive,
  file: SizedFile,
  {old, pieces}: NonNullable<Brought['patch']>,
  folder: string,
  writer: PortWriter,
): Promise<void> {
  const path = join(folder, old.path)
  const fd = openOld(path, old.size)
  try {
    checkOld(fd, path, old)
    const output = new HashedFile(file, writer)
    for (const {fromAt, fromSize, toSize, size} of pieces) {
      const part = readOld(fd, path, fromAt, fromSize)
      const frame = await archive.take(size)
      for await (const bytes of decodePiece(frame, part, toSize)) output.write(bytes)
      freeMemory(part)
      freeMemory(frame)
    }
    output.end()
  } finally {
    closeSync(fd)
  }
}

/** Writes a file and says at its end whether it was the signed one. */
class HashedFile {
  readonly #file: SizedFile
  readonly #writer: PortWriter
  readonly #hash = createHash('sha256')

  constructor(file: SizedFile, writer: PortWriter) {
    this.#file = file
    this.#writer = writer
    writing(() => writer.open({path: file.path, mode: file.mode ?? '0644'}))
  }

  write(bytes: Buffer): void {
    this.#hash.update(bytes)
    writing(() => this.#writer.write(bytes))
  }

  end(): void {
    const {path, sha256} = this.#file
    if (this.#hash.digest('hex') !== sha256)
      throw deltaFailed(`${shownPath(path)} does not become what was signed`)
    writing(() => this.#writer.close())
  }
}

/** A file of the old tree, still of its signed size. Refuses with upgrade_delta_failed. */
function openOld(path: string, size: number): number {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    throw oldError(error, path)
  }
  const stat = fstatSync(fd)
  if (stat.isFile() && stat.size === size) return fd
  closeSync(fd)
  throw deltaFailed('a file of the old tree was changed on this node')
}

function checkOld(fd: number, path: string, {sha256}: SizedFile): void {
  const hash = createHash('sha256')
  for (const bytes of blocksOf(fd, path)) hash.update(bytes)
  if (hash.digest('hex') !== sha256)
    throw deltaFailed('a file of the old tree was changed on this node')
}

/** A whole file in blocks that are overwritten by the next. */
function* blocksOf(fd: number, path: string): Generator<Buffer> {
  const block = Buffer.allocUnsafeSlow(BLOCK)
  for (let at = 0; ; ) {
    const count = readAt(fd, path, block, at)
    if (count === 0) return
    yield block.subarray(0, count)
    at += count
  }
}

function readOld(fd: number, path: string, from: number, size: number): Buffer {
  const part = Buffer.allocUnsafeSlow(size)
  for (let at = 0; at < size; ) {
    const count = readAt(fd, path, part.subarray(at), from + at)
    if (count === 0) throw deltaFailed('a file of the old tree was cut short')
    at += count
  }
  return part
}

function readAt(fd: number, path: string, into: Buffer, at: number): number {
  try {
    return readSync(fd, into, 0, into.length, at)
  } catch (error) {
    throw oldError(error, path)
  }
}

/** A file that is gone makes the delta useless; a disk that cannot be read keeps its code. */
function oldError(error: unknown, path: string): unknown {
  if ((error as {code?: string}).code === 'ELOOP') return deltaFailed('a file became a link')
  const known = fileError(error, path, 'read')
  return known.code === 'file_missing' ? deltaFailed(known.message, known) : known
}

/** What refuses a manifest refuses the delta that brought it. */
function asDeltaError(error: unknown): unknown {
  return error instanceof RelError ? deltaFailed(error.message, error) : error
}
