import type {BundleManifest, ManifestFile, RelSection} from './manifest.ts'

/** How a canonical form separates and quotes; everything else is the same in all of them. */
type Style = {
  readonly comma: string
  readonly colon: string
  readonly quote: (text: string) => string
}

const jcs: Style = {comma: ',', colon: ':', quote: JSON.stringify}

/** Python's json.dumps(manifest, sort_keys=True), which D2's signer may have used. */
const pythonDefault: Style = {comma: ', ', colon: ': ', quote: quoteAscii}

/** As Python's ensure_ascii does: UTF-16 units beyond ASCII as \uXXXX. */
function quoteAscii(text: string): string {
  return JSON.stringify(text).replace(
    /[\x7f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

export type CanonicalStyle = 'jcs' | 'python-default'

/** Characters per piece: large enough to make hashing cheap, small beside a whole manifest. */
const PIECE = 64 * 1024

/**
 * The canonical form of a manifest, RFC 8785, in pieces. It is written from the typed manifest and
 * not from the JSON it was parsed from, so that nothing can be signed that was not understood.
 */
export function canonicalManifest(
  manifest: BundleManifest,
  style: CanonicalStyle = 'jcs',
): Generator<string> {
  return inPieces(canonicalTokens(manifest, style === 'jcs' ? jcs : pythonDefault))
}

/** The canonical form as UTF-8 in one buffer: what D2's signature covers. */
export function canonicalBytes(manifest: BundleManifest, style: CanonicalStyle = 'jcs'): Buffer {
  return utf8Of(canonicalManifest(manifest, style), manifest.files.length * 512)
}

/**
 * Text in pieces as UTF-8 in one buffer. Memory that is never written to costs nothing, so the
 * guess of its size may be a generous one.
 */
export function utf8Of(pieces: Iterable<string>, guess: number): Buffer {
  let buffer = Buffer.allocUnsafeSlow(4 * PIECE + guess)
  let length = 0
  for (const piece of pieces) {
    const needed = length + Buffer.byteLength(piece)
    if (needed > buffer.length) {
      const larger = Buffer.allocUnsafeSlow(2 * needed)
      buffer.copy(larger, 0, 0, length)
      buffer = larger
    }
    length += buffer.write(piece, length, 'utf8')
  }
  return buffer.subarray(0, length)
}

/** Keys in the order of RFC 8785, which for these names is the alphabet. */
function* canonicalTokens(manifest: BundleManifest, style: Style): Generator<string> {
  const {comma, colon, quote} = style
  const {files, rel} = manifest
  yield `{"bundle_name"${colon}${quote(manifest.bundleName)}${comma}"files"${colon}{`
  let lead = ''
  for (const {path, sha256} of files) {
    yield `${lead}${quote(path)}${colon}"${sha256}"`
    lead = comma
  }
  yield `}${comma}`
  if (rel !== undefined) yield* canonicalRel(manifest, rel, style)
  yield `"timestamp"${colon}${manifest.timestamp}${comma}"version"${colon}${quote(manifest.version)}}`
}

function* canonicalRel(
  {files}: BundleManifest,
  rel: RelSection,
  {comma, colon, quote}: Style,
): Generator<string> {
  const member = (key: string, value: string | number | undefined): string => {
    if (value === undefined) return ''
    return `"${key}"${colon}${typeof value === 'number' ? value : quote(value)}${comma}`
  }
  yield `"rel"${colon}{${member('channel', rel.channel)}"entries"${colon}{`
  let lead = ''
  for (const {path, mode = '', size = 0} of files) {
    yield `${lead}${quote(path)}${colon}{"mode"${colon}"${mode}"${comma}"size"${colon}${size}}`
    lead = comma
  }
  const links = rel.links.map(({path, target}) => `${quote(path)}${colon}${quote(target)}`)
  yield `}${comma}${member('expires', rel.expires)}${member('kind', rel.kind)}`
  yield `"links"${colon}{${links.join(comma)}}${comma}${member('min_from', rel.minFrom)}`
  yield `${member('min_updater', rel.minUpdater)}${member('min_version', rel.minVersion)}`
  yield `${member('product', rel.product)}${member('sequence', rel.sequence)}`
  yield `${member('spec', rel.spec)}"targets"${colon}[${rel.targets.map(quote).join(comma)}]${comma}`
  yield `"total_size"${colon}${rel.totalSize}`
  for (const [key, value] of Object.entries(rel.extensions))
    yield `${comma}${quote(key)}${colon}${quote(value)}`
  yield `}${comma}`
}

/**
 * manifest.json as it is written, in pieces: two spaces of indentation, one line per file, so that
 * people and diff can read it. The same manifest and signatures give the same bytes.
 */
export function manifestJson(file: ManifestFile): Generator<string> {
  return inPieces(manifestLines(file))
}

function* manifestLines({manifest, signature, signatures}: ManifestFile): Generator<string> {
  const {bundleName, version, timestamp, files, rel} = manifest
  yield `{\n  "manifest": {\n    "bundle_name": ${JSON.stringify(bundleName)},\n`
  yield `    "version": ${JSON.stringify(version)},\n    "timestamp": ${timestamp},\n`
  yield '    "files": {'
  let lead = '\n'
  for (const {path, sha256} of files) {
    yield `${lead}      ${JSON.stringify(path)}: "${sha256}"`
    lead = ',\n'
  }
  yield '\n    }'
  if (rel !== undefined) yield* relLines(manifest, rel)
  yield '\n  }'
  if (signature !== undefined) yield `,\n  "signature": ${JSON.stringify(signature)}`
  if (signatures.length > 0) {
    const rows = signatures.map(
      ({keyid, sig}) => `    {"keyid": ${JSON.stringify(keyid)}, "sig": ${JSON.stringify(sig)}}`,
    )
    yield `,\n  "signatures": [\n${rows.join(',\n')}\n  ]`
  }
  yield '\n}\n'
}

function* relLines({files}: BundleManifest, rel: RelSection): Generator<string> {
  const head = {
    spec: rel.spec,
    kind: rel.kind,
    product: rel.product,
    channel: rel.channel,
    sequence: rel.sequence,
    expires: rel.expires,
    min_version: rel.minVersion,
    min_from: rel.minFrom,
    min_updater: rel.minUpdater,
    targets: rel.targets,
    total_size: rel.totalSize,
    ...rel.extensions,
  }
  yield ',\n    "rel": {'
  for (const [key, value] of Object.entries(head))
    if (value !== undefined) yield `\n      ${JSON.stringify(key)}: ${JSON.stringify(value)},`
  yield '\n      "entries": {'
  let lead = '\n'
  for (const {path, mode, size} of files) {
    yield `${lead}        ${JSON.stringify(path)}: {"mode": "${mode}", "size": ${size}}`
    lead = ',\n'
  }
  const links = rel.links.map(
    ({path, target}) => `\n        ${JSON.stringify(path)}: ${JSON.stringify(target)}`,
  )
  yield `\n      },\n      "links": {${links.join(',')}${links.length > 0 ? '\n      ' : ''}}\n    }`
}

function* inPieces(tokens: Iterable<string>): Generator<string> {
  let piece = ''
  for (const token of tokens) {
    piece += token
    if (piece.length >= PIECE) {
      yield piece
      piece = ''
    }
  }
  if (piece !== '') yield piece
}
