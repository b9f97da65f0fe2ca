import {closeSync, constants, openSync, readlinkSync, readSync, statfsSync} from 'node:fs'
import {join} from 'node:path'
import type {AdmittedFile, ArchiveSink} from '../bundle/archive/read-archive.ts'
import {type BundleManifest, sidecarNames} from '../bundle/manifest.ts'
import {directoryOf} from '../bundle/path-rules.ts'
import type {VerifiedManifest} from '../bundle/verify-policy.ts'
import {RelError} from '../system/error.ts'
import {fileError, statIfThere} from '../system/files.ts'
import {type DurableFs, syncFiles} from './durable-fs.ts'

const BLOCK = 1024 * 1024

/**
 * Writes the tree of a bundle below one folder through the port. `onBegin` is asked once the
 * manifest is trusted and before the first byte; what it throws ends everything.
 */
export class PortWriter implements ArchiveSink {
  readonly #fs: DurableFs
  readonly #onBegin: (verified: VerifiedManifest) => string
  readonly #directories = new Set<string>()
  readonly #files: string[] = []
  readonly #links: {readonly path: string; readonly target: string}[] = []
  #root = ''
  #path = ''

  /** `onBegin` answers with the folder, relative to the root of the port, which must not exist. */
  constructor(fs: DurableFs, onBegin: (verified: VerifiedManifest) => string) {
    this.#fs = fs
    this.#onBegin = onBegin
  }

  begin(verified: VerifiedManifest): void {
    this.#root = this.#onBegin(verified)
    this.#fs.run({op: 'mkdir', path: this.#root})
    this.#directories.add('')
  }

  sidecar(name: string, bytes: Buffer): void {
    this.open({path: name, mode: '0644'})
    this.write(bytes)
  }

  directory(path: string): void {
    if (this.#directories.has(path)) return
    this.directory(directoryOf(path))
    this.#fs.run({op: 'mkdir', path: join(this.#root, path)})
    this.#directories.add(path)
  }

  /** Made at the end: while files are written there is no link that could lead them elsewhere. */
  link(path: string, target: string): void {
    this.#links.push({path, target})
  }

  open({path, mode}: Pick<AdmittedFile, 'path' | 'mode'>): void {
    this.directory(directoryOf(path))
    this.#path = join(this.#root, path)
    this.#fs.run({op: 'create', path: this.#path, mode: mode === '0755' ? 0o755 : 0o644})
    this.#files.push(this.#path)
  }

  write(bytes: Buffer): void {
    this.#fs.run({op: 'write', path: this.#path, bytes})
  }

  close(): void {}

  /** Links, then every file, then every folder from the bottom up: on disk once this returns. */
  async finish(): Promise<void> {
    for (const {path, target} of this.#links) {
      this.directory(directoryOf(path))
      this.#fs.run({op: 'symlink', path: join(this.#root, path), target})
    }
    await syncFiles(this.#fs, this.#files)
    for (const path of [...this.#directories].toReversed())
      this.#fs.run({op: 'sync_dir', path: path === '' ? this.#root : join(this.#root, path)})
  }
}

/** Copies a verified folder; what changed meanwhile is found when the copy is verified. */
export function copyTree(source: string, {manifest}: VerifiedManifest, writer: PortWriter): void {
  for (const name of sidecarNames)
    if (statIfThere(join(source, name))?.isFile() === true) copyFile(source, name, '0644', writer)
  for (const {path, mode} of manifest.files)
    copyFile(source, path, mode ?? modeOf(join(source, path)), writer)
  for (const {path} of manifest.rel?.links ?? [])
    writer.link(path, readlinkSync(join(source, path)))
}

/** A D2 manifest signs no modes. */
function modeOf(path: string): '0644' | '0755' {
  return ((statIfThere(path)?.mode ?? 0) & 0o100) === 0 ? '0644' : '0755'
}

function copyFile(root: string, path: string, mode: '0644' | '0755', writer: PortWriter): void {
  const absolute = join(root, path)
  let fd: number
  try {
    fd = openSync(absolute, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    throw fileError(error, absolute, 'read')
  }
  try {
    writer.open({path, mode})
    for (;;) {
      const block = Buffer.allocUnsafe(BLOCK)
      const count = readSync(fd, block, 0, BLOCK, null)
      if (count === 0) return
      writer.write(block.subarray(0, count))
    }
  } finally {
    closeSync(fd)
  }
}

/** Free space by size and number of files. */
export type FreeSpace = {readonly bytes: number; readonly files: number}

/** What is free on the file system of a folder; without a count of files there is no limit of them. */
export function freeSpace(path: string): FreeSpace {
  const {bavail, bsize, ffree, files} = statfsSync(path)
  return {bytes: bavail * bsize, files: files === 0 ? Number.POSITIVE_INFINITY : ffree}
}

/** Kept free for records and links. */
const RESERVE = 1024 * 1024

/**
 * D1 wants three times the archive; the signed size must fit besides. `archiveSize` is 0 for a
 * folder. Refuses as checkFree does.
 */
export function checkSpace(free: FreeSpace, manifest: BundleManifest, archiveSize: number): void {
  const signed = manifest.rel?.totalSize ?? 0
  const bytes = Math.max(3 * archiveSize - RESERVE, signed)
  checkFree(free, {bytes, files: 2 * manifest.files.length + 16})
}

/**
 * That there is room for files, and for records besides. Refuses with upgrade_disk_full, naming
 * what is needed and free.
 */
export function checkFree(free: FreeSpace, {bytes, files}: FreeSpace): void {
  const needed = bytes + RESERVE
  if (free.bytes >= needed && free.files >= files) return
  throw new RelError('upgrade_disk_full', `${needed} bytes and ${files} files are needed`, {
    details: {needed_bytes: needed, free_bytes: free.bytes, needed_files: files},
  })
}
