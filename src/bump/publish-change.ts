import {RelError} from '../system/error.ts'
import {type Git, gitFailure} from '../system/git.ts'
import {isBumpSubject} from './change-text.ts'
import {moveRef, refAt} from './repository.ts'

/** The branch of a bump, and what it goes into. */
export type BranchName = {readonly item: string; readonly base: string; readonly branch: string}
export type Publication = BranchName & {readonly commit: string}

/**
 * That a local branch is free, or holds nothing but an earlier bump of the item, which may be
 * replaced. Refuses with branch_taken.
 */
export async function checkBranch(git: Git, name: BranchName): Promise<void> {
  const ref = `refs/heads/${name.branch}`
  const at = await refAt(git, ref)
  if (at === undefined) return
  const trees = await git.text(['worktree', 'list', '--porcelain', '-z'])
  if (trees.split('\0').includes(`branch ${ref}`))
    throw new RelError('branch_taken', `${name.branch} is checked out`)
  if (!(await isOwn(git, at, name))) throw taken(name.branch, 'here')
}

/** Puts the branch at the commit if it still is at `before`. Refuses with branch_taken. */
export async function placeBranch(
  git: Git,
  {branch, commit}: Publication,
  before: string | undefined,
): Promise<void> {
  const ref = `refs/heads/${branch}`
  if ((await refAt(git, ref)) !== commit) await moveRef(git, ref, {from: before, to: commit})
}

/**
 * At most one commit away from the base, and a bump of the item by its subject. A branch with
 * nothing of its own is one of a merged bump only when it ends with that: else it is a line of the
 * repository that the base has gone beyond, such as production.
 */
async function isOwn(git: Git, commit: string, {base, branch, item}: BranchName): Promise<boolean> {
  if (branch === base) return false
  const count = ['rev-list', '--count', `refs/heads/${base}..${commit}`, '--']
  const {exitCode, stdout} = await git.run(count)
  if (exitCode !== 0 || Number(stdout.toString('utf8')) > 1) return false
  return isBumpSubject(await git.text(['log', '-1', '--format=%s', commit, '--']), item)
}

function taken(branch: string, where: string): RelError {
  return new RelError('branch_taken', `${branch} ${where} has commits that are no bump of the item`)
}

/** True when a remote of this name is configured. */
export async function hasRemote(git: Git, remote: string): Promise<boolean> {
  return (await git.run(['remote', 'get-url', '--', remote])).exitCode === 0
}

/**
 * That a remote is the repository (owner/name) in which a playbook wants its pull request: the
 * token is for that one, and a playbook must not have it used on another. An address without a
 * host, such as a folder, says nothing. Refuses with forge_repository_mismatch.
 */
export async function checkRemoteIs(git: Git, remote: string, repository: string): Promise<void> {
  const urls = await git.text(['remote', 'get-url', '--push', '--all', '--', remote])
  const paths = urls.split('\n').flatMap((url) => pathOnHost(url) ?? [])
  const wanted = `/${repository}`.toLowerCase()
  if (paths.every((path) => `/${path}`.toLowerCase().endsWith(wanted))) return
  const seen = paths.map((path) => JSON.stringify(path.slice(0, 200))).join(', ')
  throw new RelError('forge_repository_mismatch', `${remote} is ${seen}, want ${repository}`)
}

/** owner/name of `https://host/owner/name.git` and `git@host:owner/name`; undefined without a host. */
function pathOnHost(url: string): string | undefined {
  const [, path] =
    /^(?:https?|ssh|git):\/\/[^/]+\/+(.*)$/.exec(url) ??
    /^(?![./~])[^/:]+:(?!\/\/)(.*)$/.exec(url) ??
    []
  return path?.replace(/\/+$/, '').replace(/\.git$/, '')
}

/**
 * Pushes the commit to the branch on the remote, and replaces there only what it has seen: nothing,
 * or an earlier bump of the item. Refuses with branch_taken, push_refused, push_failed.
 */
export async function pushBranch(git: Git, remote: string, change: Publication): Promise<void> {
  const {branch, commit} = change
  const ref = `refs/heads/${branch}`
  const seen = await remoteAt(git, remote, ref)
  if (seen === commit) return
  if (seen !== '') {
    await git.text(['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--', remote, seen], {
      code: 'push_failed',
    })
    if (!(await isOwn(git, seen, change))) throw taken(branch, `on ${remote}`)
  }
  await push(git, remote, `${commit}:${ref}`, [`--force-with-lease=${ref}:${seen}`])
}

