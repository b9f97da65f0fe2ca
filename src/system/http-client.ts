import type {ContentCache, PartFile} from './content-cache.ts'
import {RelError} from './error.ts'
import {readFileLimited} from './files.ts'
import type {
  Downloaded,
  DownloadRequest,
  Http,
  HttpHeaders,
  HttpPieces,
  HttpRequest,
  HttpResponse,
} from './http.ts'
import {
  type ExchangeRequest,
  exchange,
  type HttpAgents,
  type HttpTimeouts,
  makeAgents,
  type OpenAnswer,
  type ProxyEnv,
  readWhole,
  tooLarge,
} from './http-exchange.ts'
import {
  parseHttpUrl,
  rateLimitEnd,
  rateLimited,
  redirectTarget,
  refusedRedirect,
  retryAfter,
  retryDelayMs,
  revalidation,
  shownUrl,
  strongEtag,
} from './http-rules.ts'
import type {JsonObject} from './json.ts'

/** Time as the client sees it, in milliseconds. */
export type HttpClock = {
  now(): number
  sleep(ms: number): Promise<void>
}

export type HttpOptions = {
  readonly cache: ContentCache
  /** Names rel and its version; GitHub refuses requests without one. */
  readonly userAgent: string
  readonly clock?: HttpClock
  /** From 0 to below 1. */
  readonly random?: () => number
  readonly timeouts?: Partial<HttpTimeouts>
  /** The proxy variables of the environment, handed in by whoever reads it. */
  readonly proxyEnv?: ProxyEnv
}

const systemClock: HttpClock = {
  now: () => Date.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
}

const defaultTimeouts: HttpTimeouts = {
  connectMs: 10_000,
  headersMs: 30_000,
  idleMs: 30_000,
  totalMs: 30 * 60_000,
}

const limits = {
  /** One answer in memory: GitHub's list of 100 releases has some 2 MiB. */
  answerBytes: 16 * 1024 * 1024,
  /** github.com needs one, some mirrors two. */
  redirects: 5,
  /** The first try and three more. */
  attempts: 4,
  /** Waiting longer than this is for whoever started the run to decide. */
  waitMs: 60_000,
} as const

/** The client on node:http and node:https (src/system/http.ts); it keeps no state but its cache. */
export function makeHttp(options: HttpOptions): Http {
  return new Client(options)
}

class Client implements Http {
  readonly #cache: ContentCache
  readonly #userAgent: string
  readonly #clock: HttpClock
  readonly #random: () => number
  readonly #timeouts: HttpTimeouts
  readonly #agents: HttpAgents

  constructor(options: HttpOptions) {
    this.#cache = options.cache
    this.#userAgent = options.userAgent
    this.#clock = options.clock ?? systemClock
    this.#random = options.random ?? Math.random
    this.#timeouts = {...defaultTimeouts, ...options.timeouts}
    this.#agents = makeAgents(options.proxyEnv ?? {})
  }

