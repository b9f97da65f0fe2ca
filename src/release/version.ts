import {isVersion, compareVersions as precedence, sortKey as sortKeyOf} from '../bundle/version.ts'
import {RelError} from '../system/error.ts'
import type {ChannelName} from './release.ts'

/** A version by semver.org 2.0.0. */
export type Version = {
  /** As it was written, build metadata included. */
  readonly text: string
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
  const prerelease = dash < 0 ? [] : precedence.slice(dash + 1).split('.')
  return {text, prerelease}
}

/** As compareVersions of src/bundle/version.ts. Refuses with version_invalid. */
export function compareVersions(a: string, b: string): number {
  return precedence(parseVersion(a).text, parseVersion(b).text)
}

/** As sortKey of src/bundle/version.ts. Refuses with version_invalid. */
export function sortKey(version: string): string {
  return sortKeyOf(parseVersion(version).text)
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
