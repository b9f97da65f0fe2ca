import {RelError} from './error.ts'
import type {HttpHeaders} from './http.ts'

/** Where an exchange ended, before its body was looked at. */
export type AnswerHead = {readonly status: number; readonly headers: HttpHeaders}

/** The first wait after a failure is at most this; each further one at most twice as long. */
const FIRST_DELAY_MS = 500
const MAX_DELAY_MS = 20_000

/** Full jitter: many runs that failed together do not come back together. */
export function retryDelayMs(failures: number, random: number): number {
  return Math.floor(random * Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 1)))
}

/** An address that may be asked: http or https, no user, no password. */
export function parseHttpUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw new RelError('usage_invalid', 'an address is not one of http or https')
  if (url.username !== '' || url.password !== '')
    throw new RelError('usage_invalid', `the address of ${url.host} has a user or a password in it`)
  return url
}

/** An address for people: queries are left out, since signed addresses carry secrets in them. */
export function shownUrl(url: URL | string): string {
  const {origin, pathname} = typeof url === 'string' ? new URL(url) : url
  return origin + pathname
}

/**
 * Where a redirect leads, or undefined when the answer is none. Refuses with
 * http_redirect_refused: a way from https to http gives everything away that https has kept.
 */
export function redirectTarget({status, headers}: AnswerHead, from: URL): URL | undefined {
  if (![301, 302, 303, 307, 308].includes(status)) return undefined
  const {location = ''} = headers
  const to = URL.canParse(location, from.href) ? new URL(location, from.href) : undefined
  const isWeb = to?.protocol === 'https:' || to?.protocol === 'http:'
  if (to === undefined || location === '' || !isWeb || to.username !== '' || to.password !== '')
    throw refusedRedirect(from, 'to no usable address')
  if (from.protocol === 'https:' && to.protocol === 'http:')
    throw refusedRedirect(from, `from https to http://${to.host}`)
  return to
}

export function refusedRedirect(from: URL, why: string): RelError {
  return new RelError('http_redirect_refused', `${shownUrl(from)} redirects ${why}`)
}

/**
 * When to come back, in milliseconds since the epoch, if this answer says that the allowance is
 * used up: 429, or 403 with Retry-After (GitHub's secondary limit) or with none remaining.
 */
export function rateLimitEnd(head: AnswerHead, nowMs: number): number | undefined {
  const {status, headers} = head
  const isUsedUp = headers['x-ratelimit-remaining'] === '0'
  const retryAt = retryAfter(headers, nowMs)
  if (status !== 429 && !(status === 403 && (isUsedUp || retryAt !== undefined))) return undefined
  if (retryAt !== undefined) return retryAt
  const reset = Number(headers['x-ratelimit-reset'])
  // GitHub asks to wait a minute when it names no time
  return isUsedUp && reset > 0 && Number.isSafeInteger(reset) ? reset * 1000 : nowMs + 60_000
}

/** RFC 9110 10.2.3: seconds, or a date. */
export function retryAfter(headers: HttpHeaders, nowMs: number): number | undefined {
  const value = headers['retry-after']
  if (value === undefined) return undefined
  if (/^\d{1,9}$/.test(value)) return nowMs + Number(value) * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : date
}

/** The refusal that says when to come back; only whoever counts by account lets a token in further. */
export function rateLimited(
  url: URL,
  endMs: number,
  nowMs: number,
  headers: HttpHeaders = {},
): RelError {
  const minutes = Math.max(1, Math.ceil((endMs - nowMs) / 60_000))
  const date = new Date(Math.min(endMs, 8.64e15)).toISOString().replace(/\.\d+Z$/, 'Z')
  const message = `${url.host} answers no more requests until ${date}, in ${minutes} min`
  const retryAt = Math.ceil(endMs / 1000)
  const byAccount = headers['x-ratelimit-remaining'] === '0'
  return new RelError('rate_limited', message, {
    details: {retry_at: retryAt},
    ...(byAccount
      ? {hint: 'Come back at the time in the message, or set a token: it has a larger allowance.'}
      : {}),
  })
}

/** A validator that says "the very same bytes" (RFC 9110 8.8.1): only then a range can go on. */
export function strongEtag(headers: HttpHeaders): string | undefined {
  const {etag} = headers
  return etag?.startsWith('"') === true && etag.length <= 256 ? etag : undefined
}

/** What asks the server whether a kept answer still holds. */
export function revalidation(record: {etag?: unknown; last_modified?: unknown}): HttpHeaders {
  if (typeof record.etag === 'string') return {'if-none-match': record.etag}
  if (typeof record.last_modified === 'string') return {'if-modified-since': record.last_modified}
  return {}
}