  async send(request: HttpRequest): Promise<HttpResponse> {
    const {method = 'GET', maxBytes = limits.answerBytes} = request
    const isKept = method === 'GET' && request.isKept !== false
    const key = `GET ${request.headers?.accept ?? ''} ${request.url}`
    const kept = isKept ? await this.#keptAnswer(key, maxBytes) : undefined
    const headers = {'accept-encoding': 'gzip', ...request.headers, ...kept?.asks}
    const isRepeatable = method === 'GET' || method === 'HEAD'
    const follow = isRepeatable && request.redirects !== 'return'
    return this.#persist(isRepeatable, async () => {
      const {answer, url} = await this.#open({...request, method, headers}, follow)
      if (answer.status === 304 && kept !== undefined) {
        answer.drop()
        return {status: 200, url: url.href, ...kept.answer, isRevalidated: true}
      }
      const body = await readWhole(answer, url, maxBytes)
      const {status} = answer
      if (isKept && status === 200) this.#keepAnswer(key, answer.headers, body)
      return {status, url: url.href, headers: answer.headers, body, isRevalidated: false}
    })
  }

  async download(request: DownloadRequest): Promise<Downloaded> {
    const {sha256} = request
    const there = sha256 === undefined ? undefined : await this.#cache.find(sha256)
    if (there !== undefined) return {...there, fetched: 0}
    const part = await this.#cache.openPart(`DOWNLOAD ${request.url}`)
    try {
      return await this.#downloadInto(part, request)
    } catch (error) {
      if (error instanceof RelError && isTransient(error)) part.leave()
      else part.discard()
      throw error
    }
  }

  async #downloadInto(part: PartFile, request: DownloadRequest): Promise<Downloaded> {
    const key = `DOWNLOAD ${request.url}`
    const record = this.#cache.record(key) ?? {}
    const before =
      typeof record.sha256 === 'string' ? await this.#cache.find(record.sha256) : undefined
    const asks = before === undefined || request.sha256 !== undefined ? {} : revalidation(record)
    let fetched = 0
    const isUnchanged = await this.#persist(true, async () => {
      const headers = {'accept-encoding': 'identity', ...request.headers, ...resume(part), ...asks}
      const {answer, url} = await this.#open({...request, method: 'GET', headers}, true)
      if (answer.status === 304 && before !== undefined) {
        answer.drop()
        return true
      }
      beginBody(part, answer, url)
      await receive(part, answer, url, request, (count) => {
        fetched += count
      })
      this.#cache.keepRecord(key, validators(answer.headers, part.digest()))
      return false
    })
    if (isUnchanged && before !== undefined) {
      part.discard()
      return {...before, fetched}
    }
    checkDigest(part, request)
    return {...part.finish(), fetched}
  }

  /** One exchange with its redirects; 5xx and rate limits are refusals here. */
  async #open(
    request: Omit<HttpRequest, 'url'> & ExchangeParts,
    follow: boolean,
  ): Promise<{answer: OpenAnswer; url: URL}> {
    const start = parseHttpUrl(request.url)
    let url = start
    for (let hop = 0; hop <= limits.redirects; hop++) {
      const answer = await exchange(
        this.#outgoing(request, url, start),
        this.#timeouts,
        this.#agents,
      )
      const target = follow ? redirectOf(answer, url) : undefined
      if (target === undefined) {
        this.#checkHead(answer, url)
        return {answer, url}
      }
      answer.drop()
      url = target
    }
    throw refusedRedirect(start, `more than ${limits.redirects} times`)
  }

  #outgoing(
    request: Omit<HttpRequest, 'url'> & ExchangeParts,
    url: URL,
    start: URL,
  ): ExchangeRequest {
    const {method, headers, body, authorization} = request
    // another origin is another party: it learns nothing of who asks
    const mayKnow = authorization !== undefined && url.origin === start.origin
    return {
      method,
      url,
      body,
      headers: {
        'user-agent': this.#userAgent,
        ...headers,
        ...(body === undefined ? {} : {'content-length': String(sizeOf(body))}),
        ...(mayKnow ? {authorization} : {}),
      },
    }
  }

  #checkHead(answer: OpenAnswer, url: URL): void {
    const now = this.#clock.now()
    const end = rateLimitEnd(answer, now)
    if (end === undefined && answer.status < 500) return
    answer.drop()
    if (end !== undefined) throw rateLimited(url, end, now, answer.headers)
    const retryAt = retryAfter(answer.headers, now)
    throw new RelError('http_server_error', `${shownUrl(url)} answers ${answer.status}`, {
      details: {
        status: answer.status,
        ...(retryAt === undefined ? {} : {retry_at: Math.ceil(retryAt / 1000)}),
      },
    })
  }

  /** Tries again where that may help and can do no harm. */
  async #persist<T>(isRepeatable: boolean, attempt: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures++) {
      try {
        return await attempt()
      } catch (error) {
        const wait = this.#waitAfter(error, failures, isRepeatable)
        if (wait === undefined) throw error
        await this.#clock.sleep(wait)
      }
    }
  }

  /** Milliseconds until the next attempt; undefined when there is none. */
  #waitAfter(error: unknown, failures: number, isRepeatable: boolean): number | undefined {
    if (!(error instanceof RelError) || failures >= limits.attempts) return undefined
    // a rate limit says that nothing was done, so even a POST may be repeated
    const mayRepeat = isRepeatable || error.code === 'rate_limited'
    if (!mayRepeat || !isTransient(error)) return undefined
    const retryAt = error.details?.retry_at
    if (typeof retryAt !== 'number') return retryDelayMs(failures, this.#random())
    const wait = Math.max(0, retryAt * 1000 - this.#clock.now())
    return wait <= limits.waitMs ? wait : undefined
  }

  async #keptAnswer(key: string, maxBytes: number): Promise<KeptAnswer | undefined> {
    const record = this.#cache.record(key)
    if (typeof record?.sha256 !== 'string') return undefined
    const asks = revalidation(record)
    const file = await this.#cache.find(record.sha256)
    if (file === undefined || file.size > maxBytes || Object.keys(asks).length === 0)
      return undefined
    const headers = (record.headers ?? {}) as HttpHeaders
    return {asks, answer: {headers, body: readFileLimited(file.path, maxBytes)}}
  }

  #keepAnswer(key: string, headers: HttpHeaders, body: Buffer): void {
    if (headers['cache-control']?.includes('no-store') === true) return
    if (headers.etag === undefined && headers['last-modified'] === undefined) return
    const kept = Object.fromEntries(
      ['content-type', 'link', 'etag', 'last-modified'].flatMap((name) => {
        const value = headers[name]
        return value === undefined ? [] : [[name, value]]
      }),
    )
    const {sha256} = this.#cache.add(body)
    this.#cache.keepRecord(key, {...validators(headers, sha256), headers: kept})
  }
}

