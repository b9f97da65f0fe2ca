import {Type} from 'typebox'
import {RelError} from '../../system/error.ts'
import {sha256Hex} from '../../system/hash.ts'
import {exact, productName, time} from '../admin/fields.ts'
import {newUlid} from '../admin/ulid.ts'
import type {Panel} from '../panel.ts'
import type {PanelApp} from '../server/app.ts'
import {Buckets, checkRate, networkOf} from '../server/limits.ts'
import {newTokenText} from '../server/token.ts'
import type {Publisher, StoredToken} from '../store/store.ts'
import {IssuerKeys} from './issuer-keys.ts'
import {invalid, type RunIdentity, runIdentityOf, strangeClaims} from './run-identity.ts'

/** GitHub's identity tokens have 2 KB. */
const MAX_TOKEN = 8192
/** How far the clocks of issuer and panel may be apart, in seconds. */
const SKEW_SECS = 60
/** Identity tokens are shown at once; older ones were kept by somebody. */
const MAX_AGE_SECS = 600
/** What a run gets lasts for its uploads, and no longer. */
const TOKEN_SECS = 3600
/** Exchanges from one address: a run needs one. */
const exchangeLimit = {perSec: 1, burst: 50}

type Verified = {
  readonly run: RunIdentity
  /** Digest of who issued it and its id. */
  readonly id: string
  readonly expires: number
}

/** `POST /v1/oidc/exchange`: the identity of a run for a token of this panel. */
export function oidcRoutes(app: PanelApp, panel: Panel): void {
  const keys = new IssuerKeys()
  const addresses = new Buckets(exchangeLimit)

  app.post(
    '/v1/oidc/exchange',
    {
      schema: {
        summary: 'A token for the identity of a run',
        description:
          'The identity token (OpenID Connect, RS256) of a run that a publisher of the product describes; its audience is the public address of the panel. Each is taken once.',
        body: exact({
          product: productName,
          token: Type.String({minLength: 1, maxLength: MAX_TOKEN}),
        }),
        response: {
          201: Type.Object({
            id: Type.String(),
            token: Type.String({description: 'Shown once'}),
            verbs: Type.Array(Type.String()),
            expires: time,
          }),
        },
      },
    },
    async ({body, ip, id: requestId}, reply) => {
      checkRate(addresses, networkOf(ip))
      const {token, text} = await exchangeIdentity(panel, keys, {...body, requestId})
      reply.code(201).header('cache-control', 'no-store')
      return {id: token.id, token: text, verbs: [...token.verbs], expires: token.expires}
    },
  )
}

/**
 * A token of the panel for the identity token of a run. Refuses with oidc_unavailable,
 * oidc_token_invalid, oidc_token_replayed, oidc_publisher_unknown, oidc_keys_unavailable.
 */
async function exchangeIdentity(
  panel: Panel,
  keys: IssuerKeys,
  asked: {readonly product: string; readonly token: string; readonly requestId: string},
): Promise<{readonly token: StoredToken; readonly text: string}> {
  const {store, config, clock} = panel
  const audience = config.publicUrl
  if (audience === undefined)
    throw new RelError('oidc_unavailable', 'the panel was started without --public-url')
  const publishers = (await store.publishers()).filter(
    ({product, removed}) => product === asked.product && !removed,
  )
  const issuers = new Set(publishers.map(({issuer}) => issuer))
  if (issuers.size === 0) throw unknownPublisher(asked.product)
  const {issuer, ...verified} = await verifyIdentity(asked.token, {
    issuers,
    audience,
    keys,
    now: clock(),
  })
  const publisher = publisherOf(
    publishers.filter((each) => each.issuer === issuer),
    verified.run,
    asked.product,
  )
  const text = newTokenText()
  const created = clock()
  const {run, id, expires} = verified
  const token: StoredToken = {
    id: newUlid(created * 1000),
    name: `run ${run.runId} of ${run.repository}`.slice(0, 1000),
    sha256: sha256Hex(text),
    verbs: publisher.verbs,
    products: [publisher.product],
    expires: created + TOKEN_SECS,
    revoked: false,
    created,
    publisher: publisher.id,
  }
  await store.addExchanged({id, expires}, token, {
    publisher: publisher.id,
    repository: run.repository,
    repository_id: run.repositoryId,
    workflow: run.workflow,
    ref: run.ref,
    sha: run.sha,
    run_id: run.runId,
    ...(run.environment === undefined ? {} : {environment: run.environment}),
  })
  panel.log({
    level: 'info',
    event: 'identity.exchanged',
    fields: {request_id: asked.requestId, publisher: publisher.id, actor: token.id},
  })
  return {token, text}
}

