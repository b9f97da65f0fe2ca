import {RelError} from '../../system/error.ts'
import type {JsonObject, JsonValue} from '../../system/json.ts'
import {parseStrictJson} from '../strict-json.ts'

/** What is read of an entry: the kind, and the body that the log has signed. */
export type LogEntry = {
  readonly kindVersion: {readonly kind: string; readonly version: string}
  readonly canonicalizedBody: Uint8Array
}

/** Where each kind of Rekor entry keeps its certificate (sigstore/rekor pkg/types). */
const certificatePaths: Readonly<Record<string, readonly (string | number)[]>> = {
  'hashedrekord 0.0.1': ['spec', 'signature', 'publicKey', 'content'],
  'hashedrekord 0.0.2': ['spec', 'hashedRekordV002', 'signature', ...v2Certificate()],
  'dsse 0.0.1': ['spec', 'signatures', 0, 'verifier'],
  'dsse 0.0.2': ['spec', 'dsseV002', 'signatures', 0, ...v2Certificate()],
  'intoto 0.0.2': ['spec', 'content', 'envelope', 'signatures', 0, 'publicKey'],
}

function v2Certificate(): readonly string[] {
  return ['verifier', 'x509Certificate', 'rawBytes']
}

/** Bodies repeat a provenance in base64 twice; the bundle as a whole is limited before. */
const limits = {bytes: 2 * 1024 * 1024, depth: 16} as const

/**
 * The log entry must name the certificate of the bundle: those who watch the log for signatures in
 * their name look at the certificate there. sigstore-js compares signature and digest only, and an
 * ECDSA signature fits more keys than one. Refuses with sigstore_tlog_invalid.
 */
export function checkLoggedCertificate(entry: LogEntry, certificate: Uint8Array): void {
  const {kind, version} = entry.kindVersion
  const path = certificatePaths[`${kind} ${version}`]
  if (path === undefined)
    throw new RelError('sigstore_tlog_invalid', 'the log entry is of a kind that is not supported')
  const body = parseStrictJson(entry.canonicalizedBody, {...limits, profile: 'general'})
  const logged = derOf(at(body, path))
  if (logged === undefined || !logged.equals(certificate))
    throw new RelError('sigstore_tlog_invalid', 'the log entry names another certificate')
}

function at(json: JsonValue, path: readonly (string | number)[]): JsonValue | undefined {
  let value: JsonValue | undefined = json
  for (const step of path) value = (value as JsonObject | undefined)?.[step]
  return value
}

/** Rekor v1 keeps base64 of a PEM text, Rekor v2 base64 of DER. */
function derOf(base64: JsonValue | undefined): Buffer | undefined {
  if (typeof base64 !== 'string') return undefined
  const bytes = Buffer.from(base64, 'base64')
  const text = bytes.toString('latin1').trim()
  const pem = /^-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----$/.exec(text)
  return pem?.[1] === undefined ? bytes : Buffer.from(pem[1], 'base64')
}
