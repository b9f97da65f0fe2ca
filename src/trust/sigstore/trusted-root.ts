import {RelError} from '../../system/error.ts'
import type {JsonObject, JsonValue} from '../../system/json.ts'
import {parseStrictJson} from '../strict-json.ts'

/** The keys and certificates of one Sigstore instance, each with the period it counts in. */
export type TrustedRoot = {
  readonly certificateAuthorities: readonly CertificateAuthority[]
  readonly timestampAuthorities: readonly CertificateAuthority[]
  readonly tlogs: readonly TransparencyLog[]
  readonly ctlogs: readonly TransparencyLog[]
}

export type Period = {readonly start: Date; readonly end?: Date}

export type CertificateAuthority = {
  /** DER, leaf first. */
  readonly certificates: readonly Buffer[]
  readonly validFor: Period
}

export type TransparencyLog = {
  readonly baseUrl: string
  readonly logId: Buffer
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer
  readonly validFor: Period
}

/** A trusted root of today has 6 KB; a hundred times that leaves room for many logs. */
const limits = {bytes: 1024 * 1024, depth: 12, authorities: 64, certificates: 8} as const

const mediaTypes: readonly JsonValue[] = [
  'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
  'application/vnd.dev.sigstore.trustedroot.v0.2+json',
]

/** Sigstore began in 2021; an earlier start is a default value, not a decision. */
const EARLIEST_START = Date.UTC(2020, 0)

/** RSA keys are left out: no public log or authority of Sigstore has one, and PKCS#1 is not SPKI. */
const keyKinds: readonly JsonValue[] = [
  'PKIX_ECDSA_P256_SHA_256',
  'PKIX_ECDSA_P384_SHA_384',
  'PKIX_ECDSA_P521_SHA_512',
  'PKIX_ED25519',
]

/**
 * trusted_root.json (sigstore/protobuf-specs, sigstore_trustroot.proto), read before anything is
 * verified with it. Every authority and log must say when its validity starts: sigstore-js takes a
 * missing start for 1970, and so would trust a key for all time. Refuses with trusted_root_invalid.
 */
export function parseTrustedRoot(bytes: Uint8Array): TrustedRoot {
  try {
    return rootOf(parseStrictJson(bytes, {...limits, profile: 'general'}))
  } catch (cause) {
    if (cause instanceof RelError && cause.code !== 'trusted_root_invalid')
      throw invalid(`the trusted root is not readable: ${cause.message}`, cause)
    throw cause
  }
}

function rootOf(json: JsonValue): TrustedRoot {
  const root = objectOf(json, 'the trusted root')
  if (!mediaTypes.includes(root.mediaType ?? null))
    throw invalid('the file has no media type of a Sigstore trusted root v0.1 or v0.2')
  return {
    certificateAuthorities: listOf(root, 'certificateAuthorities', 1).map(authorityOf),
    timestampAuthorities: listOf(root, 'timestampAuthorities', 0).map(authorityOf),
    tlogs: listOf(root, 'tlogs', 1).map(logOf),
    ctlogs: listOf(root, 'ctlogs', 1).map(logOf),
  }
}

/** The entries of a list with a name for each, such as tlogs[1]. */
function listOf(root: JsonObject, name: string, least: number): readonly Named[] {
  const list = root[name] ?? []
  if (!Array.isArray(list) || list.length < least || list.length > limits.authorities)
    throw invalid(`${name} is not a list of ${least} to ${limits.authorities} entries`)
  return list.map((entry: JsonValue, at) => {
    const where = `${name}[${at}]`
    return {entry: objectOf(entry, where), where}
  })
}

type Named = {readonly entry: JsonObject; readonly where: string}

function authorityOf({entry, where}: Named): CertificateAuthority {
  const certificates = objectOf(entry.certChain, `${where}.certChain`).certificates ?? []
  if (
    !Array.isArray(certificates) ||
    certificates.length === 0 ||
    certificates.length > limits.certificates
  )
    throw invalid(`${where} has no chain of 1 to ${limits.certificates} certificates`)
  return {
    certificates: certificates.map((certificate: JsonValue) =>
      base64Of(objectOf(certificate, `a certificate of ${where}`).rawBytes, `${where} certificate`),
    ),
    validFor: periodOf(entry.validFor, where),
  }
}

function logOf({entry, where}: Named): TransparencyLog {
  const key = objectOf(entry.publicKey, `${where}.publicKey`)
  if (!keyKinds.includes(key.keyDetails ?? null))
    throw invalid(`${where} has a kind of key that rel does not verify with`)
  const {baseUrl} = entry
  if (typeof baseUrl !== 'string' || !URL.canParse(baseUrl))
    throw invalid(`${where}.baseUrl is no address`)
  const logId = objectOf(entry.checkpointKeyId ?? entry.logId, `${where}.logId`)
  return {
    baseUrl,
    logId: base64Of(logId.keyId, `${where}.logId`),
    publicKey: base64Of(key.rawBytes, `${where}.publicKey`),
    validFor: periodOf(key.validFor, where),
  }
}

function periodOf(json: JsonValue | undefined, where: string): Period {
  const period = objectOf(json, `${where}.validFor`)
  const start = dateOf(period.start, `${where}.validFor.start`)
  if (start.getTime() < EARLIEST_START) throw invalid(`${where} is valid from before Sigstore`)
  if (period.end === undefined || period.end === null) return {start}
  const end = dateOf(period.end, `${where}.validFor.end`)
  if (end < start) throw invalid(`${where} ends before it starts`)
  return {start, end}
}

/** RFC 3339 in UTC, as protobuf's JSON form writes timestamps. */
function dateOf(json: JsonValue | undefined, what: string): Date {
  if (json === undefined) throw invalid(`${what} is missing`)
  const text = typeof json === 'string' ? json : ''
  const date = new Date(text)
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(text) || Number.isNaN(date.getTime()))
    throw invalid(`${what} is not a UTC time such as 2021-01-12T11:53:27Z`)
  return date
}

function base64Of(json: JsonValue | undefined, what: string): Buffer {
  const text = typeof json === 'string' ? json : ''
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length === 0 || bytes.toString('base64') !== text)
    throw invalid(`${what} is not base64`)
  return bytes
}

function objectOf(json: JsonValue | undefined, what: string): JsonObject {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as JsonObject
  throw invalid(`${what} is not an object`)
}

function invalid(message: string, cause?: unknown): RelError {
  return new RelError('trusted_root_invalid', message, {cause})
}
