import compare from 'semver/functions/compare.js'
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

/** Before, equal or after by SemVer precedence: negative, 0, positive. */
export function compareVersions(a: string, b: string): number {
  return compare(a, b)
}
