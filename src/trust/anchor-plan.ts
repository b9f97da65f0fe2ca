import {RelError} from '../system/error.ts'
import type {Anchor, AnchorKey, Grant, Limits, RevokedKey} from './anchor.ts'
import {checkConsistent, coversAll} from './anchor-parse.ts'
import {type RoleName, roleNames} from './anchor-roles.ts'
import {describeChange} from './anchor-text.ts'
import {shortId} from './envelope.ts'

/** The first entry of one role. */
export type FirstGrant = Limits & {
  readonly role: RoleName
  readonly keys: readonly AnchorKey[]
  readonly threshold: number
}

/** Version 1. Refuses with threshold_unreachable and anchor_inconsistent. */
export function planFirst(grants: readonly FirstGrant[], expires: number): Anchor {
  const keys = new Map<string, AnchorKey>()
  for (const key of grants.flatMap((grant) => grant.keys)) keys.set(key.publicKey.keyId, key)
  const roles = new Map(grants.map(({role, ...grant}) => [role, [grantOf(grant)]]))
  const anchor: Anchor = {
    spec: 1,
    version: 1,
    expires,
    keys,
    roles: inOrder(roles),
    revoked: [],
    revokedDigests: [],
    allowedSigners: [],
    legacy: 'deny',
  }
  checkReachable(anchor)
  checkConsistent(anchor)
  return anchor
}

/** Said before anything else, since it has a remedy of its own. */
function checkReachable(anchor: Anchor): void {
  for (const [role, grants] of anchor.roles) {
    const short = grants.find(({keyIds, threshold}) => keyIds.length < threshold)
    if (short === undefined) continue
    const {keyIds, threshold} = short
    const message = `role ${role} would have ${keyIds.length} keys and a threshold of ${threshold}`
    throw new RelError('threshold_unreachable', message)
  }
}

function grantOf({keys, threshold, products, channels}: Omit<FirstGrant, 'role'>): Grant {
  const keyIds = [...new Set(keys.map(({publicKey}) => publicKey.keyId))]
  return {keyIds, threshold, ...limitsOf({products, channels})}
}

function limitsOf(limits: {
  readonly products: readonly string[] | undefined
  readonly channels: readonly string[] | undefined
}): Limits {
  const {products, channels} = limits
  return {...(products && {products}), ...(channels && {channels})}
}

export type Addition = Limits & {
  readonly key: AnchorKey
  readonly roles: readonly RoleName[]
  /** Of the entries the key is added to; unchanged when absent. */
  readonly threshold?: number
}

/**
 * The next version, in which a key may also sign for some roles within some limits. It joins every
 * entry within the limits; where no entry has just these limits, a new one is made that starts with
 * the keys and the threshold that decided so far, so that what verified still does.
 * Refuses with anchor_unchanged, key_revoked, threshold_unreachable, anchor_inconsistent.
 */
export function planAdd(anchor: Anchor, addition: Addition, expires: number): Anchor {
  const {key} = addition
  const {keyId} = key.publicKey
  if (anchor.revoked.some((revoked) => revoked.keyId === keyId))
    throw new RelError('key_revoked', `key ${shortId(keyId)} was revoked and cannot come back`)
  const roles = new Map(anchor.roles)
  for (const role of addition.roles) roles.set(role, extend(roles.get(role) ?? [], addition))
  const before = anchor.keys.get(keyId)
  const keys = new Map(anchor.keys).set(keyId, {...before, ...key})
  return next(anchor, {keys, roles: inOrder(roles)}, expires)
}

function extend(grants: readonly Grant[], addition: Addition): Grant[] {
  const {key, threshold, products, channels} = addition
  const {keyId} = key.publicKey
  const join = (grant: Grant): Grant => ({
    ...grant,
    keyIds: grant.keyIds.includes(keyId) ? grant.keyIds : [...grant.keyIds, keyId],
    threshold: threshold ?? grant.threshold,
  })
  const extended = grants.map((grant) => (coversAll(addition, grant) ? join(grant) : grant))
  if (grants.some((grant) => coversAll(addition, grant) && coversAll(grant, addition)))
    return extended
  const decidedAt = grants.findIndex((grant) => coversAll(grant, addition))
  const {keyIds = [], threshold: usual = 1} = grants[decidedAt] ?? {}
  const made = join({keyIds, threshold: usual, ...limitsOf({products, channels})})
  return extended.toSpliced(decidedAt < 0 ? extended.length : decidedAt, 0, made)
}

/**
 * The next version, in which one key takes the place of another in every entry; with `overlap` both
 * are there until the same change is made without it. Refuses with key_revoked, anchor_unchanged,
 * threshold_unreachable, anchor_inconsistent.
 */
