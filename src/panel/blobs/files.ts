import {randomBytes} from 'node:crypto'
import {constants} from 'node:fs'
import {
  chmod,
  type FileHandle,
  link,
  lstat,
  mkdir,
  open,
  opendir,
  rename,
  rm,
  statfs,
  utimes,
} from 'node:fs/promises'
import {dirname, join} from 'node:path'
import type {ErrorCode} from '../../system/codes.ts'
import {isDigest} from '../../system/digest.ts'
import {RelError} from '../../system/error.ts'
import {fileError, isFullDisk} from '../../system/files.ts'
import type {BlobStore, UploadStore} from './blobs.ts'
import {checkDigest, checkedBytes, isWhole} from './checked-bytes.ts'

/** Bytes a read hands out at once: large enough to be cheap, small enough for many slow readers. */
const PIECE_BYTES = 256 * 1024

/** Kept free by uploads, so that the database can still write. */
const RESERVE_BYTES = 16 * 1024 * 1024

/** An upload looks at the free space again after so many bytes: others write as well. */
const SPACE_EVERY_BYTES = 1024 * 1024

export type FileBlobsOptions = {
  /** Gets `blobs/` and `uploads/`, made when absent; one file system, since blobs are linked. */
  readonly folder: string
}

/**
 * Blobs and uploads as files of one folder.
 * Refuses with store_read_only, store_full, store_failed.
 */
export async function openFileBlobs({
  folder,
}: FileBlobsOptions): Promise<{blobs: BlobStore; uploads: UploadStore}> {
  const blobs = new FileBlobs(join(folder, 'blobs'))
  const uploads = new FileUploads(join(folder, 'uploads'))
  await blobs.prepare()
  await uploads.prepare()
  return {blobs, uploads}
}

/** docs/formats/panel-storage.md: `sha256/ab/HEX`, written in `tmp/` and linked when whole. */
class FileBlobs implements BlobStore {
  readonly label: string

  constructor(folder: string) {
    this.label = folder
  }

  prepare(): Promise<void> {
    return system(this.label, async () => {
      await mkdir(join(this.label, 'tmp'), {recursive: true, mode: 0o750})
      await mkdir(join(this.label, 'sha256'), {recursive: true, mode: 0o750})
      await syncFolder(this.label)
    })
  }

  async stat(sha256: string): Promise<number | undefined> {
    return (await this.#lstat(sha256))?.size
  }

  async storedAt(sha256: string): Promise<number | undefined> {
    const stat = await this.#lstat(sha256)
    return stat === undefined ? undefined : Math.floor(stat.mtimeMs / 1000)
  }

  #lstat(sha256: string): ReturnType<typeof statFile> {
    const path = this.#pathOf(sha256)
    return system(path, () => statFile(path))
  }

  async put(sha256: string, size: number, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    const path = this.#pathOf(sha256)
    const temporary = join(this.label, 'tmp', `${process.pid}-${randomBytes(12).toString('hex')}`)
    await system(path, async () => {
      try {
        await writeNew(temporary, checkedBytes(sha256, size, bytes))
        await this.#place(temporary, sha256)
      } finally {
        await rm(temporary, {force: true})
      }
    })
  }

  /** Takes over a file of this file system that nobody writes to any more. */
  async adopt(file: string, sha256: string, size: number): Promise<void> {
    await system(file, async () => {
      await drain(checkedBytes(sha256, size, piecesOf(file)))
      await this.#place(file, sha256)
    })
  }

