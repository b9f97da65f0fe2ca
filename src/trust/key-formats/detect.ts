import {RelError} from '../../system/error.ts'

/** The forms of key files, for private and public keys alike; signify's has minisign's shape. */
export const keyFormats = ['pem', 'der', 'raw', 'minisign', 'openssh', 'jwk'] as const
export type KeyFormat = (typeof keyFormats)[number]

/** The longest key file read: an OpenSSH key with a long comment has 1 KiB, RSA keys have 3. */
export const MAX_KEY_FILE_BYTES = 16_384

/** OID 1.3.101.112 (Ed25519) as DER. */
const ED25519_OID = Buffer.from('06032b6570', 'hex')

/**
 * The form of a key file, by its first bytes and its length. What looks like nothing else is `raw`,
 * whose reader takes exact lengths only. Refuses with key_empty.
 */
export function detectKeyFormat(bytes: Uint8Array): KeyFormat {
  const text = Buffer.from(bytes.subarray(0, 64)).toString('latin1').trimStart()
  if (text === '') throw new RelError('key_empty', 'the key file is empty')
  if (text.startsWith('-----BEGIN OPENSSH ')) return 'openssh'
  if (text.startsWith('-----BEGIN ')) return 'pem'
  if (text.startsWith('untrusted comment:')) return 'minisign'
  if (/^RW[A-Za-z0-9+/]{54}\s*$/.test(text)) return 'minisign' // the string of minisign -P
  if (text.startsWith('{')) return 'jwk'
  if (/^(ssh|ecdsa|sk)-[a-z0-9@.-]+ /.test(text)) return 'openssh'
  // 32 and 64 bytes are raw keys, also when they happen to begin like DER
  if (bytes.length !== 32 && bytes.length !== 64 && isDer(bytes)) return 'der'
  return 'raw'
}

/** One whole DER SEQUENCE, or the beginning of one that names Ed25519. */
function isDer(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0x30) return false
  return derLength(bytes) === bytes.length || hasEd25519Oid(bytes)
}

/** True when Ed25519 is named where SPKI and PKCS#8 name their algorithm. */
export function hasEd25519Oid(der: Uint8Array): boolean {
  return Buffer.from(der.subarray(0, 16)).includes(ED25519_OID)
}

/** Bytes of header and content that the first DER element says it has; undefined when unreadable. */
export function derLength(bytes: Uint8Array): number | undefined {
  const [, first = 0x80, second = 0, third = 0] = bytes
  if (first < 0x80) return 2 + first
  if (first === 0x81) return 3 + second
  return first === 0x82 ? 4 + second * 256 + third : undefined
}

/** `file` in the middle of a sentence about a key. */
export function keyMalformed(seen: string): RelError {
  return new RelError('key_malformed', `not a usable key: ${seen}`)
}

export function keyTruncated(format: string): RelError {
  return new RelError('key_truncated', `the ${format} key ends too early`)
}
