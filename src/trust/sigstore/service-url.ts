import {RelError} from '../../system/error.ts'

/** Names under which a machine reaches itself: tests and side-by-side proxies go without TLS. */
const loopback: readonly string[] = ['127.0.0.1', '[::1]', 'localhost']

/**
 * The address of a service that gets an identity token, without a slash at its end.
 * Refuses with usage_invalid what is neither https nor on this machine, or holds a password.
 */
export function checkServiceUrl(text: string, what: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const safe =
    url?.protocol === 'https:' || (url?.protocol === 'http:' && loopback.includes(url.hostname))
  if (url === undefined || !safe || url.username !== '' || url.password !== '')
    throw new RelError('usage_invalid', `${what} is not an https address without a password`)
  return text.replace(/\/+$/, '')
}
