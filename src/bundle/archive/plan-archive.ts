import type {BundleManifest} from '../manifest.ts'
import {encodePax, type PaxRecords} from './pax.ts'
import {
  BLOCK,
  encodeHeader,
  fitsLink,
  fitsName,
  type HeaderInput,
  OCTAL_SIZE_LIMIT,
} from './tar-header.ts'

/** A file that speaks about the manifest, with its bytes: small, and not signed by size. */
export type SidecarContent = {readonly name: string; readonly bytes: Buffer}

/** One entry of an archive to be written: its header blocks, and where its bytes come from. */
export type PlannedEntry = {
  readonly path: string
  readonly size: number
  /** Bytes at hand; else a file of the tree, read when its turn comes. */
  readonly content?: Buffer
  readonly linkTarget?: string
  readonly mode: number
}

/** Two blocks of zeros end an archive (POSIX pax). */
export const END_OF_ARCHIVE = Buffer.alloc(2 * BLOCK)

/**
 * All entries in the one order of docs/formats/archive.md: manifest.json, its sidecars by name,
 * files, links, both as the manifest sorts them. Directories are not listed: the manifest does not
 * sign them, and every tar makes them.
 */
export function* planArchive(
  {files, rel}: BundleManifest,
  sidecars: readonly SidecarContent[],
): Generator<PlannedEntry> {
  for (const {name, bytes} of sidecars)
    yield {path: name, size: bytes.length, content: bytes, mode: 0o644}
  for (const {path, size = 0, mode = '0644'} of files)
    yield {path, size, mode: Number.parseInt(mode, 8)}
  for (const {path, target} of rel?.links ?? [])
    yield {path, size: 0, linkTarget: target, mode: 0o777}
}

/** Bytes of the whole tar. */
export function tarSizeOf(entries: Iterable<PlannedEntry>): number {
  let total = END_OF_ARCHIVE.length
  for (const entry of entries) {
    const {path, size, linkTarget} = entry
    const isPlain = fitsName(path) && fitsLink(linkTarget ?? '') && size <= OCTAL_SIZE_LIMIT
    const header = isPlain ? BLOCK : headerBlocks(entry, 0).length
    total += header + size + padding(size).length
  }
  return total
}

/** The header blocks of an entry, an extended header before it when something does not fit. */
export function headerBlocks(entry: PlannedEntry, mtime: number): Buffer {
  const {path, size, mode, linkTarget} = entry
  const records: PaxRecords = {
    ...(fitsName(path) ? {} : {path}),
    ...(linkTarget === undefined || fitsLink(linkTarget) ? {} : {linkpath: linkTarget}),
    ...(size <= OCTAL_SIZE_LIMIT ? {} : {size}),
  }
  const input: HeaderInput = {
    path: records.path === undefined ? path : LONG_NAME,
    flag: linkTarget === undefined ? '0' : '2',
    size: records.size === undefined ? size : 0,
    mode,
    mtime,
    ...(linkTarget === undefined || records.linkpath !== undefined ? {} : {linkTarget}),
  }
  if (Object.keys(records).length === 0) return headerBlock(input)
  const pax = encodePax(records)
  const extension = {path: LONG_NAME, flag: 'x', size: pax.length, mode: 0o644, mtime} as const
  return Buffer.concat([headerBlock(extension), pax, padding(pax.length), headerBlock(input)])
}

/** What readers older than POSIX pax (2001) see instead of a name that does not fit. */
const LONG_NAME = 'PaxHeader'

function headerBlock(input: HeaderInput): Buffer {
  const block = Buffer.alloc(BLOCK)
  encodeHeader(block, input)
  return block
}

const zeros = Buffer.alloc(BLOCK)

/** Zeros up to the next block. */
export function padding(size: number): Buffer {
  return zeros.subarray(0, (BLOCK - (size % BLOCK)) % BLOCK)
}
