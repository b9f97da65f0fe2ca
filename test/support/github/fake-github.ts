import {createHash} from 'node:crypto'
import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import type {AddressInfo} from 'node:net'
import {createEmulator, type Emulator} from 'emulate'
import {completed} from './completions.ts'
import {githubContract} from './contract.ts'
import {type Answer, type Call, notFound, type Route} from './exchange.ts'
import {gitObjectsRoute, rawFile, type TreeAnswer} from './git-objects.ts'
import {pullRoute} from './pull-rules.ts'
import {type ReleaseSeed, ReleaseStore} from './release-store.ts'
import {type Dispatch, workflowRoute} from './workflow-runs.ts'

export type FakeRepository = {
  /** Such as traefik/traefik; the owner is made as a user. */
  readonly name: string
  /** main when not given. */
  readonly defaultBranch?: string
  /** A bare git folder: pull requests then show its branches, commits and files. */
  readonly gitFolder?: string
  /** A bare git folder whose tags, commits, trees and raw files are answered instead of `files`. */
  readonly objectsFolder?: string
  /** Names of workflow files that can be dispatched. */
  readonly workflows?: readonly string[]
  /** Files of the first commit; tags point at that commit. */
  readonly files?: Readonly<Record<string, string>>
  /** Tags made at the start. An annotated one has a tag object of its own. */
  readonly tags?: readonly (string | {readonly name: string; readonly annotated: true})[]
  readonly releases?: readonly ReleaseSeed[]
}

export type FakeGitHubOptions = {
  readonly repositories?: readonly FakeRepository[]
  /** Token to login; `{'fake-token': 'octo'}` when not given. */
  readonly tokens?: Readonly<Record<string, string>>
  /** Tokens of those logins that may read only. */
  readonly readOnlyTokens?: readonly string[]
  /** Further logins, such as reviewers. */
  readonly users?: readonly string[]
}

/** Something that goes wrong once (or `times` times), for the first call that fits. */
export type Fault = {
  readonly method?: string
  readonly path: RegExp
  /** What the query must fit as well. */
  readonly query?: RegExp
  readonly times?: number
} & (
  | {readonly kind: 'reset' | 'lost-reply' | '503-before'}
  /** An upload ends in 502 and leaves an asset in state `starter`. */
  | {readonly kind: 'starter'}
  /** 403 with Retry-After, GitHub's secondary limit. */
  | {readonly kind: 'secondary'; readonly retryAfter: number}
  /** The connection breaks after this many bytes of the body. */
  | {readonly kind: 'cut'; readonly after: number}
  | {readonly kind: 'answer'; readonly answer: Answer}
)

export type SeenRequest = {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly status: number
  /** 'api' counts against the rate limit, unless answered with 304. */
  readonly kind: 'api' | 'web' | 'asset'
  readonly isAuthorized: boolean
  /** Bytes of the answer's body. */
  readonly bytes: number
}

export type FakeGitHub = {
  /** Base URL of the API; also where uploads go. */
  readonly url: string
  /** Base URL of the web pages, where downloads begin. */
  readonly webUrl: string
  /** Another origin, where downloads are redirected to. */
  readonly assetsUrl: string
  readonly requests: readonly SeenRequest[]
  readonly releases: ReleaseStore
  /** Faults that did not happen yet. */
  readonly pendingFaults: number
  readonly dispatches: Dispatch[]
  /** Attestation bundles by `sha256:<hex>`. */
  readonly attestations: Map<string, readonly object[]>
  /** Calls left in the hour without a token; with one it is the same count. */
  readonly rate: {limit: number; remaining: number; reset: number}
  /** What did not fit GitHub's own description of its API. */
  readonly violations: readonly string[]
  /** Changes what is said of git trees from now on. */
  forgeTrees(change: (tree: TreeAnswer) => TreeAnswer): void
  fail(fault: Fault): void
  /** Points a tag at a new commit, or makes it. */
  moveTag(repository: string, tag: string): Promise<void>
  /** Ends the server; rejects when an exchange did not fit GitHub's description. */
  close(): Promise<void>
}

