import {createHash, hash} from 'node:crypto'
import {closeSync, constants, fstatSync, openSync, readSync, type Stats} from 'node:fs'
import {fileError} from '../system/files.ts'

/** One buffer for all files: a new one per file costs more than hashing a small file. */
const BUFFER_BYTES = 1024 * 1024

// O_NONBLOCK: a FIFO with no writer must not hang the open
const openFlags =
  constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY

/** What one open descriptor says of a file; `unsteady` when its size is not what was read. */
export type HashedFile =
  | {readonly state: 'hashed'; readonly stat: Stats; readonly sha256: string}
  | {readonly state: 'skipped'; readonly stat: Stats}
  | {readonly state: 'unsteady'}
  | {readonly state: 'absent'}
  | {readonly state: 'not_regular'}

/** Whether a file is worth hashing, by its status alone. */
export type WantHash = (stat: Stats) => boolean

/** Hashes one file after the other through one buffer; not for use by two callers at a time. */
export type FileHasher = (path: string, want: WantHash) => HashedFile

/**
 * A hasher whose every answer comes from one descriptor, opened without following a link: the
 * status is that of the bytes that were hashed. Whether the file was written to meanwhile is for
 * the caller to find out: a signer looks again at the end, a verifier has the digest.
 * Throws file_unreadable.
 */
export function makeFileHasher(): FileHasher {
  const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  return (path, want) => {
    const fd = open(path)
    if (typeof fd !== 'number') return fd
    try {
      return hashDescriptor(fd, buffer, want)
    } catch (error) {
      throw fileError(error, path, 'read')
    } finally {
      closeSync(fd)
    }
  }
}

function open(path: string): number | HashedFile {
  try {
    return openSync(path, openFlags)
  } catch (error) {
    const {code} = error as {code?: string}
    if (code === 'ENOENT' || code === 'ENOTDIR') return {state: 'absent'}
    // a symbolic link, a socket, a device without a driver
    if (code === 'ELOOP' || code === 'ENXIO' || code === 'ENODEV') return {state: 'not_regular'}
    throw fileError(error, path, 'read')
  }
}

function hashDescriptor(fd: number, buffer: Buffer, want: WantHash): HashedFile {
  const stat = fstatSync(fd)
  if (!stat.isFile()) return {state: 'not_regular'}
  if (!want(stat)) return {state: 'skipped', stat}
  const {sha256, size} = hashContent(fd, buffer, stat.size)
  if (size !== stat.size) return {state: 'unsteady'}
  return {state: 'hashed', stat, sha256}
}

/** To the end of the file, also when it is no longer where the status said. */
function hashContent(fd: number, buffer: Buffer, expected: number): {sha256: string; size: number} {
  let size = readSync(fd, buffer, 0, buffer.length, null)
  // as long as expected and shorter than the buffer: the end, without a second read to prove it
  if (size === expected && size < buffer.length)
    return {sha256: hash('sha256', buffer.subarray(0, size), 'hex'), size}
  const hasher = createHash('sha256')
  for (let count = size; count > 0; size += count) {
    hasher.update(count === buffer.length ? buffer : buffer.subarray(0, count))
    count = readSync(fd, buffer, 0, buffer.length, null)
  }
  return {sha256: hasher.digest('hex'), size}
}
