import type {Octokit} from '@octokit/rest'
import {RelError} from '../../system/error.ts'
import type {Http, HttpMethod, HttpResponse} from '../../system/http.ts'

export type OctokitOptions = {
  readonly http: Http
  /** Such as https://api.github.com, without a final slash. */
  readonly baseUrl: string
  readonly token?: string | undefined
}

/**
 * An Octokit whose every request goes through `http`: so revalidation, retries, limits, recording
 * and the rule that no token is ever in an error hold for it too.
 */
export async function openOctokit(options: OctokitOptions): Promise<Octokit> {
  const {Octokit} = await import('@octokit/rest') // 60 ms that most commands need not pay
  const silent = () => undefined
  return new Octokit({
    baseUrl: options.baseUrl.replace(/\/$/, ''),
    log: {debug: silent, info: silent, warn: silent, error: silent},
    request: {fetch: fetchThrough(options)},
  })
}

type FetchOptions = {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

function fetchThrough({http, token}: OctokitOptions) {
  return async (url: string, options: FetchOptions = {}): Promise<object> => {
    const {body} = options
    const answer = await http.send({
      url,
      method: (options.method ?? 'GET') as HttpMethod,
      headers: lowerCased(options.headers ?? {}),
      authorization: token === undefined ? undefined : `Bearer ${token}`,
      ...(body === undefined ? {} : {body: Buffer.from(body)}),
    })
    return asFetchResponse(answer)
  }
}

/** Octokit names itself as the user agent; rel does that for all requests alike. */
function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])
  const {'user-agent': _agent, ...rest} = Object.fromEntries(entries) as Record<string, string>
  return rest
}

/** What @octokit/request reads of a Response; the global one cannot have a 304 or a url. */
function asFetchResponse({status, url, headers, body}: HttpResponse): object {
  return {
    status,
    statusText: String(status),
    url,
    headers: new Headers({...headers}),
    body,
    text: async () => body.toString('utf8'),
    arrayBuffer: async () => new Uint8Array(body).buffer,
  }
}

/** What Octokit throws, as one of ours: the refusal of `http` that is inside, or the status. */
export function octokitError(error: unknown, what: string): RelError {
  if (error instanceof RelError) return error
  const {cause, status} = error as {cause?: unknown; status?: unknown}
  if (cause instanceof RelError) return cause
  if (typeof status !== 'number')
    return new RelError('internal_error', `${what} failed`, {cause: error})
  if (status === 403 && isSecondaryLimit(error))
    return new RelError('rate_limited', `${what}: too many requests in a short time, wait a minute`)
  return new RelError(codeOf(status), `${what}: answered ${status}`, {details: {status}})
}

/** GitHub's secondary limit may come without Retry-After: the page it refers to tells it apart. */
function isSecondaryLimit(error: unknown): boolean {
  const {response} = error as {response?: {data?: {documentation_url?: unknown}}}
  const page = response?.data?.documentation_url
  return typeof page === 'string' && page.includes('rate-limit')
}

function codeOf(status: number): 'http_not_found' | 'http_unauthorised' | 'http_refused' {
  if (status === 404 || status === 410) return 'http_not_found'
  return status === 401 || status === 403 ? 'http_unauthorised' : 'http_refused'
}