const forbidden: Answer = {
  status: 403,
  body: {message: 'Resource not accessible by personal access token', status: '403'},
}

/** Each owner has a token of its own that only the fake knows. */
const ADMIN = 'fake-github-admin'

/**
 * A GitHub on loopback: emulate 0.12.2 keeps repositories, refs, commits, pull requests and
 * labels; the overlay in front of it answers what emulate gets wrong. Every exchange with the API
 * is held against @octokit/openapi.
 */
export async function startFakeGitHub(options: FakeGitHubOptions = {}): Promise<FakeGitHub> {
  const fake = new Fake(options)
  await fake.start()
  return fake
}

class Fake implements FakeGitHub {
  readonly requests: SeenRequest[] = []
  readonly dispatches: Dispatch[] = []
  readonly attestations = new Map<string, readonly object[]>()
  readonly rate = {limit: 60, remaining: 5000, reset: 4102444800}
  readonly violations: string[] = []
  url = ''
  webUrl = ''
  assetsUrl = ''
  readonly #options: FakeGitHubOptions
  readonly #tokens: Readonly<Record<string, string>>
  readonly #contract = githubContract()
  readonly #faults: Fault[] = []
  readonly #api: Server
  readonly #assets: Server
  #emulator: Emulator | undefined
  #store: ReleaseStore | undefined
  #routes: readonly Route[] = []
  #forgedTree = (tree: TreeAnswer): TreeAnswer => tree

  constructor(options: FakeGitHubOptions) {
    this.#options = options
    this.#tokens = options.tokens ?? {'fake-token': 'octo'}
    this.#api = createServer((message, response) => this.#serve(message, response))
    this.#assets = createServer((message, response) => this.#serveAsset(message, response))
  }

