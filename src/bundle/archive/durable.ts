import {closeSync, constants, fsyncSync, openSync} from 'node:fs'
import {RelError} from '../../system/error.ts'
import {fileError, fsyncFolder} from '../../system/files.ts'
import {runProcess} from '../../system/processes.ts'

/** From here on one syncfs(2), which costs a process, takes the place of an fsync for each file. */
const MANY_FILES = 32

const SYNC_LIMIT_SECS = 600

/**
 * Returns when files and folders below `root` are on disk, so that a rename which follows cannot
 * be there without them after a power cut. Refuses with write_failed, disk_full.
 */
export async function makeDurable(
  root: string,
  files: readonly string[],
  folders: readonly string[],
): Promise<void> {
  if (files.length >= MANY_FILES && (await syncFileSystem(root))) return
  for (const path of files) fsyncFile(path)
  for (const path of folders) fsyncFolder(path)
}

/** Node has no syncfs; coreutils and busybox do. False when neither is there. */
async function syncFileSystem(path: string): Promise<boolean> {
  try {
    const {exitCode} = await runProcess('sync', ['-f', path], {timeoutSecs: SYNC_LIMIT_SECS})
    return exitCode === 0
  } catch (error) {
    if (error instanceof RelError) return false
    throw error
  }
}

function fsyncFile(path: string): void {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    throw fileError(error, path, 'write')
  }
}
