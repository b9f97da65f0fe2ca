import {randomBytes} from 'node:crypto'
import {closeSync, constants, fstatSync, openSync} from 'node:fs'
import {readInto} from '../system/descriptors.ts'
import {RelError} from '../system/error.ts'
import {fileError} from '../system/files.ts'
import {shellWord} from '../system/shell-word.ts'
import {keyPairOf, type PublicKey, SEED_BYTES} from './ed25519.ts'
import {detectKeyFormat, type KeyFormat, MAX_KEY_FILE_BYTES} from './key-formats/detect.ts'
import {parseJwk} from './key-formats/jwk.ts'
import {formatMinisignSecret, openMinisignSecret} from './key-formats/minisign-key.ts'
import {parseOpensshPrivate} from './key-formats/openssh.ts'
import {formatPkcs8Pem, openPkcs8Der, openPkcs8Pem} from './key-formats/pkcs8.ts'
import {rawBytes} from './key-formats/raw.ts'
import {keyPublic} from './key-formats/spki.ts'
import {deriveMinisignKeyId} from './minisign.ts'

/** An opened private key. Whoever holds it calls destroySecretKey when done. */
export type SecretKey = {
  /** 32 bytes, RFC 8032's private key. */
  readonly seed: Buffer
  readonly publicKey: PublicKey
  readonly format: KeyFormat
  readonly encrypted: boolean
  readonly minisignKeyId?: Uint8Array
}

/** Asked only when the file is encrypted; the bytes are overwritten by whoever made them. */
export type AskPassphrase = () => Promise<Uint8Array>

export type OpenSecretKeyOptions = {
  readonly passphrase: AskPassphrase
  readonly format?: KeyFormat
  /** Take a file that group or others may read: file systems without permissions. */
  readonly insecurePermissions?: boolean
}

/**
 * Opens a private key file; permissions are those of the descriptor that is read.
 * Refuses with file_missing, file_unreadable, file_too_large, key_permissions and the codes of
 * openSecretKey.
 */
export async function readSecretKey(
  path: string,
  options: OpenSecretKeyOptions,
): Promise<SecretKey> {
  const bytes = readSecretFile(path, options.insecurePermissions === true)
  try {
    return await openSecretKey(bytes, options)
  } finally {
    bytes.fill(0)
  }
}

/**
 * A private key from the bytes of a file of any of the known forms (docs/formats/keys.md).
 * Refuses with key_empty, key_truncated, key_malformed, key_public, key_algorithm, key_mismatch,
 * key_encrypted, key_kdf_limit, passphrase_wrong.
 */
export async function openSecretKey(
  bytes: Uint8Array,
  options: Pick<OpenSecretKeyOptions, 'passphrase' | 'format'>,
): Promise<SecretKey> {
  const detected = detectKeyFormat(bytes)
  const format = options.format ?? detected
  const {secret, ...rest} = await secretParts(bytes, format, options.passphrase)
  const seed = Buffer.from(secret.subarray(0, SEED_BYTES))
  const publicHalf = secret.subarray(SEED_BYTES)
  const {publicKey} = keyPairOf(seed)
  const fits = publicHalf.length === 0 || Buffer.compare(publicHalf, publicKey.raw) === 0
  secret.fill(0)
  if (fits) return {seed, publicKey, format, ...rest}
  seed.fill(0)
  throw new RelError('key_mismatch', 'the public half in the file is not that of its private key')
}

export function destroySecretKey(key: SecretKey): void {
  key.seed.fill(0)
}

/** 32 bytes private, or 64 private‖public. */
type SecretParts = {secret: Buffer; encrypted: boolean; minisignKeyId?: Uint8Array}

async function secretParts(
  bytes: Uint8Array,
  format: KeyFormat,
  passphrase: AskPassphrase,
): Promise<SecretParts> {
  switch (format) {
    case 'pem': {
      const {seed, encrypted} = await openPkcs8Pem(bytes, passphrase)
      return {secret: seed, encrypted}
    }
    case 'der': {
      const {seed, encrypted} = await openPkcs8Der(Buffer.from(bytes), passphrase)
      return {secret: seed, encrypted}
    }
    case 'raw':
      return {secret: rawBytes(bytes), encrypted: false}
    case 'minisign': {
      const {pair, ...rest} = await openMinisignSecret(textOf(bytes), passphrase)
      return {secret: pair, ...rest}
    }
    case 'openssh':
      return {secret: opensshPair(bytes), encrypted: false}
    case 'jwk':
      return {secret: jwkPair(bytes), encrypted: false}
  }
}

function opensshPair(bytes: Uint8Array): Buffer {
  if (!textOf(bytes).trimStart().startsWith('-----BEGIN')) throw keyPublic()
  return parseOpensshPrivate(bytes).pair
}

function jwkPair(bytes: Uint8Array): Buffer {
  const {x, d} = parseJwk(bytes)
  if (d === undefined) throw keyPublic()
  const pair = Buffer.concat([d, x])
  d.fill(0)
  return pair
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}

/** The whole file in a buffer of its own, which the caller overwrites. */
function readSecretFile(path: string, insecurePermissions: boolean): Buffer {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw fileError(error, path, 'read')
  }
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile() && !stat.isFIFO())
      throw new RelError('file_unreadable', `${path} is not a file`)
    if ((stat.mode & 0o077) !== 0 && !insecurePermissions) throw openToOthers(path, stat.mode)
    return readAll(fd, path)
  } catch (error) {
    throw fileError(error, path, 'read')
  } finally {
    closeSync(fd)
  }
}

function readAll(fd: number, path: string): Buffer {
  const buffer = Buffer.alloc(MAX_KEY_FILE_BYTES + 1)
  const length = readInto(fd, buffer, path)
  if (length <= MAX_KEY_FILE_BYTES) return buffer.subarray(0, length)
  buffer.fill(0)
  const message = `${path} is larger than ${MAX_KEY_FILE_BYTES} bytes, so it is no key`
  throw new RelError('file_too_large', message)
}

function openToOthers(path: string, mode: number): RelError {
  const shown = `0${(mode & 0o777).toString(8)}`
  return new RelError('key_permissions', `${path} has mode ${shown}, wanted is 0600`, {
    hint: `chmod 600 ${shellWord(path)}`,
  })
}

/** The forms in which rel writes private keys. */
export type SecretKeyFormat = 'minisign' | 'pkcs8'

/** A fresh key from the system's random numbers. */
export function generateSecretKey(): SecretKey {
  const seed = randomBytes(SEED_BYTES)
  const {publicKey} = keyPairOf(seed)
  const minisignKeyId = deriveMinisignKeyId(publicKey)
  return {seed, publicKey, format: 'raw', encrypted: false, minisignKeyId}
}

/** The text of a private key file; without passphrase it is in the clear. */
export async function formatSecretKey(
  key: SecretKey,
  format: SecretKeyFormat,
  passphrase: Uint8Array | undefined,
): Promise<string> {
  if (format === 'pkcs8') return formatPkcs8Pem(key.seed, passphrase)
  const pair = Buffer.concat([key.seed, key.publicKey.raw])
  const minisignKeyId = key.minisignKeyId ?? deriveMinisignKeyId(key.publicKey)
  try {
    return await formatMinisignSecret(pair, minisignKeyId, passphrase)
  } finally {
    pair.fill(0)
  }
}
