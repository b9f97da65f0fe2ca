import {createPublicKey} from 'node:crypto'
import {RelError} from '../../system/error.ts'
import {rawOfSpki} from '../ed25519.ts'
import {derLength, hasEd25519Oid, keyMalformed, keyTruncated} from './detect.ts'
import {parsePem} from './pem.ts'

/** Raw public key of a PEM file. Refuses with key_private, key_algorithm, key_truncated, key_malformed. */
export function rawOfPublicPem(bytes: Uint8Array): Uint8Array {
  const {label, der} = parsePem(bytes)
  if (label.endsWith('PRIVATE KEY')) throw keyPrivate()
  if (label === 'CERTIFICATE') throw keyMalformed('this is a certificate, wanted is its public key')
  if (label !== 'PUBLIC KEY') throw keyAlgorithm()
  return rawOfPublicDer(der)
}

/** Raw public key of SPKI DER, with the same refusals. */
export function rawOfPublicDer(der: Uint8Array): Uint8Array {
  const raw = rawOfSpki(der)
  if (raw !== undefined) return raw
  const length = derLength(der)
  if (length === undefined || length > der.length) throw keyTruncated('DER')
  // PKCS#8 begins with a version number, or is encrypted: SEQUENCE, then OCTET STRING
  if (der[2] === 0x02 || isEncryptedPkcs8(der)) throw keyPrivate()
  if (!hasEd25519Oid(der) && isOtherPublicKey(der)) throw keyAlgorithm()
  throw keyMalformed('the DER is not the SubjectPublicKeyInfo of an Ed25519 key')
}

/** PBES2, OID 1.2.840.113549.1.5.13: the only encryption of PKCS#8 that is still in use. */
export function isEncryptedPkcs8(der: Uint8Array): boolean {
  const oid = Buffer.from('06092a864886f70d01050d', 'hex')
  return Buffer.from(der.subarray(0, 24)).includes(oid)
}

function isOtherPublicKey(der: Uint8Array): boolean {
  try {
    createPublicKey({key: Buffer.from(der), format: 'der', type: 'spki'})
    return true
  } catch {
    return false
  }
}

export function keyPrivate(): RelError {
  return new RelError('key_private', 'this is a private key, wanted is a public one')
}

export function keyPublic(): RelError {
  return new RelError('key_public', 'this is a public key, wanted is a private one')
}

export function keyAlgorithm(): RelError {
  return new RelError('key_algorithm', 'this is a key of another algorithm, wanted is Ed25519')
}
