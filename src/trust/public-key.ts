import {readFileLimited} from '../system/files.ts'
import {isPrimeOrderPoint, keyPairOf, type PublicKey, publicKeyFromRaw, spkiOf} from './ed25519.ts'
import {
  detectKeyFormat,
  type KeyFormat,
  keyMalformed,
  MAX_KEY_FILE_BYTES,
} from './key-formats/detect.ts'
import {formatPublicJwk, parseJwk} from './key-formats/jwk.ts'
import {formatMinisignPublic, parseMinisignPublic} from './key-formats/minisign-key.ts'
import {formatOpensshPublic, parseOpensshPublic} from './key-formats/openssh.ts'
import {formatPem} from './key-formats/pem.ts'
import {rawBytes} from './key-formats/raw.ts'
import {keyPrivate, rawOfPublicDer, rawOfPublicPem} from './key-formats/spki.ts'
import {deriveMinisignKeyId} from './minisign.ts'

/** A public key and what its file said about it; the comment is nobody's word. */
export type ParsedPublicKey = PublicKey & {
  readonly format: KeyFormat
  readonly comment?: string
  /** 8 bytes; only minisign and signify files name one. */
  readonly minisignKeyId?: Uint8Array
}

/**
 * A public key from a file of any of the known forms (docs/formats/keys.md); `format` is only
 * needed to insist on one. A private key in its place is refused, and never echoed.
 * Refuses with key_empty, key_truncated, key_malformed, key_private, key_algorithm, key_weak.
 */
export function parsePublicKey(bytes: Uint8Array, format?: KeyFormat): ParsedPublicKey {
  const found = detectKeyFormat(bytes)
  const {raw, ...rest} = publicParts(bytes, format ?? found)
  return {...publicKeyFromRaw(raw), format: format ?? found, ...rest}
}

/** A public key file of at most 16 KiB; file_missing, file_unreadable and parsePublicKey's codes. */
export function readPublicKey(path: string, format?: KeyFormat): ParsedPublicKey {
  return parsePublicKey(readFileLimited(path, MAX_KEY_FILE_BYTES), format)
}

type PublicParts = {raw: Uint8Array; comment?: string; minisignKeyId?: Uint8Array}

function publicParts(bytes: Uint8Array, format: KeyFormat): PublicParts {
  switch (format) {
    case 'pem':
      return {raw: rawOfPublicPem(bytes)}
    case 'der':
      return {raw: rawOfPublicDer(bytes)}
    case 'raw':
      return {raw: publicOfRaw(rawBytes(bytes))}
    case 'minisign':
      return parseMinisignPublic(textOf(bytes))
    case 'jwk':
      return {raw: publicOfJwk(bytes)}
    case 'openssh': {
      const text = textOf(bytes)
      if (text.trimStart().startsWith('-----BEGIN')) throw keyPrivate()
      return parseOpensshPublic(text)
    }
  }
}

/**
 * 64 bytes private‖public are told from a public key for sure, 32 private bytes in 15 of 16 cases
 * (half of them as key_weak, being no point at all).
 */
function publicOfRaw(raw: Buffer): Uint8Array {
  if (raw.length === 32) {
    publicKeyFromRaw(raw)
    if (isPrimeOrderPoint(raw)) return raw
    throw keyMalformed('no key generator yields these 32 bytes; are they the private key?')
  }
  const seed = raw.subarray(0, 32)
  const isPair = Buffer.compare(keyPairOf(seed).publicKey.raw, raw.subarray(32)) === 0
  raw.fill(0)
  throw isPair ? keyPrivate() : keyMalformed('64 bytes, a raw public key has 32')
}

function publicOfJwk(bytes: Uint8Array): Uint8Array {
  const {x, d} = parseJwk(bytes)
  if (d === undefined) return x
  d.fill(0)
  throw keyPrivate()
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}

/** The ways to write a public key down, each as the whole text of a file. */
export type PublicKeyTexts = {
  readonly pem: string
  readonly minisign: string
  readonly openssh: string
  readonly raw: string
  readonly jwk: string
}

/** One key in every form; the minisign id is the file's own or the derived one. */
export function formatPublicKey(key: PublicKey & {minisignKeyId?: Uint8Array}): PublicKeyTexts {
  return {
    pem: formatPem('PUBLIC KEY', spkiOf(key.raw)),
    minisign: formatMinisignPublic(key.raw, key.minisignKeyId ?? deriveMinisignKeyId(key)),
    openssh: formatOpensshPublic(key.raw),
    raw: `${Buffer.from(key.raw).toString('base64')}\n`,
    jwk: formatPublicJwk(key.raw),
  }
}
