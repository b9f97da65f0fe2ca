// What QEMU's driver blklogwrites keeps of a disk: each write and each flush, in the order in which
// the guest was told that they are done. The format is that of dm-log-writes
// (drivers/md/dm-log-writes.c): a superblock, then for each entry one sector with its header, and
// the sectors it wrote.

export type LogEntry =
  | {readonly kind: 'write'; readonly at: number; readonly bytes: Buffer; readonly end: number}
  | {readonly kind: 'flush'; readonly end: number}

const MAGIC = 0x6a736677736872n
const SECTOR = 512
/**
 * What a disk writes whole or not at all. ext4 asks for as much: where only the first sectors of a
 * commit block are there, Linux 6.1 takes the journal for corrupt and does not mount it.
 */
const BLOCK = 4096
const [FLUSH, FUA, DISCARD] = [1n, 2n, 4n]

/**
 * The entries of a log; `end` is how many bytes the log had once the entry was in it. Throws where
 * the kill has left a hole: entries are written side by side, and the guest may have been told that
 * something after the hole is durable.
 */
export function readWriteLog(log: Buffer): readonly LogEntry[] {
  if (log.length < SECTOR) return []
  if (log.readBigUInt64LE(0) !== MAGIC || log.readUInt32LE(24) !== SECTOR)
    throw new Error('this is no log of writes with sectors of 512 bytes')
  const told = log.readBigUInt64LE(16)
  const entries: LogEntry[] = []
  let count = 0n
  for (let at = SECTOR; at + SECTOR <= log.length; count++) {
    const [sector = 0n, sectors = 0n, flags = 0n] = [0, 8, 16].map((offset) =>
      log.readBigUInt64LE(at + offset),
    )
    if (sectors === 0n && flags === 0n) break
    const start = at + SECTOR
    at = start + ((flags & DISCARD) === 0n ? Number(sectors) * SECTOR : 0)
    if (at > log.length) break
    if (at > start)
      entries.push({
        kind: 'write',
        at: Number(sector) * SECTOR,
        bytes: log.subarray(start, at),
        end: at,
      })
    if ((flags & (FLUSH | FUA)) !== 0n) entries.push({kind: 'flush', end: at})
  }
  if (count < told) throw new Error(`the log ends after ${count} of ${told} entries`)
  return entries
}

/** How much of what was not flushed a power cut leaves. */
export type Left = 'nothing' | 'everything' | (() => number)

/**
 * A disk whose cache is lost when the power is: what was written is there once it was flushed. Kinder
 * than a real one in this: a write that was on its way during a flush, and was done before it, counts.
 */
export class CachingDisk {
  readonly #flushed: Buffer
  #cached: Extract<LogEntry, {kind: 'write'}>[] = []

  /** Takes the bytes over. */
  constructor(flushed: Buffer) {
    this.#flushed = flushed
  }

  /** How many writes a power cut would decide about. */
  get cached(): number {
    return this.#cached.length
  }

  take(entry: LogEntry): void {
    if (entry.kind === 'write') this.#cached.push(entry)
    else {
      for (const {at, bytes} of this.#cached) bytes.copy(this.#flushed, at)
      this.#cached = []
    }
  }

  /**
   * What is on the disk after a power cut. By chance, a write that was not flushed is there, is
   * not, or the blocks of its beginning are; and any of them may be there without the others.
   */
  cut(left: Left): Buffer {
    const bytes = Buffer.from(this.#flushed)
    if (left === 'nothing') return bytes
    for (const write of this.#cached) write.bytes.copy(bytes, write.at, 0, kept(write.bytes, left))
    return bytes
  }
}

function kept({length}: Buffer, left: Exclude<Left, 'nothing'>): number {
  if (left === 'everything') return length
  const choice = left()
  if (choice < 0.4) return 0
  if (choice < 0.8) return length
  return Math.floor((left() * length) / BLOCK) * BLOCK
}
