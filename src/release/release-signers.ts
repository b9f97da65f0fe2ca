import {manifestLimits} from '../bundle/manifest.ts'
import {sigstoreSidecars} from '../bundle/verify.ts'
import type {IdentityPolicy} from '../bundle/verify-policy.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere} from '../system/files.ts'
import {type Anchor, checkAnchorFresh, checkDigest} from '../trust/anchor.ts'
import type {ReleaseFile} from './release.ts'
import {checkRelease} from './release-manifest.ts'

/** Where the Sigstore bundle over a release manifest is written: D1's `manifest.sig.bundle` beside `manifest.json`. */
export function releaseSidecar(manifest: string): string {
  return `${manifest.replace(/\.json$/, '')}.sig.bundle`
}

/** The Sigstore bundle beside a manifest, under any of its names. Refuses as readFileLimited does. */
export function readReleaseSidecar(manifest: string): Buffer | undefined {
  const path = sigstoreSidecars(manifest).find((each) => statIfThere(each)?.isFile() === true)
  return path === undefined ? undefined : readFileLimited(path, manifestLimits.sidecarBytes)
}

/** Who must have signed a release, and what it is shown by. */
export type SignerTerms = {
  readonly anchor: Anchor
  /** Keys alone when absent. */
  readonly identity?: IdentityPolicy | undefined
  /** The Sigstore bundle over exactly these bytes, if there is one. */
  readonly sidecar?: Uint8Array | undefined
  /** Seconds since the epoch. */
  readonly now: number
}

export type ReleaseSigners = {
  readonly signedBy: readonly string[]
  /** Sigstore identities that were verified, where the policy asked for them. */
  readonly identities: readonly string[]
}

/**
 * That keys, identities or both have signed a release, as the policy says; `bytes` are those of the
 * file. Refuses as checkRelease and the identity check do.
 */
export async function checkReleaseSigners(
  file: ReleaseFile,
  bytes: Uint8Array,
  {anchor, identity, sidecar, now}: SignerTerms,
): Promise<ReleaseSigners> {
  const {version, product} = file.release
  const byKeys = () => checkRelease(file, anchor, now).signedBy
  const byIdentity = async () => {
    checkAnchorFresh(anchor, now)
    checkDigest(anchor, file.digest)
    const manifest = {version, rel: {product}}
    return (await identity?.check({manifestBytes: bytes, manifest, sidecar})) ?? []
  }
  const mode = identity?.mode
  if (mode === undefined) return {signedBy: byKeys(), identities: []}
  if (mode === 'sigstore') return {signedBy: [], identities: await byIdentity()}
  if (mode === 'both') return {signedBy: byKeys(), identities: await byIdentity()}
  try {
    return {signedBy: byKeys(), identities: []}
  } catch (error) {
    if (!(error instanceof RelError && absences.includes(error.code))) throw error
    return {signedBy: [], identities: await byIdentity()}
  }
}

/** A key that is merely absent may be made up for by an identity; a false signature may not. */
const absences: readonly string[] = ['signature_missing', 'key_unknown', 'threshold_not_met']
