import {createHash} from 'node:crypto'
import {closeSync, constants, fstatSync, openSync, readSync} from 'node:fs'
import {basename, join} from 'node:path'
import {constants as zlibConstants, zstdCompressSync} from 'node:zlib'
import {RelError} from '../../system/error.ts'
import {fileError} from '../../system/files.ts'
import {ArchiveOutput, compressionLevels, type WrittenArchive} from '../archive/compress.ts'
import {type PackPlan, type PackRequest, planPack} from '../archive/pack.ts'
import {
  END_OF_ARCHIVE,
  headerBlocks,
  type PlannedEntry,
  padding,
  tarSizeOf,
} from '../archive/plan-archive.ts'
import {loadManifest} from '../inspect.ts'
import type {FileEntry} from '../manifest.ts'
import {shownPath} from '../path-rules.ts'
import {entryName} from './delta-archive.ts'
import {
  DELTA_NAME,
  type DeltaFile,
  type DeltaTree,
  deltaText,
  type Piece,
} from './delta-document.ts'
import {deltaBase} from './delta-name.ts'
import {OldIndex} from './old-index.ts'
import {encodePiece} from './pieces.ts'
import {Spool} from './spool.ts'

/** Bytes of a new file that one frame gives: so much memory, and little more, a node needs. */
const PIECE_BYTES = 4 * 1024 * 1024
/** How far code may have moved and is still found: the part of the old file is longer on both sides. */
const SLACK_BYTES = 2 * 1024 * 1024

/** A bundle on disk that a delta starts from. */
export type OldBundle = DeltaTree & {readonly directory: string}

export type DeltaRequest = Omit<PackRequest, 'format'> & {readonly old: OldBundle}

/** What is known before a file is read. */
export type DeltaPlan = {
  readonly pack: PackPlan
  readonly old: OldBundle
  readonly digest: string
  /** Files of the new bundle that the old one does not have, each with what it may be made from. */
  readonly changed: readonly Changed[]
}

type Changed = {readonly file: FileEntry; readonly old: FileEntry | undefined}

export type WrittenDelta = WrittenArchive & {
  /** Files whose bytes come as patches, and those that come whole. */
  readonly patched: number
  readonly whole: number
}

/**
 * What a delta from one signed directory to another would bring. Refuses as planPack does, and with
 * product_mismatch, usage_invalid (a name that says another version, the same bundle twice, a D2
 * bundle).
 */
export async function planDeltaPack({old, ...request}: DeltaRequest): Promise<DeltaPlan> {
  const pack = planPack({...request, format: 'tar.zst'})
  const {manifest} = pack
  const [was, is] = [old.manifest.rel?.product, manifest.rel?.product]
  if (was === undefined || is === undefined)
    throw new RelError('usage_invalid', 'a bundle of D2 signs no sizes: there are no deltas of it')
  if (was !== is) throw new RelError('product_mismatch', `from ${was} there is no delta to ${is}`)
  const {contentSha256: digest} = await loadManifest(join(pack.directory, 'manifest.json'))
  if (digest === old.digest)
    throw new RelError('usage_invalid', `both are ${manifest.version}, the same bundle`)
  checkName(basename(request.output), old.manifest.version)
  return {pack, old, digest, changed: changedFiles(old, pack)}
}

/** A node picks a delta by its name, before it has a byte of it. */
function checkName(name: string, from: string): void {
  if (deltaBase(name) === from) return
  throw new RelError('usage_invalid', `${name} does not end in .from-${from}.delta.tar.zst`, {
    hint: `Name it NAME.from-${from}.delta.tar.zst: nodes with ${from} find it by that.`,
  })
}

function changedFiles({manifest}: OldBundle, {manifest: next}: PackPlan): Changed[] {
  const digests = new Set(manifest.files.map(({sha256}) => sha256))
  const byPath = new Map(manifest.files.map((file) => [file.path, file]))
  return next.files
    .filter(({sha256}) => !digests.has(sha256))
    .map((file) => ({file, old: byPath.get(file.path)}))
}

/**
 * Writes the delta. Every file is compared with its manifest as it is read, every frame is decoded
 * again, and a patch is taken only where it is smaller than the file compressed. The same two
 * bundles give the same bytes with the same zstd. Refuses as applyPack does.
 */
export async function applyDeltaPack(plan: DeltaPlan): Promise<WrittenDelta> {
  const spool = new Spool()
  try {
    const files: DeltaFile[] = []
    for (const changed of plan.changed) files.push(await fileOf(plan, changed, spool))
    const size = await writeArchive(plan, files, spool)
    const patched = files.filter(({patch}) => patch !== undefined).length
    return {...size, patched, whole: files.length - patched}
  } finally {
    spool.close()
  }
}

/** A file as delta.json lists it, its frames in the spool; whole where they would be larger. */
async function fileOf(plan: DeltaPlan, {file, old}: Changed, spool: Spool): Promise<DeltaFile> {
  const {path, size = 0} = file
  if (old === undefined || size === 0) return {path}
  const level = plan.pack.level ?? compressionLevels['tar.zst'].usual
  const before = spool.size
  let whole = 0
  const pieces: Piece[] = []
  const from = new ListedFile(plan.old.directory, old)
  const to = new ListedFile(plan.pack.directory, file)
  try {
    const index = from.index()
    for (const {at, bytes} of to.inPieces(PIECE_BYTES)) {
      const was = at + index.shiftOf(at, bytes, SLACK_BYTES)
      const fromAt = Math.min(Math.max(0, was - SLACK_BYTES), from.size)
      const part = from.read(fromAt, Math.min(from.size, was + PIECE_BYTES + SLACK_BYTES))
      const frame = await encodePiece(bytes, part)
      if (frame === undefined) return spool.back(before, {path})
      spool.add(frame)
      whole += compressedSize(bytes, level)
      pieces.push({fromAt, fromSize: part.length, toSize: bytes.length, size: frame.length})
    }
  } finally {
    from.close()
    to.close()
  }
  if (spool.size - before >= whole) return spool.back(before, {path})
  return {path, patch: {fromSha256: old.sha256, pieces}}
}

