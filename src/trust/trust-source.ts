import {RelError} from '../system/error.ts'
import {type AnchorFile, checkAnchorFresh, checkDigest, keysFor, type Question} from './anchor.ts'
import type {RoleName} from './anchor-roles.ts'
import type {PublicKey} from './ed25519.ts'
import type {KeySet} from './envelope.ts'

/** Who is trusted, as a verifier asks for it; an anchor and a list of keys both answer. */
export type Trust = {
  /** Asked in every policy, also where no key counts. Refuses with anchor_expired. */
  checkFresh(now: number): void
  keysFor(question: Question): KeySet
  checkRevoked(question: {readonly manifestSha256: string}): void
  nameOf(keyId: string): string | undefined
}

/** The trust that an anchor gives to one role. */
export function anchorTrust({anchor}: AnchorFile, role: RoleName): Trust {
  return {
    checkFresh: (now) => checkAnchorFresh(anchor, now),
    keysFor: (question) => keysFor(anchor, role, question),
    checkRevoked: ({manifestSha256}) => checkDigest(anchor, manifestSha256),
    nameOf: (keyId) => anchor.keys.get(keyId)?.name,
  }
}

/**
 * Trust in keys that were named one by one: any product, any channel, no end, nothing revoked.
 * Refuses with usage_invalid a threshold that they cannot meet.
 */
export function keyListTrust(keys: ReadonlyMap<string, PublicKey>, threshold: number): Trust {
  const publicKeys = [...keys.values()]
  const different = new Set(publicKeys.map(({keyId}) => keyId)).size
  if (threshold < 1 || threshold > different)
    throw new RelError('usage_invalid', `${different} keys cannot meet a threshold of ${threshold}`)
  const names = new Map([...keys].map(([name, {keyId}]) => [keyId, name]))
  return {
    checkFresh: () => {},
    keysFor: () => ({keys: publicKeys, threshold}),
    checkRevoked: () => {},
    nameOf: (keyId) => names.get(keyId),
  }
}
