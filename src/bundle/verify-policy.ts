import type {LegacyRule} from '../trust/anchor.ts'
import type {KeySet} from '../trust/envelope.ts'
import type {BundleManifest, ManifestFile} from './manifest.ts'

/** Everything a verdict depends on beside the bytes; the same for a tree, an archive, a device. */
export type VerifyPolicy = {
  readonly trust: TrustSource
  /** What the caller asked for; each one given must equal the signed value. */
  readonly expect: {
    readonly product?: string
    readonly version?: string
    readonly channel?: string
    readonly target?: string
  }
  /** Fixed at the start of the verification: seconds since the epoch. */
  readonly now: number
  /** True D2 manifests (no rel section) are refused unless this allows them for their product. */
  readonly legacy: LegacyRule
  /** Accept D2's signature over Python's default json.dumps separators as well. */
  readonly legacyCanonical?: 'python-default'
  /** Sigstore identities instead of or beside keys; keys alone when absent. */
  readonly identity?: IdentityPolicy
  /** Every signature that counts is verified by a second implementation too. */
  readonly paranoid?: boolean
}

/** Which Sigstore identities may sign, and whether they replace keys or come on top. */
export type IdentityPolicy = {
  readonly mode: 'sigstore' | 'both' | 'either'
  /**
   * The identities that signed these exact bytes of manifest.json, at least one, or a RelError.
   * `manifest` is what the bytes claim (its version fills `{version}`); `sidecar` is the bundle.
   */
  check(question: {
    readonly manifestBytes: Uint8Array
    readonly manifest: {readonly version: string; readonly rel?: {readonly product: string}}
    readonly sidecar: Uint8Array | undefined
  }): Promise<readonly string[]>
}

/** Where the keys come from: an anchor picks them by role, product and channel. */
export type TrustSource = {
  /**
   * Says no with anchor_expired, at a time in seconds since the epoch. Asked in every policy: the
   * identities and revocations of an anchor end with it, as its keys do.
   */
  checkFresh(now: number): void
  /** The keys and threshold for one manifest, or a RelError (anchor expired, no key for product…). */
  keysFor(question: {
    readonly product: string
    readonly channel: string
    readonly now: number
  }): KeySet
  /**
   * Says no with digest_revoked. The digest is that of the canonical signed part, in hex: the bytes
   * of the file can be reformatted without harm to a signature, so they do not identify it.
   */
  checkRevoked(question: {readonly manifestSha256: string}): void
  /** How keys are called in output, by key id. */
  nameOf(keyId: string): string | undefined
}

/** One line of `rel verify --explain`: what was checked, in the order it was checked. */
export type VerifyStep = {readonly check: string; readonly detail: string}

export type OnStep = (step: VerifyStep) => void

/** A manifest whose signatures, meaning and freshness passed; its files were not looked at yet. */
export type VerifiedManifest = {
  readonly file: ManifestFile
  readonly manifest: BundleManifest
  /** SHA-256 of the exact bytes of manifest.json. */
  readonly manifestSha256: string
  /** SHA-256 of the canonical manifest: the same for every spelling and every set of signatures. */
  readonly contentSha256: string
  readonly signedBy: readonly string[]
  readonly threshold: number
  /** Sigstore identities that were verified, when the policy asked for them. */
  readonly identities: readonly string[]
}

/** The verdict on a whole bundle: only verifyBundle makes one. */
export type VerifiedBundle = VerifiedManifest & {
  readonly source: 'tree' | 'archive'
  readonly fileCount: number
  readonly totalSize: number
}
