import {RelError} from '../system/error.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'
import {canonicalJson} from '../trust/canonical-json.ts'
import {addSignature, checkSignatures, parseSignatures} from '../trust/envelope.ts'
import type {Signer} from '../trust/signer.ts'
import type {Trust} from '../trust/trust-source.ts'

/** A limited key counts for this product's item on this channel (docs/formats/trust-anchor.md). */
const CHANNEL = 'stable'

/** The documents of a bump that are signed, and the member that what they say is in. */
const members = {'sign-off': 'sign_off', evidence: 'evidence', waiver: 'waiver'} as const
export type StatementKind = keyof typeof members

/** A statement in an envelope (docs/formats/envelope.md), signed by one key. */
export async function signStatement(
  kind: StatementKind,
  statement: JsonObject,
  signer: Signer,
): Promise<JsonObject> {
  const signatures = await addSignature(kind, canonicalJson(statement), [], signer)
  return {[members[kind]]: statement, signatures: signatures.map((it) => ({...it}))}
}

/** What an envelope says, before anybody knows who signed it; undefined for what is none. */
export function statementIn(kind: StatementKind, envelope: JsonValue): JsonObject | undefined {
  if (typeof envelope !== 'object' || envelope === null || Array.isArray(envelope)) return undefined
  const {[members[kind]]: statement, ...rest} = envelope as JsonObject
  const isOne = typeof statement === 'object' && statement !== null && !Array.isArray(statement)
  if (!isOne || Object.keys(rest).join() !== 'signatures') return undefined
  return statement as JsonObject
}

/**
 * Who signed a statement about an item, as `trust` names them. Refuses as checkSignatures does, and
 * with anchor_expired.
 */
export function checkStatement(
  kind: StatementKind,
  envelope: JsonObject,
  item: string,
  trust: Trust,
  now: number,
): string {
  const statement = statementIn(kind, envelope)
  if (statement === undefined) throw new RelError('signature_missing', `there is no ${kind}`)
  trust.checkFresh(now)
  const keys = trust.keysFor({product: item, channel: CHANNEL, now})
  const signatures = parseSignatures(envelope.signatures)
  const {signedBy} = checkSignatures(kind, canonicalJson(statement), signatures, keys)
  const [keyId = ''] = signedBy
  return trust.nameOf(keyId) ?? keyId
}