  get releases(): ReleaseStore {
    if (this.#store === undefined) throw new Error('not started')
    return this.#store
  }

  get pendingFaults(): number {
    return this.#faults.length
  }

  forgeTrees(change: (tree: TreeAnswer) => TreeAnswer): void {
    this.#forgedTree = change
  }

  fail(fault: Fault): void {
    for (let count = fault.times ?? 1; count > 0; count--) this.#faults.push(fault)
  }

  async start(): Promise<void> {
    this.url = await listen(this.#api)
    this.webUrl = this.url
    this.assetsUrl = await listen(this.#assets)
    this.#emulator = await createEmulator({
      service: 'github',
      port: 0,
      seed: this.#seed(),
    })
    const {url, webUrl, assetsUrl} = this
    this.#store = new ReleaseStore({url, webUrl, assetsUrl}, (repository, tag, target) =>
      this.#tagAtPublication(repository, tag, target),
    )
    this.#routes = this.#overlay(this.#store)
    for (const repository of this.#options.repositories ?? []) await this.#fill(repository)
  }

  async close(): Promise<void> {
    await Promise.all([stop(this.#api), stop(this.#assets), this.#emulator?.close()])
    if (this.#faults.length > 0)
      throw new Error(
        `faults that never happened: ${this.#faults.map(({kind}) => kind).join(', ')}`,
      )
    if (this.violations.length > 0)
      throw new Error(`not as GitHub describes its API:\n${this.violations.join('\n')}`)
  }

  async moveTag(repository: string, tag: string): Promise<void> {
    const head = await this.#admin('GET', `/repos/${repository}/git/ref/heads/main`)
    const {object} = head.body as {object: {sha: string}}
    const old = await this.#admin('GET', `/repos/${repository}/git/commits/${object.sha}`)
    const {tree} = old.body as {tree: {sha: string}}
    const made = await this.#admin('POST', `/repos/${repository}/git/commits`, {
      message: `another commit for ${tag}`,
      tree: tree.sha,
      parents: [object.sha],
    })
    const {sha} = made.body as {sha: string}
    const path = `/repos/${repository}/git/refs`
    const there = await this.#admin('GET', `/repos/${repository}/git/ref/tags/${tag}`)
    if (there.status === 200) await this.#admin('PATCH', `${path}/tags/${tag}`, {sha, force: true})
    else await this.#admin('POST', path, {ref: `refs/tags/${tag}`, sha})
  }

  /** GitHub makes the tag of a release when it is published, unless there is one. */
  async #tagAtPublication(repository: string, tag: string, target: string): Promise<void> {
    const there = await this.#admin('GET', `/repos/${repository}/git/ref/tags/${tag}`)
    if (there.status === 200) return
    if (!/^[0-9a-f]{40}$/.test(target)) return this.moveTag(repository, tag)
    const body = {ref: `refs/tags/${tag}`, sha: target}
    await this.#admin('POST', `/repos/${repository}/git/refs`, body)
  }

  #seed() {
    const repositories = this.#options.repositories ?? []
    const owners = repositories.map(({name}) => name.split('/')[0] ?? '')
    const logins = [...owners, ...Object.values(this.#tokens), ...(this.#options.users ?? [])]
    const tokens = Object.entries(this.#tokens).map(([token, login]) => [token, {login}])
    const admins = owners.map((login) => [`${ADMIN}-${login}`, {login}])
    return {
      tokens: Object.fromEntries([...tokens, ...admins]),
      github: {
        users: [...new Set(logins)].map((login) => ({login})),
        repos: repositories.map(({name, defaultBranch = 'main'}) => {
          const [owner = '', repository = ''] = name.split('/')
          return {owner, name: repository, default_branch: defaultBranch}
        }),
      },
    }
  }

  #overlay(store: ReleaseStore): readonly Route[] {
    const repositories = this.#options.repositories ?? []
    const byName = new Map(repositories.map((repository) => [repository.name, repository]))
    const workflows = new Map(repositories.map(({name, workflows: files = []}) => [name, files]))
    return [
      (call) => store.route(call),
      (call) => this.#attestation(call),
      (call) => rawFile(this.#objectFolders(), call),
      gitObjectsRoute(
        this.#objectFolders(),
        () => this.url,
        (tree) => this.#forgedTree(tree),
      ),
      workflowRoute(this.url, workflows, this.dispatches),
      pullRoute({
        gitFolder: (name) => byName.get(name)?.gitFolder,
        forward: (call) => this.#forward(call),
      }),
    ]
  }

  #objectFolders(): Readonly<Record<string, string>> {
    const repositories = this.#options.repositories ?? []
    return Object.fromEntries(
      repositories.flatMap(({name, objectsFolder: folder}) =>
        folder === undefined ? [] : [[name, folder]],
      ),
    )
  }

  async #fill(repository: FakeRepository): Promise<void> {
    const {name, files = {}, tags = [], releases = []} = repository
    for (const login of new Set(Object.values(this.#tokens)))
      await this.#admin('PUT', `/repos/${name}/collaborators/${login}`, {permission: 'push'})
    for (const [path, text] of Object.entries(files)) {
      const content = Buffer.from(text).toString('base64')
      await this.#admin('PUT', `/repos/${name}/contents/${path}`, {message: path, content})
    }
    const branch = repository.defaultBranch ?? 'main'
    const head = await this.#admin('GET', `/repos/${name}/git/ref/heads/${branch}`)
    const {sha} = (head.body as {object: {sha: string}}).object
    for (const tag of tags) await this.#tag(name, tag, sha)
    for (const release of releases) this.releases.add(name, release)
  }

  async #tag(
    name: string,
    tag: string | {readonly name: string; readonly annotated: true},
    commit: string,
  ): Promise<void> {
    const isPlain = typeof tag === 'string'
    const label = isPlain ? tag : tag.name
    const sha = isPlain ? commit : await this.#tagObject(name, label, commit)
    await this.#admin('POST', `/repos/${name}/git/refs`, {ref: `refs/tags/${label}`, sha})
  }

  async #tagObject(name: string, tag: string, object: string): Promise<string> {
    const body = {tag, message: tag, object, type: 'commit'}
    const made = await this.#admin('POST', `/repos/${name}/git/tags`, body)
    return (made.body as {sha: string}).sha
  }

  /** A call to emulate that no test has made: neither logged nor counted. */
  async #admin(method: string, path: string, body?: object): Promise<Answer> {
    const text = body === undefined ? '' : JSON.stringify(body)
    const answer = await this.#forward({
      method,
      path: path.replaceAll('+', '%2B'),
      query: new URLSearchParams(),
      headers: {
        authorization: `token ${ADMIN}-${path.split('/')[2]}`,
        'content-type': 'application/json',
      },
      body: Buffer.from(text),
      login: undefined,
    })
    if (answer.status >= 400 && method !== 'GET')
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer
  }

