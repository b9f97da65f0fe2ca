import {execFileSync} from 'node:child_process'
import {type Answer, type Call, notFound, type Route} from './exchange.ts'

/** Bare git folders by the name of the repository that they are the objects of. */
export type GitFolders = Readonly<Record<string, string>>

/**
 * Tags, commits, trees and raw files of a real git repository, as GitHub answers them: git itself
 * computes every id. `change` may forge what is said of a tree before it is sent.
 */
export function gitObjectsRoute(
  folders: GitFolders,
  apiUrl: () => string,
  change: (tree: TreeAnswer, id: string) => TreeAnswer,
): Route {
  return (call) => {
    const [, name = '', what = '', rest = ''] =
      /^\/repos\/([^/]+\/[^/]+)\/git\/(ref|matching-refs|tags|commits|trees)\/(.+)$/.exec(
        call.path,
      ) ?? []
    const folder = folders[name]
    if (folder === undefined || call.method !== 'GET') return undefined
    const git = gitIn(folder)
    const url = `${apiUrl()}/repos/${name}/git`
    const id = decodeURIComponent(rest)
    try {
      if (what === 'ref') return refAnswer(git, url, id)
      if (what === 'matching-refs') return refsAnswer(git, url, id)
      if (what === 'tags') return tagAnswer(git, url, id)
      if (what === 'commits') return commitAnswer(git, url, id)
      return treeAnswer(git, url, id, change)
    } catch {
      return notFound()
    }
  }
}

/** `/raw/OWNER/NAME/COMMIT/PATH`: the bytes of a file, as raw.githubusercontent.com gives them. */
export function rawFile(folders: GitFolders, call: Call): Answer | undefined {
  const [, name = '', commit, path] =
    /^\/raw\/([^/]+\/[^/]+)\/([0-9a-f]{40})\/(.+)$/.exec(call.path) ?? []
  const folder = folders[name]
  if (folder === undefined) return undefined
  try {
    const body = execFileSync('git', ['cat-file', 'blob', `${commit}:${path}`], {
      cwd: folder,
      maxBuffer: 64 << 20,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return {status: 200, headers: {'content-type': 'application/octet-stream'}, body}
  } catch {
    return {status: 404, headers: {'content-type': 'text/plain'}, body: '404: Not Found'}
  }
}

type Git = (...args: readonly string[]) => string

function gitIn(cwd: string): Git {
  return (...args) =>
    execFileSync('git', [...args], {cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore']})
}

function refOf(git: Git, url: string, ref: string): object {
  const sha = git('rev-parse', '--verify', '--quiet', ref).trim()
  const type = git('cat-file', '-t', sha).trim()
  return {
    ref,
    node_id: 'R',
    url: `${url}/${ref}`,
    object: {sha, type, url: `${url}/${type}s/${sha}`},
  }
}

function refAnswer(git: Git, url: string, name: string): Answer {
  return {status: 200, body: refOf(git, url, `refs/${name}`)}
}

function refsAnswer(git: Git, url: string, prefix: string): Answer {
  const refs = git('for-each-ref', '--format=%(refname)').split('\n')
  const body = refs
    .filter((ref) => ref.startsWith(`refs/${prefix}`))
    .map((ref) => refOf(git, url, ref))
  return {status: 200, body}
}

const unsigned = {verified: false, reason: 'unsigned', signature: null, payload: null}

function tagAnswer(git: Git, url: string, id: string): Answer {
  const text = git('cat-file', 'tag', id)
  const [, sha = ''] = /^object ([0-9a-f]{40})$/m.exec(text) ?? []
  const [, tag = ''] = /^tag (.+)$/m.exec(text) ?? []
  const body = {
    node_id: 'T',
    tag,
    sha: id,
    url: `${url}/tags/${id}`,
    message: text.slice(text.indexOf('\n\n') + 2),
    tagger: {name: 'maker', email: 'maker@example.com', date: '2024-04-24T10:00:00Z'},
    object: {sha, type: 'commit', url: `${url}/commits/${sha}`},
    verification: {...unsigned, verified_at: null},
  }
  return {status: 200, body}
}

function commitAnswer(git: Git, url: string, id: string): Answer {
  const [sha = '', tree = '', seconds = '0', ...message] = git(
    'log',
    '-1',
    '--format=%H%n%T%n%ct%n%B',
    `${id}^{commit}`,
  ).split('\n')
  const date = new Date(Number(seconds) * 1000).toISOString().replace('.000', '')
  const who = {name: 'maker', email: 'maker@example.com', date}
  const body = {
    sha,
    node_id: 'C',
    url: `${url}/commits/${sha}`,
    html_url: `${url}/commits/${sha}`,
    author: who,
    committer: who,
    message: message.join('\n').trimEnd(),
    tree: {sha: tree, url: `${url}/trees/${tree}`},
    parents: [],
    verification: {...unsigned, verified_at: null},
  }
  return {status: 200, body}
}

/** As in GitHub's description; entries may be changed by tests. */
export type TreeAnswer = {
  readonly sha: string
  readonly url: string
  readonly truncated: boolean
  readonly tree: readonly TreeAnswerEntry[]
}

export type TreeAnswerEntry = {
  readonly path: string
  readonly mode: string
  readonly type: string
  readonly sha: string
  readonly size?: number
  readonly url?: string
}

function treeAnswer(
  git: Git,
  url: string,
  id: string,
  change: (tree: TreeAnswer, id: string) => TreeAnswer,
): Answer {
  if (git('cat-file', '-t', id).trim() !== 'tree') return notFound()
  const lines = git('ls-tree', '-z', '--long', id).split('\0')
  const tree = lines.flatMap((line) => {
    const [, mode = '', type = '', sha = '', size = '', path = ''] =
      /^(\d+) (\w+) ([0-9a-f]{40}) +(\d+|-)\t(.*)$/s.exec(line) ?? []
    if (sha === '') return []
    const entry = {path, mode, type, sha, url: `${url}/${type}s/${sha}`}
    return [size === '-' ? entry : {...entry, size: Number(size)}]
  })
  return {
    status: 200,
    body: change({sha: id, url: `${url}/trees/${id}`, truncated: false, tree}, id),
  }
}
