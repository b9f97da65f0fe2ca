import {isDigest} from '../system/digest.ts'
import {RelError} from '../system/error.ts'
import type {JsonValue} from '../system/json.ts'
import {type PublicKey, SIGNATURE_BYTES, verifyEd25519} from './ed25519.ts'
import {type Canonical, type PayloadKind, toBeSigned} from './payload-type.ts'
import type {Signer} from './signer.ts'

/** One entry of an envelope's `signatures`: `keyid` is 64 hex digits, `sig` 64 bytes in base64. */
export type EnvelopeSignature = {readonly keyid: string; readonly sig: string}

/** Who must have signed: keys a caller already trusts for this document, and how many of them. */
export type KeySet = {
  readonly keys: readonly PublicKey[]
  readonly threshold: number
  /**
   * Keys that are known but do not count here (expired, revoked, for another channel), by key id
   * with the reason. Their signatures are ignored; the reason is told when too few others are left.
   */
  readonly refused?: ReadonlyMap<string, RelError>
}

/** Signatures read from one envelope; C2SP's signed-note asks verifiers for at least 16 as well. */
const MAX_SIGNATURES = 16

/**
 * The `signatures` of an envelope: an array of at most 16 objects {keyid, sig}, each key id once.
 * Refuses with signature_malformed, signature_limit, signature_duplicate.
 */
export function parseSignatures(json: JsonValue | undefined): EnvelopeSignature[] {
  if (!Array.isArray(json))
    throw new RelError('signature_malformed', 'signatures is not an array of {keyid, sig}')
  const signatures = json.map(parseSignature)
  checkShape(signatures)
  return signatures
}

function parseSignature(json: JsonValue): EnvelopeSignature {
  const entry = typeof json === 'object' && json !== null ? (json as Record<string, JsonValue>) : {}
  const {keyid, sig} = entry
  const known = Object.keys(entry).every((key) => key === 'keyid' || key === 'sig')
  if (!known || typeof keyid !== 'string' || typeof sig !== 'string')
    throw new RelError('signature_malformed', 'a signature is not an object of keyid and sig alone')
  return {keyid, sig}
}

function checkShape(signatures: readonly EnvelopeSignature[]): void {
  if (signatures.length > MAX_SIGNATURES) {
    const message = `${signatures.length} signatures, at most ${MAX_SIGNATURES} are read`
    throw new RelError('signature_limit', message)
  }
  const seen = new Set<string>()
  for (const {keyid, sig} of signatures) {
    if (!isDigest(keyid))
      throw new RelError('signature_malformed', 'a keyid is not 64 lower-case hex digits')
    if (seen.has(keyid))
      throw new RelError('signature_duplicate', `two signatures by key ${shortId(keyid)}`)
    seen.add(keyid)
    decodeSignature(sig)
  }
}

/** 64 bytes from padded, canonical base64: one signature has one spelling. */
export function decodeSignature(base64: string): Buffer {
  const bytes = Buffer.from(base64, 'base64')
  if (bytes.length !== SIGNATURE_BYTES || bytes.toString('base64') !== base64)
    throw new RelError('signature_malformed', 'a signature is not 64 bytes in padded base64')
  return bytes
}

/** Key ids as people see them: the first 16 of 64 hex digits. */
export function shortId(keyId: string): string {
  return keyId.slice(0, 16)
}

/**
 * The ids of the trusted keys that signed a document, at least `threshold` of them. Key ids are
 * hints: signatures by unknown keys are ignored, but a trusted key's signature that fails refuses
 * the whole (C2SP signed-note), and what counts are different public keys (TUF 5.3.4).
 * Refuses with signature_missing, signature_limit, signature_malformed, signature_duplicate,
 * key_unknown, signature_invalid, threshold_not_met, or the reason of a refused key that signed.
 */
