import {RelError} from '../../system/error.ts'
import {type PublicKey, verifyEd25519} from '../ed25519.ts'
import type {Signer} from '../signer.ts'

/**
 * A signer whose every signature is verified before anyone sees it: a wrong key, a broken token or
 * a program that prints something else is found here, not by those who verify the release.
 * Refuses with signer_failed and signer_message_limit.
 */
export function verifiedSigner(signer: Signer): Signer {
  return {...signer, sign: (message) => signVerified(signer, message)}
}

async function signVerified(signer: Signer, message: Uint8Array): Promise<Uint8Array> {
  const {label, maxMessageBytes = Number.POSITIVE_INFINITY} = signer
  if (message.length > maxMessageBytes) {
    const text = `${label} takes ${maxMessageBytes} bytes at most, got ${message.length}`
    throw new RelError('signer_message_limit', text)
  }
  const signature = await signer.sign(message)
  if (!verifyEd25519(signer.publicKey, message, signature)) throw notASignature(label)
  return signature
}

function notASignature(label: string): RelError {
  const message = `${label} returned something that is no signature under its public key`
  return new RelError('signer_failed', message)
}

/** The public key a holder reports must be the one that was configured, if one was. */
export function sameKey(label: string, found: PublicKey, wanted: PublicKey | undefined): PublicKey {
  if (wanted === undefined || wanted.keyId === found.keyId) return found
  const [got, want] = [found, wanted].map((key) => key.keyId.slice(0, 16))
  throw new RelError('key_mismatch', `${label} holds key ${got}, --public-key is ${want}`)
}
