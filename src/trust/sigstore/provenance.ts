import {RelError} from '../../system/error.ts'
import type {JsonObject, JsonValue} from '../../system/json.ts'
import {parseStrictJson} from '../strict-json.ts'
import {parseSigstoreBundle} from './bundle-file.ts'
import {checkPolicy, type IdentityTerms, type VerifiedIdentity} from './check-bundle.ts'
import {matchIdentity} from './identity.ts'
import {verifyEntity} from './verify-entity.ts'

const PAYLOAD_TYPE = 'application/vnd.in-toto+json'
const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1'
const PREDICATE_TYPE = 'https://slsa.dev/provenance/v1'

/** The payload is inside a bundle that is limited already. */
const limits = {bytes: 2 * 1024 * 1024, depth: 32} as const

/** What a verified provenance says of the build; the claims of its signer, not proven otherwise. */
export type VerifiedProvenance = {
  readonly identity: VerifiedIdentity
  readonly builderId: string
  readonly buildType: string
}

/**
 * The build provenance of a release, provenance.sigstore.json: a DSSE envelope with an in-toto
 * Statement v1 whose subjects are exactly these files. sigstore-js does not compare a DSSE envelope
 * with any file, so that is done here. `files` maps names to SHA-256 in lower-case hex.
 * Refuses with identity_*, json_*, sigstore_*.
 */
export async function checkProvenance(
  question: IdentityTerms & {
    readonly bundleBytes: Uint8Array
    readonly files: ReadonlyMap<string, string>
  },
): Promise<VerifiedProvenance> {
  const {bundleBytes, files, allowed, version, trustedRoot, now} = question
  checkPolicy(allowed)
  const bundle = await parseSigstoreBundle(bundleBytes, 'dsseEnvelope')
  const {content} = bundle
  if (content.$case !== 'dsseEnvelope')
    throw new RelError('sigstore_bundle_malformed', 'the bundle has no DSSE envelope')
  const identity = await verifyEntity(bundle, new Uint8Array(), trustedRoot, now)
  const allowedBy = matchIdentity(identity, allowed, version)
  const {payloadType, payload} = content.dsseEnvelope
  if (payloadType !== PAYLOAD_TYPE) throw malformed(`the payload is not ${PAYLOAD_TYPE}`)
  const statement = parseStatement(payload)
  checkSubjects(statement.subjects, files)
  const {builderId, buildType} = statement
  return {identity: {...identity, allowedBy}, builderId, buildType}
}

type Statement = {
  readonly subjects: readonly Subject[]
  readonly builderId: string
  readonly buildType: string
}

type Subject = {readonly name: string; readonly sha256: string}

function parseStatement(payload: Uint8Array): Statement {
  const statement = objectOf(
    parseStrictJson(payload, {...limits, profile: 'general'}),
    'the statement',
  )
  if (statement._type !== STATEMENT_TYPE) throw malformed(`the statement is not ${STATEMENT_TYPE}`)
  if (statement.predicateType !== PREDICATE_TYPE)
    throw malformed(`the predicate is not ${PREDICATE_TYPE}`)
  const predicate = objectOf(statement.predicate, 'the predicate')
  const definition = objectOf(predicate.buildDefinition, 'buildDefinition')
  const details = objectOf(predicate.runDetails, 'runDetails')
  return {
    subjects: subjectsOf(statement.subject),
    builderId: textOf(objectOf(details.builder, 'builder').id, 'builder.id'),
    buildType: textOf(definition.buildType, 'buildType'),
  }
}

function subjectsOf(json: JsonValue | undefined): readonly Subject[] {
  if (!Array.isArray(json) || json.length === 0) throw malformed('the statement has no subjects')
  return json.map((entry: JsonValue) => {
    const subject = objectOf(entry, 'a subject')
    const {sha256} = objectOf(subject.digest, 'the digest of a subject')
    return {
      name: textOf(subject.name, 'the name of a subject'),
      sha256: textOf(sha256, 'the sha256 of a subject'),
    }
  })
}

/** Every subject is a file and every file is a subject, by name and by digest. */
function checkSubjects(subjects: readonly Subject[], files: ReadonlyMap<string, string>): void {
  const foreign = subjects.find(({name, sha256}) => files.get(name) !== sha256)
  if (foreign !== undefined) {
    const known = files.has(foreign.name) ? 'has another digest than the file' : 'is no file here'
    const message = `subject ${JSON.stringify(foreign.name)} of the provenance ${known}`
    throw new RelError('sigstore_subject_foreign', message)
  }
  const named = new Set(subjects.map(({name}) => name))
  const missing = [...files.keys()].find((name) => !named.has(name))
  if (missing !== undefined)
    throw new RelError('sigstore_subject_missing', `the provenance does not speak of ${missing}`)
}

function objectOf(json: JsonValue | undefined, what: string): JsonObject {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as JsonObject
  throw malformed(`${what} is not an object`)
}

function textOf(json: JsonValue | undefined, what: string): string {
  if (typeof json === 'string' && json.length > 0 && json.length <= 1024) return json
  throw malformed(`${what} is not a text of at most 1024 characters`)
}

function malformed(message: string): RelError {
  return new RelError('sigstore_statement_malformed', message)
}