/** Pushes a tag, which is never moved. Refuses with tag_taken, push_refused, push_failed. */
export async function pushTag(
  git: Git,
  remote: string,
  tag: string,
  commit: string,
): Promise<void> {
  const ref = `refs/tags/${tag}`
  const seen = await remoteAt(git, remote, ref)
  if (seen !== '' && seen !== commit)
    throw new RelError('tag_taken', `${remote} has a tag ${tag} on another commit`)
  if (seen === '') await push(git, remote, `${ref}:${ref}`, [])
}

async function remoteAt(git: Git, remote: string, ref: string): Promise<string> {
  const text = await git.text(['ls-remote', '--', remote, ref], {code: 'push_failed'})
  return text.split('\t')[0] ?? ''
}

async function push(
  git: Git,
  remote: string,
  refspec: string,
  more: readonly string[],
): Promise<void> {
  const args = ['push', '--porcelain', '--no-verify', ...more, '--', remote, refspec]
  const {exitCode, stdout, stderr} = await git.run(args, {timeoutSecs: 600})
  if (exitCode === 0) return
  const [ref = ''] = refspec.split(':').slice(-1)
  // git-push(1), OUTPUT: a line "!" TAB from:to TAB summary for each ref that was refused
  const [, , summary = ''] =
    stdout
      .toString('utf8')
      .match(/^!\t.*$/m)?.[0]
      .split('\t') ?? []
  if (!summary.startsWith('[remote rejected]') && !summary.startsWith('[rejected]'))
    throw gitFailure('push_failed', 'push', stderr)
  if (isProtected(`${summary}\n${stderr}`))
    throw new RelError('branch_protected', `${remote} protects ${ref}: ${summary}`)
  throw new RelError('push_refused', `${remote} refused ${ref}: ${summary}`)
}

/**
 * git has one word for every refusal of a server; what it quotes of GitHub ("protected branch hook
 * declined", GH006, GH013), Gitea and GitLab ("protected branch") tells this one apart.
 */
function isProtected(said: string): boolean {
  return /\bprotected branch|\bbranch \S+ is protected|\bGH006\b|\bGH013\b/i.test(said)
}

/**
 * That nothing has the tag's name yet, or that the tag is on `commit`: then it stays where it is.
 * Refuses with tag_taken.
 */
export async function checkTag(git: Git, tag: string, commit: string | undefined): Promise<void> {
  const at = await refAt(git, `refs/tags/${tag}`)
  if (at === undefined || at === commit) return
  throw new RelError('tag_taken', `tag ${tag} is on another commit, ${at.slice(0, 12)}`)
}

/** An earlier run of the same bump: what the branch is at, and when it was made. */
export type EarlierBump = {readonly commit: string; readonly madeAt: number}

/**
 * The bump that an earlier run left on the branch, here or as the remote was seen last, if it is
 * the only commit on this base: made at the same time, the same change is the same commit again.
 * `now` is in seconds since the epoch.
 */
export async function earlierBump(
  git: Git,
  remote: string,
  name: BranchName,
  now: number,
): Promise<EarlierBump | undefined> {
  const base = await refAt(git, `refs/heads/${name.base}`)
  const here = await refAt(git, `refs/heads/${name.branch}`)
  const commit = here ?? (await refAt(git, `refs/remotes/${remote}/${name.branch}`))
  if (commit === undefined || !(await isOwn(git, commit, name))) return undefined
  const [parents = '', at = ''] = (await git.text(['log', '-1', '--format=%P%n%ct', commit])).split(
    '\n',
  )
  // whoever pushed it chose its date: one of the future would have waivers stand for ever
  const isPlausible = parents === base && Number(at) <= now
  return isPlausible ? {commit, madeAt: Number(at)} : undefined
}

/** Sets a tag. Refuses with tag_taken what is on another commit. */
export async function placeTag(git: Git, tag: string, commit: string): Promise<void> {
  await checkTag(git, tag, commit)
  if ((await refAt(git, `refs/tags/${tag}`)) === commit) return
  await moveRef(git, `refs/tags/${tag}`, {from: undefined, to: commit})
}
