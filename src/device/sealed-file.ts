import {join} from 'node:path'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere} from '../system/files.ts'
import type {JsonObject} from '../system/json.ts'
import {type DurableFs, replaceFile} from './durable-fs.ts'
import {paths, writing} from './layout.ts'
import {MAX_RECORD_BYTES, sealed, unsealed} from './record.ts'

/**
 * A record beside state.json; undefined when there is none yet.
 * Refuses with upgrade_state_corrupt: what was forgotten by damage would be believed anew.
 */
export function readSealed(root: string, path: string): JsonObject | undefined {
  const absolute = join(root, path)
  const stat = statIfThere(absolute)
  if (stat === undefined) return undefined
  if (!stat.isFile()) throw new RelError('upgrade_state_corrupt', `${path} is no regular file`)
  return unsealed(readFileLimited(absolute, MAX_RECORD_BYTES), path)
}

/** Puts a record in place, durable once this returns. Refuses with upgrade_disk_full, write_failed. */
export function writeSealed(fs: DurableFs, path: string, value: JsonObject): void {
  writing(() => replaceFile(fs, path, sealed(value), 0o600))
}

/** What is remembered beside the records, and can be learned again. */
const memories = [paths.clock, paths.seen, paths.offered, paths.refused, paths.reported, paths.wait]

/** Removes what is damaged of it, for a repair: a person has decided that it may be forgotten. */
export function forgetDamaged(fs: DurableFs): void {
  for (const path of memories) {
    try {
      readSealed(fs.root, path)
    } catch (error) {
      if (!(error instanceof RelError) || error.code !== 'upgrade_state_corrupt') throw error
      writing(() => {
        fs.run({op: 'unlink', path})
        fs.run({op: 'sync_dir', path: paths.private})
      })
    }
  }
}
