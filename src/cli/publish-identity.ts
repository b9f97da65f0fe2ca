import {askPanel, jsonOf} from '../release/publish/panel-api.ts'
import type {PublishWorld} from '../release/publish/world.ts'
import {RelError} from '../system/error.ts'
import type {Http} from '../system/http.ts'
import {checkServiceUrl} from '../trust/sigstore/service-url.ts'
import type {PanelFlagValues} from './license-flags.ts'
import {isToken, panelToken} from './panel-client.ts'

type Environment = Readonly<Record<string, string | undefined>>

const MAX_ANSWER = 64 * 1024

/** A token lives an hour; no upload goes on for longer than a day. */
const MAX_RENEWALS = 24

/** Values of the Authorization header, and how to get another one when the panel takes it no more. */
export type PublisherAccess = Pick<PublishWorld, 'panelAuthorization' | 'renewPanelAuthorization'>

/**
 * What a panel is asked with: the token of --token-file or REL_PANEL_TOKEN; without one, in a job of
 * GitHub Actions that may, the token that the panel gives for the identity of the run, and a new one
 * when it has ended, up to a day's worth.
 * Refuses with token_missing, oidc_request_failed, and as the panel does.
 */
export async function publisherAuthorization(
  http: Http,
  flags: PanelFlagValues,
  env: Environment,
  place: Place,
): Promise<PublisherAccess> {
  const request = identityRequest(env)
  const isGiven = flags['token-file'] !== undefined || (env.REL_PANEL_TOKEN ?? '').trim() !== ''
  if (isGiven || request === undefined)
    return {panelAuthorization: `Bearer ${panelToken(flags, env)}`}
  const first = await exchanged(http, request, place)
  let current = Promise.resolve(first)
  let known = first
  let renewals = 0
  return {
    panelAuthorization: first,
    // several requests may have been refused at once: one of them asks
    renewPanelAuthorization: async (refused) => {
      if (refused === known && renewals < MAX_RENEWALS) {
        renewals++
        known = ''
        current = exchanged(http, request, place).then(
          (next) => {
            known = next
            return next
          },
          (error: unknown) => {
            known = refused // the next try asks again
            throw error
          },
        )
      }
      return current
    },
  }
}

type Place = {readonly url: string; readonly product: string}

async function exchanged(http: Http, request: IdentityRequest, place: Place): Promise<string> {
  const {url, product} = place
  // the audience is the address that was given, never one that an answer names: a panel that asks
  // for the audience of another could use the identity there
  const identity = await identityToken(http, request, url)
  const body = Buffer.from(JSON.stringify({product, token: identity}))
  const headers = {'content-type': 'application/json'}
  const access = {http, url, authorization: ''}
  const answer = await askPanel(access, {method: 'POST', path: '/v1/oidc/exchange', headers, body})
  const {token} = jsonOf(answer.body)
  if (typeof token === 'string' && isToken(token)) return `Bearer ${token}`
  throw new RelError('oidc_request_failed', 'the panel answered the identity with no token')
}

type IdentityRequest = {readonly url: string; readonly token: string}

/** Present in jobs with `permissions: id-token: write`. */
function identityRequest({
  ACTIONS_ID_TOKEN_REQUEST_URL: url,
  ACTIONS_ID_TOKEN_REQUEST_TOKEN: token,
}: Environment): IdentityRequest | undefined {
  return url && token ? {url, token} : undefined
}

async function identityToken(
  http: Http,
  {url, token}: IdentityRequest,
  audience: string,
): Promise<string> {
  const address = new URL(checkServiceUrl(url, 'ACTIONS_ID_TOKEN_REQUEST_URL'))
  address.searchParams.set('audience', audience)
  const {status, body} = await http.send({
    url: address.href,
    authorization: `Bearer ${token}`,
    headers: {accept: 'application/json'},
    maxBytes: MAX_ANSWER,
    redirects: 'return',
    isKept: false,
  })
  const {value} = status === 200 ? jsonOf(body) : {}
  if (typeof value === 'string' && /^[A-Za-z0-9_.-]{1,8192}$/.test(value)) return value
  throw new RelError('oidc_request_failed', `GitHub Actions answered ${status} and no identity`)
}
