import {type KeyObject, sign} from 'node:crypto'
import {RelError} from '../../system/error.ts'
import {Passphrases} from '../../system/passphrase.ts'
import {privateKeyOf} from '../ed25519.ts'
import {destroySecretKey, readSecretKey, type SecretKey} from '../secret-key.ts'
import type {Signer} from '../signer.ts'
import type {SignerOptions} from './options.ts'
import {sameKey} from './verified.ts'

/** Signs with a private key file. Refuses with the codes of readSecretKey, and key_mismatch. */
export async function openFileSigner(path: string, options: SignerOptions): Promise<Signer> {
  const {format, insecurePermissions = false} = options
  const passphrases = new Passphrases()
  const passphrase = () => passphrases.hold(options.secret(`Passphrase for ${path}`))
  try {
    const open = {passphrase, insecurePermissions, ...(format === undefined ? {} : {format})}
    const key = await readSecretKey(path, open)
    sameKey(path, key.publicKey, options.publicKey)
    return signerOfSecretKey(key, path)
  } finally {
    passphrases.forget()
  }
}

/**
 * Takes the key over: its bytes are overwritten at once, what remains is OpenSSL's copy, which
 * cannot be overwritten from JavaScript and is freed after close().
 */
export function signerOfSecretKey(key: SecretKey, label: string): Signer {
  let privateKey: KeyObject | undefined = privateKeyOf(key.seed)
  destroySecretKey(key)
  const {publicKey, minisignKeyId} = key
  return {
    publicKey,
    label,
    ...(minisignKeyId === undefined ? {} : {minisignKeyId}),
    async sign(message) {
      if (privateKey === undefined) throw new RelError('internal_error', `${label} was closed`)
      return sign(null, message, privateKey)
    },
    close() {
      privateKey = undefined
    },
  }
}
