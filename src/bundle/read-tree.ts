import {lstatSync} from 'node:fs'
import {RelError} from '../system/error.ts'
import {
  checkComplete,
  digestAt,
  EITHER_MODE,
  type FileTable,
  fileStates,
  makeFileTable,
} from './file-table.ts'
import {hashFiles, type OnProgress} from './hash-tree.ts'
import type {FileEntry, FileMode, LinkEntry} from './manifest.ts'
import {checkPaths, shownPath} from './path-rules.ts'
import {absoluteOf, checkUnchanged, type Listing, listTree} from './scan.ts'
import {
  asDirectoryOf,
  type Difference,
  differencesError,
  MAX_DIFFERENCES,
  openDirectories,
} from './verify-tree.ts'

export type ReadRules = {
  /** Sign symbolic links that stay inside. */
  readonly allowLinks: boolean
  /** Take 0644 or 0755, by the owner's x bit, for every mode; the caller changes the files. */
  readonly normaliseModes: boolean
}

export type ModeChange = {readonly path: string; readonly from: string; readonly to: FileMode}

/** One state of a directory: what was read is what was there from the first file to the last. */
export type TreeReading = {
  readonly files: readonly FileEntry[]
  readonly links: readonly LinkEntry[]
  /** What has to be done before the entries are true; empty unless asked for. */
  readonly modeChanges: readonly ModeChange[]
  readonly emptyDirectories: readonly string[]
  /** Directories that have a mode with which the tree does not verify; an archive has none. */
  readonly openDirectories: readonly {readonly path: string}[]
}

/** What an interrupted run may have left at the root (system/files.ts temporaryName). */
const leftover = /^\.manifest\.[a-z.]+\.[0-9a-f]{16}\.rel-tmp$/

/** True for the name of a file that an interrupted run left behind. */
export function isLeftover(name: string): boolean {
  return leftover.test(name)
}

/**
 * Reads and hashes a directory in order to sign it. Refuses with file_not_regular,
 * file_hardlinked, mode_forbidden, path_*, tree_changed, file_unreadable.
 */
export async function readTree(
  root: string,
  rules: ReadRules,
  onProgress?: OnProgress,
): Promise<TreeReading> {
  const listing = listTree(root)
  const paths = listing.files.filter((path) => !isLeftover(path))
  checkSpecial(listing, rules)
  checkPaths(
    paths,
    listing.links.map(({path}) => path),
    listing.emptyDirectories.map(asDirectoryOf),
  )
  const reading = await hashTree(root, paths, rules, onProgress)
  checkUnchanged(root, listing.directories)
  const {links, emptyDirectories} = listing
  return {...reading, links, emptyDirectories, openDirectories: openDirectories(listing)}
}

function checkSpecial({links, others}: Listing, {allowLinks}: ReadRules): void {
  const special = [...others, ...(allowLinks ? [] : links.map(({path}) => path))]
  if (special.length === 0) return
  throw differencesError(
    special
      .slice(0, MAX_DIFFERENCES)
      .map((path) => ({path, code: 'file_not_regular', seen: 'not a regular file'})),
  )
}

type Hashed = Pick<TreeReading, 'files' | 'modeChanges'>

async function hashTree(
  root: string,
  paths: readonly string[],
  {normaliseModes}: ReadRules,
  onProgress?: OnProgress,
): Promise<Hashed> {
  const rules = {compares: false, settles: true, limit: MAX_DIFFERENCES}
  const table = makeFileTable(paths.length, rules)
  if (!normaliseModes) table.modes.fill(EITHER_MODE)
  await hashFiles(root, paths, table, onProgress)
  const found: Difference[] = []
  for (const [at, path] of paths.entries()) {
    const difference = differenceAt(table, at, path)
    if (difference !== undefined) found.push(difference)
  }
  if (found.length > 0) throw differencesError(found)
  checkComplete(table)
  checkFilesUnchanged(root, paths, table)
  return {
    files: paths.map((path, at) => entryAt(table, at, path)),
    modeChanges: changesIn(table, paths),
  }
}

function differenceAt(table: FileTable, at: number, path: string): Difference | undefined {
  const state = table.states[at]
  if (state === fileStates.hashed || state === fileStates.pending) return undefined
  if (state === fileStates.absent || state === fileStates.unsteady) throw changed(path)
  if (state === fileStates.irregular)
    return {path, code: 'file_not_regular', seen: 'not a regular file'}
  const links = table.links[at]
  if (links !== 1)
    return {path, code: 'file_hardlinked', seen: `has ${links} names (hard links), want 1`}
  return {path, code: 'mode_forbidden', seen: `mode is ${octalAt(table, at)}, want 0644 or 0755`}
}

function entryAt(table: FileTable, at: number, path: string): FileEntry {
  return {
    path,
    sha256: digestAt(table, at),
    size: table.sizes[at] as number,
    mode: modeAt(table, at),
  }
}

function changesIn(table: FileTable, paths: readonly string[]): ModeChange[] {
  return paths.flatMap((path, at) => {
    const [from, to] = [octalAt(table, at), modeAt(table, at)]
    return from === to ? [] : [{path, from, to}]
  })
}

function modeAt({modes}: FileTable, at: number): FileMode {
  return ((modes[at] as number) & 0o100) === 0 ? '0644' : '0755'
}

function octalAt({modes}: FileTable, at: number): string {
  return (modes[at] as number).toString(8).padStart(4, '0')
}

/** A file read early may be written to while later ones are read; its ctime cannot be set back. */
function checkFilesUnchanged(
  root: string,
  paths: readonly string[],
  {changedAt, inodes}: FileTable,
): void {
  paths.forEach((path, at) => {
    const stat = lstatSync(absoluteOf(root, path), {throwIfNoEntry: false})
    if (stat?.ctimeMs !== changedAt[at] || stat?.ino !== inodes[at]) throw changed(path)
  })
}

function changed(path: string): RelError {
  return new RelError('tree_changed', `${shownPath(path)} was written to while the tree was read`)
}
