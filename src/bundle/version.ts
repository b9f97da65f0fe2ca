import parse from 'semver/functions/parse.js'
import {RelError} from '../system/error.ts'

/** True for a version that follows semver.org 2.0.0 to the letter: no leading v, no spaces. */
export function isVersion(text: string): boolean {
  const parsed = parse(text)
  if (parsed === null) return false
  const build = parsed.build.length > 0 ? `+${parsed.build.join('.')}` : ''
  return parsed.version + build === text
}

/** The version as given, or a refusal with version_malformed that says what it is the version of. */
export function checkVersion(text: string, what: string): string {
  if (isVersion(text)) return text
  throw new RelError('version_malformed', `${what} is no version such as 1.4.2`)
}

/** What a directory name such as edge-agent-v1.4.2 says of its content (D2's convention). */
export type NameParts = {readonly product: string; readonly version: string | undefined}

/** Product and version by the last -v1.2.3 or -1.2.3 of a name; the version may be missing. */
export function partsOfName(name: string): NameParts {
  for (const match of name.matchAll(/-v?(?=[0-9])/g)) {
    const version = name.slice(match.index + match[0].length)
    if (match.index > 0 && isVersion(version)) return {product: name.slice(0, match.index), version}
  }
  return {product: name, version: undefined}
}

/**
 * Before, equal or after by SemVer precedence: negative, 0, positive. Build metadata does not count.
 * Refuses with version_malformed.
 */
export function compareVersions(a: string, b: string): number {
  // exact: semver's comparison takes numbers as doubles, and finds long ones equal
  const [left, right] = [sortKey(checkVersion(a, a)), sortKey(checkVersion(b, b))]
  if (left === right) return 0
  return left < right ? -1 : 1
}

/**
 * Text whose order, byte by byte, is SemVer precedence: equal keys are equal versions. It is ASCII
 * without quotes; a database compares it as bytes (COLLATE "C"). Numbers carry their length in
 * front; `-` of a pre-release comes before `~` of a release; `0` of a number before `1` of a word,
 * and the `!` that ends a word before all that a word may hold. `version` is one by isVersion.
 */
export function sortKey(version: string): string {
  const [precedence = ''] = version.split('+', 1)
  const dash = precedence.indexOf('-')
  const core = dash < 0 ? precedence : precedence.slice(0, dash)
  const release = core
    .split('.')
    .map((digits) => counted(digits, 2))
    .join('')
  if (dash < 0) return `${release}~`
  const identifiers = precedence.slice(dash + 1).split('.')
  return `${release}-${identifiers.map(identifierKey).join('')}`
}

function identifierKey(identifier: string): string {
  return /^[0-9]+$/.test(identifier) ? `0${counted(identifier, 3)}` : `1${identifier}!`
}

function counted(digits: string, width: number): string {
  return `${String(digits.length).padStart(width, '0')}${digits}`
}
