import {randomBytes} from 'node:crypto'
import {RelError} from '../../system/error.ts'
import {sha256Hex} from '../../system/hash.ts'
import type {Panel} from '../panel.ts'
import type {Actor, StoredToken, VerbName} from '../store/store.ts'

/** In front of every token, so that secret scanners and people know one when they see it. */
const PREFIX = 'relp_'
const form = /^relp_[A-Za-z0-9_-]{43}$/

/** A fresh token of 256 random bits; it is shown once and kept nowhere. */
export function newTokenText(): string {
  return `${PREFIX}${randomBytes(32).toString('base64url')}`
}

/** True for text of the form that tokens have. */
export function isTokenText(text: string): boolean {
  return form.test(text)
}

/** Who sent a request, as its token says. */
export type Caller = {
  readonly token: StoredToken
  readonly actor: Actor
}

/**
 * The caller of a request. What is wrong with a token is not told: unknown, expired and revoked
 * look alike. Refuses with token_missing, token_invalid.
 */
export async function callerOf(
  panel: Pick<Panel, 'store' | 'clock'>,
  authorization: string | undefined,
  requestId: string,
): Promise<Caller> {
  const text = bearerOf(authorization)
  if (!isTokenText(text)) throw invalid()
  const token = await panel.store.token(sha256Hex(text))
  if (token === undefined || token.revoked || panel.clock() >= token.expires) throw invalid()
  return {token, actor: {id: token.id, requestId}}
}

function bearerOf(authorization: string | undefined): string {
  if (authorization === undefined)
    throw new RelError('token_missing', 'the request has no Authorization header')
  const [scheme = '', text = '', ...rest] = authorization.split(' ')
  if (scheme.toLowerCase() !== 'bearer' || rest.length > 0) throw invalid()
  return text
}

function invalid(): RelError {
  return new RelError('token_invalid', 'the token is unknown, expired or revoked')
}

/** Who counts as one person: the token, or the publisher whose runs get a fresh one each time. */
export function personOf({id, publisher}: StoredToken): string {
  return publisher ?? id
}

/** That a token has one of these verbs; `admin` has them all. Refuses with token_not_allowed. */
export function checkVerb({token}: Caller, verbs: readonly VerbName[]): void {
  if (token.verbs.includes('admin')) return
  if (verbs.some((verb) => token.verbs.includes(verb))) return
  throw new RelError('token_not_allowed', `the token lacks ${verbs.join(' or ')}`)
}

/**
 * That a token is good for a product; with undefined, for all of them.
 * Refuses with token_not_allowed.
 */
export function checkProduct({token}: Caller, product: string | undefined): void {
  if (token.products === undefined) return
  if (product !== undefined && token.products.includes(product)) return
  throw new RelError('token_not_allowed', 'the token is not for this product')
}
