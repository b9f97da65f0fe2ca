import {verifyAsync} from '@noble/ed25519'
import {RelError} from '../system/error.ts'
import type {PublicKey} from '../trust/ed25519.ts'
import {decodeSignature, shortId} from '../trust/envelope.ts'
import {toBeSigned} from '../trust/payload-type.ts'
import type {SignaturesOf} from './parse-manifest.ts'

/**
 * Every signature that counted, verified once more by an implementation that shares no code with
 * node:crypto. Refuses with signature_invalid when the two disagree.
 */
export async function checkAgain(
  {spec, signature, signatures}: SignaturesOf,
  canonical: Uint8Array,
  keys: readonly PublicKey[],
  signedBy: readonly string[],
): Promise<void> {
  for (const keyId of signedBy) {
    const key = keys.find((candidate) => candidate.keyId === keyId)
    const sig = spec === undefined ? signature : signatures.find((s) => s.keyid === keyId)?.sig
    const message = spec === undefined ? canonical : toBeSigned('manifest', [canonical])
    if (key === undefined || sig === undefined || !(await isValid(sig, message, key)))
      throw new RelError('signature_invalid', `the second opinion on key ${shortId(keyId)} is no`)
  }
}

async function isValid(sig: string, message: Uint8Array, key: PublicKey): Promise<boolean> {
  return verifyAsync(decodeSignature(sig), Uint8Array.from(message), key.raw, {zip215: false})
}
