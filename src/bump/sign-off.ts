import {RelError} from '../system/error.ts'
import type {JsonObject} from '../system/json.ts'
import type {Signer} from '../trust/signer.ts'
import type {Trust} from '../trust/trust-source.ts'
import {checkStatement, type StatementKind, signStatement} from './signed-statement.ts'
import type {BumpWorld} from './world.ts'

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
    const {item = '', evidence_sha256: sha256} = statement as Record<string, string | undefined>
    const {envelope, by} = await signChecked('sign-off', statement, item, {signer, trust, now})
    const [signature] = envelope.signatures as readonly {readonly sig: string}[]
    const {keyId} = signer.publicKey
    return {by, keyId, evidenceSha256: String(sha256), signature: signature?.sig ?? '', envelope}
  }
}

/** Signs a waiver as the same release engineer. Refuses with sign_off_refused. */
export function waiveBy(
  signer: Signer,
  trust: Trust,
  now: number,
): Required<BumpWorld>['signWaiver'] {
  return (waiver) => signChecked('waiver', {...waiver}, waiver.item, {signer, trust, now})
}

type Signing = {readonly signer: Signer; readonly trust: Trust; readonly now: number}

/** A signature is checked as everybody else will check it before anything is built on it. */
async function signChecked(
  kind: StatementKind,
  statement: JsonObject,
  item: string,
  {signer, trust, now}: Signing,
): Promise<{readonly envelope: JsonObject; readonly by: string}> {
  const envelope = await signStatement(kind, statement, signer)
  try {
    return {envelope, by: checkStatement(kind, envelope, item, trust, now)}
  } catch (cause) {
    if (!(cause instanceof RelError)) throw cause
    throw new RelError('sign_off_refused', `${signer.label} may not sign off: ${cause.message}`, {
      cause,
    })
  }
}
