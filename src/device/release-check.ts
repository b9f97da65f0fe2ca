import {CLOCK_SKEW_SECS} from '../bundle/expectations.ts'
import type {IdentityPolicy} from '../bundle/verify-policy.ts'
import type {Release, ReleaseFile} from '../release/release.ts'
import {checkReleaseExpiry, parseRelease} from '../release/release-manifest.ts'
import {checkReleaseSigners} from '../release/release-signers.ts'
import {RelError} from '../system/error.ts'
import type {Anchor} from '../trust/anchor.ts'
import {timeText} from '../trust/expiry.ts'

/** What a node holds the manifest of a release against. */
export type ReleaseTerms = {
  readonly anchor: Anchor
  /** Keys alone when absent. */
  readonly identity: IdentityPolicy | undefined
  readonly product: string
  /** What was asked for, or what the name of the release promises. */
  readonly version: string | undefined
  /** Seconds since the epoch. */
  readonly now: number
}

/**
 * A release whose manifest is signed by whom the node trusts, for its product and in its time.
 * `sidecar` is the Sigstore bundle over exactly these bytes. Refuses as parseRelease, checkRelease
 * and the identity check do, with product_mismatch, version_mismatch, timestamp_future,
 * release_expired.
 */
export async function checkReleaseManifest(
  bytes: Uint8Array,
  sidecar: Uint8Array | undefined,
  terms: ReleaseTerms,
): Promise<ReleaseFile> {
  const file = parseRelease(bytes)
  await checkReleaseSigners(file, bytes, {...terms, sidecar})
  checkMeaning(file.release, terms)
  return file
}

function checkMeaning(
  release: Release,
  terms: Pick<ReleaseTerms, 'product' | 'version' | 'now'>,
): void {
  const {product, version, timestamp} = release
  const {now} = terms
  if (product !== terms.product)
    throw new RelError('product_mismatch', `signed as ${product}, want ${terms.product}`)
  if (terms.version !== undefined && version !== terms.version)
    throw new RelError('version_mismatch', `signed as ${version}, want ${terms.version}`)
  if (timestamp > now + CLOCK_SKEW_SECS)
    throw new RelError(
      'timestamp_future',
      `signed at ${timeText(timestamp)}, now is ${timeText(now)}`,
    )
  checkReleaseExpiry(release, now)
}
