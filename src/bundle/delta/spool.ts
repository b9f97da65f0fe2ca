import {closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {fileError} from '../../system/files.ts'

const BLOCK = 1024 * 1024

/** Frames on disk: how large they are is written before the first of them. */
export class Spool {
  readonly #folder = makeScratch()
  readonly #fd: number
  #size = 0

  constructor() {
    this.#fd = openSync(join(this.#folder.path, 'frames'), 'wx+', 0o600)
  }

  get size(): number {
    return this.#size
  }

  /** Refuses with write_failed, disk_full. */
  add(bytes: Buffer): void {
    try {
      for (let at = 0; at < bytes.length; )
        at += writeSync(this.#fd, bytes, at, bytes.length - at, this.#size + at)
    } catch (error) {
      throw fileError(error, this.#folder.path, 'write')
    }
    this.#size += bytes.length
  }

  /** Forgets what was added since it had this size; `instead` is what to do without it. */
  back<T>(size: number, instead: T): T {
    ftruncateSync(this.#fd, size)
    this.#size = size
    return instead
  }

  /** A part of it in blocks. */
  *read(from: number, size: number): Generator<Buffer> {
    for (let at = from; at < from + size; ) {
      const block = Buffer.allocUnsafe(Math.min(BLOCK, from + size - at))
      const count = readSync(this.#fd, block, 0, block.length, at)
      yield block.subarray(0, count)
      at += count
    }
  }

  close(): void {
    closeSync(this.#fd)
    this.#folder.remove()
  }
}

/** A private folder of this process. */
export function makeScratch(): {readonly path: string; remove(): void} {
  let path: string
  try {
    path = mkdtempSync(join(tmpdir(), 'rel-delta-'))
  } catch (error) {
    throw fileError(error, tmpdir(), 'write')
  }
  const sweep = () => rmSync(path, {recursive: true, force: true})
  // an interrupt ends the process by exit, past every finally
  process.once('exit', sweep)
  return {
    path,
    remove: () => {
      process.off('exit', sweep)
      sweep()
    },
  }
}
