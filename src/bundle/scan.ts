import {isUtf8} from 'node:buffer'
import {type Dirent, lstatSync, readdirSync, readlinkSync, type Stats} from 'node:fs'
import {RelError} from '../system/error.ts'
import {fileError} from '../system/files.ts'
import {sha256Hex} from '../system/hash.ts'
import {type LinkEntry, manifestLimits, sidecarNames} from './manifest.ts'
import {shownPath} from './path-rules.ts'

/** What stands in a directory, before any file was opened. Paths are relative, with slashes. */
export type Listing = {
  /** Regular files but for the sidecars at the root, sorted by UTF-16 code units. */
  readonly files: readonly string[]
  /** Symbolic links, sorted; their targets as they are on disk. */
  readonly links: readonly LinkEntry[]
  /** Devices, sockets, pipes, and sidecar names that are no regular file. */
  readonly others: readonly string[]
  /** Directories without anything in them. */
  readonly emptyDirectories: readonly string[]
  readonly directories: readonly DirectoryMark[]
}

/** A directory as it was listed, to notice later that it was written to. */
export type DirectoryMark = {
  readonly path: string
  readonly stat: Stats
  /** SHA-256 of its sorted names: a list of 100,000 names is not worth keeping. */
  readonly names: string
}

/** What an untrusted tree may make us hold; manifestLimits but in tests. */
export type ListingLimits = {readonly entries: number; readonly directories: number}

/**
 * Lists a tree without following links. Refuses with path_not_utf8, path_malformed (deeper than a
 * path can be), manifest_limit, file_unreadable, file_missing.
 */
export function listTree(root: string, limits: ListingLimits = manifestLimits): Listing {
  const files: string[] = []
  const links: LinkEntry[] = []
  const others: string[] = []
  const emptyDirectories: string[] = []
  const directories: DirectoryMark[] = []
  const pending = ['']
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    const {mark, entries, names} = readDirectory(root, directory)
    directories.push(mark)
    if (entries.length === 0 && directory !== '') emptyDirectories.push(directory)
    const prefix = directory === '' ? '' : `${directory}/`
    entries.forEach((entry, at) => {
      const name = names[at] ?? ''
      const path = prefix + name
      const sidecar = prefix === '' && sidecarNames.includes(name)
      if (sidecar && !entry.isFile()) others.push(path)
      else if (sidecar) return
      else if (entry.isFile()) files.push(path)
      else if (entry.isDirectory()) pending.push(path)
      else if (entry.isSymbolicLink()) links.push({path, target: readTarget(root, path)})
      else others.push(path)
    })
    if (files.length + links.length + others.length > limits.entries)
      throw new RelError('manifest_limit', `more than ${limits.entries} files`)
    // the root is no directory of the manifest, and counts as none
    if (directories.length + pending.length > limits.directories + 1)
      throw new RelError('manifest_limit', `more than ${limits.directories} directories`)
  }
  links.sort((a, b) => (a.path < b.path ? -1 : 1))
  return {files: files.sort(), links, others: others.sort(), emptyDirectories, directories}
}

type Directory = {
  readonly mark: DirectoryMark
  readonly entries: readonly Dirent[]
  readonly names: readonly string[]
}

function readDirectory(root: string, path: string): Directory {
  if (Buffer.byteLength(path) > manifestLimits.pathBytes)
    throw new RelError('path_malformed', `${shownPath(path)}: directories nested too deeply`)
  const absolute = absoluteOf(root, path)
  try {
    const stat = lstatSync(absolute)
    // latin1 keeps every byte, so that a name which is not UTF-8 is seen as such
    const entries = readdirSync(absolute, {withFileTypes: true, encoding: 'latin1'}) as Dirent[]
    const names = entries.map(({name}) => decodeName(name, path))
    return {mark: {path, stat, names: digestOf(names)}, entries, names}
  } catch (error) {
    throw fileError(error, absolute, 'read')
  }
}

const ascii = /^[\x00-\x7f]*$/

function decodeName(latin1: string, directory: string): string {
  if (ascii.test(latin1)) return latin1
  const bytes = Buffer.from(latin1, 'latin1')
  if (isUtf8(bytes)) return bytes.toString('utf8')
  const where = directory === '' ? 'the bundle' : shownPath(directory)
  throw new RelError('path_not_utf8', `a name in ${where} is not UTF-8: bytes ${hexOf(bytes)}`)
}

function hexOf(bytes: Buffer): string {
  return bytes.subarray(0, 64).toString('hex')
}

function readTarget(root: string, path: string): string {
  try {
    const bytes = readlinkSync(absoluteOf(root, path), {encoding: 'buffer'})
    if (isUtf8(bytes)) return bytes.toString('utf8')
    throw new RelError('path_not_utf8', `the target of ${shownPath(path)} is not UTF-8`)
  } catch (error) {
    throw fileError(error, path, 'read')
  }
}

/** Where a path of a bundle is on disk. */
export function absoluteOf(root: string, path: string): string {
  return path === '' ? root : `${root}/${path}`
}

/**
 * Lists every directory again: names that came or went while files were read. Kernels stamp times
 * only every few milliseconds, so names are compared as well. Refuses with tree_changed.
 */
export function checkUnchanged(root: string, directories: readonly DirectoryMark[]): void {
  for (const {path, stat, names} of directories) {
    const again = readAgain(absoluteOf(root, path))
    if (again === undefined || !isSame(stat, again.stat) || names !== digestOf(again.names))
      throw new RelError('tree_changed', `directory ${shownPath(path) || '.'} was written to`)
  }
}

function readAgain(path: string): {stat: Stats; names: string[]} | undefined {
  try {
    const stat = lstatSync(path, {throwIfNoEntry: false})
    if (!stat?.isDirectory()) return undefined
    return {stat, names: readdirSync(path)}
  } catch (error) {
    throw fileError(error, path, 'read')
  }
}

function digestOf(names: readonly string[]): string {
  return sha256Hex([...names].sort().join('/'))
}

/** The same inode in the same state, as far as the file system tells. */
function isSame(before: Stats, after: Stats): boolean {
  return (
    before.ino === after.ino &&
    before.size === after.size &&
    before.mtimeMs === after.mtimeMs &&
    before.ctimeMs === after.ctimeMs
  )
}
