import {createHash, type Hash} from 'node:crypto'
import {once} from 'node:events'
import {closeSync, constants, fsyncSync, openSync, renameSync, rmSync, writeSync} from 'node:fs'
import {dirname} from 'node:path'
import {createGzip, createZstdCompress, constants as zlibConstants} from 'node:zlib'
import type {RelError} from '../../system/error.ts'
import {fileError, fsyncFolder, temporaryName} from '../../system/files.ts'
import type {ArchiveFormat} from './decompress.ts'

/** Large pieces: with 64 KiB node:zlib needs twice the time for zstd. */
const PIECE_BYTES = 1024 * 1024

/**
 * Levels by format. Node's gzip at 8 takes less time than GNU's at 6 and gives the same size
 * within 2 %; zstd is zstd's own.
 */
export const compressionLevels = {
  'tar.gz': {usual: 8, most: 9},
  'tar.zst': {usual: 3, most: 19},
} as const

/** The finished archive. */
export type WrittenArchive = {
  /** Bytes of the file. */
  readonly size: number
  readonly sha256: string
  /** The tar before compression: the same on every version of Node. */
  readonly tarSize: number
  readonly tarSha256: string
}

export type OutputOptions = {
  readonly format: ArchiveFormat
  readonly level?: number
  /** The size of the tar, known before its first byte: zstd states it in the frame. */
  readonly tarSize: number
}

type Compressor = ReturnType<typeof createGzip> | ReturnType<typeof createZstdCompress>

/**
 * Writes a tar, compressed, to a temporary name beside its place. Bytes are put into one of two
 * pieces while the other is compressed by a thread. Every write is awaited before the next and
 * before the end: zstd streams otherwise add an empty frame by chance (nodejs/node#66078), and
 * their own threads (nbWorkers) cut the output short (nodejs/node#59899), so they are not used.
 */
export class ArchiveOutput {
  readonly #path: string
  readonly #temporary: string
  readonly #fd: number
  readonly #compressor: Compressor | undefined
  readonly #tarHash = createHash('sha256')
  readonly #fileHash: Hash | undefined
  #piece = Buffer.allocUnsafeSlow(PIECE_BYTES)
  #spare = Buffer.allocUnsafeSlow(PIECE_BYTES)
  #used = 0
  #busy: Promise<void> | undefined
  #tarSize = 0
  #fileSize = 0
  #isDone = false
  /** Why the output could not be stored: the compressor only says that it was ended. */
  #failure: Error | undefined

  /** Refuses with write_failed, disk_full. */
  constructor(path: string, options: OutputOptions) {
    this.#path = path
    this.#temporary = temporaryName(path)
    this.#compressor = compressorFor(options)
    this.#fileHash = this.#compressor === undefined ? undefined : createHash('sha256')
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
    try {
      this.#fd = openSync(this.#temporary, flags, 0o644)
    } catch (error) {
      throw fileError(error, path, 'write')
    }
    // an interrupt ends the process by exit, past every finally
    process.once('exit', this.#remove)
    this.#compressor?.on('data', (bytes: Buffer) => this.#emit(bytes))
    this.#compressor?.on('error', () => undefined) // told by the write or the end that failed
  }

  /** Free bytes of the piece at hand, never none: read into it, then say how many with `advance`. */
  room(): Buffer {
    return this.#piece.subarray(this.#used)
  }

  /** The promise, when there is one, must be awaited before the next call. */
  advance(count: number): Promise<void> | undefined {
    this.#used += count
    return this.#used === PIECE_BYTES ? this.#flush() : undefined
  }

  async put(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const copied = bytes.copy(this.#piece, this.#used, at)
      at += copied
      const flushed = this.advance(copied)
      if (flushed !== undefined) await flushed
    }
  }

  /** Ends the archive and puts it in place. Refuses with write_failed, disk_full. */
  async finish(): Promise<WrittenArchive> {
    try {
      if (this.#used > 0) await this.#flush()
      await this.#busy
      await this.#endCompressor()
      fsyncSync(this.#fd)
      closeSync(this.#fd)
      this.#isDone = true
      renameSync(this.#temporary, this.#path)
      fsyncFolder(dirname(this.#path))
    } catch (error) {
      throw this.#writeError(error)
    }
    const tarSha256 = this.#tarHash.digest('hex')
    const sha256 = this.#fileHash?.digest('hex') ?? tarSha256
    return {size: this.#fileSize, sha256, tarSize: this.#tarSize, tarSha256}
  }

  /** After a refusal: nothing is left. Does nothing after `finish`. */
  discard(): void {
    this.#compressor?.destroy()
    this.#busy?.catch(() => undefined)
    if (!this.#isDone) closeSync(this.#fd)
    this.#isDone = true
    process.off('exit', this.#remove)
    this.#remove()
  }

  readonly #remove = () => rmSync(this.#temporary, {force: true})

  async #flush(): Promise<void> {
    await this.#busy
    const bytes = this.#piece.subarray(0, this.#used)
    const filled = this.#piece
    this.#piece = this.#spare
    this.#spare = filled
    this.#used = 0
    this.#tarSize += bytes.length
    this.#busy = this.#compress(bytes)
    this.#busy.catch(() => undefined) // told by whoever awaits it next
    this.#tarHash.update(bytes)
  }

  #compress(bytes: Buffer): Promise<void> {
    const compressor = this.#compressor
    return new Promise((done, fail) => {
      const settle = (error?: Error | null) => (error ? fail(this.#writeError(error)) : done())
      if (compressor !== undefined) compressor.write(bytes, settle)
      else settle(this.#store(bytes))
    })
  }

  async #endCompressor(): Promise<void> {
    if (this.#compressor === undefined) return
    const ended = once(this.#compressor, 'end')
    this.#compressor.end()
    await ended
  }

  /** An error cannot be thrown out of an event, so it ends the compressor. */
  #emit(bytes: Buffer): void {
    if (this.#failure !== undefined) return
    this.#failure = this.#store(bytes)
    if (this.#failure !== undefined) this.#compressor?.destroy(this.#failure)
  }

  #writeError(error: unknown): RelError {
    return fileError(this.#failure ?? error, this.#path, 'write')
  }

  #store(bytes: Buffer): Error | undefined {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at, bytes.length - at)
    } catch (error) {
      return error as Error
    }
    this.#fileSize += bytes.length
    this.#fileHash?.update(bytes)
    return undefined
  }
}

function compressorFor({format, level, tarSize}: OutputOptions): Compressor | undefined {
  if (format === 'tar') return undefined
  const chosen = level ?? compressionLevels[format].usual
  if (format === 'tar.gz') return createGzip({level: chosen, chunkSize: PIECE_BYTES, memLevel: 9})
  return createZstdCompress({
    chunkSize: PIECE_BYTES,
    pledgedSrcSize: tarSize,
    params: {
      [zlibConstants.ZSTD_c_compressionLevel]: chosen,
      [zlibConstants.ZSTD_c_checksumFlag]: 1,
    },
  })
}
