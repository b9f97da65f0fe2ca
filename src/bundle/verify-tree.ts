import type {Stats} from 'node:fs'
import type {ErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import {type FileHasher, type HashedFile, makeFileHasher} from './hash-tree.ts'
import type {BundleManifest, FileEntry} from './manifest.ts'
import {shownPath} from './path-rules.ts'
import {absoluteOf, checkUnchanged, type Listing, listTree} from './scan.ts'

/** One way in which a tree is not what its manifest says. */
export type Difference = {
  readonly path: string
  readonly code: ErrorCode
  /** What was seen and wanted. */
  readonly seen: string
}

/** Enough to see what happened; a tree that differs in more is not read to its end. */
export const MAX_DIFFERENCES = 20

export type TreeFacts = {readonly fileCount: number; readonly totalSize: number}

/**
 * Passes when a directory holds exactly the files of a manifest: nothing missing, nothing more,
 * each a regular file with one name, and with the signed mode, size and content. Refuses with the
 * code of the first difference by path, and up to 20 differences in its details. Only a signer,
 * who sweeps them, ignores what an interrupted run left.
 */
export function verifyTree(
  root: string,
  manifest: BundleManifest,
  isIgnored: (path: string) => boolean = () => false,
): TreeFacts {
  const all = listTree(root)
  const listing = {...all, files: all.files.filter((path) => !isIgnored(path))}
  const found = [...compareNames(listing, manifest), ...compareLinks(listing, manifest)]
  const facts = compareFiles(root, manifest, found)
  if (found.length > 0) throw differencesError(found)
  checkUnchanged(root, listing.directories)
  return facts
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
function compareFiles(root: string, manifest: BundleManifest, found: Difference[]): TreeFacts {
  const hasher = makeFileHasher()
  const known = new Set(found.map(({path}) => path))
  let totalSize = 0
  for (const entry of manifest.files) {
    if (known.has(entry.path)) continue
    if (found.length >= MAX_DIFFERENCES) break
    const result = compareFile(root, entry, hasher)
    if (typeof result === 'number') totalSize += result
    else found.push(result)
  }
  return {fileCount: manifest.files.length, totalSize}
}

/** The size of a file that is as signed, else the difference. */
function compareFile(root: string, entry: FileEntry, hash: FileHasher): number | Difference {
  const {path} = entry
  const result: HashedFile = hash(
    absoluteOf(root, path),
    (stat) => statusDifference(entry, stat) === undefined,
  )
  if (result.state === 'absent') return {path, code: 'file_absent', seen: 'missing'}
  if (result.state === 'not_regular') return notRegular(path)
  if (result.state === 'unsteady')
    throw new RelError('tree_changed', `${shownPath(path)} was written to while it was read`)
  if (result.state === 'skipped') return statusDifference(entry, result.stat) ?? notRegular(path)
  if (result.sha256 === entry.sha256) return result.stat.size
  const seen = `SHA-256 is ${result.sha256}, signed is ${entry.sha256}`
  return {path, code: 'file_digest_mismatch', seen}
}

/** Set-uid, set-gid, sticky, and writable by everybody: in no bundle, whoever signed it. */
const NEVER = 0o7002

export function statusDifference(
  {path, size, mode}: FileEntry,
  stat: Stats,
): Difference | undefined {
  const bits = stat.mode & 0o7777
  const octal = bits.toString(8).padStart(4, '0')
  if (stat.nlink !== 1)
    return {path, code: 'file_hardlinked', seen: `has ${stat.nlink} names (hard links), want 1`}
  if ((bits & NEVER) !== 0) return {path, code: 'mode_forbidden', seen: `mode is ${octal}`}
  if (mode !== undefined && bits !== Number.parseInt(mode, 8))
    return {path, code: 'mode_mismatch', seen: `mode is ${octal}, signed is ${mode}`}
  if (size !== undefined && stat.size !== size)
    return {path, code: 'size_mismatch', seen: `${stat.size} bytes, signed are ${size}`}
  return undefined
}
