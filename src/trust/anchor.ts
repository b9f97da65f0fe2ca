import {RelError} from '../system/error.ts'
import type {RoleName} from './anchor-roles.ts'
import type {PublicKey} from './ed25519.ts'
import {checkSignatures, type EnvelopeSignature, type KeySet, shortId} from './envelope.ts'
import {timeText} from './expiry.ts'
import type {AllowedSigner} from './sigstore/allowed-signer.ts'

/** Limits on an anchor, which is read before it is trusted. */
export const anchorLimits = {
  /** 4,096 revoked digests are 280 KB; the rest is small. */
  bytes: 1024 * 1024,
  depth: 8,
  keys: 256,
  /** Entries of one role: products times channels that differ in who signs. */
  grants: 64,
  /** No more keys per entry than an envelope may have signatures. */
  keyIds: 16,
  /** Products or channels of one entry. */
  names: 256,
  revokedKeys: 1024,
  revokedDigests: 4096,
  /** Versions that one update may walk; a device that missed more gets a new anchor by hand. */
  steps: 64,
} as const

/** The trust anchor, `trust.json` (docs/formats/trust-anchor.md), in camelCase. */
export type Anchor = {
  readonly spec: 1
  /** Rises by one with every change. */
  readonly version: number
  /** Seconds since the epoch after which nothing is verified with it. */
  readonly expires: number
  readonly keys: ReadonlyMap<string, AnchorKey>
  /** For each role its entries; the first one that covers a product and a channel decides. */
  readonly roles: ReadonlyMap<RoleName, readonly Grant[]>
  readonly revoked: readonly RevokedKey[]
  /** SHA-256 in hex of the canonical signed part of documents that must never be used again. */
  readonly revokedDigests: readonly string[]
  readonly allowedSigners: readonly AllowedSigner[]
  readonly legacy: LegacyRule
}

/** Whether manifests without a rel section (D2) are taken: never, always, or for these products. */
export type LegacyRule = 'deny' | 'allow' | {readonly products: readonly string[]}

/** Whether a D2 manifest of a product is taken. */
export function takesLegacy(rule: LegacyRule, product: string): boolean {
  return typeof rule === 'string' ? rule === 'allow' : rule.products.includes(product)
}

export type AnchorKey = {
  readonly publicKey: PublicKey
  /** What people call it. */
  readonly name?: string
  /** Seconds since the epoch after which it no longer counts; does not limit the root role. */
  readonly notAfter?: number
}

/** Any product, any channel, where absent. */
export type Limits = {
  readonly products?: readonly string[]
  readonly channels?: readonly string[]
}

/** `threshold` of these keys may sign within these limits. */
export type Grant = Limits & {
  readonly keyIds: readonly string[]
  readonly threshold: number
}

/** A key that must not count any more. */
export type RevokedKey = {
  readonly keyId: string
  /** Since when it may be in wrong hands, for readers with a trusted time; rel refuses all of it. */
  readonly since: number
  readonly reason?: string
}

/** An anchor as read: well-formed and consistent, its signatures not checked yet. */
export type AnchorFile = {
  readonly anchor: Anchor
  /** What is signed. */
  readonly canonical: string
  readonly signatures: readonly EnvelopeSignature[]
}

/** What a signature is for. */
export type Question = {readonly product: string; readonly channel: string; readonly now: number}

/**
 * The keys that count for a role, product and channel at a time, and the reason for every other
 * key of the anchor. Refuses with anchor_expired, role_missing, key_not_for_product,
 * key_not_for_channel when no key at all could count.
 */
export function keysFor(anchor: Anchor, role: RoleName, question: Question): KeySet {
  checkAnchorFresh(anchor, question.now)
  const grant = grantFor(anchor, role, question)
  const refused = new Map<string, RelError>()
  const keys: PublicKey[] = []
  for (const [keyId, key] of anchor.keys) {
    const reason = reasonAgainst(anchor, role, grant, question, keyId, key)
    if (reason === undefined) keys.push(key.publicKey)
    else refused.set(keyId, reason)
  }
  for (const {keyId} of anchor.revoked) refused.set(keyId, keyRevoked(keyId))
  return {keys, threshold: grant.threshold, refused}
}