  #serve(message: IncomingMessage, response: ServerResponse): void {
    this.#answer(message, response).catch((error: unknown) => {
      this.violations.push(`the fake itself failed: ${error}`)
      response.destroy()
    })
  }

  async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const call = await this.#read(message)
    const isWeb = /^\/(?:raw\/|[^/]+\/[^/]+\/releases\/download\/)/.test(call.path)
    const fault = this.#takeFault(call)
    const kind = isWeb ? 'web' : 'api'
    if (fault?.kind === 'reset') return this.#drop(message, kind, response)
    if (fault?.kind === 'starter') this.#begin(call)
    const decided = faultAnswer(fault) ?? (await this.#decide(call, isWeb))
    if (!isWeb && fault === undefined) this.violations.push(...this.#contract.check(call, decided))
    if (fault?.kind === 'lost-reply') return this.#drop(message, kind, response)
    const answer = isWeb ? decided : this.#withApiHeaders(call, decided)
    this.#log(message, kind, answer)
    send(response, answer, fault)
  }

  async #read(message: IncomingMessage): Promise<Call> {
    const chunks: Buffer[] = []
    for await (const chunk of message) chunks.push(chunk as Buffer)
    const url = new URL(message.url ?? '/', 'http://fake')
    const headers = Object.fromEntries(
      Object.entries(message.headers).map(([name, value]) => [name, String(value)]),
    )
    const token = /^(?:token|bearer) (.+)$/i.exec(headers.authorization ?? '')?.[1]
    const login = token === undefined ? undefined : this.#tokens[token]
    return {
      method: message.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      headers,
      body: Buffer.concat(chunks),
      login,
    }
  }

  async #decide(call: Call, isWeb: boolean): Promise<Answer> {
    if (!isWeb) {
      if (call.headers.authorization !== undefined && call.login === undefined)
        return {status: 401, body: {message: 'Bad credentials', status: '401'}}
      if (call.method !== 'GET' && call.login === undefined)
        return {status: 401, body: {message: 'Requires authentication', status: '401'}}
      if (call.method !== 'GET' && this.#isReadOnly(call)) return forbidden
      if (this.rate.remaining <= 0) return this.#exhausted()
      this.rate.remaining--
    }
    for (const route of this.#routes) {
      const answer = await route(call)
      if (answer !== undefined) return answer
    }
    return isWeb ? notFound() : this.#withRole(call, await this.#forward(call))
  }

  /** emulate knows owners and readers only: here every token may write that is not read-only. */
  #withRole(call: Call, answer: Answer): Answer {
    const isOne = /^\/repos\/[^/]+\/[^/]+$/.test(call.path) && call.login !== undefined
    if (!isOne || answer.status !== 200) return answer
    const push = !this.#isReadOnly(call)
    const permissions = {admin: false, maintain: false, push, triage: push, pull: true}
    return {...answer, body: {...(answer.body as object), permissions}}
  }

  #isReadOnly(call: Call): boolean {
    const [, token = ''] = (call.headers.authorization ?? '').split(' ')
    return this.#options.readOnlyTokens?.includes(token) === true
  }

  #exhausted(): Answer {
    return {
      status: 403,
      body: {
        message: 'API rate limit exceeded for 127.0.0.1.',
        documentation_url: 'https://docs.github.com/rest/overview/rate-limits-for-the-rest-api',
      },
    }
  }

  #attestation(call: Call): Answer | undefined {
    const [, , digest] = /^\/repos\/([^/]+\/[^/]+)\/attestations\/(.+)$/.exec(call.path) ?? []
    if (digest === undefined) return undefined
    const bundles = this.attestations.get(decodeURIComponent(digest))
    if (bundles === undefined) return notFound()
    const attestations = bundles.map((bundle) => ({bundle, repository_id: 1}))
    return {status: 200, body: {attestations}}
  }

  #withApiHeaders(call: Call, answer: Answer): Answer {
    const limits = {
      'x-ratelimit-limit': String(this.rate.limit),
      'x-ratelimit-remaining': String(Math.max(0, this.rate.remaining)),
      'x-ratelimit-reset': String(this.rate.reset),
      'x-ratelimit-resource': 'core',
    }
    if (call.method !== 'GET' || answer.status !== 200)
      return {...answer, headers: {...limits, ...answer.headers}}
    const etag = `W/"${createHash('sha256').update(bytesOf(answer)).digest('hex')}"`
    const headers = {...limits, etag, 'cache-control': 'public, max-age=60', ...answer.headers}
    if (call.headers['if-none-match'] !== etag) return {...answer, headers}
    this.rate.remaining++ // a 304 is free
    return {status: 304, headers}
  }

  #begin({path, query}: Call): void {
    const id = Number(/\/releases\/(\d+)\/assets$/.exec(path)?.[1])
    this.releases.begin(id, query.get('name') ?? '')
  }

  #takeFault(call: {
    readonly method: string
    readonly path: string
    readonly query?: URLSearchParams
  }): Fault | undefined {
    const at = this.#faults.findIndex(
      ({method, path, query}) =>
        (method === undefined || method === call.method) &&
        path.test(call.path) &&
        (query === undefined || query.test(String(call.query ?? ''))),
    )
    return at === -1 ? undefined : this.#faults.splice(at, 1)[0]
  }

  #log(message: IncomingMessage, kind: SeenRequest['kind'], answer: Answer | undefined): void {
    this.requests.push({
      method: message.method ?? '',
      path: message.url ?? '',
      status: answer?.status ?? 0,
      kind,
      isAuthorized: message.headers.authorization !== undefined,
      bytes: answer === undefined ? 0 : bytesOf(answer).length,
    })
  }

  /** The connection ends without an answer. */
  #drop(message: IncomingMessage, kind: SeenRequest['kind'], response: ServerResponse): void {
    this.#log(message, kind, undefined)
    response.destroy()
  }

  #serveAsset(message: IncomingMessage, response: ServerResponse): void {
    const path = message.url ?? ''
    const fault = this.#takeFault({method: message.method ?? '', path})
    if (fault?.kind === 'reset') {
      this.#drop(message, 'asset', response)
      return
    }
    const answer = faultAnswer(fault) ?? this.#assetAnswer(message, path)
    this.#log(message, 'asset', answer)
    send(response, answer, fault)
  }

  #assetAnswer(message: IncomingMessage, path: string): Answer {
    // as object stores do: a second way to authorise is refused, so a leaked token shows
    if (message.headers.authorization !== undefined)
      return {status: 400, body: '<Error><Code>InvalidArgument</Code></Error>'}
    const found = this.releases.bytesAt(path)
    return found === undefined ? {status: 404, body: '<Error/>'} : ranged(message, found)
  }

  #forward(call: Call): Promise<Answer> {
    const query = call.query.size === 0 ? '' : `?${call.query}`
    const inner = this.#emulator?.url ?? ''
    const {port} = new URL(inner)
    return new Promise((resolve, reject) => {
      const {'content-length': _length, host: _host, connection: _c, ...headers} = call.headers
      const outgoing = request(
        {
          host: '127.0.0.1',
          port,
          method: call.method,
          path: call.path + query,
          headers,
          agent: false,
        },
        (message) => {
          const chunks: Buffer[] = []
          message.on('data', (chunk: Buffer) => chunks.push(chunk))
          message.on('end', () => {
            const answer = answerOf(message, Buffer.concat(chunks), inner, this.url)
            resolve(completed(call, answer))
          })
          message.on('error', reject)
        },
      )
      outgoing.on('error', reject)
      outgoing.end(call.body)
    })
  }
}

