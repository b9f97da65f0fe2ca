import {systemTime} from '../system/clock.ts'
import type {SignerIdentity} from '../trust/sigstore/identity.ts'
import {loadTrustedRoot} from '../trust/sigstore/load-trusted-root.ts'
import {publicSigstore, signWithSigstore} from '../trust/sigstore/sign.ts'

/** The values of identitySignFlags. */
export type IdentitySignFlags = {
  readonly 'fulcio-url'?: string | undefined
  readonly 'rekor-url'?: string | undefined
  readonly 'tsa-url'?: string | undefined
  readonly 'trusted-root'?: string | undefined
}

/** A Sigstore bundle over these bytes by the identity of this job. Refuses as signWithSigstore does. */
export async function signKeyless(
  bytes: Uint8Array,
  flags: IdentitySignFlags,
): Promise<{readonly bundleBytes: Buffer; readonly identity: SignerIdentity}> {
  return signWithSigstore(bytes, {
    fulcioUrl: flags['fulcio-url'] ?? publicSigstore.fulcioUrl,
    rekorUrl: flags['rekor-url'] ?? publicSigstore.rekorUrl,
    ...(flags['tsa-url'] === undefined ? {} : {tsaUrl: flags['tsa-url']}),
    trustedRoot: await loadTrustedRoot(flags['trusted-root']),
    env: process.env,
    now: systemTime(),
  })
}
