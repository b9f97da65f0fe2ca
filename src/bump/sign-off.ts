import {RelError} from '../system/error.ts'
import type {JsonObject} from '../system/json.ts'
import {canonicalJson} from '../trust/canonical-json.ts'
import {addSignature, checkSignatures} from '../trust/envelope.ts'
import type {Signer} from '../trust/signer.ts'
import type {Trust} from '../trust/trust-source.ts'
import type {BumpWorld} from './world.ts'

/** A limited key counts for this product's item on this channel (docs/formats/trust-anchor.md). */
const CHANNEL = 'stable'

/**
 * The sign-off of a release engineer: a signature over the item, both versions and the digest of
 * the evidence, by a key that `trust` takes for it (the role release-manager of an anchor, or a
 * public key that was named). Refuses with sign_off_refused.
 */
export function signOffBy(
  signer: Signer,
  trust: Trust,
  now: number,
): Required<BumpWorld>['signOff'] {
  return async (statement) => {
    const {keyId} = signer.publicKey
    const canonical = canonicalJson(statement)
    const signatures = await addSignature('sign-off', canonical, [], signer)
    const {item = ''} = statement as {item?: string}
    try {
      const keys = trust.keysFor({product: item, channel: CHANNEL, now})
      checkSignatures('sign-off', canonical, signatures, keys)
    } catch (cause) {
      if (!(cause instanceof RelError)) throw cause
      throw new RelError('sign_off_refused', `${signer.label} may not sign off: ${cause.message}`, {
        cause,
      })
    }
    const envelope: JsonObject = {
      sign_off: statement,
      signatures: signatures.map((it) => ({...it})),
    }
    const evidenceSha256 = String((statement as {evidence_sha256?: string}).evidence_sha256)
    const signature = signatures[0]?.sig ?? ''
    return {by: trust.nameOf(keyId) ?? keyId, keyId, evidenceSha256, signature, envelope}
  }
}
