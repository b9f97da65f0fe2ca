import {RelError} from '../../system/error.ts'

/** CRC32 and length of what was compressed, after the last deflate block (RFC 1952 2.3). */
export const GZIP_TRAILER_BYTES = 8

/** No file system has a longer name; what gzip writes is the name of the file that it compressed. */
const NAME_BYTES = 255

/** The longest header of a gzip member: ten bytes, a file name, its NUL. */
export const GZIP_HEADER_LIMIT = 10 + NAME_BYTES + 1

const FLAG_NAME = 0x08

/**
 * The length of the header of a gzip member (RFC 1952), which may carry a file name as gzip
 * writes it. Extra fields, comments and header checksums are refused: no tool writes them into a
 * tar.gz, and they can hide data. Refuses with archive_unsupported, archive_truncated.
 */
export function gzipHeaderLength(bytes: Buffer): number {
  if (bytes.length < 10) throw new RelError('archive_truncated', 'the gzip header is cut short')
  const flags = bytes[3] ?? 0
  if (bytes[2] !== 8 || (flags & ~FLAG_NAME) !== 0)
    throw new RelError('archive_unsupported', 'the gzip header has optional parts')
  if (flags === 0) return 10
  const nul = bytes.indexOf(0, 10)
  if (nul !== -1) return nul + 1
  if (bytes.length < GZIP_HEADER_LIMIT)
    throw new RelError('archive_truncated', 'the gzip header is cut short')
  throw new RelError('archive_limit', 'the file name in the gzip header has no end')
}

/** What the trailer says must be what came out. Refuses with archive_compression. */
export function checkGzipTrailer(trailer: Buffer, crc32: number, bytes: number): void {
  if (trailer.readUInt32LE(0) !== crc32 || trailer.readUInt32LE(4) !== bytes % 2 ** 32)
    throw new RelError('archive_compression', 'the checksum of the gzip member does not fit')
}
