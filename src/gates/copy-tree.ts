import {
  chmodSync,
  constants,
  copyFileSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  statSync,
  symlinkSync,
  utimesSync,
} from 'node:fs'
import {join} from 'node:path'
import {RelError} from '../system/error.ts'
import {fileError} from '../system/files.ts'
import type {BuildPlan} from './repro-plan.ts'

/** A source tree with everything it needs; more is a mistake, such as a home folder. */
const MAX_FILES = 200_000
const MAX_BYTES = 8 * 2 ** 30

export type CopyPlan = Pick<BuildPlan, 'fileTime' | 'fileUmask' | 'name'>

/**
 * Copies a tree as a fresh checkout of it would be: modes by the executable bit and an umask, all
 * times the same. The second copy is made in the opposite order, which some file systems show to
 * whoever lists the folder. Folders in `without` are left out. Refuses with repro_limit,
 * file_missing, disk_full and so on.
 */
export function copyTree(
  source: string,
  target: string,
  plan: CopyPlan,
  without: readonly string[],
): void {
  const left = {files: MAX_FILES, bytes: MAX_BYTES}
  if (statSync(source, {throwIfNoEntry: false})?.isDirectory() !== true)
    throw new RelError('file_missing', `${source} is not a directory`)
  const skipped = new Set(without)

  const copyFolder = (from: string, to: string): void => {
    mkdirSync(to, {recursive: true})
    const entries = readdirSync(from, {withFileTypes: true}).sort((a, b) =>
      a.name < b.name ? -1 : 1,
    )
    for (const entry of plan.name === 'first' ? entries : entries.reverse()) {
      const [origin, copy] = [join(from, entry.name), join(to, entry.name)]
      if (skipped.has(origin)) continue
      left.files -= 1
      if (left.files < 0) throw overLimit(source, `${MAX_FILES} files`)
      if (entry.isDirectory()) copyFolder(origin, copy)
      else if (entry.isSymbolicLink()) {
        symlinkSync(readlinkSync(origin), copy)
        lutimesSync(copy, plan.fileTime, plan.fileTime)
      } else if (entry.isFile()) copyFile(origin, copy)
    }
    chmodSync(to, 0o777 & ~plan.fileUmask)
    utimesSync(to, plan.fileTime, plan.fileTime)
  }

  const copyFile = (from: string, to: string): void => {
    const {mode, size} = statSync(from)
    left.bytes -= size
    if (left.bytes < 0) throw overLimit(source, `${MAX_BYTES} bytes`)
    copyFileSync(from, to, constants.COPYFILE_FICLONE)
    chmodSync(to, ((mode & 0o100) === 0 ? 0o666 : 0o777) & ~plan.fileUmask)
    utimesSync(to, plan.fileTime, plan.fileTime)
  }

  try {
    copyFolder(realpathSync(source), target)
  } catch (error) {
    throw fileError(error, target, 'write')
  }
}

function overLimit(source: string, limit: string): RelError {
  return new RelError('repro_limit', `${source} has more than ${limit}`)
}
