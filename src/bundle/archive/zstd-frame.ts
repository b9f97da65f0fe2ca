import {RelError} from '../../system/error.ts'
import {archiveLimits} from './limits.ts'

/** RFC 8878 3.1.1: the magic number of a frame, little-endian. */
export const ZSTD_MAGIC = 0xfd2fb528

const RLE_BLOCK = 1
const RESERVED_BLOCK = 3
const BLOCK_HEADER_BYTES = 3

/**
 * Follows the block headers of one zstd frame (RFC 8878) beside the decompressor, because
 * Node's own differs by version: some accept a frame that is cut short, some read on into a second
 * frame. Refuses with archive_trailing_data, archive_truncated, archive_unsupported (dictionary),
 * archive_limit (window).
 */
export class ZstdFrameWalker {
  readonly #head: number[] = []
  #headerBytes = 0
  #skip = 0
  #checksum = false
  #state: 'header' | 'block' | 'checksum' | 'done' = 'header'

  feed(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at)
        this.#skip -= skipped
        at += skipped
      } else if (this.#isDone()) {
        throw new RelError('archive_trailing_data', 'data follows the zstd frame')
      } else {
        this.#head.push(bytes[at] ?? 0)
        at++
        this.#advance()
      }
    }
  }

  finish(): void {
    if (this.#skip > 0 || !this.#isDone())
      throw new RelError('archive_truncated', 'the zstd frame has no end')
  }

  #isDone(): boolean {
    return this.#state === 'done'
  }

  #advance(): void {
    if (this.#state === 'header') this.#advanceHeader()
    else if (this.#head.length === BLOCK_HEADER_BYTES) this.#advanceBlock()
  }

  #advanceHeader(): void {
    const head = this.#head
    if (head.length === 5) this.#headerBytes = 5 + fieldBytes(head[4] ?? 0)
    if (head.length < 5 || head.length < this.#headerBytes) return
    checkFrameHeader(head)
    this.#checksum = ((head[4] ?? 0) & 0x04) !== 0
    this.#head.length = 0
    this.#state = 'block'
  }

  #advanceBlock(): void {
    const [low = 0, middle = 0, high = 0] = this.#head
    const header = low | (middle << 8) | (high << 16)
    this.#head.length = 0
    const type = (header >> 1) & 3
    if (type === RESERVED_BLOCK)
      throw new RelError('archive_compression', 'the zstd frame has a block of no known type')
    this.#skip = type === RLE_BLOCK ? 1 : header >> 3
    const last = (header & 1) === 1
    if (!last) return
    this.#state = 'done'
    if (this.#checksum) this.#skip += 4
  }
}

/** Bytes of the frame header after its descriptor (RFC 8878 3.1.1.1.1). */
function fieldBytes(descriptor: number): number {
  const single = (descriptor & 0x20) !== 0
  const content = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0
  return (single ? 0 : 1) + dictionary + content
}

function checkFrameHeader(head: readonly number[]): void {
  const descriptor = head[4] ?? 0
  if ((descriptor & 3) !== 0)
    throw new RelError('archive_unsupported', 'the zstd frame needs a dictionary')
  if ((descriptor & 0x08) !== 0)
    throw new RelError('archive_compression', 'the zstd frame header has a reserved bit')
  const single = (descriptor & 0x20) !== 0
  const log = 10 + ((head[5] ?? 0) >> 3)
  if (!single && log > archiveLimits.zstdWindowLog)
    throw new RelError(
      'archive_limit',
      `the zstd window is 2^${log} bytes, at most 2^${archiveLimits.zstdWindowLog}`,
      {hint: 'Compress with zstd -19 or lower, without --long and --ultra.'},
    )
}
