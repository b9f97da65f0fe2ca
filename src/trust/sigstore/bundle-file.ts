import type {Bundle} from '@sigstore/bundle'
import {RelError} from '../../system/error.ts'
import type {JsonObject, JsonValue} from '../../system/json.ts'
import {parseStrictJson} from '../strict-json.ts'

/**
 * Read before anything in it is trusted. A bundle over a manifest has some 12 KB; a provenance of
 * 1,000 artifacts, which the log entry repeats in base64 twice, still fits.
 */
const limits = {bytes: 2 * 1024 * 1024, depth: 16} as const

/** Log entries and timestamps of one bundle; one of each is what a threshold of one needs. */
const MAX_PROOFS = 8

const mediaTypes: readonly JsonValue[] = [
  'application/vnd.dev.sigstore.bundle+json;version=0.1',
  'application/vnd.dev.sigstore.bundle+json;version=0.2',
  'application/vnd.dev.sigstore.bundle+json;version=0.3',
  'application/vnd.dev.sigstore.bundle.v0.3+json',
]

/** What a bundle signs: the bytes of a file, or a statement about files. */
export type BundleKind = 'messageSignature' | 'dsseEnvelope'

/**
 * A Sigstore bundle v0.1 to v0.3 of the wanted kind, with a certificate and at least one log
 * entry; nothing in it is verified yet. Refuses with json_*, sigstore_bundle_malformed,
 * sigstore_tlog_missing.
 */
export async function parseSigstoreBundle(bytes: Uint8Array, kind: BundleKind): Promise<Bundle> {
  const json = parseStrictJson(bytes, {...limits, profile: 'general'})
  checkShape(json, kind)
  const {bundleFromJSON} = await import('@sigstore/bundle')
  try {
    return bundleFromJSON(json)
  } catch (cause) {
    throw malformed('the Sigstore bundle lacks a field of its format', cause)
  }
}

/** protobuf's JSON reader skips what it does not know and takes the first of two alternatives. */
function checkShape(json: JsonValue, kind: BundleKind): void {
  const bundle = objectOf(json, 'the Sigstore bundle')
  if (!mediaTypes.includes(bundle.mediaType ?? null))
    throw malformed('the file has no media type of a Sigstore bundle v0.1 to v0.3')
  onlyKeys(bundle, ['mediaType', 'verificationMaterial', kind], `a ${kind} bundle`)
  objectOf(bundle[kind], kind)
  const material = objectOf(bundle.verificationMaterial, 'verificationMaterial')
  const holder = 'x509CertificateChain' in material ? 'x509CertificateChain' : 'certificate'
  onlyKeys(material, [holder, 'tlogEntries', 'timestampVerificationData'], 'verificationMaterial')
  objectOf(material[holder], holder)
  const timestamps = objectOf(material.timestampVerificationData ?? {}, 'timestampVerificationData')
  listOf(timestamps.rfc3161Timestamps, 'rfc3161Timestamps')
  if (listOf(material.tlogEntries, 'tlogEntries').length === 0)
    throw new RelError('sigstore_tlog_missing', 'the Sigstore bundle has no log entry, want 1')
}

function onlyKeys(object: JsonObject, known: readonly string[], what: string): void {
  if (Object.keys(object).every((key) => known.includes(key))) return
  throw malformed(`${what} has fields beside ${known.join(', ')}`)
}

function listOf(json: JsonValue | undefined, what: string): readonly JsonValue[] {
  const list = json ?? []
  if (!Array.isArray(list) || list.length > MAX_PROOFS)
    throw malformed(`${what} is not a list of at most ${MAX_PROOFS} entries`)
  return list
}

function objectOf(json: JsonValue | undefined, what: string): JsonObject {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as JsonObject
  throw malformed(`${what} is not an object`)
}

function malformed(message: string, cause?: unknown): RelError {
  return new RelError('sigstore_bundle_malformed', message, {cause})
}