export function planRotate(
  anchor: Anchor,
  rotation: {readonly from: string; readonly to: AnchorKey; readonly overlap: boolean},
  expires: number,
): Anchor {
  const {from, to, overlap} = rotation
  const {keyId} = to.publicKey
  if (anchor.revoked.some((revoked) => revoked.keyId === keyId))
    throw new RelError('key_revoked', `key ${shortId(keyId)} was revoked and cannot come back`)
  const roles = replaced(anchor, from, overlap ? [from, keyId] : [keyId])
  const keys = new Map(anchor.keys).set(keyId, {...anchor.keys.get(keyId), ...to})
  return next(anchor, {keys, roles}, expires)
}

/** Every entry that has `from` with other keys in its place; a role left without keys is dropped. */
function replaced(
  anchor: Anchor,
  from: string,
  instead: readonly string[],
): ReadonlyMap<RoleName, readonly Grant[]> {
  const inPlace = (grant: Grant): Grant => {
    const keyIds = grant.keyIds.flatMap((keyId) => (keyId === from ? instead : keyId))
    return {...grant, keyIds: [...new Set(keyIds)]}
  }
  const roles = [...anchor.roles].map(([role, grants]) => [role, grants.map(inPlace)] as const)
  // one empty entry among others stays: without it a broader entry would decide, unasked
  return new Map(
    roles.filter(([role, grants]) => role === 'root' || grants.some((grant) => !isEmpty(grant))),
  )
}

function isEmpty({keyIds}: Grant): boolean {
  return keyIds.length === 0
}

/**
 * The next version, in which a key counts for nothing any more; `replacement` takes its places.
 * Refuses with anchor_unchanged, threshold_unreachable, anchor_inconsistent.
 */
export function planRevoke(
  anchor: Anchor,
  revocation: RevokedKey & {readonly replacement?: AnchorKey},
  expires: number,
): Anchor {
  const {replacement, ...revoked} = revocation
  if (anchor.revoked.some(({keyId}) => keyId === revoked.keyId))
    throw new RelError('anchor_unchanged', `key ${shortId(revoked.keyId)} is revoked already`)
  const instead = replacement === undefined ? [] : [replacement.publicKey.keyId]
  const keys = new Map(anchor.keys)
  if (replacement !== undefined) keys.set(replacement.publicKey.keyId, replacement)
  const roles = replaced(anchor, revoked.keyId, instead)
  return next(anchor, {keys, roles, revoked: [...anchor.revoked, revoked]}, expires)
}

/** The next version, in which documents with these digests are refused. */
export function planRevokeDigests(
  anchor: Anchor,
  digests: readonly string[],
  expires: number,
): Anchor {
  const revokedDigests = [...new Set([...anchor.revokedDigests, ...digests])].sort()
  return next(anchor, {revokedDigests}, expires)
}

/** What an anchor says beside keys. */
export type Settings = Partial<Pick<Anchor, 'allowedSigners' | 'legacy'>>

/** The next version, with other identities or another fate of D2 manifests. Refuses with anchor_unchanged. */
export function planSet(anchor: Anchor, settings: Settings, expires: number): Anchor {
  return next(anchor, settings, expires)
}

/** The next version, which says the same for longer. */
export function planRenew(anchor: Anchor, expires: number): Anchor {
  if (expires === anchor.expires)
    throw new RelError('anchor_unchanged', 'the anchor has just this expiry already')
  return {...anchor, version: anchor.version + 1, expires}
}

function next(
  anchor: Anchor,
  change: Partial<Omit<Anchor, 'spec' | 'version' | 'expires'>>,
  expires: number,
): Anchor {
  const changed = {...anchor, ...change}
  const made = {...changed, keys: used(changed), version: anchor.version + 1, expires}
  if (describeChange(anchor, {...made, expires: anchor.expires}).length === 0)
    throw new RelError('anchor_unchanged', 'the anchor says so already')
  checkReachable(made)
  checkConsistent(made)
  return made
}

/** The keys that some role still names. */
function used({keys, roles}: Anchor): ReadonlyMap<string, AnchorKey> {
  const named = new Set([...roles.values()].flatMap((grants) => grants.flatMap((g) => g.keyIds)))
  return new Map([...keys].filter(([keyId]) => named.has(keyId)))
}

function inOrder<T>(roles: ReadonlyMap<RoleName, T>): ReadonlyMap<RoleName, T> {
  return new Map(
    roleNames.flatMap((role) => {
      const value = roles.get(role)
      return value === undefined ? [] : [[role, value] as const]
    }),
  )
}
