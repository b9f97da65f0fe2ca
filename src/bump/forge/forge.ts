import type {Octokit} from '@octokit/rest'
import type {z} from 'zod'
import {RelError} from '../../system/error.ts'
import type {Http} from '../../system/http.ts'
import {octokitError, openOctokit} from '../../upstream/github-release/octokit.ts'
import type {BumpEvidence} from '../evidence.ts'
import {pullRequestBody} from '../pull-request.ts'
import type {OpenedPullRequest, PullRequests} from '../world.ts'
import {
  labelsSchema,
  type Permissions,
  type Pull,
  pullSchema,
  pullsSchema,
  readAnswer,
  repositorySchema,
} from './answers.ts'
import type {ForgeConfig} from './config.ts'
import {forgeToken} from './forge-token.ts'

/** What the playbook wants on the pull request beside its body. */
export type Wishes = {readonly labels: readonly string[]; readonly reviewers: readonly string[]}

export type ForgeWorld = {
  readonly http: Http
  /** Holds the token; see forgeToken for the names. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Answers come from a recording, which holds no token and needs none. */
  readonly isReplay?: boolean
}

/** App tokens have no role: all is false for them and says nothing. Gitea has no triage. */
function isReadOnly({pull, triage, push}: Permissions): boolean {
  return pull === true && push === false && triage !== true
}

type Label = z.output<typeof labelsSchema>[number]

/** What is read of a list: pull requests until the one of the branch is found, all labels. */
const limits = {pageSize: 50, pages: 40} as const

/**
 * GitHub's REST API, or Gitea's that is made after it. There is one open pull request for a branch:
 * what is open is updated, also when another run opened it in between. Labels and reviewers that
 * the forge refuses are warnings. Refuses with forge_token_missing, forge_unauthorised,
 * forge_not_found, forge_answer_invalid, pull_request_refused, workflow_missing, rate_limited and as Http does.
 */
export function openForge(config: ForgeConfig, wishes: Wishes, world: ForgeWorld): PullRequests {
  return {
    checkAccess: async () => (await sessionOf(config, world)).checkAccess(),
    openOrUpdate: async (evidence) =>
      (await sessionOf(config, world)).openOrUpdate(evidence, wishes),
    dispatch: async (workflow, branch, inputs) => {
      await (await sessionOf(config, world)).dispatch(workflow, branch, inputs)
    },
  }
}

async function sessionOf(config: ForgeConfig, world: ForgeWorld): Promise<Session> {
  const {http, env, isReplay} = world
  const token = isReplay === true ? undefined : forgeToken(config, env)
  return new Session(config, await openOctokit({http, baseUrl: config.api_url, token}))
}

class Session {
  readonly #config: ForgeConfig
  readonly #octokit: Octokit

  constructor(config: ForgeConfig, octokit: Octokit) {
    this.#config = config
    this.#octokit = octokit
  }

  async checkAccess(): Promise<void> {
    const answer = await this.#ask(repositorySchema, 'GET', '')
    if (!isReadOnly(answer.permissions ?? {})) return
    const {repository} = this.#config
    throw new RelError('forge_unauthorised', `the token may only read ${repository}`)
  }

  async openOrUpdate(evidence: BumpEvidence, wishes: Wishes): Promise<OpenedPullRequest> {
    const {subject: title, base} = evidence
    const content = {title, base, body: pullRequestBody(evidence)}
    const known = await this.#find(evidence)
    const made = known === undefined ? await this.#create(evidence, content) : undefined
    // refused: another run may have opened it in between
    const there = known ?? (made instanceof RelError ? await this.#find(evidence) : made)
    if (there === undefined) throw made
    const isNew = there === made
    if (!isNew) await this.#call('PATCH', `pulls/${there.number}`, content)
    const warnings = await this.#decorate(there, wishes)
    return {url: there.html_url, number: there.number, isNew, warnings}
  }

  async dispatch(
    workflow: string,
    ref: string,
    inputs: Readonly<Record<string, string>>,
  ): Promise<void> {
    const path = `actions/workflows/${encodeURIComponent(workflow)}/dispatches`
    try {
      await this.#call('POST', path, {ref, inputs})
    } catch (error) {
      if (!hasCode(error, 'forge_not_found')) throw error
      const {repository} = this.#config
      throw new RelError('workflow_missing', `${repository} has no workflow ${workflow}`, {
        cause: error,
      })
    }
  }

  /** The open one of the branch: into the base if there are several. */
  async #find({branch, base}: BumpEvidence): Promise<Pull | undefined> {
    const found: Pull[] = []
    for (let page = 1; page <= limits.pages; page++) {
      const pulls = await this.#ask(pullsSchema, 'GET', `pulls?${this.#query(branch, page)}`)
      found.push(...pulls.filter((pull) => this.#isOf(pull, branch)))
      if (pulls.length === 0 || found.length > 0) break
    }
    return found.find((pull) => pull.base.ref === base) ?? found[0]
  }

  #query(branch: string, page: number): URLSearchParams {
    const {kind, repository} = this.#config
    const own: Record<string, string> =
      kind === 'gitea'
        ? {limit: String(limits.pageSize)}
        : {head: `${repository.split('/')[0]}:${branch}`, per_page: String(limits.pageSize)}
    return new URLSearchParams({state: 'open', ...own, page: String(page)})
  }

  /** A fork may have a branch of the same name. */
  #isOf({head}: Pull, branch: string): boolean {
    const from = head.repo?.full_name ?? ''
    return head.ref === branch && from.toLowerCase() === this.#config.repository.toLowerCase()
  }

