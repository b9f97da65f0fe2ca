import {digestPattern} from '../system/digest.ts'
import {RelError} from '../system/error.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'
import {
  type Anchor,
  type AnchorFile,
  type AnchorKey,
  anchorLimits,
  type Grant,
  type LegacyRule,
  type Limits,
  type RevokedKey,
} from './anchor.ts'
import {type RoleName, roleNames} from './anchor-roles.ts'
import {canonicalJson} from './canonical-json.ts'
import {PUBLIC_KEY_BYTES, publicKeyFromRaw} from './ed25519.ts'
import {parseSignatures} from './envelope.ts'
import {parseAllowedSigners} from './sigstore/allowed-signer.ts'
import {parseStrictJson} from './strict-json.ts'

/** Products and channels: also safe as file names and in URLs. */
export const limitName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
/** Names of keys and reasons, shown as they are: printable ASCII. */
export const plainName = /^[ -~]{1,128}$/

/**
 * An anchor from its file: strict JSON, no unknown field, every key strong and under its own id,
 * every threshold within reach. Its signatures are not checked. Refuses with json_*, key_weak,
 * key_malformed, signature_*, anchor_spec_unsupported, anchor_malformed (the details say where),
 * anchor_limit, anchor_inconsistent, identity_policy_*.
 */
export function parseAnchor(bytes: Uint8Array): AnchorFile {
  const json = parseStrictJson(bytes, {bytes: anchorLimits.bytes, depth: anchorLimits.depth})
  const file = objectOf(json, 'the file')
  if (file.trust === undefined) throw malformed('the file', 'has no key trust')
  const trust = objectOf(file.trust, 'trust')
  checkSpec(trust.spec)
  onlyFields(file, 'the file', ['trust', 'signatures'])
  const anchor = anchorOf(trust)
  checkConsistent(anchor)
  const signatures = parseSignatures(file.signatures)
  return {anchor, canonical: canonicalJson(file.trust), signatures}
}

/** Newer specs come first: this version cannot say what is wrong with them. */
function checkSpec(spec: JsonValue | undefined): void {
  if (typeof spec !== 'number') throw malformed('trust.spec', 'is not a number')
  if (spec !== 1)
    throw new RelError('anchor_spec_unsupported', `the trust anchor has spec ${spec}, 1 is known`)
}

function anchorOf(trust: JsonObject): Anchor {
  const optional = ['revoked', 'revoked_digests', 'allowed_signers', 'legacy']
  onlyFields(trust, 'trust', ['spec', 'version', 'expires', 'keys', 'roles'], optional)
  const {revokedKeys, revokedDigests} = anchorLimits
  return {
    spec: 1,
    version: numberOf(trust.version, 'trust.version'),
    expires: numberOf(trust.expires, 'trust.expires'),
    keys: keysOf(trust.keys),
    roles: rolesOf(trust.roles),
    revoked: listOf(trust.revoked ?? [], 'trust.revoked', revokedKeys).map(revokedOf),
    revokedDigests: listOf(
      trust.revoked_digests ?? [],
      'trust.revoked_digests',
      revokedDigests,
    ).map((digest) => matching(digest, digestPattern, 'a revoked digest')),
    allowedSigners:
      trust.allowed_signers === undefined ? [] : parseAllowedSigners(trust.allowed_signers),
    legacy: legacyOf(trust.legacy),
  }
}

function legacyOf(json: JsonValue | undefined): LegacyRule {
  if (json === undefined || json === 'deny') return 'deny'
  if (json === 'allow') return 'allow'
  if (typeof json === 'string') throw malformed('trust.legacy', 'is neither deny nor allow')
  const where = 'trust.legacy'
  const rule = objectOf(json, where)
  onlyFields(rule, where, ['products'])
  return {products: namesOf(rule.products, limitName, anchorLimits.names, `${where}.products`)}
}

function keysOf(json: JsonValue | undefined): Map<string, AnchorKey> {
  const entries = Object.entries(objectOf(json, 'trust.keys'))
  checkCount(entries.length, anchorLimits.keys, 'trust.keys')
  return new Map(entries.map(([keyId, key]) => [keyId, keyOf(keyId, key)]))
}

