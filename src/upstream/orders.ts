import {RelError} from '../system/error.ts'

/** How an upstream writes and sorts its versions; dpkg's order is with the archives that use it. */
export type OrderName = 'semver' | 'k3s' | 'date'

/** Numbers of any length, compared one after the other: the key that versions are sorted by. */
type Parsed = {
  readonly numbers: readonly bigint[]
  /** Words of a pre-release; none for a release. */
  readonly prerelease: readonly string[]
  /** What comes after the pre-release: the `N` of `+k3sN`. */
  readonly revision: bigint
}

/** Longer than any version ever seen; keeps numbers small enough to compare quickly. */
const MAX_LENGTH = 100

/** semver.org 2.0.0 with an optional v; build metadata is refused, since it has no order. */
const semver =
  /^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*))?$/
/** v1.31.3+k3s1 and v1.32.4-rc1+k3s1; the words `stable` and `latest` are no versions. */
const k3s = /^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-rc([1-9]\d*))?\+k3s([1-9]\d*)$/
/** 1.20250915: a number, then a calendar date. */
const date = /^(0|[1-9]\d*)\.((?:19|20)\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$/

/** True for what this upstream could have written. */
export function isVersion(order: OrderName, version: string): boolean {
  return parse(order, version) !== undefined
}

/** Refuses with upstream_version_malformed, and says what is missing when that is plain. */
export function checkVersion(order: OrderName, version: string): void {
  if (isVersion(order, version)) return
  const shown = JSON.stringify(version.slice(0, MAX_LENGTH))
  const withV = `v${version}`
  const hint = isVersion(order, withV) ? {hint: `Write it with its v: ${withV}`} : {}
  const wanted = {semver: 'v3.3.5', k3s: 'v1.31.3+k3s1', date: '1.20250915'}[order]
  throw new RelError('upstream_version_malformed', `${shown} is no version such as ${wanted}`, hint)
}

/** Below, equal or above zero. Refuses with upstream_version_malformed. */
export function compareVersions(order: OrderName, a: string, b: string): number {
  checkVersion(order, a)
  checkVersion(order, b)
  const [x, y] = [parse(order, a), parse(order, b)]
  if (x === undefined || y === undefined) return 0
  const numbers = compareLists(x.numbers, y.numbers, compareNumbers)
  const rest = numbers !== 0 ? numbers : comparePrereleases(x.prerelease, y.prerelease)
  return rest !== 0 ? rest : compareNumbers(x.revision, y.revision)
}

/** True for versions that come before the release of the same number. */
export function isPrerelease(order: OrderName, version: string): boolean {
  return (parse(order, version)?.prerelease.length ?? 0) > 0
}

/**
 * A template with the words of a version put in: `{version}`, `{major}`, `{minor}`, `{patch}` and
 * `{number}`, which is the version without its v. The playbook's schema has no others.
 */
export function fillVersion(template: string, order: OrderName, version: string): string {
  const [major = '', minor = '', patch = ''] = (parse(order, version)?.numbers ?? []).map(String)
  const words: Readonly<Record<string, string>> = {
    version,
    number: version.replace(/^v/, ''),
    major,
    minor,
    patch,
  }
  return template.replace(/\{(\w+)\}/g, (whole, word: string) => words[word] ?? whole)
}

function parse(order: OrderName, version: string): Parsed | undefined {
  if (version.length > MAX_LENGTH) return undefined
  if (order === 'date') return parseDate(version)
  if (order === 'k3s') return parseK3s(version)
  const match = semver.exec(version)
  if (match === null) return undefined
  const prerelease = match[4] === undefined ? [] : match[4].split('.')
  return {numbers: match.slice(1, 4).map(BigInt), prerelease, revision: 0n}
}

function parseK3s(version: string): Parsed | undefined {
  const match = k3s.exec(version)
  if (match === null) return undefined
  const [, , , , candidate, revision = '0'] = match
  const prerelease = candidate === undefined ? [] : ['rc', candidate]
  return {numbers: match.slice(1, 4).map(BigInt), prerelease, revision: BigInt(revision)}
}

function parseDate(version: string): Parsed | undefined {
  const match = date.exec(version)
  if (match === null) return undefined
  const [, , year = '', month = '', day = ''] = match
  const made = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)))
  if (made.getUTCDate() !== Number(day)) return undefined // such as the 31st of February
  return {numbers: match.slice(1, 5).map(BigInt), prerelease: [], revision: 0n}
}

/** semver.org 11: a release is above its pre-releases; numbers count as numbers, below words. */
function comparePrereleases(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 || b.length === 0) return Number(b.length > 0) - Number(a.length > 0)
  return compareLists(a, b, compareWords)
}

function compareWords(a: string, b: string): number {
  const [isNumberA, isNumberB] = [/^\d+$/.test(a), /^\d+$/.test(b)]
  if (isNumberA && isNumberB) return compareNumbers(BigInt(a), BigInt(b))
  if (isNumberA !== isNumberB) return isNumberA ? -1 : 1
  return a < b ? -1 : Number(a > b)
}

function compareNumbers(a: bigint, b: bigint): number {
  return a < b ? -1 : Number(a > b)
}

function compareLists<T>(
  a: readonly T[],
  b: readonly T[],
  compare: (x: T, y: T) => number,
): number {
  for (const [at, x] of a.entries()) {
    const y = b[at]
    if (y === undefined) return 1
    const order = compare(x, y)
    if (order !== 0) return order
  }
  return a.length - b.length
}
