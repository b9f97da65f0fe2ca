import {lstatSync, type Stats} from 'node:fs'
import {RelError} from '../system/error.ts'
import {type FileHasher, makeFileHasher} from './hash-tree.ts'
import type {FileEntry, FileMode, LinkEntry} from './manifest.ts'
import {checkPaths, shownPath} from './path-rules.ts'
import {absoluteOf, checkUnchanged, type Listing, listTree} from './scan.ts'
import {type Difference, differencesError, MAX_DIFFERENCES} from './verify-tree.ts'

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
export function readTree(root: string, rules: ReadRules): TreeReading {
  const listing = listTree(root)
  const paths = listing.files.filter((path) => !isLeftover(path))
  checkSpecial(listing, rules)
  checkPaths(
    paths,
    listing.links.map(({path}) => path),
  )
  const reading = hashFiles(root, paths, rules)
  checkUnchanged(root, listing.directories)
  const {links, emptyDirectories} = listing
  return {...reading, links, emptyDirectories}
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

function hashFiles(root: string, paths: readonly string[], rules: ReadRules): Hashed {
  const hasher = makeFileHasher()
  const files: FileEntry[] = []
  const modeChanges: ModeChange[] = []
  const found: Difference[] = []
  // kept as plain numbers: an object per file would double the memory of a large bundle
  const changedAt = new Float64Array(paths.length)
  const inodes = new Float64Array(paths.length)
  paths.forEach((path, at) => {
    if (found.length >= MAX_DIFFERENCES) return
    const result = readFile(root, path, hasher, rules)
    if ('code' in result) {
      found.push(result)
      return
    }
    files.push(result.entry)
    changedAt[at] = result.stat.ctimeMs
    inodes[at] = result.stat.ino
    if (result.change !== undefined) modeChanges.push(result.change)
  })
  if (found.length > 0) throw differencesError(found)
  checkFilesUnchanged(root, paths, changedAt, inodes)
  return {files, modeChanges}
}

type ReadFile = {readonly entry: FileEntry; readonly stat: Stats; readonly change?: ModeChange}

function readFile(
  root: string,
  path: string,
  hasher: FileHasher,
  {normaliseModes}: ReadRules,
): ReadFile | Difference {
  const result = hasher(absoluteOf(root, path), (stat) => {
    if (stat.nlink === 0) throw changed(path) // replaced between being opened and looked at
    if (statusRefusal(path, stat, normaliseModes) !== undefined) return false
    letTimePass(stat)
    return true
  })
  if (result.state === 'absent' || result.state === 'unsteady') throw changed(path)
  if (result.state === 'not_regular')
    return {path, code: 'file_not_regular', seen: 'not a regular file'}
  const {stat} = result
  if (result.state === 'skipped')
    return statusRefusal(path, stat, normaliseModes) ?? {path, code: 'tree_changed', seen: ''}
  const mode = modeOf(stat)
  const entry = {path, sha256: result.sha256, size: stat.size, mode}
  const from = octalOf(stat)
  return from === mode ? {entry, stat} : {entry, stat, change: {path, from, to: mode}}
}

/** Kernels stamp times every 1 to 10 ms (CONFIG_HZ). */
const TICK_MILLISECONDS = 20

/**
 * A file that was written to in this very tick can be written to again without a new time stamp.
 * Reading it one tick later makes every write from now on visible (git calls this racy).
 */
function letTimePass({ctimeMs}: Stats): void {
  const age = Date.now() - ctimeMs
  if (age < 0 || age > TICK_MILLISECONDS) return
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, TICK_MILLISECONDS)
}

function statusRefusal(path: string, stat: Stats, normalise: boolean): Difference | undefined {
  if (stat.nlink !== 1)
    return {path, code: 'file_hardlinked', seen: `has ${stat.nlink} names (hard links), want 1`}
  if (normalise || octalOf(stat) === modeOf(stat)) return undefined
  return {path, code: 'mode_forbidden', seen: `mode is ${octalOf(stat)}, want 0644 or 0755`}
}

function modeOf({mode}: Stats): FileMode {
  return (mode & 0o100) === 0 ? '0644' : '0755'
}

function octalOf({mode}: Stats): string {
  return (mode & 0o7777).toString(8).padStart(4, '0')
}

/** A file read early may be written to while later ones are read; its ctime cannot be set back. */
function checkFilesUnchanged(
  root: string,
  paths: readonly string[],
  changedAt: Float64Array,
  inodes: Float64Array,
): void {
  paths.forEach((path, at) => {
    const stat = lstatSync(absoluteOf(root, path), {throwIfNoEntry: false})
    if (stat?.ctimeMs !== changedAt[at] || stat?.ino !== inodes[at]) throw changed(path)
  })
}

function changed(path: string): RelError {
  return new RelError('tree_changed', `${shownPath(path)} was written to while the tree was read`)
}
