import type {Bundle} from '@sigstore/bundle'
import {RelError} from '../../system/error.ts'
import {sha256Hex} from '../../system/hash.ts'
import type {AllowedSigner} from './allowed-signer.ts'
import {parseSigstoreBundle} from './bundle-file.ts'
import {matchIdentity, type SignerIdentity} from './identity.ts'
import type {TrustedRoot} from './trusted-root.ts'
import {verifyEntity} from './verify-entity.ts'

/** What a verdict on a Sigstore bundle depends on beside the bundle. */
export type IdentityTerms = {
  readonly allowed: readonly AllowedSigner[]
  /** The signed version, which takes the place of `{version}`. */
  readonly version: string
  readonly trustedRoot: TrustedRoot
  /** Seconds since the epoch, fixed at the start of the verification. */
  readonly now: number
}

/** An identity that has signed and was allowed to; only the checks of this folder make one. */
export type VerifiedIdentity = SignerIdentity & {readonly allowedBy: AllowedSigner}

/**
 * Who signed exactly these bytes (docs/formats/sigstore.md): offline, with one proof each of
 * certificate log, transparency log and time. The order is: policy, length, strict JSON, shape,
 * digest, proofs and signature, identity. Refuses with identity_*, json_*, sigstore_*.
 */
export async function checkSigstoreBundle(
  question: IdentityTerms & {readonly bundleBytes: Uint8Array; readonly artifact: Uint8Array},
): Promise<VerifiedIdentity> {
  const {bundleBytes, artifact, allowed, version, trustedRoot, now} = question
  checkPolicy(allowed)
  const identity = await verifySigstoreBundle(bundleBytes, artifact, trustedRoot, now)
  return {...identity, allowedBy: matchIdentity(identity, allowed, version)}
}

/** Refuses with identity_policy_empty before a byte of a bundle is read. */
export function checkPolicy(allowed: readonly AllowedSigner[]): void {
  if (allowed.length === 0)
    throw new RelError('identity_policy_empty', 'no signer identity is allowed')
}

/** Who signed these bytes, whoever that is: only for those who compare the identity themselves. */
export async function verifySigstoreBundle(
  bundleBytes: Uint8Array,
  artifact: Uint8Array,
  trustedRoot: TrustedRoot,
  now: number,
): Promise<SignerIdentity> {
  const bundle = await bundleOver(bundleBytes, artifact)
  return verifyEntity(bundle, artifact, trustedRoot, now)
}

/**
 * That a bundle is one over these bytes; its signature and who made it are not looked at. Refuses
 * with json_*, sigstore_bundle_malformed, sigstore_tlog_missing, sigstore_digest_mismatch.
 */
export async function checkBundleDigest(
  bundleBytes: Uint8Array,
  artifact: Uint8Array,
): Promise<void> {
  await bundleOver(bundleBytes, artifact)
}

async function bundleOver(bundleBytes: Uint8Array, artifact: Uint8Array): Promise<Bundle> {
  const bundle = await parseSigstoreBundle(bundleBytes, 'messageSignature')
  const {content} = bundle
  if (content.$case !== 'messageSignature')
    throw new RelError('sigstore_bundle_malformed', 'the bundle signs no file')
  const {algorithm, digest} = content.messageSignature.messageDigest
  if (algorithm !== SHA2_256)
    throw new RelError('sigstore_bundle_malformed', 'the digest of the bundle is not SHA2_256')
  const [seen, wanted] = [digest.toString('hex'), sha256Hex(artifact)]
  if (seen !== wanted)
    throw new RelError('sigstore_digest_mismatch', `the bundle signs ${seen}, want ${wanted}`)
  return bundle
}

/** HashAlgorithm of sigstore/protobuf-specs sigstore_common.proto. */
const SHA2_256 = 1
