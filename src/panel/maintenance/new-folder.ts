import {mkdir, readdir, rename, rm} from 'node:fs/promises'
import {dirname, join, resolve} from 'node:path'
import {leftoverName, leftoversOf} from '../../bundle/archive/leftovers.ts'
import {RelError} from '../../system/error.ts'
import {fileError, fsyncFolder, statIfThere} from '../../system/files.ts'

/** Of the folder while it is filled: nobody else may enter it. */
const PRIVATE_MODE = 0o700

/**
 * Builds a folder under another name beside it, and gives it its own when all is on the disk. What
 * runs for the same name have left that were killed is removed first. Refuses with file_exists,
 * disk_full, write_failed, and as `fill` does.
 */
export async function inNewFolder<Result>(
  target: string,
  fill: (folder: string) => Promise<Result>,
): Promise<Result> {
  const path = resolve(target)
  const folder = leftoverName(path, 'rel-tmp')
  try {
    if (statIfThere(path) !== undefined) throw new RelError('file_exists', `${path} exists already`)
    await sweep(path)
    await mkdir(folder, {mode: PRIVATE_MODE})
    const result = await fill(folder)
    await syncFolders(folder)
    await rename(folder, path) // refused when a folder with something in it came meanwhile
    fsyncFolder(dirname(path))
    return result
  } catch (error) {
    throw fileError(error, path, 'write')
  } finally {
    await rm(folder, {recursive: true, force: true})
  }
}

/** Renamed first: a run that is alive after all fails at its own rename, and puts no half in place. */
async function sweep(path: string): Promise<void> {
  for (const old of leftoversOf(path, 'rel-tmp')) {
    const stat = statIfThere(old)
    if (!stat?.isDirectory() || (stat.mode & 0o7777) !== PRIVATE_MODE) continue
    const renamed = leftoverName(path, 'rel-tmp')
    try {
      await rename(old, renamed)
      await rm(renamed, {recursive: true, force: true})
    } catch {
      // another run sweeps it as well
    }
  }
}

async function syncFolders(folder: string): Promise<void> {
  for (const entry of await readdir(folder, {withFileTypes: true, recursive: true})) {
    if (entry.isDirectory()) fsyncFolder(join(entry.parentPath, entry.name))
  }
  fsyncFolder(folder)
}
