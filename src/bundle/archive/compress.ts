import {createHash} from 'node:crypto'
import {once} from 'node:events'
import {closeSync, constants, fsyncSync, openSync, renameSync, rmSync, writeSync} from 'node:fs'
import {dirname} from 'node:path'
import {createGzip, createZstdCompress, constants as zlibConstants} from 'node:zlib'
import {fileError, fsyncFolder, statIfThere} from '../../system/files.ts'
import type {ArchiveFormat} from './decompress.ts'
import {leftoverName, leftoversOf} from './leftovers.ts'

/** Room for many small files: each piece costs two trips to a thread and back. */
const PIECE_BYTES = 1024 * 1024

/** Usual and highest level by format; docs/decisions/archive-compression.md says why 7 and 3. */
export const compressionLevels = {
  'tar.gz': {usual: 7, most: 9},
  'tar.zst': {usual: 3, most: 19},
} as const

/** The finished archive. */
export type WrittenArchive = {
  /** Bytes of the file. */
  readonly size: number
  readonly sha256: string
}

export type OutputOptions = {
  readonly format: ArchiveFormat
  readonly level?: number
  /** The size of the tar, known before its first byte: zstd states it in the frame. */
  readonly tarSize: number
}

type Compressor = ReturnType<typeof createGzip> | ReturnType<typeof createZstdCompress>

/**
 * Writes a tar, compressed, to a temporary name beside its place, where it sweeps what killed runs
 * for the same place have left. While a thread compresses one
 * piece, the other is filled and what came out before is hashed and stored. Every write is awaited
 * before the next and before the end: zstd streams otherwise add an empty frame by chance
 * (nodejs/node#66078), and their own threads (nbWorkers) cut the output short
 * (nodejs/node#59899), so they are not used.
 */
export class ArchiveOutput {
  readonly #path: string
  readonly #temporary: string
  readonly #fd: number
  readonly #compressor: Compressor | undefined
  readonly #hash = createHash('sha256')
  #piece = Buffer.allocUnsafeSlow(PIECE_BYTES)
  #spare = Buffer.allocUnsafeSlow(PIECE_BYTES)
  #used = 0
  #busy: Promise<void> | undefined
  /** Compressed, but not stored yet. */
  #made: Buffer[] = []
  #size = 0
  #isDone = false

  /** Refuses with write_failed, disk_full. */
  constructor(path: string, options: OutputOptions) {
    this.#path = path
    for (const old of leftoversOf(path, 'rel-tmp')) sweepFile(old)
    this.#temporary = leftoverName(path, 'rel-tmp')
    this.#compressor = compressorFor(options)
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
    try {
      this.#fd = openSync(this.#temporary, flags, 0o644)
    } catch (error) {
      throw fileError(error, path, 'write')
    }
    // an interrupt ends the process by exit, past every finally
    process.once('exit', this.#remove)
    this.#compressor?.on('data', (bytes: Buffer) => this.#made.push(bytes))
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
      this.#storeMade()
      fsyncSync(this.#fd)
      closeSync(this.#fd)
      this.#isDone = true
      renameSync(this.#temporary, this.#path)
      fsyncFolder(dirname(this.#path))
    } catch (error) {
      throw fileError(error, this.#path, 'write')
    }
    return {size: this.#size, sha256: this.#hash.digest('hex')}
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
    if (this.#compressor === undefined) this.#made.push(bytes)
    else this.#busy = compress(this.#compressor, bytes)
    this.#busy?.catch(() => undefined) // told by whoever awaits it next
    this.#storeMade()
  }

  async #endCompressor(): Promise<void> {
    if (this.#compressor === undefined) return
    const ended = once(this.#compressor, 'end')
    this.#compressor.end()
    await ended
  }

  #storeMade(): void {
    const made = this.#made
    this.#made = []
    try {
      for (const bytes of made) this.#store(bytes)
    } catch (error) {
      throw fileError(error, this.#path, 'write')
    }
  }

  #store(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at, bytes.length - at)
    this.#size += bytes.length
    this.#hash.update(bytes)
  }
}

/** Half an archive that a killed run has left. */
function sweepFile(path: string): void {
  const stat = statIfThere(path)
  if (stat?.isFile() && stat.nlink === 1) rmSync(path, {force: true})
}

function compress(compressor: Compressor, bytes: Buffer): Promise<void> {
  return new Promise((done, fail) => {
    compressor.write(bytes, (error) => (error ? fail(error) : done()))
  })
}

function compressorFor({format, level, tarSize}: OutputOptions): Compressor | undefined {
  if (format === 'tar') return undefined
  const chosen = level ?? compressionLevels[format].usual
  if (format === 'tar.gz') return createGzip({level: chosen, chunkSize: PIECE_BYTES})
  return createZstdCompress({
    chunkSize: PIECE_BYTES,
    pledgedSrcSize: tarSize,
    params: {
      [zlibConstants.ZSTD_c_compressionLevel]: chosen,
      [zlibConstants.ZSTD_c_checksumFlag]: 1,
    },
  })
}
