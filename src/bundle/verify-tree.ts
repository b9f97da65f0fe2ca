import type {ErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import {
  checkComplete,
  digestAt,
  type FileStatus,
  type FileTable,
  fileStates,
  makeFileTable,
  statusAt,
  wantDigest,
} from './file-table.ts'
import {hashFiles, type OnProgress} from './hash-tree.ts'
import type {BundleManifest, FileEntry} from './manifest.ts'
import {checkPaths, shownPath} from './path-rules.ts'
import {checkUnchanged, type Listing, listTree} from './scan.ts'

/** One way in which a tree is not what its manifest says. */
export type Difference = {
  readonly path: string
  readonly code: ErrorCode
  /** What was seen and wanted. */
  readonly seen: string
}

/** Enough to see what happened; a tree that differs in more is not read to its end. */
export const MAX_DIFFERENCES = 20

export type VerifyOptions = {
  /** Files that are not part of the tree. */
  readonly isIgnored?: (path: string) => boolean
  readonly onProgress?: OnProgress | undefined
}

export type TreeFacts = {readonly fileCount: number; readonly totalSize: number}

/**
 * Passes when a directory holds exactly the files of a manifest: nothing missing, nothing more,
 * each a regular file with one name, and with the signed mode, size and content. Refuses with the
 * code of the first difference by path, and up to 20 differences in its details. Only a signer,
 * who sweeps them, ignores what an interrupted run left.
 */
export async function verifyTree(
  root: string,
  manifest: BundleManifest,
  {isIgnored = () => false, onProgress}: VerifyOptions = {},
): Promise<TreeFacts> {
  const {directories, emptyDirectories, found} = compareListing(root, manifest, isIgnored)
  const totalSize = await compareFiles(root, manifest, found, onProgress)
  if (found.length > 0) throw differencesError(found)
  checkEmptyDirectories(emptyDirectories, manifest)
  checkUnchanged(root, directories)
  return {fileCount: manifest.files.length, totalSize}
}

/** Directories with a mode that verifying refuses. */
export function openDirectories({directories}: Listing): Listing['directories'] {
  return directories.filter(({stat}) => (stat.mode & OPEN) !== 0)
}

/** Modes of directories are not signed, but some let everybody change what was verified. */
function directoryDifferences(listing: Listing): Difference[] {
  return openDirectories(listing)
    .slice(0, MAX_DIFFERENCES)
    .map(({path, stat}) => {
      const mode = (stat.mode & 0o7777).toString(8).padStart(4, '0')
      return {path: path || '.', code: 'mode_forbidden', seen: `directory mode is ${mode}`}
    })
}

/** A path in an empty directory, so that the rules for directories hold for it. */
export function asDirectoryOf(empty: string): string {
  return `${empty}/-`
}

/**
 * Directories without files are not listed, but their names are there for whoever reads the tree:
 * each is judged as the directory of a file would be. Refuses as checkPaths does.
 */
function checkEmptyDirectories(
  empty: readonly string[],
  {files, rel}: Pick<BundleManifest, 'files' | 'rel'>,
): void {
  if (empty.length === 0) return
  const paths = [...files, ...(rel?.links ?? [])].map(({path}) => path)
  checkPaths(paths, empty.map(asDirectoryOf))
}

/** On its own, so that a long list of names is gone when the files are read. */
function compareListing(
  root: string,
  manifest: BundleManifest,
  isIgnored: (path: string) => boolean,
): Pick<Listing, 'directories' | 'emptyDirectories'> & {readonly found: Difference[]} {
  const all = listTree(root)
  const listing = {...all, files: all.files.filter((path) => !isIgnored(path))}
  const found = [
    ...compareNames(listing, manifest),
    ...compareLinks(listing, manifest),
    ...directoryDifferences(listing),
  ]
  const {directories, emptyDirectories} = all
  return {directories, emptyDirectories, found}
}

/** The first difference decides the code; all of them are in the details. */
export function differencesError(found: readonly Difference[]): RelError {
  const sorted = [...found].sort((a, b) => (a.path < b.path ? -1 : 1)).slice(0, MAX_DIFFERENCES)
  const [first] = sorted
  if (first === undefined) throw new RelError('internal_error', 'a refusal without a difference')
  const more = found.length > 1 ? ` (and ${found.length - 1} more)` : ''
  const differences = sorted.map(({path, code, seen}) => ({path: shownPath(path), code, seen}))
  return new RelError(first.code, `${shownPath(first.path)}: ${first.seen}${more}`, {
    details: {differences, complete: found.length < MAX_DIFFERENCES},
  })
}

/** What is there and was not signed. Both lists are sorted, so one walk over them is enough. */
export function compareNames({files, others}: Listing, manifest: BundleManifest): Difference[] {
  const signed = manifest.files
  const found: Difference[] = []
  let at = 0
  for (const path of files) {
    while (at < signed.length && (signed[at]?.path ?? '') < path) at++
    if (signed[at]?.path === path) continue
    found.push({path, code: 'file_unlisted', seen: 'not in the manifest'})
    if (found.length >= MAX_DIFFERENCES) break
  }
  const special = others.slice(0, MAX_DIFFERENCES)
  return [...found, ...special.map((path) => notRegular(path))]
}

function notRegular(path: string): Difference {
  return {path, code: 'file_not_regular', seen: 'not a regular file'}
}

export function compareLinks({links}: Listing, manifest: BundleManifest): Difference[] {
  const signed = new Map(manifest.rel?.links.map(({path, target}) => [path, target]))
  const found: Difference[] = []
  for (const {path, target} of links) {
    const wanted = signed.get(path)
    signed.delete(path)
    if (wanted === target) continue
    if (wanted !== undefined)
      found.push({path, code: 'link_mismatch', seen: `leads to ${shownPath(target)}`})
    else if (hasFile(manifest.files, path)) found.push(notRegular(path))
    else found.push({path, code: 'file_unlisted', seen: 'a link that is not in the manifest'})
    if (found.length >= MAX_DIFFERENCES) return found
  }
  for (const path of signed.keys())
    found.push({path, code: 'file_absent', seen: 'the link is missing'})
  return found.slice(0, MAX_DIFFERENCES)
}

function hasFile(files: readonly FileEntry[], path: string): boolean {
  return files.some((file) => file.path === path)
}

/** Adds to `found` until there are enough differences. */
async function compareFiles(
  root: string,
  {files}: BundleManifest,
  found: Difference[],
  onProgress?: OnProgress,
): Promise<number> {
  const known = new Set(found.map(({path}) => path))
  const entries = known.size === 0 ? files : files.filter(({path}) => !known.has(path))
  const table = wantedTable(entries, MAX_DIFFERENCES - found.length)
  const paths = entries.map(({path}) => path)
  await hashFiles(root, paths, table, onProgress)
  entries.forEach((entry, at) => {
    const difference = differenceAt(table, at, entry)
    if (difference !== undefined) found.push(difference)
  })
  if (found.length === 0) checkComplete(table)
  return table.sizes.reduce((total, size) => total + size, 0)
}

/** A row per file with what was signed of it; a D2 manifest signs neither sizes nor modes. */
function wantedTable(entries: readonly FileEntry[], limit: number): FileTable {
  const table = makeFileTable(entries.length, {compares: true, settles: false, limit})
  entries.forEach(({sha256, size, mode}, at) => {
    wantDigest(table, at, sha256)
    if (size !== undefined) table.sizes[at] = size
    if (mode !== undefined) table.modes[at] = Number.parseInt(mode, 8)
  })
  return table
}

/** Looks at the status of every file that was read, whatever became of its content. */
function differenceAt(table: FileTable, at: number, entry: FileEntry): Difference | undefined {
  const {path} = entry
  const state = table.states[at]
  if (state === fileStates.pending) return undefined
  if (state === fileStates.absent) return {path, code: 'file_absent', seen: 'missing'}
  if (state === fileStates.irregular) return notRegular(path)
  if (state === fileStates.unsteady)
    throw new RelError('tree_changed', `${shownPath(path)} was written to while it was read`)
  const difference = statusDifference(entry, statusAt(table, at))
  if (difference !== undefined) return difference
  if (state === fileStates.hashed) return undefined
  const seen = `SHA-256 is ${digestAt(table, at)}, signed is ${entry.sha256}`
  return {path, code: 'file_digest_mismatch', seen}
}

/** Writable by everybody. Set-gid directories are harmless, and what a Kubernetes volume has. */
const OPEN = 0o0002
/** Set-uid, set-gid, sticky, and writable by everybody: no file of a bundle, whoever signed it. */
const NEVER = 0o7002

export function statusDifference(
  {path, size, mode}: FileEntry,
  stat: FileStatus,
): Difference | undefined {
  const bits = stat.mode & 0o7777
  const octal = () => bits.toString(8).padStart(4, '0')
  if (stat.nlink !== 1)
    return {path, code: 'file_hardlinked', seen: `has ${stat.nlink} names (hard links), want 1`}
  if ((bits & NEVER) !== 0) return {path, code: 'mode_forbidden', seen: `mode is ${octal()}`}
  if (mode !== undefined && bits !== Number.parseInt(mode, 8))
    return {path, code: 'mode_mismatch', seen: `mode is ${octal()}, signed is ${mode}`}
  if (size !== undefined && stat.size !== size)
    return {path, code: 'size_mismatch', seen: `${stat.size} bytes, signed are ${size}`}
  return undefined
}
