import {RelError} from '../../system/error.ts'
import type {AllowedSigner} from './allowed-signer.ts'
import {checkSigstoreBundle, type VerifiedIdentity} from './check-bundle.ts'
import type {TrustedRoot} from './trusted-root.ts'

/** Whether keys, Sigstore identities, or both must have signed. */
export type SignerPolicy = 'ed25519' | 'sigstore' | 'both' | 'either'

/** The policy that was asked for, else everything that is configured: nothing is left unchecked. */
export function decidePolicy(
  asked: SignerPolicy | undefined,
  configured: {readonly keys: boolean; readonly identities: boolean},
): SignerPolicy {
  if (asked !== undefined) return asked
  if (!configured.identities) return 'ed25519'
  return configured.keys ? 'both' : 'sigstore'
}

export type IdentityOptions = {
  /** As the trust anchor lists them; entries limited to other products are left out. */
  readonly allowed: readonly AllowedSigner[]
  /** Asked for once a Sigstore bundle is there to be verified. */
  readonly trustedRoot: () => Promise<TrustedRoot>
  /** Seconds since the epoch, fixed at the start of the verification. */
  readonly now: number
}

/** The parts of a manifest that an identity is compared with, and the bundle that names it. */
export type IdentityQuestion = {
  /** The exact bytes of manifest.json. */
  readonly manifestBytes: Uint8Array
  /** What those bytes say. */
  readonly manifest: {readonly version: string; readonly rel?: {readonly product: string}}
  readonly sidecar: Uint8Array | undefined
}

/**
 * The check of a verification policy: the identities that signed a manifest, as text, at least one.
 * Refuses as checkSigstoreBundle does, and with sigstore_bundle_missing.
 */
export function identityChecker(
  options: IdentityOptions,
): (question: IdentityQuestion) => Promise<readonly string[]> {
  return async ({manifestBytes, manifest, sidecar}) => {
    const {version, rel} = manifest
    const allowed = allowedFor(options.allowed, rel?.product)
    if (sidecar === undefined)
      throw new RelError('sigstore_bundle_missing', 'the bundle has no manifest.sig.bundle')
    const identity = await checkSigstoreBundle({
      bundleBytes: sidecar,
      artifact: manifestBytes,
      allowed,
      version,
      trustedRoot: await options.trustedRoot(),
      now: options.now,
    })
    return [identityText(identity)]
  }
}

/** A manifest without a product (D2) only gets entries that are not limited to one. */
function allowedFor(
  allowed: readonly AllowedSigner[],
  product: string | undefined,
): readonly AllowedSigner[] {
  const fitting = allowed.filter(
    ({products}) => products === undefined || (product !== undefined && products.includes(product)),
  )
  if (fitting.length > 0) return fitting
  const scope = product === undefined ? 'a manifest without product' : `product ${product}`
  throw new RelError('identity_policy_empty', `no signer identity is allowed for ${scope}`)
}

function identityText({san, issuer, repoId}: VerifiedIdentity): string {
  return `${san} (issuer ${issuer}, repository ${repoId ?? 'none'})`
}