export function checkSignatures(
  kind: PayloadKind,
  canonical: Canonical,
  signatures: readonly EnvelopeSignature[],
  keySet: KeySet,
): {readonly signedBy: readonly string[]} {
  const {keys, threshold} = keySet
  if (!Number.isSafeInteger(threshold) || threshold < 1)
    throw new RelError('internal_error', `a threshold of ${threshold} would trust everyone`)
  if (signatures.length === 0) throw new RelError('signature_missing', 'nobody has signed')
  checkShape(signatures)
  const signedBy = signersOf(kind, canonical, signatures, keys)
  if (signedBy.length >= threshold) return {signedBy}
  const refusal = refusalOf(signatures, keySet)
  if (refusal !== undefined) throw refusal
  throw signedBy.length === 0 ? keyUnknown(signatures, keys) : thresholdNotMet(signedBy, keySet)
}

/**
 * The ids of those keys that signed, each public key once, however few they are.
 * Refuses with signature_invalid when the signature of one of them fails.
 */
export function signersOf(
  kind: PayloadKind,
  canonical: Canonical,
  signatures: readonly EnvelopeSignature[],
  keys: readonly PublicKey[],
): readonly string[] {
  const known = new Map(keys.map((key) => [key.keyId, key]))
  const theirs = signatures.filter(({keyid}) => known.has(keyid))
  const signers = new Map<string, string>()
  if (theirs.length === 0) return []
  const message = toBeSigned(kind, canonical)
  for (const {keyid, sig} of theirs) {
    const key = known.get(keyid) as PublicKey
    if (!verifyEd25519(key, message, decodeSignature(sig))) throw signatureInvalid(kind, keyid)
    signers.set(Buffer.from(key.raw).toString('hex'), keyid)
  }
  return [...signers.values()]
}

function refusalOf(
  signatures: readonly EnvelopeSignature[],
  {refused}: KeySet,
): RelError | undefined {
  const signer = signatures.find(({keyid}) => refused?.has(keyid))
  return signer && refused?.get(signer.keyid)
}

function keyUnknown(
  signatures: readonly EnvelopeSignature[],
  keys: readonly PublicKey[],
): RelError {
  const signedBy = signatures.map(({keyid}) => keyid)
  const wanted = keys.map(({keyId}) => keyId)
  const message = `signed by ${listIds(signedBy)}, trusted here are ${listIds(wanted)}`
  return new RelError('key_unknown', message, {details: {signed_by: signedBy, trusted: wanted}})
}

function listIds(keyIds: readonly string[]): string {
  return keyIds.length === 0 ? 'no keys' : keyIds.map(shortId).join(', ')
}

function signatureInvalid(kind: PayloadKind, keyid: string): RelError {
  const message = `the signature by key ${shortId(keyid)} does not fit this ${kind}`
  return new RelError('signature_invalid', message, {details: {keyid}})
}

function thresholdNotMet({length: count}: readonly string[], {threshold}: KeySet): RelError {
  const message = `signed by ${count} trusted key${count === 1 ? '' : 's'}, ${threshold} are needed`
  return new RelError('threshold_not_met', message, {details: {signed: count, threshold}})
}

/**
 * The signatures with one more by `signer`, verified before it is handed out. A valid signature by
 * the same key is kept as it is, so that a repeated command changes nothing.
 * Refuses with signature_invalid and signature_limit.
 */
export async function addSignature(
  kind: PayloadKind,
  canonical: Canonical,
  existing: readonly EnvelopeSignature[],
  signer: Signer,
): Promise<readonly EnvelopeSignature[]> {
  const {keyId: keyid} = signer.publicKey
  const message = toBeSigned(kind, canonical)
  const before = existing.find((signature) => signature.keyid === keyid)
  const bytes = before ? decodeSignature(before.sig) : await signer.sign(message)
  if (!verifyEd25519(signer.publicKey, message, bytes)) throw signatureInvalid(kind, keyid)
  if (before) return existing
  const signatures = [...existing, {keyid, sig: Buffer.from(bytes).toString('base64')}]
  checkShape(signatures)
  return signatures
}
