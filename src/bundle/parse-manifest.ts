import {isDigest} from '../system/digest.ts'
import {RelError} from '../system/error.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'
import {type EnvelopeSignature, parseSignatures} from '../trust/envelope.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import {
  type BundleManifest,
  type FileEntry,
  type FileMode,
  type LinkEntry,
  type ManifestFile,
  manifestLimits,
  type RelSection,
} from './manifest.ts'
import {checkLinks, checkPaths, shownPath} from './path-rules.ts'
import {isVersion} from './version.ts'

/** The newest manifest format this version understands. */
export const KNOWN_SPEC = 1

/** The signatures of a manifest.json, and the format of what they sign. */
export type SignaturesOf = {
  /** The signed format number, undefined for a true D2 manifest. */
  readonly spec: number | undefined
  readonly signature?: string
  readonly signatures: readonly EnvelopeSignature[]
}

/** manifest.json split into its signatures and what they sign, of which only the frame was read. */
export type ManifestDocument = SignaturesOf & {
  /** What is signed, as parsed; its meaning was not looked at. */
  readonly value: JsonObject
}

/**
 * manifest.json as data: well-formed, within limits, every path inside the bundle. Nothing is
 * trusted yet. Refuses with manifest_limit, json_*, manifest_malformed, signature_malformed,
 * spec_unsupported, kind_unsupported, files_*, path_*, link_invalid, mode_forbidden.
 */
export function parseManifest(bytes: Uint8Array): ManifestFile {
  const document = parseDocument(bytes)
  const {signature, signatures} = document
  const manifest = parseMeaning(document)
  return {manifest, signatures, ...(signature === undefined ? {} : {signature})}
}

/** The frame of manifest.json: enough to check signatures, also of a format that is newer. */
export function parseDocument(bytes: Uint8Array): ManifestDocument {
  const {bytes: limit, depth} = manifestLimits
  if (bytes.length > limit)
    throw new RelError(
      'manifest_limit',
      `manifest.json has ${bytes.length} bytes, at most ${limit}`,
    )
  const top = objectOf(parseStrictJson(bytes, {bytes: limit, depth}), 'manifest.json')
  checkKeys(top, ['manifest', 'signature', 'signatures'], 'manifest.json')
  const value = objectOf(top.manifest, 'manifest')
  const rel = value.rel === undefined ? undefined : objectOf(value.rel, 'rel')
  return {
    value,
    spec: rel === undefined ? undefined : integerOf(rel.spec, 'spec'),
    signatures: top.signatures === undefined ? [] : parseSignatures(top.signatures),
    ...(top.signature === undefined ? {} : {signature: textOf(top.signature, 'signature')}),
  }
}

/** The meaning of a document whose format is known. */
export function parseMeaning({value, spec}: ManifestDocument): BundleManifest {
  if (spec !== undefined && spec !== KNOWN_SPEC) throw unsupportedSpec(spec)
  checkKeys(value, ['bundle_name', 'version', 'timestamp', 'files', 'rel'], 'manifest')
  const rel = value.rel === undefined ? undefined : objectOf(value.rel, 'rel')
  if (rel !== undefined && rel.kind !== 'bundle')
    throw new RelError('kind_unsupported', 'the manifest is not of kind bundle')
  const files = parseFiles(value, rel)
  const section = rel === undefined ? undefined : parseRel(rel, files)
  const links = section?.links ?? []
  checkPaths(files.map(pathOf), links.map(pathOf))
  checkLinks(files, links)
  return {
    bundleName: nameOf(value.bundle_name, bundleNames, 'bundle_name'),
    version: versionOf(value.version, 'version'),
    timestamp: integerOf(value.timestamp, 'timestamp'),
    files,
    ...(section === undefined ? {} : {rel: section}),
  }
}

function pathOf({path}: {readonly path: string}): string {
  return path
}

/** A format from the future (or format 0, which never was). */
export function unsupportedSpec(spec: number): RelError {
  return new RelError('spec_unsupported', `manifest format ${spec}, this rel reads ${KNOWN_SPEC}`)
}

function parseFiles(value: JsonObject, rel: JsonObject | undefined): FileEntry[] {
  if (value.files === undefined) throw new RelError('files_missing', 'the manifest lists no files')
  const files = objectOf(value.files, 'files')
  const paths = sortedKeys(files)
  if (paths.length === 0) throw new RelError('files_empty', 'the manifest lists no file')
  if (paths.length > manifestLimits.entries)
    throw limit(`${paths.length} files, at most ${manifestLimits.entries}`)
  if (rel === undefined) return paths.map((path) => ({path, sha256: digestOf(files[path], path)}))
  const entries = objectOf(rel.entries, 'entries')
  if (Object.keys(entries).length !== paths.length)
    throw malformed('files and entries list different paths')
  return paths.map((path) => parseEntry(path, files[path], entries[path]))
}

function parseEntry(path: string, digest: JsonValue | undefined, entry: JsonValue | undefined) {
  if (entry === undefined) throw malformed('files and entries list different paths')
  const fields = objectOf(entry, 'an entry')
  checkKeys(fields, ['mode', 'size'], 'an entry')
  const size = integerOf(fields.size, 'size')
  return {path, sha256: digestOf(digest, path), size, mode: modeOf(fields.mode, path)}
}

const relKeys = [
  'spec',
  'kind',
  'product',
  'channel',
  'sequence',
  'expires',
  'min_version',
  'min_from',
  'min_updater',
  'targets',
  'total_size',
  'entries',
  'links',
]

