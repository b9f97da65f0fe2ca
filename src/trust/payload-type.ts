import {sha512Of} from '../system/hash.ts'

/** The kinds of signed documents; a signature for one never counts for another. */
export const payloadTypes = {
  manifest: 'application/vnd.rel.manifest.v1+sha512',
  trust: 'application/vnd.rel.trust.v1+sha512',
  artifact: 'application/vnd.rel.artifact.v1+sha512',
  'sign-off': 'application/vnd.rel.sign-off.v1+sha512',
  evidence: 'application/vnd.rel.evidence.v1+sha512',
  waiver: 'application/vnd.rel.waiver.v1+sha512',
  license: 'application/vnd.rel.license.v1+sha512',
  freshness: 'application/vnd.rel.freshness.v1+sha512',
  'publish-receipt': 'application/vnd.rel.publish-receipt.v1+sha512',
  'audit-checkpoint': 'application/vnd.rel.audit-checkpoint.v1+sha512',
  checkpoint: 'application/vnd.rel.checkpoint.v1+sha512',
  mirror: 'application/vnd.rel.mirror.v1+sha512',
  rollback: 'application/vnd.rel.rollback.v1+sha512',
} as const

export type PayloadKind = keyof typeof payloadTypes

/** The canonical form of a document, whole or in pieces (canonicalPieces) of text or UTF-8. */
export type Canonical = string | Iterable<string | Uint8Array>

/**
 * The bytes to be signed: DSSE's PAE (secure-systems-lab/dsse protocol.md) over the SHA-512 of a
 * document's canonical form. Its size does not depend on the document, so every HSM takes it.
 */
export function toBeSigned(kind: PayloadKind, canonical: Canonical): Buffer {
  const type = payloadTypes[kind]
  // a string is iterable as well, character by character
  const digest = sha512Of(typeof canonical === 'string' ? [canonical] : canonical)
  return Buffer.concat([Buffer.from(`DSSEv1 ${type.length} ${type} ${digest.length} `), digest])
}
