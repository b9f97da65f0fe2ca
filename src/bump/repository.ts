import {existsSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {RelError} from '../system/error.ts'
import {type Git, gitFailure} from '../system/git.ts'
import {MAX_PIN_FILE_BYTES} from './pins/find-pin.ts'
import type {Files} from './plan.ts'
import type {Playbook} from './playbook.ts'

/** Where a bump starts from. */
export type Base = {
  readonly branch: string
  /** Commit and tree, hex digits. */
  readonly commit: string
  readonly tree: string
  readonly warnings: readonly string[]
}

const ZERO = '0'.repeat(40)
/** Dirty files that a message names. */
const MAX_NAMED = 5

/**
 * That the work tree is clean, on the playbook's base branch, by somebody. Refuses with
 * head_detached, branch_wrong, tree_dirty, git_identity_missing.
 */
export async function loadBase(git: Git, {change, item}: Playbook): Promise<Base> {
  const head = await git.run(['symbolic-ref', '--quiet', '--short', 'HEAD'])
  if (head.exitCode !== 0)
    throw new RelError('head_detached', `HEAD is on no branch, a bump starts from ${change.base}`, {
      hint: `git switch ${change.base}`,
    })
  const branch = head.stdout.toString('utf8').trim()
  if (branch !== change.base)
    throw new RelError(
      'branch_wrong',
      `HEAD is on ${branch}, ${item} is bumped on ${change.base}`,
      {
        hint: `git switch ${change.base}`,
      },
    )
  await checkClean(git)
  const commit = await headCommit(git)
  const {exitCode} = await git.run(['var', 'GIT_COMMITTER_IDENT'])
  if (exitCode !== 0)
    throw new RelError('git_identity_missing', 'git does not know who commits', {
      hint: 'git config user.email YOU@EXAMPLE.COM && git config user.name YOU',
    })
  const tree = await git.text(['rev-parse', `${commit}^{tree}`])
  return {branch, commit, tree, warnings: await distanceWarnings(git, change.remote, branch)}
}

async function checkClean(git: Git): Promise<void> {
  const status = await git.text(['status', '--porcelain=v1', '-z', '--untracked-files=normal'])
  const dirty = status.split('\0').filter((entry) => entry !== '')
  if (dirty.length === 0) return
  const named = dirty.slice(0, MAX_NAMED).map((entry) => entry.slice(3))
  const more = dirty.length > MAX_NAMED ? ` and ${dirty.length - MAX_NAMED} more` : ''
  throw new RelError('tree_dirty', `the work tree has changes: ${named.join(', ')}${more}`, {
    hint: 'Commit, stash or ignore them first.',
    details: {files: named},
  })
}

async function distanceWarnings(git: Git, remote: string, branch: string): Promise<string[]> {
  const upstream = `refs/remotes/${remote}/${branch}`
  const range = ['rev-list', '--left-right', '--count', `${upstream}...HEAD`]
  const {exitCode, stdout} = await git.run(range)
  if (exitCode !== 0) return []
  const [behind = 0, ahead = 0] = stdout.toString('utf8').trim().split(/\s+/).map(Number)
  return [
    ...(behind > 0 ? [`${branch} is ${commits(behind)} behind ${remote}/${branch}`] : []),
    ...(ahead > 0 ? [`${branch} has ${commits(ahead)} that ${remote}/${branch} has not`] : []),
  ]
}

function commits(count: number): string {
  return count === 1 ? '1 commit' : `${count} commits`
}

/** `size` is NaN for what is no file. */
type Entry = {
  readonly mode: string
  readonly id: string
  readonly size: number
  readonly path: string
}

/**
 * The commit that HEAD is at. Refuses with git_no_commit a repository in which nobody committed yet.
 */
export async function headCommit(git: Git): Promise<string> {
  const {exitCode, stdout} = await git.run(['rev-parse', '--verify', '--quiet', 'HEAD^{commit}'])
  if (exitCode === 0) return stdout.toString('utf8').trim()
  throw new RelError('git_no_commit', `${git.root} has no commit yet, and pins are read from one`)
}

async function entriesAt(git: Git, tree: string, paths: readonly string[]): Promise<Entry[]> {
  if (paths.length === 0) return []
  const text = await git.text(['ls-tree', '-z', '--long', '--full-tree', tree, '--', ...paths])
  return text
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => {
      const [meta = '', path = ''] = line.split('\t')
      const [mode = '', , id = '', size] = meta.split(/ +/)
      return {mode, id, size: Number(size), path}
    })
}

/**
 * The regular files among these paths of a commit or tree, as git keeps them: no filter, no line
 * end conversion. Absent files are left out. Refuses with pin_unsupported a link or a submodule.
 */
export async function filesAt(git: Git, tree: string, paths: readonly string[]): Promise<Files> {
  const entries = await entriesAt(git, tree, [...new Set(paths)])
  for (const {mode, size, path} of entries) {
    if (!mode.startsWith('100'))
      throw new RelError('pin_unsupported', `${path} is no regular file in git`)
    if (size > MAX_PIN_FILE_BYTES)
      throw new RelError('file_too_large', `${path} is larger than ${MAX_PIN_FILE_BYTES} bytes`)
  }
  const files = new Map<string, Uint8Array>()
  for (const batch of batchesOf(entries)) {
    const contents = await readBlobs(git, batch)
    for (const [index, {path}] of batch.entries())
      files.set(path, contents[index] ?? new Uint8Array())
  }
  return files
}

/** Bytes that one call of git is asked for, unless one file alone has more. */
const MAX_BATCH_BYTES = 8 * 1024 * 1024

