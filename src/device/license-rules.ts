import {channelsOf, coversComponent} from '../release/entitlement.ts'
import type {License} from '../release/license.ts'
import type {ErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import {timeText} from '../trust/expiry.ts'

/** What a licence is asked about; all of it is signed. */
export type LicensedFacts = {
  readonly product: string
  readonly channel: string | undefined
  /** The component of the artifact; bundles name none. */
  readonly component?: string
}

/**
 * That a genuine licence opens a build, whatever the time: strict both ways, so a stable licence
 * opens no pre-release and the reverse (D0). Refuses with upgrade_license_invalid.
 */
export function checkTrack(license: License, {product, channel, component}: LicensedFacts): void {
  const {product: own, track} = license
  if (own !== product)
    throw refused('license_wrong_product', `it is for ${own}, not for ${product}`)
  const channels: readonly string[] = channelsOf(license)
  if (channel === undefined || !channels.includes(channel))
    throw refused(
      'channel_mismatch',
      `its track ${track} does not open the channel ${channel ?? 'that nobody signed'}`,
    )
  if (component !== undefined && !coversComponent(license, component))
    throw refused('license_wrong_product', `it does not cover the component ${component}`)
}

/** That a licence is still good at a time. Refuses with upgrade_license_frozen. */
export function checkNotExpired({expires}: License, now: number): void {
  if (now < expires) return
  throw new RelError('upgrade_license_frozen', `the licence expired at ${timeText(expires)}`, {
    details: {expires, now, cause_code: 'license_expired'},
  })
}

function refused(cause: ErrorCode, why: string): RelError {
  return new RelError('upgrade_license_invalid', `the licence of the node: ${why}`, {
    details: {cause_code: cause},
  })
}
