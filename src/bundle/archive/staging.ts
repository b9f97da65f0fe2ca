import {chmodSync, mkdirSync, renameSync, rmSync, writeFileSync} from 'node:fs'
import {dirname, join, resolve} from 'node:path'
import {RelError} from '../../system/error.ts'
import {fileError, fsyncFolder, statIfThere} from '../../system/files.ts'
import {leftoverName, leftoversOf} from './leftovers.ts'

/** Directories outside of a bundle's own; the manifest signs none. */
export const DIRECTORY_MODE = 0o755

const PRIVATE_MODE = 0o700
/** Says that a directory is ours to remove. */
const MARKER = 'made-by-rel-unpack'
const TREE = 'tree'

/** A private directory beside the target, of which one inside becomes the target; both disappear. */
export type Staging = {
  /** The directory inside. */
  readonly path: string
  /** Renames it into place. Refuses with file_exists, write_failed. */
  commit(): void
  discard(): void
}

/**
 * Makes a fresh 0700 directory beside `target`, which must not exist yet, and sweeps what killed
 * runs for the same target have left. Refuses with file_exists, file_missing (no parent),
 * write_failed.
 */
export function makeStaging(target: string): Staging {
  const place = resolve(target)
  checkFree(place)
  const parent = dirname(place)
  if (statIfThere(parent) === undefined)
    throw new RelError('file_missing', `${parent} does not exist`)
  sweep(place)
  const folder = leftoverName(place, 'rel-unpack')
  const path = join(folder, TREE)
  const discard = () => remove(folder)
  // an interrupt ends the process by exit, past every finally
  process.once('exit', discard)
  try {
    mkdirSync(folder, {mode: PRIVATE_MODE})
    writeFileSync(join(folder, MARKER), '', {flag: 'wx', mode: 0o600})
    mkdirSync(path, {mode: PRIVATE_MODE})
  } catch (error) {
    discard()
    throw fileError(error, folder, 'write')
  }
  return {
    path,
    commit: () => commit(path, place),
    discard: () => {
      process.off('exit', discard)
      discard()
    },
  }
}

function commit(path: string, place: string): void {
  checkFree(place)
  try {
    chmodSync(path, DIRECTORY_MODE)
    fsyncFolder(path)
    renameSync(path, place)
    fsyncFolder(dirname(place))
  } catch (error) {
    throw fileError(error, place, 'write')
  }
}

function checkFree(place: string): void {
  if (statIfThere(place) !== undefined)
    throw new RelError('file_exists', `${place} exists already`, {
      hint: 'Unpack into a name that does not exist yet.',
    })
}

/**
 * Removes what runs that are no longer alive have left. Whoever may write in the parent can give
 * any directory of ours such a name: only one that nobody else can enter and that has our marker is
 * removed. It is renamed first, so that a run which is alive after all fails at its own rename
 * instead of putting half a bundle in place.
 */
function sweep(place: string): void {
  for (const path of leftoversOf(place, 'rel-unpack')) {
    if (!isStaging(path)) continue
    const renamed = leftoverName(place, 'rel-unpack')
    try {
      renameSync(path, renamed)
      remove(renamed)
    } catch {
      // another run sweeps it as well
    }
  }
}

function isStaging(path: string): boolean {
  const stat = statIfThere(path)
  if (!stat?.isDirectory() || (stat.mode & 0o7777) !== PRIVATE_MODE) return false
  const marker = statIfThere(join(path, MARKER))
  return marker?.isFile() === true && marker.uid === stat.uid
}

/** The marker goes last, so that whoever is interrupted here leaves what the next run can sweep. */
function remove(path: string): void {
  rmSync(join(path, TREE), {recursive: true, force: true})
  rmSync(path, {recursive: true, force: true})
}
