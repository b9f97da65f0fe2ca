import {counted} from '../system/counted.ts'
import {RelError} from '../system/error.ts'
import {freeMemory} from '../system/free-memory.ts'
import {sha256Hex} from '../system/hash.ts'
import type {JsonObject} from '../system/json.ts'
import {takesLegacy} from '../trust/anchor.ts'
import {canonicalPieces} from '../trust/canonical-json.ts'
import {type PublicKey, verifyEd25519} from '../trust/ed25519.ts'
import {checkSignatures, decodeSignature, type KeySet, shortId} from '../trust/envelope.ts'
import {checkExpectations, checkFresh} from './expectations.ts'
import type {BundleManifest, ManifestFile} from './manifest.ts'
import {
  isBundleName,
  KNOWN_SPEC,
  type ManifestDocument,
  parseDocument,
  parseMeaning,
  unsupportedSpec,
} from './parse-manifest.ts'
import type {OnStep, TrustSource, VerifiedManifest, VerifyPolicy} from './verify-policy.ts'
import {isVersion, partsOfName} from './version.ts'
import {canonicalBytes, utf8Of} from './write-manifest.ts'

const silent: OnStep = () => undefined

/** manifest.json once it was read: its signatures, what they cover, and what that claims to be. */
type Candidate = ManifestDocument & {
  readonly claims: Claims
  /** What is signed, RFC 8785 in UTF-8; made when a signature that counts is to be checked. */
  readonly canonical: () => Buffer
}

/** What nobody has vouched for yet: it picks the keys, the signature then proves it. */
type Claims = {readonly product: string; readonly channel: string; readonly version: string}

/**
 * The one verdict on a manifest, for trees, archives and devices. The order is the promise of
 * docs/formats/manifest.md: length, strict JSON, keys, signatures, revocation, format, shape, what
 * was asked for, freshness: who signs with no trusted key gets no path looked at. `sidecar` is the
 * Sigstore bundle, where the policy wants one. Refuses as parseManifest and checkSignatures do, and
 * with legacy_refused, spec_unsupported, product_mismatch, version_mismatch, channel_mismatch,
 * target_mismatch, timestamp_future, manifest_expired, and what the trust source and the identity
 * check refuse with.
 */
export async function verifyManifestBytes(
  bytes: Uint8Array,
  policy: VerifyPolicy,
  onStep: OnStep = silent,
  sidecar?: Uint8Array,
): Promise<VerifiedManifest> {
  const candidate = readCandidate(bytes, policy, onStep)
  const {spec} = candidate
  const signers = await checkSigners(candidate, {bytes, sidecar, policy, onStep})
  const contentSha256 = sha256Hex(candidate.canonical())
  freeMemory(candidate.canonical())
  policy.trust.checkRevoked({manifestSha256: contentSha256})
  onStep({check: 'revocation', detail: `${contentSha256.slice(0, 16)} is not revoked`})
  if (spec !== undefined && spec !== KNOWN_SPEC) throw unsupportedSpec(spec)
  onStep({check: 'format', detail: spec === undefined ? 'D2' : `rel ${spec}`})
  const manifest = parseMeaning(candidate)
  const {length: count} = manifest.files
  onStep({check: 'shape', detail: `${counted(count, 'file')}, all paths inside the bundle`})
  onStep({check: 'expectations', detail: checkExpectations(manifest, policy.expect)})
  onStep({check: 'freshness', detail: checkFresh(manifest, policy.now)})
  const manifestSha256 = sha256Hex(bytes)
  return {file: fileOf(candidate, manifest), manifest, manifestSha256, contentSha256, ...signers}
}

function fileOf({signature, signatures}: Candidate, manifest: BundleManifest): ManifestFile {
  return {manifest, signatures, ...(signature === undefined ? {} : {signature})}
}

function readCandidate(bytes: Uint8Array, policy: VerifyPolicy, onStep: OnStep): Candidate {
  const document = parseDocument(bytes)
  onStep({check: 'json', detail: `${counted(bytes.length, 'byte')} of strict JSON`})
  const claims = claimsOf(document.value)
  if (document.spec === undefined) {
    if (policy.legacy === 'deny') throw legacyRefused()
    if (!takesLegacy(policy.legacy, claims.product)) throw legacyRefused(claims.product)
  }
  let made: Buffer | undefined
  const canonical = () => {
    made ??= utf8Of(canonicalPieces(document.value), bytes.length)
    return made
  }
  return {...document, claims, canonical}
}

function legacyRefused(product?: string): RelError {
  const whose = product === undefined ? '' : ` of product ${product}`
  return new RelError('legacy_refused', `the manifest${whose} has no rel section (a D2 manifest)`)
}

/** Names that no key is for are empty; a product of D2 is part of the name of its bundle. */
function claimsOf({bundle_name: name, version, rel}: JsonObject): Claims {
  const text = (value: unknown): string => (typeof value === 'string' ? value : '')
  const {product, channel} = (rel ?? {}) as JsonObject
  const ofName = isBundleName(text(name)) ? partsOfName(text(name)).product : ''
  return {
    product: rel === undefined ? ofName : text(product),
    channel: text(channel),
    version: text(version),
  }
}

type Signers = Pick<VerifiedManifest, 'signedBy' | 'threshold' | 'identities'>

type Context = {
  readonly bytes: Uint8Array
  readonly sidecar: Uint8Array | undefined
  readonly policy: VerifyPolicy
  readonly onStep: OnStep
}

