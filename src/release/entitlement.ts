import type {License, LicenseState, TrackName} from './license.ts'
import type {ChannelName} from './release.ts'

/** What decides over a release: nothing that only its holder could know. */
export type ReleaseFacts = {
  readonly product: string
  readonly channel: ChannelName
  readonly state: 'draft' | 'published' | 'recalled'
}

/** The part of a licence that decides. */
export type LicenseFacts = Pick<License, 'product' | 'track' | 'entitlements' | 'expires'>

/** Why a release is not shown; to its asker each looks as if there were no such release. */
export type HiddenReason = 'other_product' | 'draft' | 'other_channel'

/**
 * What one licence may do with one release. `refused` speaks of the licence, whatever the release;
 * `hidden` looks like an absent release; `recalled` is told only to those who might have had it.
 */
export type Verdict =
  | {readonly verdict: 'visible'}
  | {readonly verdict: 'recalled'}
  | {readonly verdict: 'hidden'; readonly reason: HiddenReason}
  | {readonly verdict: 'refused'; readonly code: 'license_frozen' | 'license_revoked'}

const trackChannels: Readonly<Record<TrackName, readonly ChannelName[]>> = {
  stable: ['stable'],
  prerelease: ['rc', 'beta'],
}

/**
 * The channels that a licence opens: those of its track, and canary by `channel:canary`. No other
 * entitlement opens a channel, so a stable licence never sees beta, and the reverse (D0).
 */
export function channelsOf({
  track,
  entitlements,
}: Pick<License, 'track' | 'entitlements'>): readonly ChannelName[] {
  const own = trackChannels[track]
  return entitlements.includes('channel:canary') ? [...own, 'canary'] : own
}

/**
 * Whether a licence covers a component: every one, unless `component:NAME` entitlements name some.
 */
export function coversComponent(
  {entitlements}: Pick<License, 'entitlements'>,
  component: string,
): boolean {
  const named = entitlements.filter((entitlement) => entitlement.startsWith('component:'))
  return named.length === 0 || named.includes(`component:${component}`)
}

/** The state of a licence at a time: an active one that has expired is frozen. */
export function stateAt(expires: number, state: LicenseState, now: number): LicenseState {
  return state === 'active' && now >= expires ? 'frozen' : state
}

/** What a licence in this state may do with a release at a time. Pure: panel and node both ask it. */
export function visible(
  license: LicenseFacts,
  state: LicenseState,
  release: ReleaseFacts,
  now: number,
): Verdict {
  const standing = stateAt(license.expires, state, now)
  if (standing === 'revoked') return {verdict: 'refused', code: 'license_revoked'}
  if (standing === 'frozen') return {verdict: 'refused', code: 'license_frozen'}
  if (release.product !== license.product) return {verdict: 'hidden', reason: 'other_product'}
  if (release.state === 'draft') return {verdict: 'hidden', reason: 'draft'}
  if (!channelsOf(license).includes(release.channel))
    return {verdict: 'hidden', reason: 'other_channel'}
  return {verdict: release.state === 'recalled' ? 'recalled' : 'visible'}
}
