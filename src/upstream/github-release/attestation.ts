import {RelError} from '../../system/error.ts'
import type {AllowedSigner} from '../../trust/sigstore/allowed-signer.ts'
import {parseSigstoreBundle} from '../../trust/sigstore/bundle-file.ts'
import {matchIdentity, type SignerIdentity} from '../../trust/sigstore/identity.ts'
import type {TrustedRoot} from '../../trust/sigstore/trusted-root.ts'
import {verifyEntity} from '../../trust/sigstore/verify-entity.ts'
import {parseStrictJson} from '../../trust/strict-json.ts'

const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1'
const PAYLOAD_TYPE = 'application/vnd.in-toto+json'
const PROVENANCE = 'https://slsa.dev/provenance/v1'
const payloadLimits = {bytes: 2 * 1024 * 1024, depth: 32, profile: 'general'} as const
/** One signer attests a file once or twice. */
const MAX_BUNDLES = 16

export type AttestationTerms = {
  readonly allowed: readonly AllowedSigner[]
  readonly version: string
  readonly trustedRoot: TrustedRoot
  /** Seconds since the epoch. */
  readonly now: number
}

export type Attested = {
  readonly identity: SignerIdentity
  /** True when the statement says how the file was built: level L4. */
  readonly isProvenance: boolean
}

/**
 * Who attested exactly this digest. @sigstore/verify compares a DSSE envelope with no file, so the
 * subject is compared here. Of several bundles one that holds is enough; else the refusal of the
 * last one is told. Refuses with attestation_missing, attestation_other_file, identity_*,
 * sigstore_*, json_*.
 */
export async function checkAttestations(
  bundles: readonly unknown[],
  sha256: string,
  terms: AttestationTerms,
): Promise<Attested> {
  let last = new RelError('attestation_missing', `nobody has attested SHA-256 ${sha256}`)
  for (const bundle of bundles.slice(0, MAX_BUNDLES)) {
    try {
      return await checkAttestation(bundle, sha256, terms)
    } catch (error) {
      if (!(error instanceof RelError)) throw error
      last = error
    }
  }
  throw last
}

async function checkAttestation(
  json: unknown,
  sha256: string,
  {allowed, version, trustedRoot, now}: AttestationTerms,
): Promise<Attested> {
  const bundle = await parseSigstoreBundle(Buffer.from(JSON.stringify(json)), 'dsseEnvelope')
  const {content} = bundle
  if (content.$case !== 'dsseEnvelope')
    throw new RelError('sigstore_bundle_malformed', 'the bundle has no DSSE envelope')
  const identity = await verifyEntity(bundle, new Uint8Array(), trustedRoot, now)
  matchIdentity(identity, allowed, version)
  const {payloadType, payload} = content.dsseEnvelope
  if (payloadType !== PAYLOAD_TYPE) throw malformed(`the payload is not ${PAYLOAD_TYPE}`)
  const statement = asObject(parseStrictJson(payload, payloadLimits))
  if (statement._type !== STATEMENT_TYPE) throw malformed(`it is not ${STATEMENT_TYPE}`)
  if (!subjectsOf(statement.subject).includes(sha256))
    throw new RelError('attestation_other_file', `SHA-256 ${sha256} is no subject of the statement`)
  return {identity, isProvenance: statement.predicateType === PROVENANCE}
}

function subjectsOf(json: unknown): readonly unknown[] {
  if (!Array.isArray(json)) throw malformed('it has no subjects')
  return json.map((subject) => asObject(asObject(subject).digest).sha256)
}

function asObject(json: unknown): Readonly<Record<string, unknown>> {
  if (typeof json === 'object' && json !== null && !Array.isArray(json))
    return json as Record<string, unknown>
  throw malformed('a part of it is no object')
}

function malformed(why: string): RelError {
  return new RelError('sigstore_statement_malformed', `the signed statement: ${why}`)
}
