import {chmodSync, mkdtempSync, readdirSync, realpathSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

const folders: string[] = []

/** A new empty folder, its path without symbolic links; removed when the process exits. */
export function temporaryFolder(prefix = 'rel-test-'): string {
  if (folders.length === 0) process.on('exit', removeFolders)
  const folder = realpathSync(mkdtempSync(join(tmpdir(), prefix)))
  folders.push(folder)
  return folder
}

function removeFolders(): void {
  for (const folder of folders) {
    try {
      rmSync(folder, {recursive: true, force: true})
    } catch {
      makeRemovable(folder) // a test took the permissions of something below
      rmSync(folder, {recursive: true, force: true})
    }
  }
}

function makeRemovable(folder: string): void {
  chmodSync(folder, 0o700)
  for (const entry of readdirSync(folder, {withFileTypes: true})) {
    if (entry.isDirectory()) makeRemovable(join(folder, entry.name))
  }
}
