import {createHash, createPrivateKey, createPublicKey, type KeyObject, verify} from 'node:crypto'
import {Point} from '@noble/ed25519'
import {RelError} from '../system/error.ts'
import {sha256Hex} from '../system/hash.ts'

/** RFC 8410: the fixed DER prefix of a SubjectPublicKeyInfo that holds an Ed25519 key. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')
/** RFC 8410: the fixed DER prefix of a PrivateKeyInfo that holds an Ed25519 key. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

export const PUBLIC_KEY_BYTES = 32
/** RFC 8032 calls it the private key; all else is computed from it. */
export const SEED_BYTES = 32
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

/** The raw key of an SPKI in its only DER form, or undefined. */
export function rawOfSpki(der: Uint8Array): Uint8Array | undefined {
  const fits = der.length === SPKI_PREFIX.length + PUBLIC_KEY_BYTES
  const prefix = der.subarray(0, SPKI_PREFIX.length)
  return fits && SPKI_PREFIX.equals(prefix) ? der.subarray(SPKI_PREFIX.length) : undefined
}

/** PrivateKeyInfo of a 32-byte private key, 48 bytes of DER, to be overwritten after use. */
export function pkcs8Of(seed: Uint8Array): Buffer {
  return Buffer.concat([PKCS8_PREFIX, seed])
}

/** The key pair of a 32-byte private key; the buffer given stays the caller's to overwrite. */
export function keyPairOf(seed: Uint8Array): {privateKey: KeyObject; publicKey: PublicKey} {
  const privateKey = privateKeyOf(seed)
  const spki = createPublicKey(privateKey).export({format: 'der', type: 'spki'})
  return {privateKey, publicKey: publicKeyFromRaw(spki.subarray(SPKI_PREFIX.length))}
}

/** OpenSSL's form of a 32-byte private key; the buffer given stays the caller's to overwrite. */
export function privateKeyOf(seed: Uint8Array): KeyObject {
  const der = pkcs8Of(seed)
  try {
    return createPrivateKey({key: der, format: 'der', type: 'pkcs8'})
  } finally {
    der.fill(0)
  }
}

/**
 * A trusted-once-configured key from its 32 raw bytes.
 * Refuses with key_malformed (length) and key_weak (no canonical point, or small order).
 */
export function publicKeyFromRaw(raw: Uint8Array): PublicKey {
  if (raw.length !== PUBLIC_KEY_BYTES)
    throw new RelError('key_malformed', `an Ed25519 public key has 32 bytes, got ${raw.length}`)
  const owned = Uint8Array.from(raw)
  if (!isStrongPoint(owned))
    throw new RelError('key_weak', 'the public key is no canonical point, or one of small order')
  const spki = spkiOf(owned)
  const object = createPublicKey({key: spki, format: 'der', type: 'spki'})
  return {raw: owned, keyId: sha256Hex(spki), object}
}

/**
 * The rel-strict profile: canonical A and R, neither of small order, S < L, cofactorless equation.
 * Node 22 accepts small-order keys for every message, so node:crypto alone is not enough;
 * with the point check before it, every supported Node gives the verdicts of libsodium.
 * Of R only its order is looked at: node:crypto (RFC 8032 5.1.7 with the equation in bytes) compares
 * the canonical encoding of [S]B - [k]A with R, and no other string of bytes, point or not, equals
 * that (docs/decisions/start-up.md).
 */
export function verifyEd25519(key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false
  if (isSmallOrder(signature.subarray(0, 32))) return false
  return verify(null, message, key.object, signature)
}

/**
 * True for what key generation can yield: half of all 32-byte strings are points, one in sixteen
 * is one of these. It tells most private keys from public ones; verification does not ask it.
 */
export function isPrimeOrderPoint(raw: Uint8Array): boolean {
  try {
    return Point.fromBytes(Uint8Array.from(raw), false).isTorsionFree()
  } catch {
    return false
  }
}

/** RFC 8032 5.1.3 decoding without ZIP215's leniency, and not of small order. */
function isStrongPoint(encoded: Uint8Array): boolean {
  if (isSmallOrder(encoded)) return false
  try {
    Point.fromBytes(Uint8Array.from(encoded), false)
    return true
  } catch {
    return false
  }
}

/**
 * The y of the eight points of small order, little-endian: identity; order 2; order 4; order 8,
 * twice. x and -x have the same y, so the sign bit is not part of it.
 */
const SMALL_ORDER_Y = [
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  '00'.repeat(32),
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
].map((hex) => Buffer.from(hex, 'hex'))

/** Whether canonical bytes encode one of the eight points whose order divides 8. */
function isSmallOrder(encoded: Uint8Array): boolean {
  const y = Buffer.from(encoded)
  y[31] = (y[31] ?? 0) & 0x7f
  return SMALL_ORDER_Y.some((small) => small.equals(y))
}

/** The order of the group of the base point (RFC 8032 5.1). */
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n

/** A signature over bytes that arrive in pieces: no more of them is held than the piece at hand. */
export type PiecewiseCheck = {
  update(piece: Uint8Array): void
  /** The verdict of verifyEd25519 over all pieces; called once, at the end. */
  verdict(): boolean
}

/**
 * verifyEd25519 for what does not fit into memory. Verifying, unlike signing, passes over the
 * message once: SHA-512(R, A, M) gives k, and R must be the encoding of [S]B - [k]A.
 */
export function checkEd25519Pieces(key: PublicKey, signature: Uint8Array): PiecewiseCheck {
  const r = signature.subarray(0, 32)
  const hash = createHash('sha512').update(r).update(key.raw)
  return {
    update: (piece) => hash.update(piece),
    verdict() {
      if (signature.length !== SIGNATURE_BYTES || isSmallOrder(r)) return false
      const s = littleEndian(signature.subarray(32))
      if (s >= ORDER) return false
      const k = littleEndian(hash.digest()) % ORDER
      const a = Point.fromBytes(Uint8Array.from(key.raw), false)
      const point = Point.BASE.multiply(s, false).subtract(a.multiply(k, false))
      return Buffer.from(point.toBytes()).equals(r)
    },
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
}
