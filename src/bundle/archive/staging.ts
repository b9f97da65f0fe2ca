import {randomBytes} from 'node:crypto'
import {chmodSync, mkdirSync, readdirSync, renameSync, rmSync} from 'node:fs'
import {basename, dirname, join, resolve} from 'node:path'
import {RelError} from '../../system/error.ts'
import {fileError, fsyncFolder, statIfThere} from '../../system/files.ts'

/** Directories outside of a bundle's own; the manifest signs none. */
export const DIRECTORY_MODE = 0o755

/** A private directory beside the target that becomes the target, or disappears. */
export type Staging = {
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
  const path = stagingName(place)
  try {
    mkdirSync(path, {mode: 0o700})
  } catch (error) {
    throw fileError(error, path, 'write')
  }
  const discard = () => rmSync(path, {recursive: true, force: true})
  // an interrupt ends the process by exit, past every finally
  process.once('exit', discard)
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

/** Hidden, of one target, of one process, random. */
function stagingName(place: string): string {
  const random = randomBytes(8).toString('hex')
  return join(dirname(place), `.${basename(place)}.${process.pid}.${random}.rel-unpack`)
}

/**
 * Removes what runs that are no longer alive have left: directories by our name pattern and of our
 * user. They are renamed first, so that a run which is alive after all fails at its own rename
 * instead of putting half a bundle in place.
 */
function sweep(place: string): void {
  const parent = dirname(place)
  for (const name of readdirSync(parent)) {
    const pid = pidOf(name, basename(place))
    if (pid === undefined || isAlive(pid)) continue
    const stat = statIfThere(join(parent, name))
    if (!stat?.isDirectory() || stat.uid !== process.getuid?.()) continue
    const renamed = stagingName(place)
    try {
      renameSync(join(parent, name), renamed)
      rmSync(renamed, {recursive: true, force: true})
    } catch {
      // another run sweeps it as well
    }
  }
}

function pidOf(name: string, base: string): number | undefined {
  if (!name.startsWith(`.${base}.`)) return undefined
  const rest = /^([1-9][0-9]{0,9})\.[0-9a-f]{16}\.rel-unpack$/.exec(name.slice(base.length + 2))
  return rest?.[1] === undefined ? undefined : Number(rest[1])
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as {code?: string}).code === 'EPERM'
  }
}