function batchesOf(entries: readonly Entry[]): readonly Entry[][] {
  const batches: Entry[][] = []
  let bytes = 0
  for (const entry of entries) {
    bytes += entry.size
    if (batches.length === 0 || bytes > MAX_BATCH_BYTES) {
      batches.push([])
      bytes = entry.size
    }
    batches.at(-1)?.push(entry)
  }
  return batches
}

/** The bytes of blobs in their order, by one process; git-cat-file(1), BATCH OUTPUT. */
async function readBlobs(git: Git, entries: readonly Entry[]): Promise<Uint8Array[]> {
  const input = Buffer.from(entries.map(({id}) => `${id}\n`).join(''))
  const {exitCode, stdout, stderr} = await git.run(['cat-file', '--batch'], {input})
  if (exitCode !== 0) throw gitFailure('git_failed', 'cat-file', stderr)
  let at = 0
  return entries.map(({id, size}) => {
    const head = `${id} blob ${size}\n`
    const start = at + head.length
    if (stdout.toString('latin1', at, start) !== head || stdout.length <= start + size)
      throw gitFailure('git_failed', 'cat-file', `no blob ${id}`)
    at = start + size + 1
    return stdout.subarray(start, start + size)
  })
}

/**
 * A tree that differs from another in these files, byte for byte, made in an index of its own: the
 * person's index and work tree are not looked at. Refuses with git_failed and disk_full.
 */
export async function writeTree(
  git: Git,
  {from, files, index}: {from: string; files: Files; index: string},
): Promise<string> {
  const env = {GIT_INDEX_FILE: index}
  const modes = new Map(
    (await entriesAt(git, from, [...files.keys()])).map((it) => [it.path, it.mode]),
  )
  await git.text(['read-tree', from], {env})
  const lines: string[] = []
  for (const [path, bytes] of files) {
    const id = await git.text(['hash-object', '-w', '--stdin'], {input: bytes})
    lines.push(`${modes.get(path) ?? '100644'} ${id}\t${path}\0`)
  }
  const input = Buffer.from(lines.join(''))
  await git.text(['update-index', '--add', '-z', '--index-info'], {env, input})
  return git.text(['write-tree'], {env})
}

/** Those of the paths that git tracks in a tree. */
export async function trackedIn(
  git: Git,
  tree: string,
  paths: readonly string[],
): Promise<string[]> {
  return (await entriesAt(git, tree, paths)).map(({path}) => path)
}

/** What a remote-tracking branch is at, or undefined. */
export async function remoteBase(
  git: Git,
  remote: string,
  branch: string,
): Promise<string | undefined> {
  const name = `refs/remotes/${remote}/${branch}`
  const {exitCode, stdout} = await git.run(['rev-parse', '--verify', '--quiet', `${name}^{commit}`])
  return exitCode === 0 ? stdout.toString('utf8').trim() : undefined
}

/** A clean checkout of a tree in a work tree of its own; `commit` is what its HEAD is at. */
export async function addWorkTree(
  git: Git,
  folder: string,
  {commit, tree}: {readonly commit: string; readonly tree: string},
): Promise<Git> {
  await removeWorkTree(git, folder)
  await git.text(['worktree', 'add', '--detach', '--no-checkout', '--quiet', folder, commit])
  const inside = git.at(folder)
  await inside.text(['read-tree', '--reset', '-u', tree])
  return inside
}

/** Removes a work tree that addWorkTree made, or what is left of one; nothing when there is none. */
export async function removeWorkTree(git: Git, folder: string): Promise<void> {
  if (existsSync(folder)) {
    await git.run(['worktree', 'remove', '--force', '--force', folder])
    rmSync(folder, {recursive: true, force: true})
  }
  // git removes this folder with the last work tree beside the first one
  if (existsSync(join(git.commonDir, 'worktrees'))) await git.run(['worktree', 'prune'])
}

/** A commit of a tree, at a time and without hooks; signed where the person's git signs commits. */
export async function commitTree(
  git: Git,
  {tree, parent, message, now}: {tree: string; parent: string; message: string; now: number},
  {isSigned}: {readonly isSigned: boolean},
): Promise<string> {
  const date = `${now} +0000`
  const wants = isSigned && (await git.run(['config', '--type=bool', 'commit.gpgsign']))
  const sign = wants !== false && wants.stdout.toString('utf8').trim() === 'true' ? ['-S'] : []
  return git.text(['commit-tree', ...sign, '-p', parent, '-F', '-', tree], {
    input: Buffer.from(message),
    env: {GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date},
  })
}

/** The commit that a local branch or tag is at, or undefined. */
export async function refAt(git: Git, ref: string): Promise<string | undefined> {
  const {exitCode, stdout} = await git.run(['rev-parse', '--verify', '--quiet', `${ref}^{commit}`])
  return exitCode === 0 ? stdout.toString('utf8').trim() : undefined
}

/** Sets a ref if it still is what was seen: undefined for absent. Refuses with branch_taken. */
export async function moveRef(
  git: Git,
  ref: string,
  {from, to}: {readonly from: string | undefined; readonly to: string},
): Promise<void> {
  const {exitCode, stderr} = await git.run(['update-ref', ref, to, from ?? ZERO])
  if (exitCode !== 0) throw gitFailure('branch_taken', 'update-ref', stderr)
}

/** Removes a ref if it still is at a commit; says whether it did. */
export async function removeRef(git: Git, ref: string, at: string): Promise<boolean> {
  const {exitCode} = await git.run(['update-ref', '-d', ref, at])
  return exitCode === 0
}
