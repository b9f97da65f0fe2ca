import {
  createCipheriv,
  createPrivateKey,
  type KeyObject,
  randomBytes,
  scryptSync,
} from 'node:crypto'
import {RelError} from '../../system/error.ts'
import {pkcs8Of} from '../ed25519.ts'
import {derInteger, derOctets, derOid, derSequence} from './der.ts'
import {derLength, keyMalformed, keyTruncated} from './detect.ts'
import {formatPem, parsePem} from './pem.ts'
import {isEncryptedPkcs8, keyAlgorithm, keyPublic} from './spki.ts'

/**
 * OpenSSL, and Node with it, refuses scrypt beyond 32 MiB when it reads PKCS#8, so N stays at 2^14
 * (docs/formats/keys.md); minisign files are harder to guess.
 */
const NEW_KEY_COST = {N: 2 ** 14, r: 8, p: 1}
/** Ten times what is advised today; some seconds. */
const MAX_ITERATIONS = 10_000_000

/**
 * The 32-byte private key of a PEM file. Refuses with key_public, key_algorithm, key_truncated,
 * key_malformed, passphrase_wrong.
 */
export async function openPkcs8Pem(
  bytes: Uint8Array,
  passphrase: () => Promise<Uint8Array>,
): Promise<{seed: Buffer; encrypted: boolean}> {
  const {label, der} = parsePem(bytes)
  if (label.endsWith('PUBLIC KEY')) throw keyPublic()
  if (label !== 'PRIVATE KEY' && label !== 'ENCRYPTED PRIVATE KEY') throw keyAlgorithm()
  if (isEncryptedPkcs8(der) !== (label === 'ENCRYPTED PRIVATE KEY'))
    throw keyMalformed('what the PEM label says is not what is inside')
  return openPkcs8Der(der, passphrase)
}

/** The same for DER, which is overwritten. */
export async function openPkcs8Der(
  der: Buffer,
  passphrase: () => Promise<Uint8Array>,
): Promise<{seed: Buffer; encrypted: boolean}> {
  try {
    const length = derLength(der)
    if (length === undefined || length > der.length) throw keyTruncated('PKCS#8')
    if (length < der.length) throw keyMalformed('there is something after the key')
    const encrypted = isEncryptedPkcs8(der)
    if (encrypted) checkIterations(der)
    const key = encrypted ? decrypt(der, await passphrase()) : load(der)
    if (key.asymmetricKeyType !== 'ed25519') throw keyAlgorithm()
    return {seed: seedOf(key), encrypted}
  } finally {
    der.fill(0)
  }
}

/**
 * OpenSSL bounds the memory of scrypt but not the rounds of PBKDF2, and a file may ask for hours.
 * PBKDF2-params, RFC 8018 A.2: salt OCTET STRING, iterationCount INTEGER. What cannot be read here
 * cannot be opened by OpenSSL either.
 */
function checkIterations(der: Buffer): void {
  const oid = der.indexOf(Buffer.from('06092a864886f70d01050c', 'hex'))
  if (oid === -1) return
  const salt = oid + 13
  const count = salt + 2 + (der[salt + 1] ?? 0)
  const length = der[count + 1] ?? 0
  if (der[salt] !== 0x04 || der[count] !== 0x02 || length > 4 || count + 2 + length > der.length)
    throw keyMalformed('the PBKDF2 parameters of the PKCS#8 key cannot be read')
  if (length > 0 && der.readUIntBE(count + 2, length) > MAX_ITERATIONS)
    throw new RelError(
      'key_kdf_limit',
      `the key wants more than ${MAX_ITERATIONS} rounds of PBKDF2`,
    )
}

function load(der: Buffer): KeyObject {
  if (der[2] === 0x30) throw keyPublic()
  try {
    return createPrivateKey({key: der, format: 'der', type: 'pkcs8'})
  } catch {
    throw keyMalformed('the PKCS#8 private key is damaged')
  }
}

/** OpenSSL tells a wrong passphrase from a damaged file only by chance, so both are one code. */
function decrypt(der: Buffer, passphrase: Uint8Array): KeyObject {
  const secret = Buffer.from(passphrase)
  try {
    return createPrivateKey({key: der, format: 'der', type: 'pkcs8', passphrase: secret})
  } catch (error) {
    if ((error as {code?: string}).code === 'ERR_OSSL_EVP_MEMORY_LIMIT_EXCEEDED')
      throw new RelError('key_kdf_limit', 'the key wants more memory for scrypt than 32 MiB')
    throw new RelError('passphrase_wrong', 'the passphrase does not open the key')
  } finally {
    secret.fill(0)
  }
}

function seedOf(key: KeyObject): Buffer {
  const {d = ''} = key.export({format: 'jwk'})
  return Buffer.from(d, 'base64url')
}

/** PKCS#8 PEM, plain or as PBES2 with scrypt and AES-256-CBC (RFC 8018, RFC 7914). */
export function formatPkcs8Pem(seed: Uint8Array, passphrase: Uint8Array | undefined): string {
  const plain = pkcs8Of(seed)
  try {
    return passphrase === undefined
      ? formatPem('PRIVATE KEY', plain)
      : formatPem('ENCRYPTED PRIVATE KEY', encrypt(plain, passphrase))
  } finally {
    plain.fill(0)
  }
}

function encrypt(plain: Uint8Array, passphrase: Uint8Array): Buffer {
  const [salt, iv] = [randomBytes(16), randomBytes(16)]
  const key = scryptSync(passphrase, salt, 32, NEW_KEY_COST)
  const cipher = createCipheriv('aes-256-cbc', key, iv)
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()])
  key.fill(0)
  const {N, r, p} = NEW_KEY_COST
  const kdf = derSequence(
    derOid('2b06010401da47040b'), // scrypt, 1.3.6.1.4.1.11591.4.11
    derSequence(derOctets(salt), derInteger(N), derInteger(r), derInteger(p), derInteger(32)),
  )
  const encryption = derSequence(derOid('60864801650304012a'), derOctets(iv)) // aes256-CBC
  const pbes2 = derSequence(derOid('2a864886f70d01050d'), derSequence(kdf, encryption))
  return derSequence(pbes2, derOctets(sealed))
}