/** emulate names itself in every address, since its port is not known before it listens. */
function answerOf(message: IncomingMessage, bytes: Buffer, inner: string, outer: string): Answer {
  const type = message.headers['content-type'] ?? ''
  const {link} = message.headers
  const headers: Record<string, string> =
    typeof link === 'string' ? {link: link.replaceAll(inner, outer)} : {}
  const status = message.statusCode ?? 0
  if (bytes.length === 0) return {status, headers}
  if (!type.includes('json'))
    return {status, headers: {...headers, 'content-type': type}, body: bytes}
  const text = bytes.toString('utf8').replaceAll(inner, outer)
  return {status, headers, body: JSON.parse(text) as object}
}

function faultAnswer(fault: Fault | undefined): Answer | undefined {
  if (fault?.kind === 'starter') return {status: 502, body: {message: 'Server Error'}}
  if (fault?.kind === '503-before') return {status: 503, body: {message: 'no server is available'}}
  if (fault?.kind === 'answer') return fault.answer
  if (fault?.kind !== 'secondary') return undefined
  return {
    status: 403,
    headers: {'retry-after': String(fault.retryAfter)},
    body: {message: 'You have exceeded a secondary rate limit.'},
  }
}

/** RFC 9110 14: one range with If-Range, as object stores answer it. */
function ranged(message: IncomingMessage, found: {bytes: Buffer; etag: string}): Answer {
  const {bytes, etag} = found
  const headers = {etag, 'content-type': 'application/octet-stream', 'accept-ranges': 'bytes'}
  if (message.headers['if-none-match'] === etag) return {status: 304, headers}
  const start = Number(/^bytes=(\d+)-$/.exec(message.headers.range ?? '')?.[1])
  const mayResume = (message.headers['if-range'] ?? etag) === etag
  if (Number.isNaN(start) || !mayResume) return {status: 200, headers, body: bytes}
  if (start >= bytes.length)
    return {status: 416, headers: {'content-range': `bytes */${bytes.length}`}}
  const range = `bytes ${start}-${bytes.length - 1}/${bytes.length}`
  return {status: 206, headers: {...headers, 'content-range': range}, body: bytes.subarray(start)}
}

function bytesOf(answer: Answer): Buffer {
  const {body} = answer
  if (body === undefined) return Buffer.alloc(0)
  if (Buffer.isBuffer(body)) return body
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
}

function send(response: ServerResponse, answer: Answer, fault: Fault | undefined): void {
  const bytes = bytesOf(answer)
  const isJson = typeof answer.body === 'object' && !Buffer.isBuffer(answer.body)
  const type = isJson ? {'content-type': 'application/json; charset=utf-8'} : {}
  const length =
    answer.status === 304 || answer.status === 204 ? {} : {'content-length': bytes.length}
  response.writeHead(answer.status, {...type, ...length, ...answer.headers})
  if (fault?.kind === 'cut')
    response.write(bytes.subarray(0, fault.after), () => response.destroy())
  else response.end(bytes)
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve, reject) => {
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    })
  })
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