/** The keys of the root role, which sign the anchor itself. */
export function rootKeys(anchor: Anchor): KeySet {
  const grant = anchor.roles.get('root')?.[0]
  if (grant === undefined) throw new RelError('role_missing', 'the anchor has no role root')
  return {keys: publicKeysOf(anchor, grant.keyIds), threshold: grant.threshold}
}

function publicKeysOf(anchor: Anchor, keyIds: readonly string[]): PublicKey[] {
  return keyIds.flatMap((keyId) => anchor.keys.get(keyId)?.publicKey ?? [])
}

/** Refuses with anchor_expired. */
export function checkAnchorFresh(anchor: Anchor, now: number): void {
  if (now <= anchor.expires) return
  const message = `version ${anchor.version} of the trust anchor expired at ${timeText(anchor.expires)}`
  throw new RelError('anchor_expired', message, {details: {expires: anchor.expires, now}})
}

function grantFor(anchor: Anchor, role: RoleName, {product, channel}: Question): Grant {
  const grants = anchor.roles.get(role) ?? []
  if (grants.length === 0)
    throw new RelError('role_missing', `the trust anchor has no keys for the role ${role}`)
  const forProduct = grants.filter(({products}) => covers(products, product))
  if (forProduct.length === 0)
    throw new RelError('key_not_for_product', `no ${role} key is for product ${product}`)
  const grant = forProduct.find(({channels}) => covers(channels, channel))
  if (grant !== undefined) return grant
  const message = `no ${role} key of product ${product} is for channel ${channel}`
  throw new RelError('key_not_for_channel', message)
}

function covers(names: readonly string[] | undefined, name: string): boolean {
  return names === undefined || names.includes(name)
}

function reasonAgainst(
  anchor: Anchor,
  role: RoleName,
  grant: Grant,
  {product, channel, now}: Question,
  keyId: string,
  key: AnchorKey,
): RelError | undefined {
  if (grant.keyIds.includes(keyId))
    return key.notAfter !== undefined && now > key.notAfter
      ? keyExpired(keyId, key.notAfter)
      : undefined
  const own = (anchor.roles.get(role) ?? []).filter(({keyIds}) => keyIds.includes(keyId))
  const label = `key ${shortId(keyId)}`
  if (own.length === 0)
    return new RelError('key_not_for_role', `${label} does not have the role ${role}`)
  if (!own.some(({products}) => covers(products, product)))
    return new RelError('key_not_for_product', `${label} is not for product ${product}`)
  return new RelError('key_not_for_channel', `${label} is not for channel ${channel} of ${product}`)
}

function keyExpired(keyId: string, notAfter: number): RelError {
  return new RelError('key_expired', `key ${shortId(keyId)} was good until ${timeText(notAfter)}`)
}

function keyRevoked(keyId: string): RelError {
  return new RelError('key_revoked', `key ${shortId(keyId)} was revoked`)
}

/** Refuses with digest_revoked; the digest is of the canonical signed part. */
export function checkDigest(anchor: Anchor, sha256: string): void {
  if (!anchor.revokedDigests.includes(sha256)) return
  throw new RelError('digest_revoked', `the document ${sha256.slice(0, 16)} was revoked`)
}

/**
 * That an anchor is signed by the threshold of its own root keys: all that can be said of the first
 * one, which is trusted because an administrator put it there.
 * Refuses as checkSignatures does.
 */
export function checkAnchor({anchor, canonical, signatures}: AnchorFile): void {
  checkSignatures('trust', canonical, signatures, rootKeys(anchor))
}

/** Refuses with clock_set_back when the clock is behind a time it has shown before. */
export function checkClock(now: number, highWater: number): void {
  if (now >= highWater) return
  const message = `the clock is ${highWater - now} s behind ${timeText(highWater)}, seen before`
  throw new RelError('clock_set_back', message, {details: {now, high_water: highWater}})
}
