import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeSync,
} from 'node:fs'
import {join} from 'node:path'
import {fileError} from '../../system/files.ts'
import {directoryOf} from '../path-rules.ts'
import type {OnStep, VerifyPolicy} from '../verify-policy.ts'
import {makeDurable} from './durable.ts'
import type {AdmittedFile, ArchiveSink, VerifiedArchive} from './read-archive.ts'
import {DIRECTORY_MODE, makeStaging, type Staging} from './staging.ts'
import {verifyArchive} from './verify-archive.ts'

const createFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

/**
 * Verifies an archive while writing it into a private directory, and puts that in place when the
 * last byte was as signed. Whatever goes wrong, `target` does not exist and nothing is left.
 * Refuses as verifyArchive does, and with file_exists, file_missing, write_failed, disk_full.
 */
export async function unpackArchive(
  path: string,
  target: string,
  policy: VerifyPolicy,
  onStep?: OnStep,
): Promise<VerifiedArchive> {
  const staging = makeStaging(target)
  const writer = new TreeWriter(staging)
  try {
    const bundle = await verifyArchive(path, policy, onStep, writer)
    await writer.finish()
    staging.commit()
    return bundle
  } finally {
    writer.abandon()
    staging.discard()
  }
}

/** Writes what was admitted below a directory that only we can enter. */
class TreeWriter implements ArchiveSink {
  readonly #root: string
  readonly #directories = new Set<string>([''])
  readonly #links: {readonly path: string; readonly target: string}[] = []
  readonly #files: string[] = []
  #fd = -1
  #path = ''

  constructor({path}: Staging) {
    this.#root = path
  }

  begin(): void {}

  sidecar(name: string, bytes: Buffer): void {
    this.#create(name, 0o644)
    this.write(bytes)
    this.close()
  }

  directory(path: string): void {
    if (this.#directories.has(path)) return
    this.directory(directoryOf(path))
    const absolute = join(this.#root, path)
    try {
      mkdirSync(absolute)
      chmodSync(absolute, DIRECTORY_MODE) // whatever the umask
    } catch (error) {
      throw fileError(error, absolute, 'write')
    }
    this.#directories.add(path)
  }

  /** Made at the end: while files are written there is no link that could lead them elsewhere. */
  link(path: string, target: string): void {
    this.#links.push({path, target})
  }

  open({path, mode}: AdmittedFile): void {
    this.directory(directoryOf(path))
    this.#create(path, mode === '0755' ? 0o755 : 0o644)
  }

  write(bytes: Buffer): void {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at, bytes.length - at)
    } catch (error) {
      throw fileError(error, this.#path, 'write')
    }
  }

  close(): void {
    closeSync(this.#fd)
    this.#fd = -1
  }

  /** Links, then everything is made durable. */
  async finish(): Promise<void> {
    for (const {path, target} of this.#links) {
      this.directory(directoryOf(path))
      try {
        symlinkSync(target, join(this.#root, path))
      } catch (error) {
        throw fileError(error, path, 'write')
      }
    }
    const folders = [...this.#directories].map((path) => join(this.#root, path))
    await makeDurable(this.#root, this.#files, folders)
  }

  abandon(): void {
    if (this.#fd !== -1) closeSync(this.#fd)
    this.#fd = -1
  }

  #create(path: string, mode: number): void {
    this.#path = join(this.#root, path)
    try {
      this.#fd = openSync(this.#path, createFlags, mode)
      fchmodSync(this.#fd, mode) // whatever the umask
      this.#files.push(this.#path)
    } catch (error) {
      throw fileError(error, this.#path, 'write')
    }
  }
}
