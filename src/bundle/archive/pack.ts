import {createHash, type Hash, hash} from 'node:crypto'
import {closeSync, constants, fstatSync, lstatSync, openSync, readSync, realpathSync} from 'node:fs'
import {basename, dirname, join, resolve, sep} from 'node:path'
import {RelError} from '../../system/error.ts'
import {fileError, readFileLimited, statIfThere} from '../../system/files.ts'
import {
  type BundleManifest,
  type FileEntry,
  MANIFEST_NAME,
  type ManifestFile,
  sidecarNames,
} from '../manifest.ts'
import {parseManifest} from '../parse-manifest.ts'
import {shownPath} from '../path-rules.ts'
import {absoluteOf, listTree} from '../scan.ts'
import {readManifest} from '../verify.ts'
import {compareLinks, compareNames, differencesError, statusDifference} from '../verify-tree.ts'
import {ArchiveOutput, compressionLevels, type WrittenArchive} from './compress.ts'
import type {ArchiveFormat} from './decompress.ts'
import {archiveLimits} from './limits.ts'
import {
  END_OF_ARCHIVE,
  headerBlocks,
  padding,
  planArchive,
  type SidecarContent,
  tarSizeOf,
} from './plan-archive.ts'

export type PackRequest = {
  /** The signed tree. */
  readonly directory: string
  /** Where the archive goes. */
  readonly output: string
  readonly format: ArchiveFormat
  /** As gzip and zstd count them; the usual one of the format when not given. */
  readonly level?: number
  /** Replace what stands at `output`. */
  readonly replace: boolean
}

/** All that is known before the first file is read. */
export type PackPlan = PackRequest & {
  /** Sizes and modes filled in from disk where a D2 manifest signs none. */
  readonly manifest: BundleManifest
  readonly sidecars: readonly SidecarContent[]
  readonly fileCount: number
  readonly tarSize: number
}

/**
 * What packing would do: reads manifest and names, writes nothing. Refuses with manifest_missing,
 * the codes of parseManifest, signature_missing (an unsigned manifest), file_unlisted, file_absent,
 * file_not_regular, link_mismatch, file_exists, usage_invalid (output inside the tree).
 */
export function planPack(request: PackRequest): PackPlan {
  checkLevel(request)
  const root = realDirectory(request.directory)
  const output = checkOutput(root, request)
  const bytes = readManifest(join(root, MANIFEST_NAME))
  const file = parseManifest(bytes)
  checkSigned(file)
  checkNames(root, file.manifest)
  const manifest = {
    ...file.manifest,
    files: file.manifest.files.map((entry) => filled(root, entry)),
  }
  const sidecars = [{name: MANIFEST_NAME, bytes}, ...readSidecars(root)]
  const tarSize = tarSizeOf(planArchive(manifest, sidecars))
  const fileCount = manifest.files.length
  return {...request, directory: root, output, manifest, sidecars, fileCount, tarSize}
}

/**
 * Writes the archive. Every file is measured and hashed as it is read, so what is packed is what
 * was signed. Refuses with file_digest_mismatch, size_mismatch, mode_mismatch, mode_forbidden,
 * file_hardlinked, file_not_regular, tree_changed, write_failed, disk_full; then nothing is left.
 */
export async function applyPack(plan: PackPlan): Promise<WrittenArchive> {
  const output = new ArchiveOutput(plan.output, plan)
  try {
    const {manifest, sidecars, directory} = plan
    const files = manifest.files.values()
    for (const entry of planArchive(manifest, sidecars)) {
      await output.put(headerBlocks(entry, manifest.timestamp))
      if (entry.content !== undefined) await output.put(entry.content)
      else if (entry.linkTarget === undefined) await putFile(output, directory, files.next().value)
      await output.put(padding(entry.size))
    }
    await output.put(END_OF_ARCHIVE)
    return await output.finish()
  } finally {
    output.discard()
  }
}

function checkLevel({format, level = 1}: PackRequest): void {
  const most = format === 'tar' ? 1 : compressionLevels[format].most
  if (level < 1 || level > most)
    throw new RelError('usage_invalid', `level ${level} of ${format}, at most ${most}`)
}

function realDirectory(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    throw fileError(error, path, 'read')
  }
}

