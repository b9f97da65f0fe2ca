import {createHash} from 'node:crypto'
import {closeSync, constants, mkdirSync, openSync, writeSync} from 'node:fs'
import {join} from 'node:path'
import {fileError} from '../system/files.ts'
import type {GateLog} from './gate.ts'

/** A log in the making; its digest is computed on the way. */
export class EvidenceLog {
  readonly path: string
  readonly #fd: number
  readonly #hasher = createHash('sha256')
  #room: number

  /** Replaces the log of an earlier run of that name. Refuses with write_failed, disk_full. */
  constructor(folder: string, name: string, limit: number) {
    this.path = join(folder, name)
    this.#room = limit
    const {O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW} = constants
    try {
      mkdirSync(folder, {recursive: true})
      this.#fd = openSync(this.path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o644)
    } catch (error) {
      throw fileError(error, this.path, 'write')
    }
  }

  /** Writes what fits; false when the limit cut it. */
  write(data: Uint8Array | string): boolean {
    const bytes = typeof data === 'string' ? Buffer.from(data, 'utf8') : data
    const kept = bytes.subarray(0, this.#room)
    this.#room -= kept.length
    this.#hasher.update(kept)
    try {
      for (let offset = 0; offset < kept.length; )
        offset += writeSync(this.#fd, kept, offset, kept.length - offset)
    } catch (error) {
      throw fileError(error, this.path, 'write')
    }
    return kept.length === bytes.length
  }

  /** Ends the log; call it once. */
  close(): GateLog {
    closeSync(this.#fd)
    return {path: this.path, sha256: this.#hasher.digest('hex')}
  }
}

/** The name of a gate as part of a file name. */
export function logName(gate: string, suffix: string): string {
  return `${gate.toLowerCase().replace(/[^a-z0-9.]+/g, '-')}${suffix}`
}
