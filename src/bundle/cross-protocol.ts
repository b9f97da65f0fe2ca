import {RelError} from '../system/error.ts'
import {SIGNATURE_BYTES} from '../trust/ed25519.ts'
import {manifestLimits} from './manifest.ts'

/** The longest signed form of a manifest: Python's default separators are twice as long as JCS's. */
export const MAX_MANIFEST = 2 * manifestLimits.bytes
/** minisign's limit of a trusted comment. */
const MAX_COMMENT = 8192

/**
 * Refuses, with cross_protocol, bytes under which a bare Ed25519 signature would count for
 * something else as well: the canonical manifest of D2, what rel and DSSE sign, what ssh-keygen
 * signs, and both things that minisign signs. Asked before signing and before believing a .sig.
 */
export function checkOneMeaning(bytes: Uint8Array): void {
  const reason = otherMeaning(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  if (reason !== undefined)
    throw new RelError('cross_protocol', `no bare signature is made or believed here: ${reason}`)
}

/**
 * checkOneMeaning over bytes that come in pieces. Held in memory is only what could still be
 * something else as a whole: the beginning, and JSON objects up to MAX_MANIFEST.
 */
export class OneMeaning {
  #held: Buffer[] = []
  #heldBytes = 0
  #bytes = 0
  #isHolding = true

  add(piece: Uint8Array): void {
    this.#bytes += piece.length
    if (!this.#isHolding) return
    this.#held.push(Buffer.from(piece)) // its owner may use the memory again
    this.#heldBytes += piece.length
    if (this.#heldBytes <= SHORT) return
    if (this.#heldBytes <= MAX_MANIFEST && this.#mayBeObject()) return
    // too long for all but what is told by its beginning
    this.#held = [Buffer.concat(this.#held, SHORT + 1)]
    this.#isHolding = false
  }

  /** Refuses as checkOneMeaning does; asked once, at the end. */
  check(): void {
    const held = Buffer.concat(this.#held)
    this.#held = [held] // the pieces are as large again
    checkOneMeaning(this.#isHolding ? held : held.subarray(0, Math.min(this.#bytes, SHORT + 1)))
  }

  #mayBeObject(): boolean {
    for (const piece of this.#held) {
      const first = piece.find((byte) => !isSpace(byte))
      if (first !== undefined) return first === 0x7b
    }
    return true
  }
}

/** Longer than a digest, and than a signature with a comment. */
const SHORT = SIGNATURE_BYTES + MAX_COMMENT

function otherMeaning(bytes: Buffer): string | undefined {
  const head = bytes.toString('latin1', 0, 8)
  if (head.startsWith('DSSEv1 ')) return 'it is the input of a DSSE signature'
  if (head.startsWith('SSHSIG')) return 'it is the input of an SSH signature'
  if (bytes.length === 64)
    return 'its 64 bytes could be the digest that a minisign signature covers'
  if (isSignedComment(bytes)) return 'it could be a signature with its minisign comment'
  return isManifest(bytes) ? 'it is an object with manifest or bundle_name' : undefined
}

/**
 * minisign's second signature covers the first one and the comment. Whoever got that over a made-up
 * comment could give any signed file a new label. A signature is S < 2^253 and no readable text.
 */
function isSignedComment(bytes: Buffer): boolean {
  if (bytes.length <= SIGNATURE_BYTES || bytes.length > SIGNATURE_BYTES + MAX_COMMENT) return false
  const signature = bytes.subarray(0, SIGNATURE_BYTES)
  if ((signature[SIGNATURE_BYTES - 1] ?? 0) > 0x10 || signature.every(isTextByte)) return false
  return bytes.subarray(SIGNATURE_BYTES).every((byte) => byte === 0x09 || byte >= 0x20)
}

function isTextByte(byte: number): boolean {
  return (byte >= 0x20 && byte < 0x7f) || (byte >= 0x09 && byte <= 0x0d)
}

/** Read as leniently as any reader might. */
function isManifest(bytes: Buffer): boolean {
  if (bytes.length > MAX_MANIFEST) return false
  const start = bytes.findIndex((byte) => !isSpace(byte))
  if (bytes[start] !== 0x7b) return false
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8', start))
    return (
      typeof value === 'object' && value !== null && ('manifest' in value || 'bundle_name' in value)
    )
  } catch {
    return false
  }
}

/** White space of JSON, more that lenient readers skip, and the bytes of a byte order mark. */
function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d) || [0xef, 0xbb, 0xbf].includes(byte)
}
