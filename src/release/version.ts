import {isVersion} from '../bundle/version.ts'
import {RelError} from '../system/error.ts'
import type {ChannelName} from './release.ts'

/** A version by semver.org 2.0.0. */
export type Version = {
  /** As it was written, build metadata included. */
  readonly text: string
  /** Major, minor and patch in decimal digits. */
  readonly core: readonly [string, string, string]
  /** Identifiers of the pre-release part. */
  readonly prerelease: readonly string[]
}

/**
 * A version to the letter of semver.org 2.0.0: no leading v, no spaces, at most 256 characters.
 * Refuses with version_invalid.
 */
export function parseVersion(text: string): Version {
  if (text.length > 256 || !isVersion(text))
    throw new RelError('version_invalid', 'this is no semantic version such as 1.4.2')
  const [precedence = ''] = text.split('+', 1)
  const dash = precedence.indexOf('-')
  const core = dash < 0 ? precedence : precedence.slice(0, dash)
  const [major = '', minor = '', patch = ''] = core.split('.')
  const prerelease = dash < 0 ? [] : precedence.slice(dash + 1).split('.')
  return {text, core: [major, minor, patch], prerelease}
}

/**
 * Before, equal or after by SemVer precedence: negative, 0, positive. Build metadata does not count.
 * Refuses with version_invalid.
 */
export function compareVersions(a: string, b: string): number {
  // exact: semver's comparison takes numbers as doubles, and finds long ones equal
  const [left, right] = [sortKey(a), sortKey(b)]
  if (left === right) return 0
  return left < right ? -1 : 1
}

/**
 * Text whose order, byte by byte, is SemVer precedence: equal keys are equal versions. It is ASCII
 * without quotes; a database compares it as bytes (COLLATE "C"). Numbers carry their length in
 * front; `-` of a pre-release comes before `~` of a release; `0` of a number before `1` of a word,
 * and the `!` that ends a word before all that a word may hold. Refuses with version_invalid.
 */
export function sortKey(version: string): string {
  const {core, prerelease} = parseVersion(version)
  const release = core.map((digits) => counted(digits, 2)).join('')
  return prerelease.length === 0
    ? `${release}~`
    : `${release}-${prerelease.map(identifierKey).join('')}`
}

function identifierKey(identifier: string): string {
  return /^[0-9]+$/.test(identifier) ? `0${counted(identifier, 3)}` : `1${identifier}!`
}

function counted(digits: string, width: number): string {
  return `${String(digits.length).padStart(width, '0')}${digits}`
}

const channelByWord: Readonly<Record<string, ChannelName>> = {
  beta: 'beta',
  rc: 'rc',
  canary: 'canary',
  dev: 'canary',
}

/**
 * The channel that a version is published on; nobody chooses it.
 * Refuses with version_invalid, channel_unknown_prerelease.
 */
export function channelOf(version: string): ChannelName {
  const {prerelease} = parseVersion(version)
  if (prerelease.length === 0) return 'stable'
  const [word = '', number = '', ...more] = prerelease
  const channel = Object.hasOwn(channelByWord, word) ? channelByWord[word] : undefined
  if (channel !== undefined && /^[0-9]+$/.test(number) && more.length === 0) return channel
  throw new RelError(
    'channel_unknown_prerelease',
    'the pre-release part is not beta.N, rc.N, canary.N or dev.N',
  )
}
