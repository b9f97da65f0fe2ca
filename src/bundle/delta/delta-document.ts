import {isDigest} from '../../system/digest.ts'
import {RelError} from '../../system/error.ts'
import type {JsonObject, JsonValue} from '../../system/json.ts'
import {canonicalJson} from '../../trust/canonical-json.ts'
import {parseStrictJson} from '../../trust/strict-json.ts'
import {type BundleManifest, type FileEntry, manifestLimits} from '../manifest.ts'
import {shownPath} from '../path-rules.ts'

/** The entry of an archive that says it is a delta, and how it is to be read. */
export const DELTA_NAME = 'delta.json'

/** Limits on delta.json, which nobody has signed (docs/formats/delta.md). */
export const deltaLimits = {
  /** 100,000 changed files with one piece each. */
  bytes: 32 * 1024 * 1024,
  depth: 6,
  files: manifestLimits.entries,
} as const

/** One end of a delta: a version, and SHA-256 in hex of its canonical manifest. */
export type DeltaEnd = {readonly version: string; readonly digest: string}

/** A run of bytes of a new file, made by one zstd frame out of a part of an old file. */
export type Piece = {
  /** Where the part of the old file begins, and its bytes; a part of none is no dictionary. */
  readonly fromAt: number
  readonly fromSize: number
  /** Bytes that the frame gives. */
  readonly toSize: number
  /** Bytes of the frame. */
  readonly size: number
}

/** A file whose bytes are in the delta: whole, or as pieces that follow each other. */
export type DeltaFile = {
  readonly path: string
  readonly patch?: {readonly fromSha256: string; readonly pieces: readonly Piece[]}
}

/** delta.json (docs/formats/delta.md), in camelCase. */
export type DeltaDocument = {
  readonly product: string
  readonly from: DeltaEnd
  readonly to: DeltaEnd
  /** In the order of the new manifest; what is not listed is in the old tree, under any name. */
  readonly files: readonly DeltaFile[]
}

/** The one text of a delta.json. */
export function deltaText({product, from, to, files}: DeltaDocument): string {
  return canonicalJson({
    spec: 1,
    kind: 'delta',
    product,
    from: {...from},
    to: {...to},
    files: files.map(({path, patch}) =>
      patch === undefined ? {path} : {path, patch: patchJson(patch)},
    ),
  })
}

function patchJson({fromSha256, pieces}: NonNullable<DeltaFile['patch']>): JsonObject {
  return {
    from_sha256: fromSha256,
    pieces: pieces.map(({fromAt, fromSize, toSize, size}) => ({
      from_at: fromAt,
      from_size: fromSize,
      to_size: toSize,
      size,
    })),
  }
}

/** delta.json as read, nothing in it compared with anything. Refuses with upgrade_delta_failed. */
export function parseDelta(bytes: Uint8Array): DeltaDocument {
  const keys = ['spec', 'kind', 'product', 'from', 'to', 'files']
  const {spec, kind, product, from, to, files} = objectOf(jsonOf(bytes), keys, DELTA_NAME)
  if (spec !== 1 || kind !== 'delta') throw deltaFailed(`${DELTA_NAME} is of another format`)
  if (!Array.isArray(files) || files.length > deltaLimits.files)
    throw deltaFailed('files is no list, or too long')
  return {
    product: textOf(product, 'product'),
    from: endOf(from, 'from'),
    to: endOf(to, 'to'),
    files: files.map(fileOf),
  }
}

function jsonOf(bytes: Uint8Array): JsonValue {
  const {bytes: limit, depth} = deltaLimits
  try {
    return parseStrictJson(bytes, {bytes: limit, depth})
  } catch (error) {
    throw error instanceof RelError ? deltaFailed(error.message, error) : error
  }
}

function endOf(json: JsonValue | undefined, name: string): DeltaEnd {
  const {version, digest} = objectOf(json, ['version', 'digest'], name)
  return {version: textOf(version, name), digest: digestOf(digest, name)}
}

function fileOf(json: JsonValue): DeltaFile {
  const {path, patch} = objectOf(json, ['path', 'patch'], 'a file')
  const file = {path: textOf(path, 'path')}
  if (patch === undefined) return file
  const {from_sha256: sha256, pieces} = objectOf(patch, ['from_sha256', 'pieces'], 'patch')
  if (!Array.isArray(pieces) || pieces.length === 0) throw deltaFailed('pieces is no list')
  return {...file, patch: {fromSha256: digestOf(sha256, 'patch'), pieces: pieces.map(pieceOf)}}
}

function pieceOf(json: JsonValue): Piece {
  const keys = ['from_at', 'from_size', 'to_size', 'size']
  const piece = objectOf(json, keys, 'a piece')
  const [fromAt = 0, fromSize = 0, toSize = 0, size = 0] = keys.map((key) => countOf(piece[key]))
  if (toSize === 0 || size === 0) throw deltaFailed('a piece gives nothing')
  return {fromAt, fromSize, toSize, size}
}

function objectOf(
  json: JsonValue | undefined,
  keys: readonly string[],
  name: string,
): Readonly<Record<string, JsonValue | undefined>> {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw deltaFailed(`${name} is no object`)
  const unknown = Object.keys(json).find((key) => !keys.includes(key))
  if (unknown !== undefined) throw deltaFailed(`${name} has the unknown key ${shownPath(unknown)}`)
  return json as JsonObject
}