  /** link(2) never replaces: whoever comes second finds the same bytes, or mends damaged ones. */
  async #place(file: string, sha256: string): Promise<void> {
    const path = this.#pathOf(sha256)
    await chmod(file, 0o444)
    await this.#makeFolder(dirname(path))
    try {
      await link(file, path)
    } catch (error) {
      if ((error as {code?: string}).code !== 'EEXIST') throw error
      if (await this.rehash(sha256)) {
        const now = Date.now() / 1000
        await utimes(path, now, now) // garbage collection goes by it
      } else {
        const beside = join(this.label, 'tmp', `${process.pid}-${randomBytes(12).toString('hex')}`)
        await link(file, beside)
        await rename(beside, path)
      }
    }
    await syncFolder(dirname(path))
  }

  async #makeFolder(path: string): Promise<void> {
    const made = await mkdir(path, {recursive: true, mode: 0o750})
    if (made !== undefined) await syncFolder(dirname(path))
  }

  async *read(
    sha256: string,
    range?: {readonly start: number; readonly end: number},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const path = this.#pathOf(sha256)
    try {
      yield* piecesOf(path, range)
    } catch (error) {
      if ((error as {code?: string}).code === 'ENOENT')
        throw new RelError('blob_missing', `there is no blob ${sha256}`, {cause: error})
      throw refusal(error, path)
    }
  }

  async open(sha256: string): Promise<FileHandle> {
    const path = this.#pathOf(sha256)
    try {
      return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    } catch (error) {
      if ((error as {code?: string}).code === 'ENOENT')
        throw new RelError('blob_missing', `there is no blob ${sha256}`, {cause: error})
      throw refusal(error, path)
    }
  }

  async rehash(sha256: string): Promise<boolean> {
    return isWhole(sha256, this.read(sha256))
  }

  async *list(): AsyncGenerator<string> {
    for (const part of await namesIn(join(this.label, 'sha256'))) {
      for (const name of await namesIn(join(this.label, 'sha256', part))) {
        if (isDigest(name) && name.startsWith(part)) yield name
      }
    }
  }

  async remove(sha256: string): Promise<void> {
    const path = this.#pathOf(sha256)
    await system(path, async () => {
      if ((await statFile(path)) === undefined) return
      await rm(path, {force: true})
      await syncFolder(dirname(path))
    })
  }

  localPath(sha256: string): string {
    checkDigest(sha256)
    return `sha256/${sha256.slice(0, 2)}/${sha256}`
  }

  checkWritable(): Promise<void> {
    const path = join(this.label, 'tmp', `${process.pid}-${randomBytes(12).toString('hex')}`)
    return system(path, async () => {
      try {
        await writeNew(path, onePiece(Buffer.alloc(4096)))
      } finally {
        await rm(path, {force: true})
      }
    })
  }

  async sweep(seconds: number): Promise<number> {
    let removed = 0
    for (const name of await namesIn(join(this.label, 'tmp'))) {
      const path = join(this.label, 'tmp', name)
      const stat = await system(path, () => statFile(path))
      if (stat === undefined || !isOlder(stat.mtimeMs, seconds)) continue
      await system(path, () => rm(path, {force: true}))
      removed++
    }
    return removed
  }

  async close(): Promise<void> {
    // nothing is held open between calls
  }

  #pathOf(sha256: string): string {
    return join(this.label, this.localPath(sha256))
  }
}

/** `ID/bytes` and `ID/size`, made under another name first, so that no upload is half there. */
class FileUploads implements UploadStore {
  readonly #folder: string
  /** Uploads that a call of this process writes to; one panel has one process. */
  readonly #busy = new Set<string>()

  constructor(folder: string) {
    this.#folder = folder
  }

  prepare(): Promise<void> {
    return system(this.#folder, async () => {
      await mkdir(this.#folder, {recursive: true, mode: 0o750})
    })
  }

