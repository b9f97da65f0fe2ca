import {RelError} from '../../system/error.ts'

/** A version of a Debian package in its three parts (deb-version(7)). */
export type DpkgVersion = {
  readonly epoch: number
  readonly upstream: string
  /** Empty when there is no hyphen: then the same as 0. */
  readonly revision: string
}

/** Longer than any version in the archives; bounds the work of a comparison. */
const MAX_LENGTH = 256

const form = /^(?:([0-9]{1,9}):)?([0-9A-Za-z.+~:-]+)$/

/** Refuses with dpkg_version_malformed what dpkg would not take. */
export function parseDpkgVersion(text: string): DpkgVersion {
  const [, epoch = '0', rest = ''] = form.exec(text) ?? []
  const hyphen = rest.lastIndexOf('-')
  const upstream = hyphen === -1 ? rest : rest.slice(0, hyphen)
  const revision = hyphen === -1 ? '' : rest.slice(hyphen + 1)
  const isWhole = hyphen === -1 || revision !== ''
  if (text.length > MAX_LENGTH || !/^[0-9]/.test(upstream) || !isWhole || upstream.includes(':'))
    throw malformed(text)
  return {epoch: Number(epoch), upstream, revision}
}

/**
 * Below, equal or above zero, in the order of dpkg: epoch, upstream version, revision; `~` sorts
 * before everything, even the end (Debian Policy 5.6.12). Refuses with dpkg_version_malformed.
 */
export function compareDpkgVersions(a: string, b: string): number {
  const left = parseDpkgVersion(a)
  const right = parseDpkgVersion(b)
  return (
    left.epoch - right.epoch ||
    comparePart(left.upstream, right.upstream) ||
    comparePart(left.revision, right.revision)
  )
}

/** Compares text without digits and numbers in turn, from the left. */
export function comparePart(a: string, b: string): number {
  const left = pieces(a)
  const right = pieces(b)
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const [x, y] = [left[at] ?? '', right[at] ?? '']
    const order = at % 2 === 0 ? compareText(x, y) : compareDigits(x, y)
    if (order !== 0) return order
  }
  return 0
}

/** Text without digits at even places, digits at odd ones; either may be empty. */
function pieces(text: string): readonly string[] {
  return [...text.matchAll(/([^0-9]*)([0-9]*)/g)].flatMap(([, word = '', digits = '']) => [
    word,
    digits,
  ])
}

function compareText(a: string, b: string): number {
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const order = weight(a[at]) - weight(b[at])
    if (order !== 0) return order
  }
  return 0
}

/** `~`, then the end, then letters, then all other characters. */
function weight(character: string | undefined): number {
  if (character === undefined) return 0
  if (character === '~') return -1
  const code = character.charCodeAt(0)
  return /[A-Za-z]/.test(character) ? code : code + 256
}

/** Numbers of any length, such as dates with times. */
function compareDigits(a: string, b: string): number {
  const [x, y] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')]
  if (x.length !== y.length) return x.length - y.length
  return x < y ? -1 : Number(x > y)
}

function malformed(text: string): RelError {
  const shown = JSON.stringify(text.slice(0, 60))
  return new RelError('dpkg_version_malformed', `${shown} is not a version of a Debian package`)
}
