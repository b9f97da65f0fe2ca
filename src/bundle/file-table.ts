import {RelError} from '../system/error.ts'

/** How far a file got. What is still `pending` when a thread has ended is done again by the other. */
export const fileStates = {
  pending: 0,
  hashed: 1,
  /** Hashed, and not what was signed. */
  differs: 2,
  /** Not hashed: its status alone is not as wanted. */
  refused: 3,
  /** Written to, or replaced, while it was read. */
  unsteady: 4,
  absent: 5,
  irregular: 6,
} as const

export type FileState = (typeof fileStates)[keyof typeof fileStates]

/** In place of permission bits: every mode is taken. */
export const ANY_MODE = 0xffff
/** In place of permission bits: 0644 or 0755. */
export const EITHER_MODE = 0xfffe
/** In place of a size: every size is taken. */
export const ANY_SIZE = -1

export const DIGEST_BYTES = 32

/**
 * One row per file, in columns that two threads share: an object per file would take three times
 * the memory, and could not be shared. Before a file is read its row says what is wanted, after
 * that what was seen.
 */
export type FileTable = {
  readonly count: number
  /** Whether the digests are of what was signed; else they are only written. */
  readonly compares: boolean
  /** Whether a file that was written to in this very tick is read one tick later. */
  readonly settles: boolean
  /** Reading ends after this many files that are not as wanted. */
  readonly limit: number
  readonly states: Uint8Array<SharedArrayBuffer>
  /** SHA-256, 32 bytes a file. */
  readonly digests: Uint8Array<SharedArrayBuffer>
  readonly sizes: Float64Array<SharedArrayBuffer>
  /** Permission bits with set-uid, set-gid and sticky. */
  readonly modes: Uint16Array<SharedArrayBuffer>
  /** Names of the file (hard links). */
  readonly links: Uint32Array<SharedArrayBuffer>
  /** ctime in milliseconds. */
  readonly changedAt: Float64Array<SharedArrayBuffer>
  readonly inodes: Float64Array<SharedArrayBuffer>
  readonly counters: Int32Array<SharedArrayBuffer>
}

const NEXT = 0
const UNWANTED = 1
const KIBIBYTES = 2

export type TableRules = Pick<FileTable, 'compares' | 'settles' | 'limit'>

/** A table in which every size and mode is taken. */
export function makeFileTable(count: number, rules: TableRules): FileTable {
  const shared = (bytes: number) => new SharedArrayBuffer(bytes)
  return {
    ...rules,
    count,
    states: new Uint8Array(shared(count)),
    digests: new Uint8Array(shared(count * DIGEST_BYTES)),
    sizes: new Float64Array(shared(count * 8)).fill(ANY_SIZE),
    modes: new Uint16Array(shared(count * 2)).fill(ANY_MODE),
    links: new Uint32Array(shared(count * 4)),
    changedAt: new Float64Array(shared(count * 8)),
    inodes: new Float64Array(shared(count * 8)),
    counters: new Int32Array(shared(3 * 4)),
  }
}

/** The next file that nobody has taken; undefined when there is none, or when reading has ended. */
export function takeNext(table: FileTable): number | undefined {
  if (isStopped(table)) return undefined
  const at = Atomics.add(table.counters, NEXT, 1)
  return at < table.count ? at : undefined
}

/** A file that was taken and not finished: its thread failed on it. */
export function takePending(table: FileTable): number | undefined {
  if (isStopped(table)) return undefined
  const at = table.states.indexOf(fileStates.pending)
  return at === -1 ? undefined : at
}

/** The last look before a tree passes: no file was left out. */
export function checkComplete({states}: FileTable): void {
  if (states.every((state) => state === fileStates.hashed)) return
  throw new RelError('internal_error', 'a file was neither hashed nor refused')
}

export function isStopped({counters, limit}: FileTable): boolean {
  return Atomics.load(counters, UNWANTED) >= limit
}

/** Ends the reading in both threads. */
export function stop({counters, limit}: FileTable): void {
  Atomics.store(counters, UNWANTED, limit)
}

/** Says what became of a file, once everything else in its row is written. */
export function settle({states, counters}: FileTable, at: number, state: FileState): void {
  Atomics.store(states, at, state)
  if (state !== fileStates.hashed) Atomics.add(counters, UNWANTED, 1)
}

/** Counts what was read, in whole KiB: 32 bits of them are 2 TiB. */
export function countBytes({counters}: FileTable, bytes: number): void {
  Atomics.add(counters, KIBIBYTES, Math.ceil(bytes / 1024))
}

/** How far reading has come. */
export function progressOf({counters, count}: FileTable): {files: number; mebibytes: number} {
  const mebibytes = Math.floor(Atomics.load(counters, KIBIBYTES) / 1024)
  return {files: Math.min(Atomics.load(counters, NEXT), count), mebibytes}
}

/** What a status says of a file, as node:fs names it. */
export type FileStatus = {readonly mode: number; readonly nlink: number; readonly size: number}

/** The status that was seen, of a file that was neither absent nor irregular. */
export function statusAt({modes, links, sizes}: FileTable, at: number): FileStatus {
  return {mode: modes[at] as number, nlink: links[at] as number, size: sizes[at] as number}
}

/** Sets the digest that a file is to be compared with, 64 hex digits. */
export function wantDigest({digests}: FileTable, at: number, sha256: string): void {
  Buffer.from(digests.buffer).write(sha256, at * DIGEST_BYTES, 'hex')
}

/** The digest of a file as 64 lower-case hex digits. */
export function digestAt({digests}: FileTable, at: number): string {
  const start = at * DIGEST_BYTES
  return Buffer.from(digests.buffer, start, DIGEST_BYTES).toString('hex')
}