/** The id is recomputed, so that one key cannot stand under two ids. */
function keyOf(keyId: string, json: JsonValue): AnchorKey {
  const where = `trust.keys.${digestPattern.test(keyId) ? keyId.slice(0, 16) : '(key id)'}`
  const key = objectOf(json, where)
  onlyFields(key, where, ['alg', 'public'], ['name', 'not_after'])
  if (key.alg !== 'ed25519') throw malformed(`${where}.alg`, 'is not ed25519')
  const text = matching(key.public, /^[A-Za-z0-9+/]{43}=$/, `${where}.public`)
  const raw = Buffer.from(text, 'base64')
  if (raw.length !== PUBLIC_KEY_BYTES || raw.toString('base64') !== text)
    throw malformed(`${where}.public`, 'is not 32 bytes in padded base64')
  const publicKey = publicKeyFromRaw(raw)
  if (publicKey.keyId !== keyId)
    throw new RelError('anchor_inconsistent', `${where} is not the id of the key under it`)
  return {
    publicKey,
    ...(key.name === undefined ? {} : {name: matching(key.name, plainName, `${where}.name`)}),
    ...(key.not_after === undefined
      ? {}
      : {notAfter: numberOf(key.not_after, `${where}.not_after`)}),
  }
}

function rolesOf(json: JsonValue | undefined): Map<RoleName, readonly Grant[]> {
  const roles = objectOf(json, 'trust.roles')
  onlyFields(roles, 'trust.roles', ['root'], roleNames)
  const given = roleNames.filter((role) => roles[role] !== undefined)
  return new Map(
    given.map((role) => {
      const where = `trust.roles.${role}`
      const grants = listOf(roles[role], where, anchorLimits.grants)
      return [role, grants.map((grant, at) => grantOf(grant, `${where}[${at}]`))]
    }),
  )
}

function grantOf(json: JsonValue, where: string): Grant {
  const grant = objectOf(json, where)
  onlyFields(grant, where, ['keyids', 'threshold'], ['products', 'channels'])
  return {
    keyIds: namesOf(grant.keyids, digestPattern, anchorLimits.keyIds, `${where}.keyids`),
    threshold: numberOf(grant.threshold, `${where}.threshold`),
    ...limitOf('products', grant.products, where),
    ...limitOf('channels', grant.channels, where),
  }
}

function limitOf<T extends 'products' | 'channels'>(
  what: T,
  json: JsonValue | undefined,
  where: string,
): {readonly [key in T]?: readonly string[]} {
  if (json === undefined) return {}
  const names = namesOf(json, limitName, anchorLimits.names, `${where}.${what}`)
  return {[what]: names} as {readonly [key in T]?: readonly string[]}
}

function revokedOf(json: JsonValue, at: number): RevokedKey {
  const where = `trust.revoked[${at}]`
  const revoked = objectOf(json, where)
  onlyFields(revoked, where, ['keyid', 'since'], ['reason'])
  return {
    keyId: matching(revoked.keyid, digestPattern, `${where}.keyid`),
    since: numberOf(revoked.since, `${where}.since`),
    ...(revoked.reason === undefined
      ? {}
      : {reason: matching(revoked.reason, plainName, `${where}.reason`)}),
  }
}

/**
 * What no single field shows: version from 1, times that have a spelling, one root entry without limits, keys that exist and
 * are not revoked, thresholds that can be met, entries that can ever decide.
 */
