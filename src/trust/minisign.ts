import {RelError} from '../system/error.ts'
import {type PublicKey, SIGNATURE_BYTES, verifyEd25519} from './ed25519.ts'
import type {Signer} from './signer.ts'

/** The file formats of minisign and signify, docs/formats/keys.md. */
const MINISIGN_KEY_ID_BYTES = 8

/** PureEdDSA over the file itself (signify, old minisign), or over its BLAKE2b-512 (minisign). */
export type MinisignAlgorithm = 'Ed' | 'ED'

/** A .minisig or a signify signature as read: nothing in it is trusted yet. */
export type MinisignSignature = {
  readonly algorithm: MinisignAlgorithm
  /** 8 bytes, as stored: minisign shows them as one little-endian number. */
  readonly minisignKeyId: Uint8Array
  readonly signature: Uint8Array
  /** Absent in signatures by signify. */
  readonly trusted?: {readonly comment: string; readonly signature: Uint8Array}
}

/** The key a .minisig is checked with: its minisign id, when known, must be the one named. */
export type MinisignKey = PublicKey & {readonly minisignKeyId?: Uint8Array}

export type MinisigInput = {
  /** BLAKE2b-512 of the file, 64 bytes. */
  readonly blake2b512: Uint8Array
  /** Signed, shown by minisign when it verifies: one line without control characters but tab. */
  readonly trustedComment: string
  /** Not signed; one line. */
  readonly untrustedComment?: string
  /** The id to name; that of the signer, or the derived one, when not given. */
  readonly minisignKeyId?: Uint8Array
}

/** minisign's own limits (TRUSTEDCOMMENTMAXBYTES, COMMENTMAXBYTES) and what a .minisig can hold. */
const MAX_TRUSTED_COMMENT = 8192 - 'trusted comment: '.length - 2
const MAX_UNTRUSTED_COMMENT = 1024 - 'untrusted comment: '.length - 2
const MAX_TEXT = 16_384

/**
 * The minisign id of a key that has none of its own (it came from PEM, SSH, a token): the first 8
 * bytes of rel's key id backwards, so that minisign prints the same 16 digits that rel shows.
 */
export function deriveMinisignKeyId(key: PublicKey): Uint8Array {
  return Uint8Array.from(Buffer.from(key.keyId.slice(0, 16), 'hex').reverse())
}

/** Minisign ids as minisign prints them: 16 upper-case hex digits. */
export function showMinisignKeyId(minisignKeyId: Uint8Array): string {
  return Buffer.from(minisignKeyId).reverse().toString('hex').toUpperCase()
}

/**
 * The text of a .minisig in minisign's form ED (prehashed), with a signed trusted comment; stock
 * minisign verifies it. Refuses with comment_malformed and what the signer refuses with.
 */
export async function makeMinisig(signer: Signer, input: MinisigInput): Promise<string> {
  const {trustedComment, untrustedComment = 'signature made by rel'} = input
  checkComment(trustedComment, MAX_TRUSTED_COMMENT)
  checkComment(untrustedComment, MAX_UNTRUSTED_COMMENT)
  const id = input.minisignKeyId ?? signer.minisignKeyId ?? deriveMinisignKeyId(signer.publicKey)
  const signature = await signer.sign(blake2bDigest(input.blake2b512))
  const global = await signer.sign(trustedMessage(signature, trustedComment))
  const blob = Buffer.concat([Buffer.from('ED', 'ascii'), id, signature])
  return [
    `untrusted comment: ${untrustedComment}`,
    blob.toString('base64'),
    `trusted comment: ${trustedComment}`,
    Buffer.from(global).toString('base64'),
    '',
  ].join('\n')
}

/**
 * The verdict on a .minisig, given the BLAKE2b-512 of the file; `message`, the file itself, is only
 * needed for the older form Ed. The comment is returned after its own signature passed.
 * Refuses with signature_malformed, key_unknown, signature_invalid and minisig_not_prehashed.
 */
export function checkMinisig(
  text: string,
  key: MinisignKey,
  blake2b512: Uint8Array,
  message?: Uint8Array,
): {readonly trustedComment: string} {
  const parsed = parseMinisignSignature(text)
  if (parsed.trusted === undefined)
    throw malformed('the trusted comment is missing; signify signatures have none')
  if (parsed.algorithm === 'Ed' && message === undefined)
    throw new RelError(
      'minisig_not_prehashed',
      'the signature covers the file, not its BLAKE2b-512',
    )
  checkKeyId(parsed, key)
  const signed =
    parsed.algorithm === 'Ed' && message !== undefined ? message : blake2bDigest(blake2b512)
  checkSignature(key, signed, parsed.signature, 'the file')
  const {comment, signature} = parsed.trusted
  checkSignature(key, trustedMessage(parsed.signature, comment), signature, 'the trusted comment')
  return {trustedComment: comment}
}