function compressedSize(bytes: Buffer, level: number): number {
  const params = {[zlibConstants.ZSTD_c_compressionLevel]: level}
  return zstdCompressSync(bytes, {params}).length
}

async function writeArchive(
  {pack, old, digest, changed}: DeltaPlan,
  files: readonly DeltaFile[],
  spool: Spool,
): Promise<WrittenArchive> {
  const {manifest, sidecars, directory} = pack
  const {version, rel, timestamp} = manifest
  const document = Buffer.from(
    deltaText({
      product: rel?.product ?? '',
      from: {version: old.manifest.version, digest: old.digest},
      to: {version, digest},
      files,
    }),
  )
  const small = [...sidecars, {name: DELTA_NAME, bytes: document}]
  const head = small.map(({name, bytes}) => entryOf(name, bytes.length, bytes))
  const data = files.map(({patch}, at) =>
    entryOf(entryName(at), patch === undefined ? (changed[at]?.file.size ?? 0) : sum(patch.pieces)),
  )
  const output = new ArchiveOutput(pack.output, {...pack, tarSize: tarSizeOf([...head, ...data])})
  try {
    for (const entry of head) {
      await output.put(headerBlocks(entry, timestamp))
      await output.put(entry.content ?? Buffer.alloc(0))
      await output.put(padding(entry.size))
    }
    let spoolAt = 0
    for (const [at, entry] of data.entries()) {
      await output.put(headerBlocks(entry, timestamp))
      if (files[at]?.patch === undefined) await putWhole(output, directory, changed[at])
      else for (const bytes of spool.read(spoolAt, entry.size)) await output.put(bytes)
      if (files[at]?.patch !== undefined) spoolAt += entry.size
      await output.put(padding(entry.size))
    }
    await output.put(END_OF_ARCHIVE)
    return await output.finish()
  } finally {
    output.discard()
  }
}

function entryOf(path: string, size: number, content?: Buffer): PlannedEntry {
  return {path, size, mode: 0o644, ...(content === undefined ? {} : {content})}
}

function sum(pieces: readonly Piece[]): number {
  return pieces.reduce((total, {size}) => total + size, 0)
}

async function putWhole(
  output: ArchiveOutput,
  directory: string,
  changed: Changed | undefined,
): Promise<void> {
  if (changed === undefined) throw new RelError('internal_error', 'an entry without its file')
  const file = new ListedFile(directory, changed.file)
  try {
    for (const {bytes} of file.inPieces(PIECE_BYTES)) await output.put(bytes)
  } finally {
    file.close()
  }
}

// O_NONBLOCK: a FIFO with no writer must not hang the open
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** A file that a manifest lists, for reading in parts; refused as soon as it is not the signed one. */
class ListedFile {
  readonly size: number
  readonly #path: string
  readonly #sha256: string
  readonly #fd: number

  constructor(root: string, {path, sha256, size = 0}: FileEntry) {
    this.#path = path
    this.#sha256 = sha256
    this.size = size
    try {
      this.#fd = openSync(join(root, path), readFlags)
    } catch (error) {
      throw fileError(error, path, 'read')
    }
    const stat = fstatSync(this.#fd)
    if (stat.isFile() && stat.size === size) return
    closeSync(this.#fd)
    throw new RelError('size_mismatch', `${shownPath(path)} has ${stat.size} bytes, not ${size}`)
  }

  /** Reads it to its end, and remembers where what is. Refuses with file_digest_mismatch. */
  index(): OldIndex {
    const index = new OldIndex()
    for (const {at, bytes} of this.inPieces(PIECE_BYTES)) index.add(at, bytes)
    return index
  }

  /** Pieces in order, each the caller's own; the digest is compared behind the last one. */
  *inPieces(size: number): Generator<{readonly at: number; readonly bytes: Buffer}> {
    const hash = createHash('sha256')
    for (let at = 0; at < this.size; at += size) {
      const bytes = this.read(at, Math.min(this.size, at + size))
      hash.update(bytes)
      yield {at, bytes}
    }
    const sha256 = hash.digest('hex')
    if (sha256 !== this.#sha256)
      throw new RelError(
        'file_digest_mismatch',
        `${shownPath(this.#path)}: SHA-256 is ${sha256}, signed is ${this.#sha256}`,
      )
  }

  /** The bytes from one place to another. Refuses with tree_changed. */
  read(from: number, to: number): Buffer {
    const bytes = Buffer.allocUnsafeSlow(Math.max(0, to - from))
    for (let at = 0; at < bytes.length; ) {
      const count = this.#readAt(bytes.subarray(at), from + at)
      if (count === 0) throw new RelError('tree_changed', `${shownPath(this.#path)} was cut short`)
      at += count
    }
    return bytes
  }

  close(): void {
    closeSync(this.#fd)
  }

  #readAt(into: Buffer, at: number): number {
    try {
      return readSync(this.#fd, into, 0, into.length, at)
    } catch (error) {
      throw fileError(error, this.#path, 'read')
    }
  }
}
