import {RelError} from '../system/error.ts'
import {sha256Hex} from '../system/hash.ts'
import type {JsonObject} from '../system/json.ts'
import {isValidUtf8} from '../system/utf8.ts'
import {type Anchor, checkDigest, keysFor} from '../trust/anchor.ts'
import {canonicalJson} from '../trust/canonical-json.ts'
import {addSignature, checkSignatures, type KeySet, parseSignatures} from '../trust/envelope.ts'
import {timeText} from '../trust/expiry.ts'
import type {Signer} from '../trust/signer.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import {channelsOf} from './entitlement.ts'
import {fieldReader, namePattern} from './fields.ts'
import {type License, type LicenseFile, type TrackName, trackNames} from './license.ts'

/** Limits on a licence, which is read before it is trusted; HTTP headers have 8 to 16 KiB. */
export const licenseLimits = {
  /** Of the JSON; armour and header are a third longer. */
  bytes: 4096,
  depth: 4,
  entitlements: 16,
} as const

const BEGIN = '-----BEGIN REL LICENSE-----'
const END = '-----END REL LICENSE-----'
const HEADER = 'rel1.'

/** Crockford's base 32, as ULIDs have it. */
const ulid = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/
/** What people call a customer: printable, no control characters, no half surrogates. */
const customer = /^(?! )[^\p{Cc}\p{Cs}\u2028\u2029]{1,128}(?<! )$/u
const entitlement = /^[a-z][a-z0-9-]{0,31}:[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const track = /^[a-z]{1,16}$/

const read = fieldReader('license_malformed')

/**
 * A licence from its file (armoured), its header form `rel1.…`, or its JSON. Every licence has one
 * spelling in each form. Nothing is trusted yet. Refuses with license_malformed, json_*,
 * spec_unsupported, signature_malformed, signature_limit, signature_duplicate.
 */
export function parseLicense(text: Uint8Array | string): LicenseFile {
  const input = typeof text === 'string' ? text : textOf(text)
  const trimmed = input.trim()
  if (trimmed.length > 3 * licenseLimits.bytes) read.refuse('longer than any licence')
  if (trimmed.startsWith(HEADER))
    return parseJson(exactBase64(trimmed.slice(HEADER.length), 'base64url'))
  if (trimmed.startsWith('{')) return parseJson(Buffer.from(trimmed))
  return parseJson(unarmoured(trimmed))
}

function textOf(bytes: Uint8Array): string {
  if (bytes.length > 3 * licenseLimits.bytes) read.refuse('longer than any licence')
  if (!isValidUtf8(bytes)) read.refuse('the licence is not UTF-8')
  return Buffer.from(bytes).toString('utf8')
}

function unarmoured(text: string): Buffer {
  const lines = text.split(/\r?\n/).map((line) => line.trimEnd())
  if (lines.length < 3 || lines[0] !== BEGIN || lines.at(-1) !== END)
    read.refuse(`no ${BEGIN} at the start, or no ${END} at the end`)
  return exactBase64(lines.slice(1, -1).join(''), 'base64')
}

/** Node skips what is no base64, so the way back must give the same text. */
function exactBase64(text: string, encoding: 'base64' | 'base64url'): Buffer {
  const bytes = Buffer.from(text, encoding)
  if (bytes.length === 0 || bytes.toString(encoding) !== text)
    read.refuse('damaged: the licence is not whole base64')
  return bytes
}

function parseJson(bytes: Uint8Array): LicenseFile {
  const {bytes: limit, depth} = licenseLimits
  const top = read.object(parseStrictJson(bytes, {bytes: limit, depth}), 'the licence')
  read.only(top, ['license', 'signatures'], 'the licence')
  const license = licenseOf(read.object(top.license, 'license'))
  const signatures = parseSignatures(top.signatures ?? [])
  return {license, canonical: canonicalJson(jsonOf(license)), signatures}
}

function licenseOf(json: JsonObject): License {
  const spec = read.integer(json.spec, 'spec')
  if (spec !== 1) throw new RelError('spec_unsupported', `licence format ${spec}, 1 is known`)
  read.only(json, licenseKeys, 'license')
  const license: License = {
    id: read.text(json.id, 'id', ulid),
    product: read.text(json.product, 'product', namePattern),
    customer: read.text(json.customer, 'customer', customer),
    track: trackOf(read.text(json.track, 'track', track)),
    entitlements: read
      .list(json.entitlements, 'entitlements', licenseLimits.entitlements)
      .map((each) => read.text(each, 'an entitlement', entitlement)),
    issued: read.integer(json.issued, 'issued'),
    expires: read.integer(json.expires, 'expires'),
    serial: read.integer(json.serial, 'serial'),
  }
  if (license.expires <= license.issued) read.refuse('it expires before it was issued')
  const {entitlements} = license
  if (entitlements.some((each, at) => at > 0 && (entitlements[at - 1] ?? '') >= each))
    read.refuse('entitlements are not sorted, or one is given twice')
  return license
}

const licenseKeys = [
  'spec',
  'id',
  'product',
  'customer',
  'track',
  'entitlements',
  'issued',
  'expires',
  'serial',
]

function trackOf(text: string): TrackName {
  return (
    trackNames.find((name) => name === text) ?? read.refuse('track is not stable or prerelease')
  )
}

function jsonOf(license: License): JsonObject {
  const {id, product, customer: name, entitlements, issued, expires, serial} = license
  return {
    spec: 1,
    id,
    product,
    customer: name,
    track: license.track,
    entitlements,
    issued,
    expires,
    serial,
  }
}

/** The JSON of a licence, its canonical form in front of the signatures: one spelling. */
function compact({canonical, signatures}: LicenseFile): string {
  return `{"license":${canonical},"signatures":${canonicalJson(signatures.map(({keyid, sig}) => ({keyid, sig})))}}`
}

/** The licence as a file that survives mail: base64 of its JSON, 64 characters a line. */
export function armouredLicense(file: LicenseFile): string {
  const lines =
    Buffer.from(compact(file))
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return [BEGIN, ...lines, END, ''].join('\n')
}

/** The licence as it stands in `Authorization: Bearer`. */
export function licenseHeader(file: LicenseFile): string {
  return `${HEADER}${Buffer.from(compact(file)).toString('base64url')}`
}

/**
 * A signed licence. Entitlements are sorted first. Refuses with license_malformed (so nothing is
 * issued that could not be read back), signature_* and what the signer refuses with.
 */
export async function issueLicense(license: License, signer: Signer): Promise<LicenseFile> {
  const sorted = {...license, entitlements: [...new Set(license.entitlements)].toSorted()}
  const canonical = canonicalJson(jsonOf(licenseOf(jsonOf(sorted))))
  const signatures = await addSignature('license', canonical, [], signer)
  return {license: sorted, canonical, signatures}
}

/**
 * That a licence is signed by the licence keys of its product for every channel it opens. Expiry is
 * not looked at: an expired licence is still genuine (checkLicenseUse).
 * Refuses with anchor_expired, digest_revoked, role_missing, signature_*, key_*, threshold_not_met.
 */
export function checkLicense(
  file: LicenseFile,
  anchor: Anchor,
  now: number,
): {readonly signedBy: readonly string[]} {
  const {license, canonical} = file
  checkDigest(anchor, sha256Hex(canonical))
  const signers = channelsOf(license).map((channel) =>
    checkLicenseKeys(file, keysFor(anchor, 'license', {product: license.product, channel, now})),
  )
  return {signedBy: [...new Set(signers.flatMap(({signedBy}) => signedBy))]}
}

/** That a licence is signed by these keys. Refuses with signature_*, key_*, threshold_not_met. */
export function checkLicenseKeys(
  {canonical, signatures}: Pick<LicenseFile, 'canonical' | 'signatures'>,
  keys: KeySet,
): {readonly signedBy: readonly string[]} {
  return checkSignatures('license', canonical, signatures, keys)
}

/**
 * That a genuine licence is for a product and has not expired.
 * Refuses with license_wrong_product, license_expired.
 */
export function checkLicenseUse(license: License, product: string | undefined, now: number): void {
  if (product !== undefined && license.product !== product)
    throw new RelError(
      'license_wrong_product',
      `the licence is for ${license.product}, ${product} is wanted`,
    )
  if (now >= license.expires)
    throw new RelError('license_expired', `the licence expired at ${timeText(license.expires)}`, {
      details: {expires: license.expires, now},
    })
}