  async create({id, size}: {readonly id: string; readonly size: number}): Promise<void> {
    const path = this.#pathOf(id)
    await system(path, async () => {
      await this.#checkSpace(size)
      const fresh = join(this.#folder, `.${id}.${randomBytes(8).toString('hex')}`)
      try {
        await mkdir(fresh, {mode: 0o700})
        await writeNew(join(fresh, 'bytes'), onePiece(Buffer.alloc(0)))
        await writeNew(join(fresh, 'size'), onePiece(Buffer.from(String(size))))
        await syncFolder(fresh)
        await rename(fresh, path) // refused when the id is taken: no empty folder is there
        await syncFolder(this.#folder)
      } finally {
        await rm(fresh, {recursive: true, force: true})
      }
    })
  }

  async offset(id: string): Promise<number | undefined> {
    if (!isUploadId(id)) return undefined
    const path = join(this.#pathOf(id), 'bytes')
    return (await system(path, () => statFile(path)))?.size
  }

  append(id: string, offset: number, bytes: AsyncIterable<Uint8Array>): Promise<number> {
    return this.#alone(id, async () => {
      const {stored, size} = await this.#facts(id)
      if (stored !== offset)
        throw new RelError('upload_offset_wrong', `${stored} bytes are stored, not ${offset}`, {
          details: {offset: stored},
        })
      return this.#append(id, stored, size, bytes)
    })
  }

  /** What was written stays, and is on the disk, however the bytes end. */
  async #append(
    id: string,
    from: number,
    size: number,
    bytes: AsyncIterable<Uint8Array>,
  ): Promise<number> {
    const path = join(this.#pathOf(id), 'bytes')
    const file = await system(path, () => open(path, constants.O_WRONLY | constants.O_NOFOLLOW))
    let [offset, checkAt] = [from, from]
    try {
      for await (const piece of bytes) {
        if (offset + piece.length > size)
          throw new RelError('upload_too_long', `more than ${size} bytes came`)
        if (offset >= checkAt) {
          await system(path, () => this.#checkSpace(piece.length))
          checkAt = offset + SPACE_EVERY_BYTES
        }
        await system(path, () => writeAll(file, piece, offset))
        offset += piece.length
      }
      return offset
    } finally {
      try {
        await system(path, () => file.sync())
      } finally {
        await file.close()
      }
    }
  }

  async #checkSpace(size: number): Promise<void> {
    const {bavail, bsize} = await statfs(this.#folder)
    if (bavail * bsize < size + RESERVE_BYTES)
      throw new RelError('store_full', `${size} bytes do not fit into ${this.#folder}`)
  }

  finish(id: string, sha256: string, into: BlobStore): Promise<void> {
    return this.#alone(id, async () => {
      checkDigest(sha256)
      const {stored, size} = await this.#facts(id)
      if (stored !== size)
        throw new RelError('upload_incomplete', `${stored} of ${size} bytes are stored`, {
          details: {offset: stored},
        })
      const path = join(this.#pathOf(id), 'bytes')
      try {
        if (into instanceof FileBlobs) await into.adopt(path, sha256, size)
        else await into.put(sha256, size, piecesOf(path))
      } catch (error) {
        if (error instanceof RelError && error.code === 'blob_mismatch') await this.remove(id)
        throw error
      }
      await this.remove(id)
    })
  }

  async remove(id: string): Promise<void> {
    const path = this.#pathOf(id)
    await system(path, () => rm(path, {recursive: true, force: true}))
  }

  async *stale(seconds: number): AsyncGenerator<string> {
    for (const name of await namesIn(this.#folder)) {
      const path = join(this.#folder, name)
      const stat = await system(path, () => statFile(join(path, 'bytes')))
      const folder = await system(path, () => statFile(path))
      const changed = Math.max(stat?.mtimeMs ?? 0, folder?.mtimeMs ?? 0)
      if (!isOlder(changed, seconds) || this.#busy.has(name)) continue
      if (isUploadId(name)) yield name
      else await system(path, () => rm(path, {recursive: true, force: true}))
    }
  }

  async #alone<Result>(id: string, body: () => Promise<Result>): Promise<Result> {
    if (this.#busy.has(id)) throw new RelError('upload_busy', `upload ${id} is being written to`)
    this.#busy.add(id)
    try {
      return await body()
    } finally {
      this.#busy.delete(id)
    }
  }

  async #facts(id: string): Promise<{stored: number; size: number}> {
    const stored = await this.offset(id)
    if (stored === undefined) throw new RelError('upload_unknown', 'there is no such upload')
    const path = join(this.#pathOf(id), 'size')
    const text = await system(path, async () => {
      const parts: Uint8Array[] = []
      for await (const piece of piecesOf(path)) parts.push(piece)
      return Buffer.concat(parts).toString()
    })
    return {stored, size: Number(text)}
  }

  #pathOf(id: string): string {
    if (!isUploadId(id)) throw new RelError('upload_unknown', 'there is no such upload')
    return join(this.#folder, id)
  }
}

/** Letters and digits alone: an id comes from a URL and becomes a file name. */
function isUploadId(id: string): boolean {
  return /^[A-Za-z0-9]{1,64}$/.test(id)
}

/** The bytes of a file through one descriptor, closed whatever happens. */
export async function* piecesOf(
  path: string,
  range?: {readonly start: number; readonly end: number},
): AsyncGenerator<Buffer, void, undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    let position = range?.start ?? 0
    const end = range?.end ?? Number.POSITIVE_INFINITY
    while (position < end) {
      const buffer = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, end - position))
      const {bytesRead} = await file.read(buffer, 0, buffer.length, position)
      if (bytesRead === 0) return
      position += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
}

async function writeNew(path: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const file = await open(path, flags, 0o600)
  try {
    let position = 0
    for await (const piece of fromCaller(pieces)) {
      await writeAll(file, piece, position)
      position += piece.length
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

async function writeAll(file: FileHandle, piece: Uint8Array, position: number): Promise<void> {
  let written = 0
  while (written < piece.length) {
    const {bytesWritten} = await file.write(
      piece,
      written,
      piece.length - written,
      position + written,
    )
    written += bytesWritten
  }
}

async function* onePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

async function drain(bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const pieces = bytes[Symbol.asyncIterator]()
  while ((await pieces.next()).done !== true);
}

async function statFile(path: string): Promise<{size: number; mtimeMs: number} | undefined> {
  try {
    return await lstat(path)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as {code?: string}).code ?? '')) return undefined
    throw error
  }
}

async function namesIn(path: string): Promise<string[]> {
  return system(path, async () => {
    const names: string[] = []
    try {
      for await (const entry of await opendir(path)) names.push(entry.name)
    } catch (error) {
      if (!['ENOENT', 'ENOTDIR'].includes((error as {code?: string}).code ?? '')) throw error
    }
    return names
  })
}

function isOlder(modifiedMs: number, seconds: number): boolean {
  return Date.now() - modifiedMs >= seconds * 1000
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

const codeBySystem: Readonly<Record<string, ErrorCode>> = {
  EFBIG: 'store_full',
  EROFS: 'store_read_only',
  EACCES: 'store_read_only',
  EPERM: 'store_read_only',
}

/** Errors of a stream that was handed in: a cut connection says nothing about the disk. */
const foreign = new WeakSet<object>()

async function* fromCaller(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* bytes
  } catch (error) {
    if (typeof error === 'object' && error !== null) foreign.add(error)
    throw error
  }
}

function refusal(error: unknown, path: string): RelError {
  const {code = ''} = error as {code?: string}
  const known = isFullDisk(error) ? 'store_full' : codeBySystem[code]
  if (error instanceof RelError) return error
  if (foreign.has(error as object)) throw error
  if (known !== undefined) return new RelError(known, `${path}: ${code}`, {cause: error})
  const {code: general} = fileError(error, path, 'write') // throws on what is no system error
  return new RelError('store_failed', `${path}: ${code} (${general})`, {cause: error})
}

async function system<Result>(path: string, body: () => Promise<Result>): Promise<Result> {
  try {
    return await body()
  } catch (error) {
    throw refusal(error, path)
  }
}