async function checkSigners(candidate: Candidate, context: Context): Promise<Signers> {
  const {trust, now, identity} = context.policy
  trust.checkFresh(now)
  const {mode} = identity ?? {mode: 'ed25519'}
  if (mode === 'ed25519') return {...(await checkKeys(candidate, context)), identities: []}
  if (mode === 'sigstore')
    return {signedBy: [], threshold: 0, identities: await checkIdentity(candidate, context)}
  if (mode === 'both') {
    const keys = await checkKeys(candidate, context)
    return {...keys, identities: await checkIdentity(candidate, context)}
  }
  return checkEither(candidate, context)
}

/** A key that is merely absent may be made up for by an identity; a false signature may not. */
const absences: readonly string[] = ['signature_missing', 'key_unknown', 'threshold_not_met']

async function checkEither(candidate: Candidate, context: Context): Promise<Signers> {
  try {
    return {...(await checkKeys(candidate, context)), identities: []}
  } catch (error) {
    if (!(error instanceof RelError && absences.includes(error.code))) throw error
    context.onStep({check: 'signatures', detail: `${error.code}, so an identity must have signed`})
    return {signedBy: [], threshold: 0, identities: await checkIdentity(candidate, context)}
  }
}

async function checkIdentity(
  {spec, claims}: Candidate,
  {bytes, sidecar, policy, onStep}: Context,
): Promise<readonly string[]> {
  const {version, product} = claims
  if (spec !== undefined && spec !== KNOWN_SPEC) throw unsupportedSpec(spec)
  if (!isVersion(version))
    throw new RelError('manifest_malformed', 'version is no semantic version')
  const manifest = {version, ...(spec === undefined ? {} : {rel: {product}})}
  const identities = await policy.identity?.check({manifestBytes: bytes, manifest, sidecar})
  if (identities === undefined || identities.length === 0)
    throw new RelError('internal_error', 'an identity check passed without an identity')
  onStep({check: 'identities', detail: identities.join(', ')})
  return identities
}

async function checkKeys(
  candidate: Candidate,
  {policy, onStep}: Context,
): Promise<Pick<Signers, 'signedBy' | 'threshold'>> {
  const {spec, signatures, claims, canonical} = candidate
  const {product, channel} = claims
  const keySet = policy.trust.keysFor({product, channel, now: policy.now})
  const {threshold} = keySet
  onStep({check: 'keys', detail: `${keySet.keys.length} trusted, ${threshold} must have signed`})
  const signedBy =
    spec === undefined
      ? checkLegacyOnly(candidate, keySet, policy)
      : checkSignatures('manifest', whenAsked(canonical), signatures, keySet).signedBy
  if (spec !== undefined) checkLegacyBeside(candidate, keySet, signedBy)
  if (policy.paranoid === true) {
    const {checkAgain} = await import('./second-opinion.ts')
    await checkAgain(candidate, canonical(), keySet.keys, signedBy)
    onStep({check: 'second opinion', detail: 'a second implementation agrees'})
  }
  onStep({check: 'signatures', detail: `valid: ${namesOf(signedBy, policy.trust)}`})
  return {signedBy, threshold}
}

/** One piece, made when it is read: never, when no trusted key claims to have signed. */
function* whenAsked(canonical: () => Buffer): Generator<Uint8Array> {
  yield canonical()
}

function namesOf(keyIds: readonly string[], trust: TrustSource): string {
  return keyIds.map((id) => `${trust.nameOf(id) ?? 'key'} (${shortId(id)})`).join(', ')
}

/** A true D2 manifest: its one signature is all there is, so it meets a threshold of one. */
function checkLegacyOnly(
  candidate: Candidate,
  {keys, threshold}: KeySet,
  policy: VerifyPolicy,
): readonly string[] {
  const {signature} = candidate
  if (signature === undefined) throw new RelError('signature_missing', 'nobody has signed')
  if (threshold !== 1)
    throw new RelError('threshold_not_met', `a D2 manifest has 1 signature, want ${threshold}`)
  const key =
    legacySigner(candidate.canonical(), signature, keys) ??
    (policy.legacyCanonical === 'python-default'
      ? legacySigner(canonicalBytes(parseMeaning(candidate), 'python-default'), signature, keys)
      : undefined)
  if (key === undefined)
    throw new RelError('signature_invalid', 'no trusted key has made the signature', {
      hint: 'Signed by Python with default separators? Add --legacy-canonical python-default.',
    })
  return [key.keyId]
}

/**
 * D2's signature beside `signatures` must be by one of those who count. Only where a key that is
 * unknown here has signed too may it be that key's, and is as little looked at as its signature.
 */
function checkLegacyBeside(
  {signature, signatures, canonical}: Candidate,
  {keys}: KeySet,
  signedBy: readonly string[],
): void {
  if (signature === undefined) return
  const counting = keys.filter((key) => signedBy.includes(key.keyId))
  if (legacySigner(canonical(), signature, counting) !== undefined) return
  if (signatures.length > signedBy.length) return
  throw new RelError('signature_invalid', 'the D2 signature is by none of those who signed')
}

function legacySigner(
  message: Uint8Array,
  signature: string,
  keys: readonly PublicKey[],
): PublicKey | undefined {
  const bytes = decodeSignature(signature)
  return keys.find((key) => verifyEd25519(key, message, bytes))
}
