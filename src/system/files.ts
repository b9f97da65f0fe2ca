import {type Hash, randomBytes} from 'node:crypto'
import {
  closeSync,
  constants,
  createReadStream,
  type Dirent,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  writeSync,
} from 'node:fs'
import {constants as osConstants} from 'node:os'
import {basename, dirname, join} from 'node:path'
import {RelError} from './error.ts'

type NodeError = Error & {code?: string}

/** What the operating system calls its errors; Node's own (ERR_…) and a TypeError are bugs. */
const systemCode = /^(?:E[A-Z0-9]+|UNKNOWN)$/

/**
 * A system error as one of rel's codes; the path is shown, the content never. An error that is not
 * the system's is a bug, and is thrown on as it is.
 */
export function fileError(error: unknown, path: string, doing: 'read' | 'write'): RelError {
  if (error instanceof RelError) return error
  const {code} = error as NodeError
  if (code === undefined || !systemCode.test(code)) throw error
  const cause = {cause: error}
  if (isFullDisk(error))
    return new RelError('disk_full', `no space left while writing ${path}`, cause)
  if (doing === 'write') return new RelError('write_failed', `cannot write ${path}: ${code}`, cause)
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return new RelError('file_missing', `${path} does not exist`, cause)
  return new RelError('file_unreadable', `cannot read ${path}: ${code}`, cause)
}

/** True for a disk that is full, or a quota that is used up. */
export function isFullDisk(error: unknown): boolean {
  const {code, errno} = error as NodeJS.ErrnoException
  // Node has no name for EDQUOT: its code is UNKNOWN
  return code === 'ENOSPC' || code === 'EDQUOT' || errno === -osConstants.errno.EDQUOT
}

/** lstat, or undefined when nothing is there. */
export function statIfThere(path: string): Stats | undefined {
  try {
    return lstatSync(path, {throwIfNoEntry: false})
  } catch (error) {
    if ((error as NodeError).code === 'ENOTDIR') return undefined
    throw fileError(error, path, 'read')
  }
}

/** What is in a folder, with its kind. Refuses with file_missing, file_unreadable. */
export function entriesIn(path: string): readonly Dirent[] {
  try {
    return readdirSync(path, {withFileTypes: true})
  } catch (error) {
    throw fileError(error, path, 'read')
  }
}

/**
 * The bytes of a regular file of at most `limit` bytes, read through one descriptor, so that the
 * size checked is the size read. Refuses with file_missing, file_unreadable, file_too_large.
 */
export function readFileLimited(path: string, limit: number): Buffer {
  let fd: number
  try {
    // O_NONBLOCK: a FIFO with no writer must not hang the open
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw fileError(error, path, 'read')
  }
  try {
    return readDescriptor(fd, path, limit)
  } catch (error) {
    throw fileError(error, path, 'read')
  } finally {
    closeSync(fd)
  }
}

/**
 * Feeds a file into a hash, a piece at a time, and answers with its size. Refuses with file_missing,
 * file_unreadable.
 */
export async function hashInto(path: string, hasher: Hash): Promise<number> {
  let size = 0
  try {
    for await (const chunk of createReadStream(path, {highWaterMark: 1024 * 1024})) {
      hasher.update(chunk as Buffer)
      size += (chunk as Buffer).length
    }
    return size
  } catch (error) {
    throw fileError(error, path, 'read')
  }
}

function readDescriptor(fd: number, path: string, limit: number): Buffer {
  const stat = fstatSync(fd)
  if (stat.isDirectory()) throw new RelError('file_unreadable', `${path} is a directory`)
  if (!stat.isFile() && !stat.isFIFO() && !stat.isCharacterDevice())
    throw new RelError('file_unreadable', `${path} is not a file`)
  if (stat.isFile() && stat.size > limit) throw tooLarge(path, limit)
  const chunks: Buffer[] = []
  let total = 0
  for (;;) {
    const chunk = Buffer.allocUnsafe(Math.min(Math.max(stat.size, 4096) + 1, limit + 1))
    const count = readSync(fd, chunk, 0, chunk.length, null)
    if (count === 0) return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)
    total += count
    if (total > limit) throw tooLarge(path, limit)
    chunks.push(chunk.subarray(0, count))
  }
}

function tooLarge(path: string, limit: number): RelError {
  return new RelError('file_too_large', `${path} is larger than ${limit} bytes`)
}

export type WriteOptions = {
  /** Permission bits of the new file; 0o644 when not given. */
  readonly mode?: number
  /** Refuse with file_exists when the name is taken, also by a dangling link. */
  readonly exclusive?: boolean
}

/**
 * All or nothing: a temporary name in the same folder, fsync, rename, fsync of the folder.
 * Whatever stood there before is intact until the rename. Refuses with write_failed, disk_full, file_exists.
 */
export function writeFileAtomic(
  path: string,
  data: Uint8Array | string | Iterable<Uint8Array | string>,
  options: WriteOptions = {},
): void {
  if (options.exclusive === true && statIfThere(path) !== undefined)
    throw new RelError('file_exists', `${path} exists already`)
  const temporary = temporaryName(path)
  try {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
    const fd = openSync(temporary, flags, options.mode ?? 0o644)
    try {
      const pieces = typeof data === 'string' || data instanceof Uint8Array ? [data] : data
      for (const piece of pieces) writeFully(fd, piece)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    if (options.exclusive === true) placeNew(temporary, path)
    else renameSync(temporary, path)
    fsyncFolder(dirname(path))
  } catch (error) {
    rmSync(temporary, {force: true})
    throw fileError(error, path, 'write')
  }
}

/** link(2) never replaces, unlike rename(2): of two writers at once, one is told file_exists. */
function placeNew(temporary: string, path: string): void {
  try {
    linkSync(temporary, path)
  } catch (error) {
    const {code = ''} = error as NodeError
    if (code === 'EEXIST') throw new RelError('file_exists', `${path} exists already`)
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(code)) throw error
    renameSync(temporary, path) // a file system without hard links: the look before has to do
    return
  }
  rmSync(temporary)
}

/** A name beside `path` that nobody else has: hidden, random, recognisable. */
export function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(8).toString('hex')}.rel-tmp`)
}

function writeFully(fd: number, piece: Uint8Array | string): void {
  const bytes = typeof piece === 'string' ? Buffer.from(piece, 'utf8') : piece
  let offset = 0
  while (offset < bytes.length) offset += writeSync(fd, bytes, offset, bytes.length - offset)
}

/** Makes renames and new names in a folder durable. */
export function fsyncFolder(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
