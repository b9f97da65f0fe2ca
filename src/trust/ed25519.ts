import {createPublicKey, type KeyObject, verify} from 'node:crypto'
import {Point} from '@noble/ed25519'
import {RelError} from '../system/error.ts'
import {sha256Hex} from '../system/hash.ts'

/** RFC 8410: the fixed DER prefix of a SubjectPublicKeyInfo that holds an Ed25519 key. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

export const PUBLIC_KEY_BYTES = 32
export const SIGNATURE_BYTES = 64

/** A public key that passed the weak-key test; its id is the SHA-256 of its SPKI DER in hex. */
export type PublicKey = {
  readonly raw: Uint8Array
  readonly keyId: string
  readonly object: KeyObject
}

/** SubjectPublicKeyInfo of a raw 32-byte key, 44 bytes of DER. */
export function spkiOf(raw: Uint8Array): Buffer {
  return Buffer.concat([SPKI_PREFIX, raw])
}

/**
 * A trusted-once-configured key from its 32 raw bytes.
 * Refuses with key_malformed (length) and key_weak (no canonical point, or small order).
 */
export function publicKeyFromRaw(raw: Uint8Array): PublicKey {
  if (raw.length !== PUBLIC_KEY_BYTES)
    throw new RelError('key_malformed', `an Ed25519 public key has 32 bytes, got ${raw.length}`)
  if (!isStrongPoint(raw))
    throw new RelError('key_weak', 'the public key is not a canonical point of full order')
  const spki = spkiOf(raw)
  const object = createPublicKey({key: spki, format: 'der', type: 'spki'})
  return {raw: Uint8Array.from(raw), keyId: sha256Hex(spki), object}
}

/**
 * The rel-strict profile: canonical A and R, neither of small order, S < L, cofactorless equation.
 * Node 22 accepts small-order keys for every message, so node:crypto alone is not enough;
 * with the point check before it, every supported Node gives the verdicts of libsodium.
 */
export function verifyEd25519(key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false
  if (!isStrongPoint(signature.subarray(0, 32))) return false
  return verify(null, message, key.object, signature)
}

function isStrongPoint(encoded: Uint8Array): boolean {
  try {
    return !Point.fromBytes(Uint8Array.from(encoded), false).isSmallOrder()
  } catch {
    return false
  }
}