/** An archive inside of the tree would be a file that nobody has signed. */
function checkOutput(root: string, {output, replace}: PackRequest): string {
  const place = join(realDirectory(dirname(resolve(output))), basename(output))
  if (place.startsWith(root.endsWith(sep) ? root : root + sep))
    throw new RelError('usage_invalid', `${output} is inside of the bundle`, {
      hint: 'Write the archive to a place outside of the directory that is packed.',
    })
  const stat = statIfThere(place)
  if (stat !== undefined && !(replace && stat.isFile()))
    throw new RelError('file_exists', `${output} exists already`)
  return place
}

function checkSigned({signature, signatures}: ManifestFile): void {
  if (signature === undefined && signatures.length === 0)
    throw new RelError('signature_missing', 'manifest.json is not signed')
}

function checkNames(root: string, manifest: BundleManifest): void {
  const listing = listTree(root)
  const found = [...compareNames(listing, manifest), ...compareLinks(listing, manifest)]
  if (found.length > 0) throw differencesError(found)
}

function filled(root: string, entry: FileEntry): FileEntry {
  if (entry.size !== undefined && entry.mode !== undefined) return entry
  const stat = lstatSync(absoluteOf(root, entry.path), {throwIfNoEntry: false})
  if (stat === undefined) throw new RelError('file_absent', `${shownPath(entry.path)} is missing`)
  return {...entry, size: stat.size, mode: (stat.mode & 0o100) === 0 ? '0644' : '0755'}
}

function readSidecars(root: string): SidecarContent[] {
  const others = sidecarNames.filter((name) => name !== MANIFEST_NAME)
  return others
    .filter((name) => statIfThere(join(root, name)) !== undefined)
    .map((name) => ({name, bytes: readFileLimited(join(root, name), archiveLimits.sidecarBytes)}))
}

// O_NONBLOCK: a FIFO with no writer must not hang the open
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Reads one file straight into the output. */
async function putFile(
  output: ArchiveOutput,
  root: string,
  entry: FileEntry | undefined,
): Promise<void> {
  if (entry === undefined) throw new RelError('internal_error', 'an entry without its file')
  const fd = openListed(root, entry)
  try {
    const difference = statusDifference(entry, fstatSync(fd))
    if (difference !== undefined) throw differencesError([difference])
    const sha256 = await copyHashed(output, fd, entry)
    if (sha256 !== entry.sha256)
      throw new RelError(
        'file_digest_mismatch',
        `${shownPath(entry.path)}: SHA-256 is ${sha256}, signed is ${entry.sha256}`,
      )
  } finally {
    closeSync(fd)
  }
}

function openListed(root: string, {path}: FileEntry): number {
  try {
    return openSync(absoluteOf(root, path), readFlags)
  } catch (error) {
    const {code} = error as {code?: string}
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new RelError('file_absent', `${shownPath(path)} is missing`, {cause: error})
    if (code === 'ELOOP')
      throw new RelError('file_not_regular', `${shownPath(path)} is a link`, {cause: error})
    throw fileError(error, path, 'read')
  }
}

/** Small files are hashed in one call, in the place where they were read to. */
async function copyHashed(output: ArchiveOutput, fd: number, entry: FileEntry): Promise<string> {
  const {path, size = 0} = entry
  let left = size
  let hasher: Hash | undefined
  let sha256 = size === 0 ? hash('sha256', '', 'hex') : ''
  while (left > 0) {
    const room = output.room()
    const bytes = readSome(fd, room.subarray(0, Math.min(left, room.length)), path)
    left -= bytes.length
    if (bytes.length === size) sha256 = hash('sha256', bytes, 'hex')
    else hasher = (hasher ?? createHash('sha256')).update(bytes)
    const flushed = output.advance(bytes.length)
    if (flushed !== undefined) await flushed
  }
  return hasher?.digest('hex') ?? sha256
}

function readSome(fd: number, into: Buffer, path: string): Buffer {
  let count: number
  try {
    count = readSync(fd, into, 0, into.length, null)
  } catch (error) {
    throw fileError(error, path, 'read')
  }
  if (count > 0) return into.subarray(0, count)
  throw new RelError('tree_changed', `${shownPath(path)} was cut short while it was read`)
}