function parseRel(rel: JsonObject, files: readonly FileEntry[]): RelSection {
  const own = Object.keys(rel).filter((key) => !key.startsWith('x-'))
  checkKeys(Object.fromEntries(own.map((key) => [key, true])), relKeys, 'rel')
  const section: RelSection = {
    spec: KNOWN_SPEC,
    kind: 'bundle',
    product: nameOf(rel.product, names, 'product'),
    channel: nameOf(rel.channel, names, 'channel'),
    sequence: integerOf(rel.sequence, 'sequence'),
    ...(rel.expires === undefined ? {} : {expires: integerOf(rel.expires, 'expires')}),
    ...floorsOf(rel),
    targets: targetsOf(rel.targets),
    totalSize: integerOf(rel.total_size, 'total_size'),
    links: linksOf(rel.links),
    extensions: extensionsOf(rel),
  }
  const sum = files.reduce((total, {size = 0}) => total + size, 0)
  if (sum !== section.totalSize)
    throw new RelError('total_size_mismatch', `sizes add up to ${sum}, not ${section.totalSize}`)
  return section
}

function floorsOf(rel: JsonObject): Pick<RelSection, 'minVersion' | 'minFrom' | 'minUpdater'> {
  const {min_version: version, min_from: from, min_updater: updater} = rel
  return {
    ...(version === undefined ? {} : {minVersion: versionOf(version, 'min_version')}),
    ...(from === undefined ? {} : {minFrom: versionOf(from, 'min_from')}),
    ...(updater === undefined ? {} : {minUpdater: versionOf(updater, 'min_updater')}),
  }
}

function targetsOf(value: JsonValue | undefined): readonly string[] {
  if (!Array.isArray(value)) throw malformed('targets is not an array')
  if (value.length > manifestLimits.targets)
    throw limit(`${value.length} targets, at most ${manifestLimits.targets}`)
  const targets = value.map((target: JsonValue) => nameOf(target, names, 'a target'))
  if (new Set(targets).size !== targets.length) throw malformed('a target is given twice')
  return targets
}

function linksOf(value: JsonValue | undefined): readonly LinkEntry[] {
  const links = objectOf(value, 'links')
  const paths = sortedKeys(links)
  if (paths.length > manifestLimits.entries)
    throw limit(`${paths.length} links, at most ${manifestLimits.entries}`)
  return paths.map((path) => ({path, target: textOf(links[path], 'the target of a link')}))
}

/** Printable ASCII that no canonical form escapes. */
const extensionText = /^[ !#-%'-;=?-[\]-~]{0,1024}$/
const extensionKey = /^x-[a-z0-9][a-z0-9-]{0,61}$/

function extensionsOf(rel: JsonObject): Readonly<Record<string, string>> {
  const keys = sortedKeys(rel).filter((key) => key.startsWith('x-'))
  if (keys.length > manifestLimits.extensions)
    throw limit(`${keys.length} extensions, at most ${manifestLimits.extensions}`)
  return Object.fromEntries(
    keys.map((key) => {
      if (!extensionKey.test(key)) throw malformed(`${shownPath(key)} is no name of an extension`)
      return [key, nameOf(rel[key], extensionText, key)]
    }),
  )
}

/** Products, channels, targets: also safe as file names and in URLs. */
const names = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const bundleNames = /^[A-Za-z0-9][A-Za-z0-9 ._+~@-]{0,127}$/

/** True for a product, a channel or a target that a manifest can carry. */
export function isName(text: string): boolean {
  return names.test(text)
}

/** True for a bundle name that a manifest can carry. */
export function isBundleName(text: string): boolean {
  return bundleNames.test(text)
}

function nameOf(value: JsonValue | undefined, pattern: RegExp, what: string): string {
  const text = textOf(value, what)
  if (!pattern.test(text)) throw malformed(`${what} is empty, too long or has other characters`)
  return text
}

function versionOf(value: JsonValue | undefined, what: string): string {
  const text = textOf(value, what)
  if (!isVersion(text)) throw malformed(`${what} is no semantic version such as 1.4.2`)
  return text
}

function digestOf(value: JsonValue | undefined, path: string): string {
  if (typeof value === 'string' && isDigest(value)) return value
  throw malformed(`the SHA-256 of ${shownPath(path)} is not 64 lower-case hex digits`)
}

function modeOf(value: JsonValue | undefined, path: string): FileMode {
  // the two literals are shared by all entries; the parsed text would be kept once per file
  if (value === '0644') return '0644'
  if (value === '0755') return '0755'
  throw new RelError('mode_forbidden', `${shownPath(path)}: signed mode is not 0644 or 0755`)
}

function integerOf(value: JsonValue | undefined, what: string): number {
  if (typeof value === 'number') return value
  throw malformed(`${what} is missing or not a number`)
}

function textOf(value: JsonValue | undefined, what: string): string {
  if (typeof value === 'string') return value
  throw malformed(`${what} is missing or not a string`)
}

function objectOf(value: JsonValue | undefined, what: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as JsonObject
  throw malformed(`${what} is missing or not an object`)
}

function checkKeys(object: JsonObject, known: readonly string[], what: string): void {
  const unknown = Object.keys(object).find((key) => !known.includes(key))
  if (unknown !== undefined) throw malformed(`${what} has the unknown key ${shownPath(unknown)}`)
}

/** By UTF-16 code units, as RFC 8785 sorts keys. */
function sortedKeys(object: JsonObject): string[] {
  const keys = Object.keys(object)
  const sorted = keys.every((key, at) => at === 0 || (keys[at - 1] ?? '') < key)
  return sorted ? keys : keys.sort()
}

function malformed(message: string): RelError {
  return new RelError('manifest_malformed', message)
}

function limit(message: string): RelError {
  return new RelError('manifest_limit', message)
}
