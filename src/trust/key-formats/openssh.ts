import {RelError} from '../../system/error.ts'
import {PUBLIC_KEY_BYTES} from '../ed25519.ts'
import {SshReader, sshPublicKey} from '../ssh-wire.ts'
import {keyMalformed, keyTruncated} from './detect.ts'
import {parsePem} from './pem.ts'
import {keyAlgorithm} from './spki.ts'

/** A line `ssh-ed25519 BASE64 COMMENT`. Refuses with key_algorithm, key_truncated, key_malformed. */
export function parseOpensshPublic(text: string): {raw: Uint8Array; comment?: string} {
  const line = text.trim()
  if (/[\r\n]/.test(line)) throw keyMalformed('an OpenSSH public key is one line')
  const [type = '', base64 = '', ...words] = line.split(/[ \t]+/)
  if (type !== 'ssh-ed25519') throw keyAlgorithm()
  const blob = Buffer.from(base64, 'base64')
  if (blob.toString('base64') !== base64) throw keyMalformed('its middle is not padded base64')
  const raw = rawOfBlob(blob)
  const comment = words.join(' ')
  return comment === '' ? {raw} : {raw, comment}
}

function rawOfBlob(blob: Buffer): Uint8Array {
  const reader = new SshReader(blob)
  const type = reader.string()?.toString('latin1')
  const raw = reader.string()
  if (type === undefined || raw === undefined) throw keyTruncated('OpenSSH')
  if (type !== 'ssh-ed25519') throw keyAlgorithm()
  if (raw.length !== PUBLIC_KEY_BYTES || reader.rest > 0)
    throw keyMalformed('the OpenSSH key has a wrong length')
  return raw
}

/** The line of an authorized_keys file, without a comment when none is given. */
export function formatOpensshPublic(raw: Uint8Array, comment = ''): string {
  const base64 = sshPublicKey(raw).toString('base64')
  return `${['ssh-ed25519', base64, comment].filter((word) => word !== '').join(' ')}\n`
}

/**
 * The 64 bytes private‖public of an unencrypted `openssh-key-v1` file (openssh PROTOCOL.key).
 * Refuses with key_encrypted, key_algorithm, key_truncated, key_malformed.
 */
export function parseOpensshPrivate(bytes: Uint8Array): {pair: Buffer; comment: string} {
  const {label, der} = parsePem(bytes)
  if (label !== 'OPENSSH PRIVATE KEY') throw keyMalformed('its armour is not that of OpenSSH')
  try {
    const reader = new SshReader(der)
    const magic = reader.bytes(15)?.toString('latin1')
    const cipher = reader.string()?.toString('latin1')
    const [kdf, kdfOptions, count] = [reader.string(), reader.string(), reader.uint32()]
    const blob = reader.string()
    const secret = reader.string()
    if (!kdf || !kdfOptions || !blob || !secret) throw keyTruncated('OpenSSH')
    if (magic !== 'openssh-key-v1\0' || count !== 1 || reader.rest > 0)
      throw keyMalformed('not one openssh-key-v1')
    if (cipher !== 'none')
      throw new RelError('key_encrypted', 'the OpenSSH key has a passphrase, rel cannot open it')
    rawOfBlob(blob)
    return parseSecretSection(secret)
  } finally {
    der.fill(0)
  }
}

function parseSecretSection(secret: Buffer): {pair: Buffer; comment: string} {
  const reader = new SshReader(secret)
  const [check, again] = [reader.uint32(), reader.uint32()]
  const type = reader.string()?.toString('latin1')
  const [publicHalf, pair, comment] = [reader.string(), reader.string(), reader.string()]
  if (!publicHalf || !pair || !comment) throw keyTruncated('OpenSSH')
  if (check !== again || type !== 'ssh-ed25519' || pair.length !== 64)
    throw keyMalformed('the private section of the OpenSSH key is damaged')
  const owned = Buffer.from(pair)
  return {pair: owned, comment: comment.toString('utf8')}
}
