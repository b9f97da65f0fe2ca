import {execFileSync} from 'node:child_process'
import {type Answer, type Call, jsonOf, type Route, validationFailed} from './exchange.ts'

export type PullWorld = {
  /** The bare git folder behind a repository, when it is a real one. */
  readonly gitFolder: (repository: string) => string | undefined
  readonly forward: (call: Call) => Promise<Answer>
}

type Pull = {
  readonly number: number
  readonly user: {readonly login: string}
  readonly head: {ref: string; sha: string}
  readonly base: {ref: string; sha: string}
  commits: number
  additions: number
  deletions: number
  changed_files: number
}

/**
 * What emulate 0.12.2 gets wrong about pull requests: a second one for the same branches is 422,
 * so is a branch that was never pushed and the author as reviewer; files and counts are those of
 * the real repository.
 */
export function pullRoute(world: PullWorld): Route {
  return async (call) => {
    const [, repository = '', number, rest = ''] =
      /^\/repos\/([^/]+\/[^/]+)\/pulls(?:\/(\d+))?(?:\/(\w+))?$/.exec(call.path) ?? []
    if (repository === '') return undefined
    const folder = world.gitFolder(repository)
    if (call.method === 'POST' && number === undefined)
      return refusedPull(call, repository, folder, world).then(
        async (refused) => refused ?? corrected(await world.forward(call), folder),
      )
    if (call.method === 'GET' && rest === 'files' && folder !== undefined)
      return files(call, repository, Number(number), folder, world)
    if (call.method === 'POST' && rest === 'requested_reviewers')
      return reviewers(call, repository, Number(number), world)
    return corrected(await world.forward(call), folder)
  }
}

async function refusedPull(
  call: Call,
  repository: string,
  folder: string | undefined,
  world: PullWorld,
): Promise<Answer | undefined> {
  const {head, base} = jsonOf(call) as {head: string; base: string}
  const [owner] = repository.split('/')
  const branch = head.replace(/^[^:]+:/, '')
  for (const [field, name] of [
    ['head', branch],
    ['base', base],
  ] as const)
    if (folder !== undefined && shaOf(folder, name) === undefined)
      return validationFailed('PullRequest', field, 'invalid')
  if (folder !== undefined && shaOf(folder, branch) === shaOf(folder, base))
    return validationFailed('PullRequest', '', 'custom', `No commits between ${base} and ${branch}`)
  const query = new URLSearchParams({state: 'open', head: `${owner}:${branch}`, base})
  const open = await world.forward({...call, method: 'GET', query, body: Buffer.alloc(0)})
  if (!Array.isArray(open.body) || open.body.length === 0) return undefined
  const message = `A pull request already exists for ${owner}:${branch}.`
  return validationFailed('PullRequest', '', 'custom', message)
}

/** Commit ids and counts as git has them. */
function corrected(answer: Answer, folder: string | undefined): Answer {
  if (folder === undefined || answer.status >= 300 || typeof answer.body !== 'object') return answer
  if (Array.isArray(answer.body))
    return {...answer, body: answer.body.map((pull: Pull) => withIds(pull, folder))}
  const pull = withIds(answer.body as Pull, folder)
  const changes = changesOf(folder, pull)
  return {
    ...answer,
    body: {
      ...pull,
      commits: Number(git(folder, 'rev-list', '--count', `${pull.base.sha}..${pull.head.sha}`)),
      changed_files: changes.length,
      additions: changes.reduce((sum, {additions}) => sum + additions, 0),
      deletions: changes.reduce((sum, {deletions}) => sum + deletions, 0),
    },
  }
}

function withIds(pull: Pull, folder: string): Pull {
  const idOf = (end: {ref: string; sha: string}) => ({
    ...end,
    sha: shaOf(folder, end.ref) ?? end.sha,
  })
  return {...pull, head: idOf(pull.head), base: idOf(pull.base)}
}

async function files(
  call: Call,
  repository: string,
  number: number,
  folder: string,
  world: PullWorld,
): Promise<Answer> {
  const path = `/repos/${repository}/pulls/${number}`
  const answer = await world.forward({...call, path, query: new URLSearchParams()})
  if (answer.status !== 200) return answer
  const pull = withIds(answer.body as Pull, folder)
  const web = `https://github.invalid/${repository}`
  const body = changesOf(folder, pull).map((change) => ({
    sha: blobOf(folder, pull.head.sha, change.filename),
    ...change,
    changes: change.additions + change.deletions,
    blob_url: `${web}/blob/${pull.head.sha}/${change.filename}`,
    raw_url: `${web}/raw/${pull.head.sha}/${change.filename}`,
    contents_url: `${web}/contents/${change.filename}?ref=${pull.head.sha}`,
    patch: git(folder, 'diff', `${pull.base.sha}...${pull.head.sha}`, '--', change.filename),
  }))
  return {status: 200, body}
}

async function reviewers(
  call: Call,
  repository: string,
  number: number,
  world: PullWorld,
): Promise<Answer> {
  const path = `/repos/${repository}/pulls/${number}`
  const pull = await world.forward({...call, method: 'GET', path, body: Buffer.alloc(0)})
  const wanted = (jsonOf(call).reviewers ?? []) as readonly string[]
  if (pull.status === 200 && wanted.includes((pull.body as Pull).user.login))
    return {
      status: 422,
      body: {
        message: 'Review cannot be requested from pull request author.',
        documentation_url: 'https://docs.github.com/rest',
      },
    }
  const answer = await world.forward(call)
  return answer.status === 200 ? {...answer, status: 201} : answer
}

type Change = {
  readonly filename: string
  readonly status: 'added' | 'removed' | 'modified'
  readonly additions: number
  readonly deletions: number
}

function changesOf(folder: string, pull: Pull): readonly Change[] {
  const range = `${pull.base.sha}...${pull.head.sha}`
  const kinds = new Map(
    lines(git(folder, 'diff', '--no-renames', '--name-status', range)).map((line) => {
      const [kind = '', name = ''] = line.split('\t')
      return [name, kind]
    }),
  )
  return lines(git(folder, 'diff', '--no-renames', '--numstat', range)).map((line) => {
    const [added, deleted, filename = ''] = line.split('\t')
    const kind = kinds.get(filename)
    const status = kind === 'A' ? 'added' : kind === 'D' ? 'removed' : 'modified'
    return {filename, status, additions: Number(added) || 0, deletions: Number(deleted) || 0}
  })
}

function blobOf(folder: string, commit: string, path: string): string | null {
  const [, , id] = git(folder, 'ls-tree', commit, '--', path).split(/\s+/)
  return id ?? null
}

function shaOf(folder: string, branch: string): string | undefined {
  try {
    return git(folder, 'rev-parse', '--verify', '--quiet', `refs/heads/${branch}`).trim()
  } catch {
    return undefined
  }
}

function git(folder: string, ...args: readonly string[]): string {
  const env = {PATH: process.env.PATH ?? '', GIT_CONFIG_GLOBAL: '/dev/null', HOME: '/nonexistent'}
  return execFileSync('git', ['-C', folder, '-c', 'safe.directory=*', ...args], {
    encoding: 'utf8',
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '')
}
