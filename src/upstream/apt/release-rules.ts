import {RelError} from '../../system/error.ts'
import type {Release} from './release-file.ts'
import {type Distribution, snapshotIdAt} from './snapshot-id.ts'

/** What is asked of a suite. Times are seconds since the epoch. */
export type SuiteWish = {
  readonly distribution: Distribution
  /** The name in the address and in sources.list, such as bookworm-security or noble-updates. */
  readonly suite: string
  readonly components: readonly string[]
  readonly architectures: readonly string[]
  /** How old the publication may be. */
  readonly maxAgeDays: number
  /** A publication of the past that a pin names, or what the archive says now. */
  readonly at: {readonly kind: 'snapshot' | 'live'; readonly time: number}
}

/** Clocks of mirrors and of this machine differ by no more. */
const CLOCK_SKEW_SECS = 600

const DAY_SECS = 86_400

const origins: Readonly<Record<Distribution, string>> = {debian: 'Debian', ubuntu: 'Ubuntu'}

/**
 * That a signed Release file is the one asked for: a signature says who wrote it, not that it is
 * this suite, at this time. Refuses with apt_suite_mismatch, apt_architecture_missing,
 * apt_component_missing, pin_ineffective, apt_release_in_future, apt_release_stale,
 * apt_release_expired.
 */
export function checkRelease(release: Release, wish: SuiteWish): void {
  checkSuite(release, wish)
  for (const arch of wish.architectures) {
    if (!release.architectures.includes(arch))
      throw new RelError(
        'apt_architecture_missing',
        `${wish.suite} has ${release.architectures.join(' ')}, want ${arch}`,
      )
  }
  for (const component of wish.components) {
    // debian-security calls them updates/main, but keeps them below main/
    const isThere = release.components.some((name) => name.split('/').at(-1) === component)
    if (!isThere)
      throw new RelError(
        'apt_component_missing',
        `${wish.suite} has ${release.components.join(' ')}, want ${component}`,
      )
  }
  checkTime(release, wish)
}

/**
 * Debian names a suite by its codename, since `oldstable` moves; Ubuntu's pockets share one
 * codename and differ by suite. Taking either would let noble-updates pass for noble.
 */
function checkSuite(release: Release, {distribution, suite}: SuiteWish): void {
  const seen = distribution === 'debian' ? release.codename : release.suite
  const codename = distribution === 'debian' ? suite : suite.replace(/-.*/, '')
  const isRight = seen === suite && release.codename === codename
  if (release.origin !== origins[distribution] || !isRight) {
    const {origin, suite: name} = release
    throw new RelError(
      'apt_suite_mismatch',
      `signed are origin ${origin}, suite ${name}, codename ${release.codename}, want ${distribution} ${suite}`,
    )
  }
}

function checkTime(release: Release, {suite, at, maxAgeDays}: SuiteWish): void {
  const dated = `${suite} is dated ${snapshotIdAt(release.date)}`
  const wanted = snapshotIdAt(at.time)
  if (at.kind === 'snapshot' && release.date > at.time)
    throw new RelError('pin_ineffective', `${dated}, after the pinned ${wanted}`)
  if (at.kind === 'live' && release.date > at.time + CLOCK_SKEW_SECS)
    throw new RelError('apt_release_in_future', `${dated}, after now, ${wanted}`)
  if (at.time - release.date > maxAgeDays * DAY_SECS)
    throw new RelError(
      'apt_release_stale',
      `${dated}, more than ${maxAgeDays} days before ${wanted}`,
    )
  // against the pinned time: a snapshot of last month has expired since, and may
  if (release.validUntil !== undefined && release.validUntil < at.time)
    throw new RelError(
      'apt_release_expired',
      `${suite} was valid until ${snapshotIdAt(release.validUntil)}, want ${wanted}`,
    )
}
