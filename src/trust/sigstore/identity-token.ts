import {RelError} from '../../system/error.ts'
import type {JsonObject, JsonValue} from '../../system/json.ts'
import {parseStrictJson} from '../strict-json.ts'
import {checkServiceUrl} from './service-url.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** What Fulcio asks a token to be made for. */
const AUDIENCE = 'sigstore'

const REQUEST_TIMEOUT_MS = 30_000

/** Tokens of CI systems have 1 to 3 KB. */
const limits = {bytes: 64 * 1024, depth: 16} as const

/**
 * The OpenID Connect token of this CI job: SIGSTORE_ID_TOKEN, else asked of GitHub Actions, which
 * offers one to jobs with the permission id-token: write. It is a secret and never part of a
 * message. Refuses with sigstore_token_missing, sigstore_token_invalid, sigstore_refused,
 * sigstore_unavailable, usage_invalid.
 */
export async function fetchIdentityToken(env: Environment, now: number): Promise<string> {
  const {SIGSTORE_ID_TOKEN, ACTIONS_ID_TOKEN_REQUEST_URL, ACTIONS_ID_TOKEN_REQUEST_TOKEN} = env
  if (SIGSTORE_ID_TOKEN) return checkToken(SIGSTORE_ID_TOKEN, now)
  if (!ACTIONS_ID_TOKEN_REQUEST_URL || !ACTIONS_ID_TOKEN_REQUEST_TOKEN)
    throw new RelError('sigstore_token_missing', 'this job offers no identity token')
  return checkToken(
    await askGitHub(ACTIONS_ID_TOKEN_REQUEST_URL, ACTIONS_ID_TOKEN_REQUEST_TOKEN),
    now,
  )
}

async function askGitHub(address: string, bearer: string): Promise<string> {
  checkServiceUrl(address, 'ACTIONS_ID_TOKEN_REQUEST_URL')
  const url = new URL(address)
  url.searchParams.set('audience', AUDIENCE)
  const response = await request(url, bearer)
  if (!response.ok) {
    const code = response.status >= 500 ? 'sigstore_unavailable' : 'sigstore_refused'
    throw new RelError(code, `the token service of GitHub Actions answered ${response.status}`)
  }
  const answer = parsed(Buffer.from(await response.arrayBuffer()))
  if (typeof answer?.value !== 'string') throw invalid('the token service sent no token')
  return answer.value
}

async function request(url: URL, bearer: string): Promise<Response> {
  try {
    return await fetch(url, {
      headers: {accept: 'application/json', authorization: `Bearer ${bearer}`},
      // the bearer token is for this host alone
      redirect: 'error',
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    })
  } catch {
    throw new RelError('sigstore_unavailable', 'the token service of GitHub Actions is not there')
  }
}

/** Only what spares a useless request: Fulcio verifies the token, and sees no other proof of us. */
function checkToken(token: string, now: number): string {
  const [, payload, , ...more] = token.split('.')
  const claims = parsed(Buffer.from(payload ?? '', 'base64url'))
  if (claims === undefined || more.length > 0) throw invalid('the identity token is not a JWT')
  // sigstore-js puts the whole token into its message when these are missing
  const person = typeof claims.email === 'string' && claims.email_verified === true
  if (!person && (typeof claims.sub !== 'string' || claims.email !== undefined))
    throw invalid('the identity token has no usable subject')
  if (typeof claims.exp === 'number' && claims.exp <= now)
    throw invalid('the identity token has expired')
  return token
}

function parsed(bytes: Uint8Array): JsonObject | undefined {
  try {
    const json: JsonValue = parseStrictJson(bytes, {...limits, profile: 'general'})
    return typeof json === 'object' && json !== null && !Array.isArray(json)
      ? (json as JsonObject)
      : undefined
  } catch {
    return undefined
  }
}

function invalid(message: string): RelError {
  return new RelError('sigstore_token_invalid', message)
}
