import {RelError} from '../../system/error.ts'
import type {GitTree, TreeEntry} from '../github-release/git-objects.ts'
import type {GitTreeConfig} from './config.ts'
import {treeIdOf} from './git-hash.ts'

/** A file of the tree that is wanted. */
export type WantedFile = {
  /** From the top of the repository. */
  readonly path: string
  /** git blob id, 40 hex digits. */
  readonly blob: string
  readonly size: number
}

/** A folder that was read on the way, with its git tree id. */
export type WalkedFolder = {readonly path: string; readonly tree: string; readonly entries: number}

export type Walked = {
  readonly files: readonly WantedFile[]
  /** The whole chain from the tree of the commit down. */
  readonly folders: readonly WalkedFolder[]
}

type Folder = ReadonlyMap<string, TreeEntry>

/**
 * The files that a playbook names, found from the tree of a commit downwards. Every folder on the
 * way is hashed again, so that its list is the one that the id above stands for. One folder is
 * asked for at a time: a list of the whole repository is cut off at some size. Refuses with
 * tree_truncated, tree_mismatch, tree_path_unsafe, asset_missing, http_too_large.
 */
export async function walkTree(
  config: GitTreeConfig,
  root: string,
  fetchTree: (id: string) => Promise<GitTree>,
): Promise<Walked> {
  const known = new Map<string, {readonly folder: Folder; readonly tree: string}>()
  const open = async (path: string): Promise<Folder> => {
    const before = known.get(path)
    if (before !== undefined) return before.folder
    const tree = path === '' ? root : entryOf(await open(parentOf(path)), path, 'tree').sha
    const folder = checkFolder(await fetchTree(tree), path)
    known.set(path, {folder, tree})
    return folder
  }
  const files: WantedFile[] = []
  for (const {path, max_bytes: limit} of config.files)
    files.push(fileOf(entryOf(await open(parentOf(path)), path, 'blob'), path, limit))
  for (const wanted of config.folders) files.push(...filesIn(await open(wanted.path), wanted))
  const folders = [...known].map(([path, {tree, folder}]) => ({path, tree, entries: folder.size}))
  return {files: unique(files), folders}
}

/** Refuses a list that was cut off, that hashes to another id, or whose names are no names. */
function checkFolder(tree: GitTree, path: string): Folder {
  const where = path === '' ? 'the top of the repository' : path
  if (tree.truncated)
    throw new RelError('tree_truncated', `the list of ${where} is cut off: it is too long`)
  const folder = new Map<string, TreeEntry>()
  for (const entry of tree.tree) {
    if (!isName(entry.path) || folder.has(entry.path))
      throw new RelError('tree_path_unsafe', `${where} lists ${shown(entry.path)}`)
    folder.set(entry.path, entry)
  }
  const seen = treeIdOf(tree.tree)
  if (seen === tree.sha) return folder
  throw new RelError('tree_mismatch', `the list of ${where} hashes to ${seen}, want ${tree.sha}`)
}

/** One step of a path: nothing that leads elsewhere, that git reads itself, or that hides. */
function isName(name: string): boolean {
  if (name === '' || name === '.' || name === '..' || name.toLowerCase() === '.git') return false
  return name.length <= 255 && !/[/\\\p{Cc}]/u.test(name)
}

function entryOf(folder: Folder, path: string, type: 'blob' | 'tree'): TreeEntry {
  const entry = folder.get(nameOf(path))
  if (entry === undefined) throw new RelError('asset_missing', `the tree has no ${path}`)
  const isPlain = entry.mode === '100644' || entry.mode === '100755' || entry.mode === '040000'
  if (entry.type === type && isPlain) return entry
  const seen = entry.mode === '120000' ? 'a link' : `a ${entry.type}`
  throw new RelError('tree_path_unsafe', `${path} is ${seen}, want a plain ${type}`)
}

function filesIn(
  folder: Folder,
  {path, suffix, max_files: most, max_bytes: limit}: GitTreeConfig['folders'][number],
): readonly WantedFile[] {
  const names = [...folder.keys()].filter((name) => name.endsWith(suffix))
  if (names.length === 0) throw new RelError('asset_missing', `${path} has no *${suffix}`)
  if (names.length > most)
    throw new RelError('http_too_large', `${path} has ${names.length} *${suffix}, at most ${most}`)
  return names.sort().map((name) => {
    const full = `${path}/${name}`
    return fileOf(entryOf(folder, full, 'blob'), full, limit)
  })
}

function fileOf({sha, size}: TreeEntry, path: string, limit: number): WantedFile {
  if (size === undefined)
    throw new RelError('upstream_answer_malformed', `the tree gives no size of ${path}`)
  if (size <= limit) return {path, blob: sha, size}
  throw new RelError('http_too_large', `${path} has ${size} bytes, at most ${limit} are fetched`)
}

function unique(files: readonly WantedFile[]): readonly WantedFile[] {
  return [...new Map(files.map((file) => [file.path, file])).values()]
}

function parentOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : ''
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 100))
}
