import {createHash, hash} from 'node:crypto'
import {closeSync, constants, fstatSync, openSync, readSync, type Stats} from 'node:fs'
import {
  ANY_MODE,
  ANY_SIZE,
  countBytes,
  DIGEST_BYTES,
  EITHER_MODE,
  type FileState,
  type FileTable,
  fileStates,
  settle,
} from './file-table.ts'

/** One buffer for all files: a new one per file costs more than hashing a small file. */
const BUFFER_BYTES = 1024 * 1024

// O_NONBLOCK: a FIFO with no writer must not hang the open
const openFlags =
  constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY

/** Reads and hashes one file into its row; pauses after every MiB of a large one. */
export type FileHasher = (at: number, absolute: string) => Generator<void, void>

/**
 * A hasher whose every answer comes from one descriptor, opened without following a link: the
 * status is that of the bytes that were hashed. Whether the file was written to meanwhile is for
 * the caller to find out: a signer looks again at the end, a verifier has the digest.
 * One file at a time. Throws what the system says; the file is pending then.
 */
export function makeFileHasher(table: FileTable): FileHasher {
  const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  return function* hashFile(at, absolute) {
    const fd = open(absolute)
    if (typeof fd !== 'number') return settle(table, at, fd.state)
    try {
      const stat = fstatSync(fd)
      const early = stateOf(table, at, stat)
      if (early !== undefined) return record(table, at, stat, early)
      if (table.settles) letTimePass(stat)
      const {digest, size} = yield* hashContent(table, fd, buffer, stat.size)
      if (size !== stat.size) return settle(table, at, fileStates.unsteady)
      record(table, at, stat, keepDigest(table, at, digest))
    } finally {
      closeSync(fd)
    }
  }
}

function open(path: string): number | {readonly state: FileState} {
  try {
    return openSync(path, openFlags)
  } catch (error) {
    const {code} = error as {code?: string}
    if (code === 'ENOENT' || code === 'ENOTDIR') return {state: fileStates.absent}
    // a symbolic link, a socket, a device without a driver
    if (code === 'ELOOP' || code === 'ENXIO' || code === 'ENODEV')
      return {state: fileStates.irregular}
    throw error
  }
}

/** What the status alone decides; a file that has lost its name was replaced since the open. */
function stateOf({sizes, modes}: FileTable, at: number, stat: Stats): FileState | undefined {
  if (!stat.isFile()) return fileStates.irregular
  if (stat.nlink === 0) return fileStates.unsteady
  const size = sizes[at] as number
  const isWanted =
    stat.nlink === 1 &&
    (size === ANY_SIZE || size === stat.size) &&
    takesMode(modes[at] as number, stat.mode & 0o7777)
  return isWanted ? undefined : fileStates.refused
}

function takesMode(wanted: number, bits: number): boolean {
  if (wanted === ANY_MODE) return true
  return wanted === EITHER_MODE ? bits === 0o644 || bits === 0o755 : bits === wanted
}

function record(table: FileTable, at: number, stat: Stats, state: FileState): void {
  table.sizes[at] = stat.size
  table.modes[at] = stat.mode & 0o7777
  table.links[at] = stat.nlink
  table.changedAt[at] = stat.ctimeMs
  table.inodes[at] = stat.ino
  settle(table, at, state)
}

/** Compares, or writes, a digest; one that was not wanted takes the place of the wanted one. */
function keepDigest({digests, compares}: FileTable, at: number, digest: Buffer): FileState {
  const start = at * DIGEST_BYTES
  if (compares && digest.compare(digests, start, start + DIGEST_BYTES) === 0)
    return fileStates.hashed
  digests.set(digest, start)
  return compares ? fileStates.differs : fileStates.hashed
}

type Hashed = {readonly digest: Buffer; readonly size: number}

/** To the end of the file, also when it is no longer where the status said. */
function* hashContent(
  table: FileTable,
  fd: number,
  buffer: Buffer,
  expected: number,
): Generator<void, Hashed> {
  let size = readSync(fd, buffer, 0, buffer.length, null)
  countBytes(table, size)
  // as long as expected and shorter than the buffer: the end, without a second read to prove it
  if (size === expected && size < buffer.length)
    return {digest: hash('sha256', buffer.subarray(0, size), 'buffer'), size}
  const hasher = createHash('sha256')
  for (let count = size; count > 0; size += count) {
    hasher.update(count === buffer.length ? buffer : buffer.subarray(0, count))
    yield
    count = readSync(fd, buffer, 0, buffer.length, null)
    countBytes(table, count)
  }
  return {digest: hasher.digest(), size}
}

/** Kernels stamp times every 1 to 10 ms (CONFIG_HZ). */
const TICK_MILLISECONDS = 20

/**
 * A file that was written to in this very tick can be written to again without a new time stamp.
 * Reading it one tick later makes every write from now on visible (git calls this racy).
 */
function letTimePass({ctimeMs}: Stats): void {
  const age = Date.now() - ctimeMs
  if (age < 0 || age > TICK_MILLISECONDS) return
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, TICK_MILLISECONDS)
}