function textOf(json: JsonValue | undefined, name: string): string {
  if (typeof json === 'string') return json
  throw deltaFailed(`${name} is no text`)
}

function digestOf(json: JsonValue | undefined, name: string): string {
  if (typeof json === 'string' && isDigest(json)) return json
  throw deltaFailed(`${name} has no digest`)
}

function countOf(json: JsonValue | undefined): number {
  if (typeof json === 'number') return json // whole and at least 0, as every number of strict JSON
  throw deltaFailed('a piece has no such number')
}

/** The one refusal of a delta; the exact code of another refusal goes into its details. */
export function deltaFailed(what: string, cause?: RelError): RelError {
  const details = cause === undefined ? {} : {details: {...cause.details, cause_code: cause.code}}
  return new RelError('upgrade_delta_failed', what, {cause, ...details})
}

/** A file of the new tree that the old one has, under any path. */
type Reused = {readonly file: SizedFile; readonly old: FileEntry}

/** A file whose bytes are in the delta. */
export type Brought = {
  readonly file: SizedFile
  /** Bytes of its entry in the archive. */
  readonly size: number
  readonly patch?: {readonly old: SizedFile; readonly pieces: readonly Piece[]}
}

export type SizedFile = FileEntry & {readonly size: number}

/** Where every file of the new tree comes from. */
export type DeltaPlan = {readonly reused: readonly Reused[]; readonly brought: readonly Brought[]}

/** A bundle as one end of a delta. */
export type DeltaTree = {readonly manifest: BundleManifest; readonly digest: string}

/**
 * What a delta does, with everything that can be compared before a byte of it is used: it is of
 * this product, leads from the tree that is there to the manifest that was verified, names no file
 * but those of the two manifests, and no piece holds more than `maxBytes` of an old and a new file
 * at once. Refuses with upgrade_delta_failed.
 */
export function planDelta(
  {product, from, to, files}: DeltaDocument,
  old: DeltaTree,
  next: DeltaTree,
  maxBytes: number,
): DeltaPlan {
  if (product !== next.manifest.rel?.product) throw deltaFailed('it is of another product')
  if (!isEnd(to, next)) throw deltaFailed(`it leads to another ${shownPath(to.version)}`)
  if (!isEnd(from, old)) throw deltaFailed(`it starts from another ${shownPath(from.version)}`)
  const byDigest = new Map(old.manifest.files.map((file) => [file.sha256, file]))
  const reused: Reused[] = []
  const brought: Brought[] = []
  const rest = files.values()
  let listed = rest.next().value
  for (const entry of next.manifest.files) {
    const file = sized(entry)
    const found = byDigest.get(file.sha256)
    if (listed?.path === file.path) {
      brought.push(broughtOf(file, listed, byDigest, maxBytes))
      listed = rest.next().value
    } else if (found !== undefined) reused.push({file, old: found})
    else throw deltaFailed(`it lacks ${shownPath(file.path)}`)
  }
  if (listed !== undefined)
    throw deltaFailed(`${shownPath(listed.path)} is not in the manifest, twice, or out of order`)
  return {reused, brought}
}

function isEnd({version, digest}: DeltaEnd, tree: DeltaTree): boolean {
  return version === tree.manifest.version && digest === tree.digest
}

function broughtOf(
  file: SizedFile,
  {patch}: DeltaFile,
  byDigest: ReadonlyMap<string, FileEntry>,
  maxBytes: number,
): Brought {
  if (patch === undefined) return {file, size: file.size}
  const {fromSha256, pieces} = patch
  const found = byDigest.get(fromSha256)
  if (found === undefined)
    throw deltaFailed(`${shownPath(file.path)} is made from a file that the old tree does not have`)
  const old = sized(found)
  for (const piece of pieces) checkPiece(piece, old.size, maxBytes)
  if (sum(pieces, 'toSize') !== file.size)
    throw deltaFailed(`${shownPath(file.path)}: the pieces do not make up the signed size`)
  return {file, size: sum(pieces, 'size'), patch: {old, pieces}}
}

function checkPiece({fromAt, fromSize, toSize, size}: Piece, has: number, maxBytes: number): void {
  if (fromAt + fromSize > has) throw deltaFailed('a piece is made from bytes behind the old file')
  if (fromSize + toSize > maxBytes)
    throw deltaFailed(`a piece needs ${fromSize + toSize} bytes, the node takes ${maxBytes}`)
  if (size > frameBound(toSize)) throw deltaFailed('a frame is larger than what it gives')
}

/** zstd's ZSTD_compressBound, generously: a larger frame is none that a compressor makes. */
function frameBound(size: number): number {
  return size + Math.ceil(size / 128) + 1024
}

function sized(file: FileEntry): SizedFile {
  const {size} = file
  if (size === undefined) throw deltaFailed('a manifest without sizes (D2) has no deltas')
  return {...file, size}
}

function sum(pieces: readonly Piece[], key: 'toSize' | 'size'): number {
  return pieces.reduce((total, piece) => total + piece[key], 0)
}
