import {RelError} from '../system/error.ts'
import type {BundleManifest, FileEntry, LinkEntry} from './manifest.ts'
import {manifestLimits} from './manifest.ts'
import {isBundleName, isName, KNOWN_SPEC} from './parse-manifest.ts'
import {checkLinks, isAsciiPath, shownPath} from './path-rules.ts'
import {checkVersion, compareVersions} from './version.ts'

/** What a signer says of a bundle; everything else is read from its files. */
export type BundleFacts = {
  readonly bundleName: string
  readonly product: string
  readonly version: string
  readonly channel: string
  readonly timestamp: number
  readonly sequence: number
  readonly expires?: number
  readonly minVersion?: string
  readonly minFrom?: string
  readonly minUpdater?: string
  readonly targets: readonly string[]
  /** A true D2 manifest: five fields, no rel section. */
  readonly d2: boolean
  readonly unicodePaths: boolean
}

/**
 * The manifest of these files and links, both sorted by path, their paths checked by readTree.
 * What it refuses is what parseManifest refuses, and path_not_ascii unless asked for, so that
 * nothing is signed that cannot be verified.
 */
export function buildManifest(
  facts: BundleFacts,
  files: readonly FileEntry[],
  links: readonly LinkEntry[],
): BundleManifest {
  checkFacts(facts)
  if (files.length === 0) throw new RelError('files_empty', 'there is no file to sign')
  if (!facts.unicodePaths) {
    for (const {path} of files) checkAscii(path)
    for (const {path} of links) checkAscii(path)
  }
  checkLinks(files, links)
  checkSize([...files, ...links])
  const {bundleName, version, timestamp} = facts
  if (facts.d2) return {bundleName, version, timestamp, files: files.map(withoutStatus)}
  return {bundleName, version, timestamp, files, rel: relSection(facts, files, links)}
}

function relSection(
  facts: BundleFacts,
  files: readonly FileEntry[],
  links: readonly LinkEntry[],
): NonNullable<BundleManifest['rel']> {
  const {product, channel, sequence, expires, minVersion, minFrom, minUpdater} = facts
  return {
    spec: KNOWN_SPEC,
    kind: 'bundle',
    product,
    channel,
    sequence,
    ...(expires === undefined ? {} : {expires}),
    ...(minVersion === undefined ? {} : {minVersion}),
    ...(minFrom === undefined ? {} : {minFrom}),
    ...(minUpdater === undefined ? {} : {minUpdater}),
    targets: [...facts.targets].sort(),
    totalSize: files.reduce((total, {size = 0}) => total + size, 0),
    links,
    extensions: {},
  }
}

/** D2 signs neither mode nor size. */
function withoutStatus({path, sha256}: FileEntry): FileEntry {
  return {path, sha256}
}

function checkFacts(facts: BundleFacts): void {
  if (!isBundleName(facts.bundleName)) throw unusable('bundle name', '--bundle-name')
  if (!isName(facts.product)) throw unusable('product', '--product')
  if (!isName(facts.channel)) throw unusable('channel', '--channel')
  if (!facts.targets.every(isName)) throw unusable('target', '--target')
  if (facts.targets.length > manifestLimits.targets || hasTwins(facts.targets))
    throw new RelError('usage_invalid', 'a target is given twice, or there are too many of them')
  checkVersion(facts.version, '--version')
  const {minVersion, minFrom, minUpdater} = facts
  if (minVersion !== undefined) checkVersion(minVersion, '--min-version')
  if (minFrom !== undefined) checkVersion(minFrom, '--min-from')
  if (minUpdater !== undefined) checkVersion(minUpdater, '--min-updater')
  if (minVersion !== undefined && compareVersions(minVersion, facts.version) > 0)
    throw new RelError('usage_invalid', '--min-version is above the version itself')
  if (facts.expires !== undefined && facts.expires <= facts.timestamp)
    throw new RelError('usage_invalid', '--expires is not after the time of signing')
}

function hasTwins(list: readonly string[]): boolean {
  return new Set(list).size !== list.length
}

function unusable(what: string, flag: string): RelError {
  const message = `the ${what} must be letters, digits, dot, dash or underscore, 64 at most`
  return new RelError('usage_invalid', message, {hint: `Give one with ${flag}.`})
}

function checkAscii(path: string): void {
  // other refusals have codes of their own, so only what is wrong with nothing else ends here
  if (isAsciiPath(path) || /^[\x00-\x7f]*$/.test(path)) return
  throw new RelError('path_not_ascii', `${shownPath(path)} has characters outside of ASCII`)
}

/** What manifest.json has per path beside the path itself, which it has twice: digest, mode, size. */
const BYTES_PER_ENTRY = 160

/** Nothing is signed that is too long to be read again. */
function checkSize(entries: readonly {readonly path: string}[]): void {
  const paths = entries.reduce((total, {path}) => total + Buffer.byteLength(path), 0)
  const bytes = 2 * paths + BYTES_PER_ENTRY * entries.length
  if (bytes <= manifestLimits.bytes) return
  const message = `manifest.json would have about ${bytes} bytes, at most ${manifestLimits.bytes}`
  throw new RelError('manifest_limit', message)
}