/**
 * The verdict on a signature by signify (form Ed, no trusted comment) over the whole file.
 * Refuses with signature_malformed, key_unknown, signature_invalid.
 */
export function checkSignify(text: string, key: MinisignKey, message: Uint8Array): void {
  const parsed = parseMinisignSignature(text)
  if (parsed.algorithm !== 'Ed') throw malformed('a signify signature has the form Ed')
  checkKeyId(parsed, key)
  checkSignature(key, message, parsed.signature, 'the file')
}

/** Reads either file format strictly. Refuses with signature_malformed. */
export function parseMinisignSignature(text: string): MinisignSignature {
  if (text.length > MAX_TEXT) throw malformed(`longer than ${MAX_TEXT} characters`)
  const lines = text.replace(/\r?\n$/, '').split(/\r?\n/)
  const [untrusted = '', blob = '', trusted, global] = lines
  if (lines.length !== 2 && lines.length !== 4) throw malformed(`2 or 4 lines, got ${lines.length}`)
  if (!untrusted.startsWith('untrusted comment: ')) throw malformed('no untrusted comment')
  const bytes = exactBase64(blob, 2 + MINISIGN_KEY_ID_BYTES + SIGNATURE_BYTES)
  const algorithm = bytes.toString('latin1', 0, 2)
  if (algorithm !== 'Ed' && algorithm !== 'ED') throw malformed('the algorithm is not Ed or ED')
  return {
    algorithm,
    minisignKeyId: bytes.subarray(2, 10),
    signature: bytes.subarray(10),
    ...(trusted === undefined ? {} : {trusted: parseTrusted(trusted, global ?? '')}),
  }
}

function parseTrusted(line: string, global: string): {comment: string; signature: Uint8Array} {
  const prefix = 'trusted comment: '
  if (!line.startsWith(prefix)) throw malformed('no trusted comment')
  const comment = line.slice(prefix.length)
  if (!isComment(comment, MAX_TRUSTED_COMMENT))
    throw malformed('the trusted comment is too long or holds control characters')
  return {comment, signature: exactBase64(global, SIGNATURE_BYTES)}
}

/** The second signature of a .minisig covers the first one and the comment. */
function trustedMessage(signature: Uint8Array, comment: string): Buffer {
  return Buffer.concat([signature, Buffer.from(comment, 'utf8')])
}

/** Ids are hints, but a differing one says better than a failed signature what is wrong. */
function checkKeyId(parsed: MinisignSignature, key: MinisignKey): void {
  if (key.minisignKeyId === undefined) return
  if (Buffer.compare(parsed.minisignKeyId, key.minisignKeyId) === 0) return
  const [got, want] = [parsed.minisignKeyId, key.minisignKeyId].map(showMinisignKeyId)
  throw new RelError('key_unknown', `signed by minisign key ${got}, the key given is ${want}`)
}

function checkSignature(
  key: PublicKey,
  message: Uint8Array,
  signature: Uint8Array,
  what: string,
): void {
  if (verifyEd25519(key, message, signature)) return
  const shown = key.keyId.slice(0, 16)
  throw new RelError('signature_invalid', `the signature over ${what} does not fit key ${shown}`)
}

function blake2bDigest(digest: Uint8Array): Uint8Array {
  if (digest.length === 64) return digest
  throw new RelError('internal_error', `a BLAKE2b-512 digest has 64 bytes, got ${digest.length}`)
}

function exactBase64(line: string, bytes: number): Buffer {
  const decoded = Buffer.from(line, 'base64')
  if (decoded.length !== bytes || decoded.toString('base64') !== line)
    throw malformed(`a line is not ${bytes} bytes in padded base64`)
  return decoded
}

function checkComment(comment: string, limit: number): void {
  if (isComment(comment, limit)) return
  const wanted = `one line of at most ${limit} bytes without control characters`
  throw new RelError('comment_malformed', `a comment in a .minisig is ${wanted}`)
}

/** One line; control characters would reach the terminals of those who verify. */
function isComment(comment: string, limit: number): boolean {
  return (
    Buffer.byteLength(comment, 'utf8') <= limit &&
    !/\p{Surrogate}/u.test(comment) &&
    !/[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/.test(comment)
  )
}

function malformed(seen: string): RelError {
  return new RelError('signature_malformed', `not a minisign signature: ${seen}`)
}