export function checkConsistent(anchor: Anchor): void {
  if (anchor.version < 1) throw inconsistent('version 0 does not exist, the first one is 1')
  const times = [
    anchor.expires,
    ...[...anchor.keys.values()].map(({notAfter}) => notAfter ?? 0),
    ...anchor.revoked.map(({since}) => since),
  ]
  if (times.some((time) => time > MAX_TIME)) throw inconsistent('a time is after the year 9999')
  const revoked = new Set(anchor.revoked.map(({keyId}) => keyId))
  for (const [role, grants] of anchor.roles) {
    if (grants.length === 0) throw inconsistent(`role ${role} is an empty list`)
    for (const [at, grant] of grants.entries()) {
      checkGrant(anchor, revoked, grant, `role ${role}, entry ${at + 1}`)
      if (grants.slice(0, at).some((earlier) => coversAll(earlier, grant)))
        throw inconsistent(`role ${role}, entry ${at + 1} can never decide: an earlier one does`)
    }
  }
  const [root, ...more] = anchor.roles.get('root') ?? []
  if (root === undefined || more.length > 0 || root.products || root.channels)
    throw inconsistent('the role root is not one entry without limits')
}

/** The last second of the year 9999, beyond which dates have no common spelling. */
const MAX_TIME = 253_402_300_799

function checkGrant(anchor: Anchor, revoked: Set<string>, grant: Grant, where: string): void {
  const {keyIds, threshold} = grant
  const unknown = keyIds.find((keyId) => !anchor.keys.has(keyId))
  if (unknown) throw inconsistent(`${where} names key ${unknown.slice(0, 16)}, which is not there`)
  const bad = keyIds.find((keyId) => revoked.has(keyId))
  if (bad) throw inconsistent(`${where} names key ${bad.slice(0, 16)}, which is revoked`)
  if (threshold < 1 || threshold > keyIds.length)
    throw inconsistent(`${where} has ${keyIds.length} keys and a threshold of ${threshold}`)
}

/** Whether everything that `grant` is for is decided by `earlier` already. */
export function coversAll(earlier: Limits, grant: Limits): boolean {
  return isWithin(grant.products, earlier.products) && isWithin(grant.channels, earlier.channels)
}

function isWithin(inner: readonly string[] | undefined, outer: readonly string[] | undefined) {
  if (outer === undefined) return true
  return inner?.every((name) => outer.includes(name)) === true
}

function objectOf(json: JsonValue | undefined, where: string): JsonObject {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as JsonObject
  throw malformed(where, 'is not an object')
}

function listOf(json: JsonValue | undefined, where: string, limit: number): readonly JsonValue[] {
  if (!Array.isArray(json)) throw malformed(where, 'is not a list')
  checkCount(json.length, limit, where)
  return json
}

/** A list of different names, at least one. */
function namesOf(
  json: JsonValue | undefined,
  pattern: RegExp,
  limit: number,
  where: string,
): readonly string[] {
  const names = listOf(json, where, limit).map((name) => matching(name, pattern, where))
  if (names.length === 0) throw malformed(where, 'is an empty list')
  if (new Set(names).size < names.length) throw malformed(where, 'names something twice')
  return names
}

function checkCount(count: number, limit: number, where: string): void {
  if (count > limit)
    throw new RelError('anchor_limit', `${where} has ${count} entries, at most ${limit} are read`)
}

function matching(json: JsonValue | undefined, pattern: RegExp, where: string): string {
  if (typeof json === 'string' && pattern.test(json)) return json
  throw malformed(where, `is not text of the form ${pattern.source}`)
}

function numberOf(json: JsonValue | undefined, where: string): number {
  if (typeof json === 'number') return json
  throw malformed(where, 'is not a number')
}

function onlyFields(
  object: JsonObject,
  where: string,
  required: readonly string[],
  optional: readonly string[] = [],
): void {
  const absent = required.find((key) => object[key] === undefined)
  if (absent !== undefined) throw malformed(where, `has no ${absent}`)
  const extra = Object.keys(object).some(
    (key) => !required.includes(key) && !optional.includes(key),
  )
  if (!extra) return
  throw malformed(where, `has a field other than ${[...required, ...optional].join(', ')}`)
}

function malformed(where: string, seen: string): RelError {
  return new RelError('anchor_malformed', `${where} of the trust anchor ${seen}`, {
    details: {where},
  })
}

function inconsistent(seen: string): RelError {
  return new RelError('anchor_inconsistent', `the trust anchor contradicts itself: ${seen}`)
}