type Wanted = {
  readonly issuers: ReadonlySet<string>
  readonly audience: string
  readonly keys: IssuerKeys
  /** Seconds since the epoch. */
  readonly now: number
}

/**
 * Signature first, by a key that the issuer publishes; then times, audience and claims. The
 * algorithm is RS256 whatever the token says. Refuses with oidc_token_invalid,
 * oidc_keys_unavailable.
 */
async function verifyIdentity(
  token: string,
  {issuers, audience, keys, now}: Wanted,
): Promise<Verified & {readonly issuer: string}> {
  const {decodeJwt, decodeProtectedHeader, errors, importJWK, jwtVerify} = await import('jose')
  const {alg, kid, issuer} = unverified()
  if (alg !== 'RS256') throw invalid('the algorithm is not RS256')
  if (typeof kid !== 'string' || kid.length > 256) throw invalid('it names no key')
  // only an issuer that an administrator has named is ever asked for keys
  if (typeof issuer !== 'string' || !issuers.has(issuer)) throw invalid('iss')
  const key = await keys.find(issuer, kid)
  if (key === undefined) throw invalid('its issuer has no such key')
  const payload = await verified()
  const {jti, iat, exp} = payload
  if (typeof jti !== 'string' || jti === '' || jti.length > 256) throw invalid('jti')
  if (iat === undefined || exp === undefined || exp <= iat) throw invalid('exp')
  return {
    issuer,
    run: runIdentityOf(payload),
    id: sha256Hex(JSON.stringify([issuer, jti])),
    // it is refused by its age long before, whatever it says of its end
    expires: now + MAX_AGE_SECS + 2 * SKEW_SECS,
  }

  function unverified(): {alg: unknown; kid: unknown; issuer: unknown} {
    try {
      const {alg, kid} = decodeProtectedHeader(token)
      return {alg, kid, issuer: decodeJwt(token).iss}
    } catch {
      throw invalid('it is no JSON Web Token')
    }
  }

  async function verified() {
    try {
      const {payload} = await jwtVerify(token, await importJWK(key ?? {}, 'RS256'), {
        algorithms: ['RS256'],
        issuer,
        audience,
        clockTolerance: SKEW_SECS,
        maxTokenAge: MAX_AGE_SECS,
        requiredClaims: ['exp', 'nbf', 'iat', 'jti'],
        currentDate: new Date(now * 1000),
      } as Parameters<typeof jwtVerify>[2])
      return payload
    } catch (error) {
      if (error instanceof errors.JWTExpired || error instanceof errors.JWTClaimValidationFailed)
        throw invalid(error.claim)
      if (error instanceof errors.JOSEError || error instanceof TypeError)
        throw invalid('its signature does not fit')
      throw error
    }
  }
}

/** Refuses with oidc_publisher_unknown; which claims of the run are strange is told of the nearest. */
function publisherOf(
  publishers: readonly Publisher[],
  run: RunIdentity,
  product: string,
): Publisher {
  let nearest: readonly string[] | undefined
  for (const publisher of publishers) {
    const strange = strangeClaims(publisher, run)
    if (strange.length === 0) return publisher
    if (nearest === undefined || strange.length < nearest.length) nearest = strange
  }
  throw unknownPublisher(product, nearest)
}

function unknownPublisher(product: string, claims: readonly string[] = []): RelError {
  const why = claims.length === 0 ? '' : ` by ${claims.join(', ')}`
  return new RelError('oidc_publisher_unknown', `the run is no publisher of ${product}${why}`, {
    ...(claims.length === 0 ? {} : {details: {claims: [...claims]}}),
  })
}
