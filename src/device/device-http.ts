import {RelError} from '../system/error.ts'
import type {HttpHeaders} from '../system/http.ts'
import {
  type ExchangeRequest,
  exchange,
  type HttpAgents,
  type HttpTimeouts,
  makeAgents,
  type OpenAnswer,
  readWhole,
} from '../system/http-exchange.ts'
import {
  parseHttpUrl,
  rateLimitEnd,
  redirectTarget,
  refusedRedirect,
  retryAfter,
} from '../system/http-rules.ts'
import type {JsonObject} from '../system/json.ts'

/** One request of a node; who asks is shown to the origin of `url` and to nobody else. */
export type DeviceRequest = {
  readonly url: string
  readonly method?: 'GET' | 'POST'
  readonly headers?: HttpHeaders
  readonly authorization?: string | undefined
  /** Headers in which the node states who it is; only beside an authorization. */
  readonly stated?: HttpHeaders | undefined
  readonly body?: Uint8Array
  /** Refused with interrupted once it says so. */
  readonly stop?: AbortSignal | undefined
}

/** An answer that fits into memory. */
export type DeviceAnswer = {
  readonly status: number
  readonly headers: HttpHeaders
  readonly body: Buffer
}

/** How long an answer that is not a download may take. */
const askTimeouts: HttpTimeouts = {
  connectMs: 10_000,
  headersMs: 30_000,
  idleMs: 30_000,
  totalMs: 60_000,
}

/** As many as http-client follows. */
const MAX_REDIRECTS = 5

/** A problem document (RFC 9457) has a code, a title and a hint. */
const MAX_PROBLEM_BYTES = 64 * 1024

let agents: HttpAgents | undefined

/**
 * One exchange with its redirects; every status is an answer. Refuses with
 * upgrade_source_unreachable, upgrade_source_invalid.
 */
export async function openAnswer(
  request: DeviceRequest,
  timeouts: HttpTimeouts = askTimeouts,
): Promise<{readonly answer: OpenAnswer; readonly url: URL}> {
  const {HTTP_PROXY = '', HTTPS_PROXY = '', NO_PROXY = ''} = process.env
  agents ??= makeAgents({HTTP_PROXY, HTTPS_PROXY, NO_PROXY})
  try {
    const start = parseHttpUrl(request.url)
    let url = start
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const answer = await exchange(outgoing(request, url, start), timeouts, agents)
      const target = request.method === 'POST' ? undefined : redirectOf(answer, url)
      if (target === undefined) return {answer, url}
      answer.drop()
      url = target
    }
    throw refusedRedirect(start, `more than ${MAX_REDIRECTS} times`)
  } catch (error) {
    throw sourceError(error)
  }
}

function redirectOf(answer: OpenAnswer, url: URL): URL | undefined {
  try {
    return redirectTarget(answer, url)
  } catch (error) {
    answer.drop()
    throw error
  }
}

function outgoing(request: DeviceRequest, url: URL, start: URL): ExchangeRequest {
  const {method = 'GET', headers, authorization, stated, body, stop} = request
  // another origin is another party: it learns nothing of who asks
  const mayKnow = authorization !== undefined && url.origin === start.origin
  return {
    method,
    url,
    body,
    stop,
    headers: {
      'user-agent': 'rel-device',
      'accept-encoding': 'identity',
      ...headers,
      ...(body === undefined ? {} : {'content-length': String(body.length)}),
      ...(mayKnow ? {authorization, ...stated} : {}),
    },
  }
}

/** openAnswer with its body, of at most `maxBytes`. Refuses as openAnswer does. */
export async function ask(request: DeviceRequest, maxBytes: number): Promise<DeviceAnswer> {
  const {answer, url} = await openAnswer(request)
  const {status, headers} = answer
  try {
    if (status !== 304) return {status, headers, body: await readWhole(answer, url, maxBytes)}
    answer.drop()
    return {status, headers, body: Buffer.alloc(0)}
  } catch (error) {
    throw sourceError(error)
  }
}

const silent = ['http_unreachable', 'http_timeout', 'http_truncated', 'http_certificate_refused']

/** What went wrong on the wire in the words of the updater. */
export function sourceError(error: unknown): unknown {
  if (!(error instanceof RelError) || !error.code.startsWith('http_')) return error
  const code = silent.includes(error.code) ? 'upgrade_source_unreachable' : 'upgrade_source_invalid'
  return new RelError(code, error.message, {cause: error, details: {cause_code: error.code}})
}

/** What a status other than the wanted one means; `what` was asked for. */
export function statusError({status, headers, body}: DeviceAnswer, what: string): RelError {
  const nowMs = Date.now()
  // a 403 that says when to come back is no word on a licence or a token: GitHub's allowance
  const isCounted = status === 403 || headers['x-ratelimit-remaining'] === '0'
  const limitEnd = isCounted ? rateLimitEnd({status, headers}, nowMs) : undefined
  const said = problemCode(body) ?? (limitEnd === undefined ? undefined : 'rate_limited')
  const retryAt = limitEnd ?? retryAfter(headers, nowMs)
  const details: JsonObject = {
    http_status: status,
    ...(said === undefined ? {} : {cause_code: said}),
    ...(retryAt === undefined ? {} : {retry_at: Math.ceil(retryAt / 1000)}),
  }
  const message = `${what}: the source answers ${status}`
  if (said === 'license_frozen' || said === 'license_revoked')
    return new RelError('upgrade_license_frozen', message, {details})
  if ((status === 401 || status === 403) && limitEnd === undefined)
    return new RelError('upgrade_license_invalid', message, {details})
  if (limitEnd !== undefined || status === 429 || status >= 500 || status === 408)
    return new RelError('upgrade_source_unreachable', message, {details})
  return new RelError('upgrade_source_invalid', message, {details})
}

/**
 * The body of a refused download, as much of it as a problem document may have and as comes within
 * `maxMs`: a download may be slow, what refuses it has no reason to be.
 */
export async function problemOf(
  answer: OpenAnswer,
  url: URL,
  maxMs: number,
): Promise<DeviceAnswer> {
  const {status, headers} = answer
  const timer = setTimeout(() => answer.drop(), maxMs)
  try {
    return {status, headers, body: await readWhole(answer, url, MAX_PROBLEM_BYTES)}
  } catch {
    answer.drop()
    return {status, headers, body: Buffer.alloc(0)}
  } finally {
    clearTimeout(timer)
  }
}

/** The code of a problem document: a claim, so it decides over words alone. */
function problemCode(body: Buffer): string | undefined {
  if (body.length === 0 || body.length > MAX_PROBLEM_BYTES) return undefined
  try {
    const {code} = JSON.parse(body.toString('utf8')) as {code?: unknown}
    return typeof code === 'string' && /^[a-z][a-z0-9_]{0,63}$/.test(code) ? code : undefined
  } catch {
    return undefined
  }
}
