import {hash} from 'node:crypto'
import {RelError} from '../system/error.ts'
import type {PublicKey} from '../trust/ed25519.ts'
import {checkMinisig} from '../trust/minisign.ts'
import {checkSshsig} from '../trust/sshsig.ts'
import {MANIFEST_NAME} from './manifest.ts'
import {sigstoreSidecars} from './verify.ts'
import type {VerifiedManifest, VerifyPolicy} from './verify-policy.ts'
import {partsOfName} from './version.ts'

/** manifest.json and files beside it, by name. */
export type Sidecars = ReadonlyMap<string, Buffer>

/**
 * The names of the sidecars that somebody trusted vouches for: the Sigstore bundle by which the
 * manifest was verified, and the signatures of keys that are trusted for it. All others are bytes
 * of nobody.
 */
export function vouchedSidecars(
  sidecars: Sidecars,
  manifestBytes: Buffer,
  verified: VerifiedManifest,
  policy: VerifyPolicy,
): ReadonlySet<string> {
  const keys = verified.signedBy.length === 0 ? [] : trustedKeys(verified, policy)
  const names = [...sidecars.keys()].filter((name) => {
    const bytes = sidecars.get(name) ?? Buffer.alloc(0)
    return keys.some((key) => isSignedBy(key, name, bytes, manifestBytes))
  })
  return new Set([...names, ...identityBundles(sidecars, verified)])
}

function trustedKeys({manifest}: VerifiedManifest, {trust, now}: VerifyPolicy) {
  const {product = partsOfName(manifest.bundleName).product, channel = ''} = manifest.rel ?? {}
  return trust.keysFor({product, channel, now}).keys
}

function isSignedBy(key: PublicKey, name: string, bytes: Buffer, manifest: Buffer): boolean {
  const text = bytes.toString('utf8')
  try {
    if (name === `${MANIFEST_NAME}.minisig`)
      checkMinisig(text, key, hash('blake2b512', manifest, 'buffer'))
    else if (name === `${MANIFEST_NAME}.sshsig`)
      checkSshsig(text, {namespace: 'file', sha512: hash('sha512', manifest, 'buffer'), key})
    else return false
    return true
  } catch (error) {
    if (error instanceof RelError) return false
    throw error
  }
}

/** The bundle that was verified, and its copy under the other name. */
function identityBundles(sidecars: Sidecars, {identities}: VerifiedManifest): readonly string[] {
  if (identities.length === 0) return []
  const names = sigstoreSidecars(MANIFEST_NAME).filter((name) => sidecars.has(name))
  const [first = ''] = names
  const verified = sidecars.get(first)
  return names.filter((name) => verified?.equals(sidecars.get(name) ?? Buffer.alloc(0)))
}
