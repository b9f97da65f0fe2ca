import {counted} from '../system/counted.ts'
import {RelError} from '../system/error.ts'
import {freeMemory} from '../system/free-memory.ts'
import {sha256Hex} from '../system/hash.ts'
import {takesLegacy} from '../trust/anchor.ts'
import {canonicalPieces} from '../trust/canonical-json.ts'
import {type PublicKey, verifyEd25519} from '../trust/ed25519.ts'
import {checkSignatures, decodeSignature, type KeySet, shortId} from '../trust/envelope.ts'
import {checkExpectations, checkFresh} from './expectations.ts'
import type {BundleManifest, ManifestFile} from './manifest.ts'
import {
  KNOWN_SPEC,
  parseDocument,
  parseMeaning,
  type SignaturesOf,
  unsupportedSpec,
} from './parse-manifest.ts'
import type {OnStep, TrustSource, VerifiedManifest, VerifyPolicy} from './verify-policy.ts'
import {partsOfName} from './version.ts'
import {canonicalBytes} from './write-manifest.ts'

const silent: OnStep = () => undefined

/** What is left to check once manifest.json was read: its signatures and what they cover. */
type Candidate = SignaturesOf & {
  /** Absent when the format is newer than this version. */
  readonly manifest: BundleManifest | undefined
  /** What is signed, RFC 8785 in UTF-8. */
  readonly canonical: Uint8Array
  readonly product: string
  readonly channel: string
}

/**
 * The one verdict on a manifest, for trees, archives and devices. The order is the promise of
 * docs/formats/manifest.md: length, strict JSON, shape, keys, signatures, revocation, format,
 * what was asked for, freshness. `sidecar` is the Sigstore bundle, where the policy wants one.
 * Refuses as parseManifest and checkSignatures do, and with legacy_refused, spec_unsupported,
 * product_mismatch, version_mismatch, channel_mismatch, target_mismatch, timestamp_future,
 * manifest_expired, and what the trust source and the identity check refuse with.
 */
export async function verifyManifestBytes(
  bytes: Uint8Array,
  policy: VerifyPolicy,
  onStep: OnStep = silent,
  sidecar?: Uint8Array,
): Promise<VerifiedManifest> {
  const candidate = readCandidate(bytes, policy, onStep)
  const {spec, manifest, canonical} = candidate
  const signers = await checkSigners(candidate, {bytes, sidecar, policy, onStep})
  const manifestSha256 = sha256Hex(bytes)
  const contentSha256 = sha256Hex(canonical)
  freeMemory(canonical)
  policy.trust.checkRevoked({manifestSha256: contentSha256})
  onStep({check: 'revocation', detail: `${contentSha256.slice(0, 16)} is not revoked`})
  if (manifest === undefined) throw unsupportedSpec(spec ?? 0)
  onStep({check: 'format', detail: spec === undefined ? 'D2' : `rel ${spec}`})
  onStep({check: 'expectations', detail: checkExpectations(manifest, policy.expect)})
  onStep({check: 'freshness', detail: checkFresh(manifest, policy.now)})
  return {file: fileOf(candidate, manifest), manifest, manifestSha256, contentSha256, ...signers}
}

function fileOf({signature, signatures}: Candidate, manifest: BundleManifest): ManifestFile {
  return {manifest, signatures, ...(signature === undefined ? {} : {signature})}
}

function readCandidate(bytes: Uint8Array, policy: VerifyPolicy, onStep: OnStep): Candidate {
  const document = parseDocument(bytes)
  onStep({check: 'json', detail: `${counted(bytes.length, 'byte')} of strict JSON`})
  // the parsed JSON of a large bundle takes 50 MB, so nothing may hold on to it
  const {value, ...signatures} = document
  const {spec} = signatures
  if (spec === undefined && policy.legacy === 'deny') throw legacyRefused()
  if (spec !== undefined && spec > KNOWN_SPEC) {
    const {product, channel} = value.rel as Record<string, unknown>
    const canonical = Buffer.from([...canonicalPieces(value)].join(''), 'utf8')
    return {...signatures, manifest: undefined, canonical, ...scopeOf(product, channel)}
  }
  const manifest = parseMeaning(document)
  onStep({
    check: 'shape',
    detail: `${counted(manifest.files.length, 'file')}, all paths inside the bundle`,
  })
  const {product = partsOfName(manifest.bundleName).product, channel} = manifest.rel ?? {}
  if (spec === undefined && !takesLegacy(policy.legacy, product)) throw legacyRefused(product)
  const canonical = canonicalBytes(manifest)
  return {...signatures, manifest, canonical, ...scopeOf(product, channel)}
}

function legacyRefused(product?: string): RelError {
  const whose = product === undefined ? '' : ` of product ${product}`
  return new RelError('legacy_refused', `the manifest${whose} has no rel section (a D2 manifest)`)
}

/** What an untrusted manifest claims to be for: it picks the keys, the signature then proves it. */
function scopeOf(product: unknown, channel: unknown): {product: string; channel: string} {
  const text = (value: unknown): string => (typeof value === 'string' ? value : '')
  return {product: text(product), channel: text(channel)}
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
  {spec, manifest}: Candidate,
  {bytes, sidecar, policy, onStep}: Context,
): Promise<readonly string[]> {
  if (manifest === undefined) throw unsupportedSpec(spec ?? 0)
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
  const {spec, signatures, canonical, product, channel} = candidate
  const keySet = policy.trust.keysFor({product, channel, now: policy.now})
  const {threshold} = keySet
  onStep({check: 'keys', detail: `${keySet.keys.length} trusted, ${threshold} must have signed`})
  const signedBy =
    spec === undefined
      ? checkLegacyOnly(candidate, keySet, policy)
      : checkSignatures('manifest', [canonical], signatures, keySet).signedBy
  if (spec !== undefined) checkLegacyBeside(candidate, keySet, signedBy)
  if (policy.paranoid === true) {
    const {checkAgain} = await import('./second-opinion.ts')
    await checkAgain(candidate, canonical, keySet.keys, signedBy)
    onStep({check: 'second opinion', detail: 'a second implementation agrees'})
  }
  onStep({check: 'signatures', detail: `valid: ${namesOf(signedBy, policy.trust)}`})
  return {signedBy, threshold}
}

function namesOf(keyIds: readonly string[], trust: TrustSource): string {
  return keyIds.map((id) => `${trust.nameOf(id) ?? 'key'} (${shortId(id)})`).join(', ')
}

/** A true D2 manifest: its one signature is all there is, so it meets a threshold of one. */
function checkLegacyOnly(
  {signature, manifest, canonical}: Candidate,
  {keys, threshold}: KeySet,
  policy: VerifyPolicy,
): readonly string[] {
  if (signature === undefined) throw new RelError('signature_missing', 'nobody has signed')
  if (threshold !== 1)
    throw new RelError('threshold_not_met', `a D2 manifest has 1 signature, want ${threshold}`)
  const key =
    legacySigner(canonical, signature, keys) ??
    (policy.legacyCanonical === 'python-default' && manifest !== undefined
      ? legacySigner(canonicalBytes(manifest, 'python-default'), signature, keys)
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
  if (legacySigner(canonical, signature, counting) !== undefined) return
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
