import {RelError} from '../system/error.ts'
import type {BundleManifest} from './manifest.ts'
import type {VerifyPolicy} from './verify-policy.ts'
import {partsOfName} from './version.ts'

/** Clocks of build servers and devices may differ by this much. */
export const CLOCK_SKEW_SECS = 300

/**
 * What was asked for against what was signed; the answer is what could be compared, in words.
 * Refuses with product_mismatch, version_mismatch, channel_mismatch, target_mismatch. What a D2
 * manifest does not sign cannot be expected of it: only its version, and the product in its name.
 */
export function checkExpectations(
  {bundleName, version, rel}: BundleManifest,
  expect: VerifyPolicy['expect'],
): string {
  const product = rel === undefined ? partsOfName(bundleName).product : rel.product
  if (expect.product !== undefined && expect.product !== product)
    throw new RelError('product_mismatch', `signed for ${product}, want ${expect.product}`)
  if (expect.version !== undefined && expect.version !== version)
    throw new RelError('version_mismatch', `signed as ${version}, want ${expect.version}`)
  if (expect.channel !== undefined && expect.channel !== rel?.channel)
    throw new RelError(
      'channel_mismatch',
      `signed for ${rel?.channel ?? 'no channel'}, want ${expect.channel}`,
    )
  if (expect.target !== undefined) checkTarget(rel?.targets, expect.target)
  const asked = Object.entries(expect).filter(([, value]) => value !== undefined)
  return asked.length === 0
    ? 'nothing was asked for'
    : asked.map(([name, value]) => `${name} ${value}`).join(', ')
}

function checkTarget(targets: readonly string[] | undefined, wanted: string): void {
  if (targets === undefined)
    throw new RelError('target_mismatch', `a D2 manifest names no targets, want ${wanted}`)
  if (targets.length > 0 && !targets.includes(wanted))
    throw new RelError('target_mismatch', `signed for ${targets.join(', ')}, want ${wanted}`)
}

/** Neither from the future nor expired at `now`. Refuses with timestamp_future, manifest_expired. */
export function checkFresh({timestamp, rel}: BundleManifest, now: number): string {
  if (timestamp > now + CLOCK_SKEW_SECS)
    throw new RelError('timestamp_future', `signed at ${dateOf(timestamp)}, now is ${dateOf(now)}`)
  const expires = rel?.expires
  if (expires !== undefined && now >= expires)
    throw new RelError('manifest_expired', `expired at ${dateOf(expires)}, now is ${dateOf(now)}`)
  const end = expires === undefined ? 'never expires' : `expires ${dateOf(expires)}`
  return `signed ${dateOf(timestamp)}, ${end}`
}

/** Seconds since the epoch as people read them: 2026-01-31T12:00:00Z. */
export function dateOf(seconds: number): string {
  const date = new Date(seconds * 1000)
  if (Number.isNaN(date.getTime())) return `second ${seconds}`
  return date.toISOString().replace('.000Z', 'Z')
}