function sizeOf(body: Uint8Array | HttpPieces): number {
  return body instanceof Uint8Array ? body.length : body.size
}

type ExchangeParts = {
  readonly url: string
  readonly method: ExchangeRequest['method']
  readonly headers: HttpHeaders
}

type KeptAnswer = {
  /** Conditional headers. */
  readonly asks: HttpHeaders
  readonly answer: {readonly headers: HttpHeaders; readonly body: Buffer}
}

function isTransient({code}: RelError): boolean {
  return [
    'http_unreachable',
    'http_timeout',
    'http_truncated',
    'http_server_error',
    'rate_limited',
  ].includes(code)
}

function redirectOf(answer: OpenAnswer, url: URL): URL | undefined {
  try {
    return redirectTarget(answer, url)
  } catch (error) {
    answer.drop()
    throw error
  }
}

/** Asks for the rest of what is there, only if it is still the same (RFC 9110 13.1.5). */
function resume(part: PartFile): HttpHeaders {
  if (part.size === 0 || part.etag === undefined) return {}
  return {range: `bytes=${part.size}-`, 'if-range': part.etag}
}

function beginBody(part: PartFile, answer: OpenAnswer, url: URL): void {
  const {status, headers} = answer
  const encoding = headers['content-encoding'] ?? 'identity'
  if ((status === 200 || status === 206) && encoding !== 'identity') {
    answer.drop()
    throw new RelError('http_malformed', `${shownUrl(url)} answers in the encoding ${encoding}`)
  }
  if (status === 206 && isRest(part, headers)) return
  if (status === 200) {
    part.restart(strongEtag(headers))
    return
  }
  answer.drop()
  if (status !== 206 && status !== 416) throw statusRefusal(status, url)
  part.restart(undefined)
  throw new RelError('http_truncated', `${shownUrl(url)} gives another part than was asked for`)
}

function isRest(part: PartFile, headers: HttpHeaders): boolean {
  const [, from] = /^bytes (\d+)-\d+\/\d+$/.exec(headers['content-range'] ?? '') ?? []
  return Number(from) === part.size && strongEtag(headers) === part.etag
}

async function receive(
  part: PartFile,
  answer: OpenAnswer,
  url: URL,
  {maxBytes, onProgress}: DownloadRequest,
  onBytes: (count: number) => void,
): Promise<void> {
  const total = answer.length === undefined ? undefined : part.size + answer.length
  if ((total ?? 0) > maxBytes) {
    answer.drop()
    throw tooLarge(url, maxBytes)
  }
  for await (const chunk of answer.body) {
    if (part.size + chunk.length > maxBytes) {
      answer.drop()
      throw tooLarge(url, maxBytes)
    }
    part.append(chunk)
    onBytes(chunk.length)
    onProgress?.(part.size, total)
  }
}

function checkDigest(part: PartFile, {sha256, url}: DownloadRequest): void {
  const seen = part.digest()
  if (sha256 === undefined || seen === sha256) return
  const message = `${shownUrl(url)} has SHA-256 ${seen}, want ${sha256}`
  throw new RelError('http_digest_mismatch', message, {details: {seen, wanted: sha256}})
}

function statusRefusal(status: number, url: URL): RelError {
  const message = `${shownUrl(url)} answers ${status}`
  const details = {details: {status}}
  if (status === 404 || status === 410) return new RelError('http_not_found', message, details)
  if (status === 401 || status === 403) return new RelError('http_unauthorised', message, details)
  return new RelError('http_refused', message, details)
}

function validators(headers: HttpHeaders, sha256: string): JsonObject {
  const {etag, 'last-modified': lastModified} = headers
  return {
    sha256,
    ...(etag === undefined ? {} : {etag}),
    ...(lastModified === undefined ? {} : {last_modified: lastModified}),
  }
}
