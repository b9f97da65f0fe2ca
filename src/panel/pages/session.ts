import {createHash, createHmac, randomBytes, timingSafeEqual} from 'node:crypto'
import type {FastifyReply, FastifyRequest} from 'fastify'
import {RelError} from '../../system/error.ts'
import {sha256Hex} from '../../system/hash.ts'
import type {Panel} from '../panel.ts'
import {type Caller, callerOf, isTokenText} from '../server/token.ts'

/** A working day; a session never outlives its token. */
const SESSION_SECS = 12 * 3600

/** A person who is signed in. */
export type Session = Caller & {
  /** What every form of the session brings back. */
  readonly csrf: string
}

/**
 * What the session key is made from: a signature is deterministic and this text is never signed for
 * anybody, so instances with the same keys share sessions and nothing more has to be kept.
 */
const KEY_TEXT = 'rel panel: the key of page sessions, version 1'

type Claims = {
  /** SHA-256 of the token: enough to find it, not to use it. */
  readonly token: string
  readonly nonce: string
  readonly expires: number
  /** Rises when the token's owner signs out. */
  readonly round: number
}

/**
 * Sessions of people who showed a token: a signed cookie that scripts cannot read and other sites
 * cannot send. The token itself is looked up again on every request, so a revoked one ends its
 * sessions at once; signing out ends all sessions of the token, on every instance.
 */
export class Sessions {
  readonly #panel: Panel
  #key: Promise<Buffer> | undefined

  constructor(panel: Panel) {
    this.#panel = panel
  }

  /** Begins a session and returns its Set-Cookie. Refuses with token_invalid. */
  async begin(request: FastifyRequest, text: string): Promise<string> {
    const {store, clock} = this.#panel
    if (!isTokenText(text)) throw new RelError('token_invalid', 'this is no token of a panel')
    const {token, actor} = await callerOf(this.#panel, `Bearer ${text}`, request.id)
    const expires = Math.min(clock() + SESSION_SECS, token.expires)
    const claims: Claims = {
      token: sha256Hex(text),
      nonce: randomBytes(16).toString('base64url'),
      expires,
      round: await this.#round(token.id),
    }
    await store.record({event: 'session.begun'}, actor)
    const sealed = await this.#sealed(claims)
    return cookieText(request, this.#panel, 'session', sealed, expires - clock())
  }

  /** The session of a request; undefined when there is none that is good. */
  async find(request: FastifyRequest): Promise<Session | undefined> {
    const claims = await this.#opened(cookieOf(request, this.#panel, 'session'))
    if (claims === undefined || this.#panel.clock() >= claims.expires) return undefined
    const token = await this.#panel.store.token(claims.token)
    if (token === undefined || token.revoked || this.#panel.clock() >= token.expires)
      return undefined
    if ((await this.#round(token.id)) !== claims.round) return undefined
    const csrf = await this.#mac(`form ${claims.nonce}`)
    return {token, actor: {id: token.id, requestId: request.id}, csrf}
  }

  /** Ends every session of the token and returns the Set-Cookie that forgets this one. */
  async end(request: FastifyRequest, {token, actor}: Session): Promise<string> {
    const {store} = this.#panel
    await store.setSetting(roundOf(token.id), String((await this.#round(token.id)) + 1))
    await store.record({event: 'session.ended'}, actor)
    return cookieText(request, this.#panel, 'session', '', 0)
  }

  /** What the sign-in form brings back, tied to a cookie that is set where there is none. */
  async formToken(request: FastifyRequest, reply: FastifyReply): Promise<string> {
    const known = cookieOf(request, this.#panel, 'form')
    const nonce = known ?? randomBytes(16).toString('base64url')
    if (known === undefined)
      reply.header('set-cookie', cookieText(request, this.#panel, 'form', nonce, SESSION_SECS))
    return this.#mac(`sign-in ${nonce}`)
  }

  /** That the sign-in form is one that this browser was given. Refuses with form_stale. */
  async checkFormToken(request: FastifyRequest, given: string): Promise<void> {
    const nonce = cookieOf(request, this.#panel, 'form')
    checkForm(request, nonce === undefined ? undefined : await this.#mac(`sign-in ${nonce}`), given)
  }

  async #round(tokenId: string): Promise<number> {
    return Number((await this.#panel.store.setting(roundOf(tokenId))) ?? '0')
  }

  async #sealed(claims: Claims): Promise<string> {
    const payload = Buffer.from(JSON.stringify(claims)).toString('base64url')
    return `${payload}.${await this.#mac(`session ${payload}`)}`
  }

  async #opened(cookie: string | undefined): Promise<Claims | undefined> {
    const [payload = '', mac = '', ...rest] = (cookie ?? '').split('.')
    if (rest.length > 0 || !isSame(await this.#mac(`session ${payload}`), mac)) return undefined
    return JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as Claims
  }

  async #mac(text: string): Promise<string> {
    this.#key ??= this.#panel.keys.freshness
      .sign(Buffer.from(KEY_TEXT))
      .then((signature) => createHash('sha256').update(signature).digest())
    return createHmac('sha256', await this.#key)
      .update(text)
      .digest('base64url')
  }
}

/** That a form was filled in on a page of this session. Refuses with form_stale. */
export function checkForm(
  {headers}: FastifyRequest,
  wanted: string | undefined,
  given: string,
): void {
  const site = headers['sec-fetch-site']
  const fromHere = site === undefined || site === 'same-origin' || site === 'none'
  if (fromHere && wanted !== undefined && isSame(wanted, given)) return
  throw new RelError('form_stale', 'the form was not filled in on a page of this session')
}

function isSame(wanted: string, given: string): boolean {
  const [a, b] = [Buffer.from(wanted), Buffer.from(given)]
  return a.length === b.length && timingSafeEqual(a, b)
}

const roundOf = (tokenId: string): string => `session-round/${tokenId}`

/** True when the browser talks TLS to whoever is in front. */
function isSecure({protocol}: FastifyRequest, {config}: Panel): boolean {
  return protocol === 'https' || config.publicUrl?.startsWith('https:') === true
}

/** With TLS the prefix keeps other hosts of the domain from setting it (RFC 6265bis 4.1.3.2). */
function cookieName(request: FastifyRequest, panel: Panel, name: 'session' | 'form'): string {
  return `${isSecure(request, panel) ? '__Host-' : ''}rel-panel-${name}`
}

function cookieText(
  request: FastifyRequest,
  panel: Panel,
  name: 'session' | 'form',
  value: string,
  secs: number,
): string {
  const rest = `Path=/; Max-Age=${secs}; HttpOnly; SameSite=Strict`
  const secure = isSecure(request, panel) ? '; Secure' : ''
  return `${cookieName(request, panel, name)}=${value}; ${rest}${secure}`
}

function cookieOf(
  request: FastifyRequest,
  panel: Panel,
  name: 'session' | 'form',
): string | undefined {
  const prefix = `${cookieName(request, panel, name)}=`
  const pairs = (request.headers.cookie ?? '').split('; ')
  return pairs.find((pair) => pair.startsWith(prefix))?.slice(prefix.length)
}
