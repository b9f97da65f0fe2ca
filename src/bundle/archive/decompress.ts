import {closeSync, constants, fstatSync, openSync, readSync} from 'node:fs'
import {crc32, createInflateRaw, createZstdDecompress, constants as zlibConstants} from 'node:zlib'
import {RelError} from '../../system/error.ts'
import {fileError} from '../../system/files.ts'
import {
  checkGzipTrailer,
  GZIP_HEADER_LIMIT,
  GZIP_TRAILER_BYTES,
  gzipHeaderLength,
} from './gzip-member.ts'
import {archiveLimits} from './limits.ts'
import {ZSTD_MAGIC, ZstdFrameWalker} from './zstd-frame.ts'

export type ArchiveFormat = 'tar' | 'tar.gz' | 'tar.zst'

/** Few pieces: each costs two trips to a thread and back. */
const PIECE_BYTES = 1024 * 1024

/** An archive opened for one pass. */
export type ArchiveSource = {
  readonly format: ArchiveFormat
  /** Bytes of the file as it is on disk. */
  readonly size: number
  /** The tar in pieces, to be read once; a piece may be reused after the next was asked for. */
  readonly tar: AsyncIterable<Buffer>
  /** Compressed bytes read so far. */
  bytesRead(): number
  close(): void
}

/**
 * Opens an archive and tells its format by its first bytes, never by its name. The stream refuses
 * with archive_compression, archive_truncated, archive_trailing_data, archive_unsupported,
 * archive_limit; opening with file_missing, file_unreadable, archive_unrecognised.
 */
export function openArchive(path: string): ArchiveSource {
  const fd = openFile(path)
  try {
    const {size} = statFile(fd, path)
    const head = Buffer.alloc(GZIP_HEADER_LIMIT)
    const start = head.subarray(0, readSync(fd, head, 0, head.length, 0))
    const format = formatOf(start, path)
    const input = new FileInput(fd, path, size)
    return {
      format,
      size,
      tar: decompress(format, input, start),
      bytesRead: () => input.position,
      close: () => closeSync(fd),
    }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function openFile(path: string): number {
  try {
    // O_NONBLOCK: a FIFO with no writer must not hang the open
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw fileError(error, path, 'read')
  }
}

function statFile(fd: number, path: string): {size: number} {
  const stat = fstatSync(fd)
  if (!stat.isFile()) throw new RelError('archive_unrecognised', `${path} is not a regular file`)
  return stat
}

function formatOf(start: Buffer, path: string): ArchiveFormat {
  if (start.length >= 2 && start.readUInt16BE(0) === 0x1f8b) return 'tar.gz'
  if (start.length >= 4 && start.readUInt32LE(0) === ZSTD_MAGIC) return 'tar.zst'
  if (start.toString('latin1', 257, 262) === 'ustar') return 'tar'
  if (start.length === 0) throw new RelError('archive_truncated', `${path} is empty`)
  throw new RelError('archive_unrecognised', `${path} is neither a tar, gzip nor zstd`)
}

/** One pass over a file in pieces, from one descriptor. */
class FileInput {
  readonly fd: number
  readonly path: string
  readonly size: number
  position = 0

  constructor(fd: number, path: string, size: number) {
    this.fd = fd
    this.path = path
    this.size = size
  }

  /** The next bytes into `buffer`; empty at the end. */
  read(buffer: Buffer): Buffer {
    try {
      const count = readSync(this.fd, buffer, 0, buffer.length, this.position)
      this.position += count
      return buffer.subarray(0, count)
    } catch (error) {
      throw fileError(error, this.path, 'read')
    }
  }
}

function decompress(format: ArchiveFormat, input: FileInput, start: Buffer): AsyncIterable<Buffer> {
  if (format === 'tar') return plain(input)
  return format === 'tar.gz' ? gunzip(input, start) : unzstd(input)
}

async function* plain(input: FileInput): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(PIECE_BYTES)
  for (let bytes = input.read(buffer); bytes.length > 0; bytes = input.read(buffer)) yield bytes
}

/** Two pieces ahead: a thread decompresses them while the last one is being written. */
const streamOptions = {chunkSize: PIECE_BYTES, readableHighWaterMark: 2 * PIECE_BYTES}

/**
 * Exactly one member: raw deflate tells where it ended, on every Node, while node's gunzip reads on
 * into further members and skips what follows them.
 */
async function* gunzip(input: FileInput, start: Buffer): AsyncGenerator<Buffer> {
  const header = gzipHeaderLength(start)
  input.position = header
  const inflate = createInflateRaw(streamOptions)
  let crc = 0
  let total = 0
  for await (const bytes of through(input, inflate)) {
    crc = crc32(bytes, crc)
    total += bytes.length
    yield bytes
  }
  const end = header + inflate.bytesWritten
  const trailer = Buffer.alloc(GZIP_TRAILER_BYTES)
  if (readSync(input.fd, trailer, 0, trailer.length, end) < trailer.length)
    throw new RelError('archive_truncated', 'the gzip member has no end')
  checkGzipTrailer(trailer, crc, total)
  if (end + trailer.length !== input.size)
    throw new RelError('archive_trailing_data', 'data follows the gzip member')
}

/** Exactly one frame, see ZstdFrameWalker. */
async function* unzstd(input: FileInput): AsyncGenerator<Buffer> {
  const walker = new ZstdFrameWalker()
  const params = {[zlibConstants.ZSTD_d_windowLogMax]: archiveLimits.zstdWindowLog}
  const decompressor = createZstdDecompress({...streamOptions, params})
  yield* through(input, decompressor, walker)
  walker.finish()
}

type Decompressor = ReturnType<typeof createInflateRaw> | ReturnType<typeof createZstdDecompress>

async function* through(
  input: FileInput,
  decompressor: Decompressor,
  walker?: ZstdFrameWalker,
): AsyncGenerator<Buffer> {
  const pumping = pump(input, decompressor, walker).catch((error: Error) => {
    decompressor.destroy(error)
  })
  try {
    for await (const bytes of decompressor) yield bytes as Buffer
  } catch (error) {
    throw compressionError(error)
  } finally {
    decompressor.destroy()
  }
  await pumping
}

/** One buffer for the whole file: it is filled again when the decompressor is done with it. */
async function pump(
  input: FileInput,
  decompressor: Decompressor,
  walker: ZstdFrameWalker | undefined,
): Promise<void> {
  const buffer = Buffer.allocUnsafeSlow(PIECE_BYTES)
  for (let bytes = input.read(buffer); bytes.length > 0; bytes = input.read(buffer)) {
    walker?.feed(bytes)
    await written(decompressor, bytes)
  }
  decompressor.end()
}

function written(decompressor: Decompressor, bytes: Buffer): Promise<void> {
  return new Promise((done, fail) => {
    decompressor.write(bytes, (error) => (error ? fail(error) : done()))
  })
}

function compressionError(error: unknown): unknown {
  if (error instanceof RelError) return error
  const {code = ''} = error as {code?: string}
  if (code === 'Z_BUF_ERROR')
    return new RelError('archive_truncated', 'the compressed data is cut short', {cause: error})
  if (/^(Z_|ZSTD_|ERR_ZSTD|ERR_ZLIB)/.test(code))
    return new RelError('archive_compression', `cannot decompress: ${code}`, {cause: error})
  return error
}