  /** The pull request, or the refusal that may mean that there is one already. */
  async #create({branch}: BumpEvidence, content: object): Promise<Pull | RelError> {
    try {
      return await this.#ask(pullSchema, 'POST', 'pulls', {...content, head: branch})
    } catch (error) {
      if (hasCode(error, 'pull_request_refused')) return error
      throw error
    }
  }

  async #decorate(pull: Pull, {labels, reviewers}: Wishes): Promise<readonly string[]> {
    const author = pull.user?.login.toLowerCase()
    const others = reviewers.filter((name) => name.toLowerCase() !== author)
    return [
      ...(others.length === reviewers.length
        ? []
        : ['the author of a pull request cannot review it']),
      ...(await this.#optional('labels', labels, () => this.#label(pull, labels))),
      ...(await this.#optional('reviewers', others, async () => {
        await this.#call('POST', `pulls/${pull.number}/requested_reviewers`, {reviewers: others})
        return []
      })),
    ]
  }

  /** What the pull request is good without. */
  async #optional(
    what: string,
    names: readonly string[],
    work: () => Promise<readonly string[]>,
  ): Promise<readonly string[]> {
    if (names.length === 0) return []
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof RelError)) throw error
      return [`${what} ${names.join(', ')} were not set: ${error.message}`]
    }
  }

  async #label({number}: Pull, names: readonly string[]): Promise<readonly string[]> {
    if (this.#config.kind === 'github') {
      await this.#call('POST', `issues/${number}/labels`, {labels: names}) // makes unknown ones
      return []
    }
    // Gitea before 1.22 takes ids only, and has no labels but those that somebody made
    const known = await this.#giteaLabels()
    const labels = known.filter(({name}) => names.includes(name)).map(({id}) => id)
    if (labels.length > 0) await this.#call('POST', `issues/${number}/labels`, {labels})
    const missing = names.filter((name) => !known.some((label) => label.name === name))
    return missing.map((name) => `there is no label ${name}`)
  }

  async #giteaLabels(): Promise<readonly Label[]> {
    const known: Label[] = []
    for (let page = 1; page <= limits.pages; page++) {
      const path = `labels?limit=${limits.pageSize}&page=${page}`
      const labels = await this.#ask(labelsSchema, 'GET', path)
      known.push(...labels)
      if (labels.length === 0) break
    }
    return known
  }

  /** A call whose answer is used. */
  async #ask<T>(schema: z.ZodType<T>, method: string, path: string, body?: object): Promise<T> {
    const what = `${method} ${path.split('?')[0] || 'repository'} of ${this.#config.repository}`
    return readAnswer(schema, await this.#call(method, path, body), what)
  }

  async #call(method: string, path: string, body: object = {}): Promise<unknown> {
    const {repository} = this.#config
    const [owner = '', repo = ''] = repository.split('/')
    try {
      const route = `${method} /repos/{owner}/{repo}${path === '' ? '' : `/${path}`}`
      const {data} = await this.#octokit.request(route, {owner, repo, ...body})
      return data
    } catch (error) {
      throw forgeRefusal(
        octokitError(error, `${method} ${path.split('?')[0] || 'repository'} of ${repository}`),
      )
    }
  }
}

/** A refusal of HTTP in the words of a forge. */
function forgeRefusal(error: RelError): RelError {
  const codes = {
    http_unauthorised: 'forge_unauthorised',
    http_not_found: 'forge_not_found',
    http_refused: 'pull_request_refused',
  } as const
  const code = Object.entries(codes).find(([from]) => from === error.code)?.[1]
  return code === undefined ? error : new RelError(code, error.message, {cause: error})
}

function hasCode(error: unknown, code: RelError['code']): error is RelError {
  return error instanceof RelError && error.code === code
}
