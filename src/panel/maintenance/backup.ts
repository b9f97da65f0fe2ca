import {createHash} from 'node:crypto'
import {constants, createReadStream} from 'node:fs'
import {chmod, copyFile, link, mkdir, open, stat} from 'node:fs/promises'
import {dirname, join} from 'node:path'
import {fieldReader} from '../../release/fields.ts'
import {digestPattern} from '../../system/digest.ts'
import {RelError} from '../../system/error.ts'
import {fileError, readFileLimited, statIfThere, writeFileAtomic} from '../../system/files.ts'
import {canonicalJson} from '../../trust/canonical-json.ts'
import {parseStrictJson} from '../../trust/strict-json.ts'
import type {BlobStore} from '../blobs/blobs.ts'
import {openFileBlobs} from '../blobs/files.ts'
import {openSqliteStore} from '../store/sqlite.ts'
import type {PanelStore} from '../store/store.ts'
import {inNewFolder} from './new-folder.ts'
import {allReleases} from './verify.ts'

/** The list of a backup: some 160 bytes an entry. */
const MAX_INDEX_BYTES = 256 * 1024 * 1024
const MAX_ENTRIES = 1_000_000

type Entry = {readonly path: string; readonly size: number; readonly sha256: string}

export type BackupOptions = {
  /** A folder that does not exist yet. */
  readonly target: string
  /** Other files of the panel by their name in it: keys; copied with mode 0600. */
  readonly files: Readonly<Record<string, string>>
  /**
   * Links blobs instead of copying them, where the store is on the same file system: no bytes are
   * written, and damage to the disk damages both.
   */
  readonly isLinked?: boolean
  /** Seconds since the epoch. */
  readonly now: number
}

export type BackupReport = {readonly files: number; readonly bytes: number}

/**
 * Copies a panel while it runs: first the database, then every blob that a release in that copy
 * names, hashed on the way. The folder appears when it is whole and on the disk. Refuses with
 * file_exists, blob_missing, blob_mismatch, backup_unsupported, disk_full, write_failed.
 */
export async function backUpPanel(
  {store, blobs}: {readonly store: PanelStore; readonly blobs: BlobStore},
  {target, files, isLinked = false, now}: BackupOptions,
): Promise<BackupReport> {
  return inNewFolder(target, async (folder) => {
    await store.backup(join(folder, 'panel.db'))
    const entries: Entry[] = []
    const copy = await openFileBlobs({folder})
    for await (const {sha256, size} of blobsOf(join(folder, 'panel.db'), blobs)) {
      const path = `blobs/${copy.blobs.localPath?.(sha256)}`
      const isThere = isLinked && (await linkBlob(blobs, sha256, join(folder, path)))
      if (!isThere) await copy.blobs.put(sha256, size, blobs.read(sha256))
      entries.push({path, size, sha256})
    }
    entries.push(await entryOf(folder, 'panel.db'))
    for (const [name, source] of Object.entries(files)) {
      await copyDurably(source, join(folder, name))
      entries.push(await entryOf(folder, name))
    }
    const index = {created: now, files: entries.map((entry) => ({...entry}))}
    writeFileAtomic(join(folder, 'backup.json'), `${canonicalJson(index)}\n`, {mode: 0o600})
    return {files: entries.length, bytes: entries.reduce((sum, {size}) => sum + size, 0)}
  })
}

/** The blobs of the copied database's releases; only what is published must have all of them. */
async function* blobsOf(
  database: string,
  blobs: BlobStore,
): AsyncGenerator<{sha256: string; size: number}> {
  const store = await openSqliteStore({path: database})
  const seen = new Set<string>()
  try {
    for (const product of await store.products()) {
      for await (const {state, artifacts} of allReleases(store, product)) {
        for (const {sha256, size} of artifacts) {
          if (seen.has(sha256)) continue
          if (state !== 'published' && (await blobs.stat(sha256)) === undefined) continue
          seen.add(sha256)
          yield {sha256, size}
        }
      }
    }
  } finally {
    await store.close()
  }
}

/** False when the store has no local files or they are on another file system. */
async function linkBlob(blobs: BlobStore, sha256: string, path: string): Promise<boolean> {
  if (blobs.localPath === undefined) return false
  if (!(await blobs.rehash(sha256)))
    throw new RelError('blob_mismatch', `${sha256} is damaged or not there`)
  try {
    await mkdir(dirname(path), {recursive: true, mode: 0o750})
    await link(join(blobs.label, blobs.localPath(sha256)), path)
    return true
  } catch (error) {
    const {code = ''} = error as {code?: string}
    if (['EXDEV', 'EPERM', 'ENOTSUP', 'EMLINK'].includes(code)) return false
    throw fileError(error, path, 'write')
  }
}

/** Reads every file of a backup again. Refuses with backup_damaged, file_missing. */
export async function verifyBackup(folder: string): Promise<BackupReport> {
  const entries = readIndex(folder)
  for (const entry of entries) {
    if (!(await isAsListed(folder, entry)))
      throw new RelError('backup_damaged', `${join(folder, entry.path)} is not what was written`)
  }
  return {files: entries.length, bytes: entries.reduce((sum, {size}) => sum + size, 0)}
}

/**
 * Makes a panel's folder out of a backup, which is verified first; the folder appears when it is
 * whole. Refuses with file_exists, backup_damaged, disk_full, write_failed.
 */
export async function restorePanel(from: string, target: string): Promise<BackupReport> {
  const report = await verifyBackup(from)
  return inNewFolder(target, async (folder) => {
    for (const entry of readIndex(from)) {
      await copyDurably(join(from, entry.path), join(folder, entry.path))
      if (!(await isAsListed(folder, entry)))
        throw new RelError('backup_damaged', `${entry.path} changed while it was copied`)
      if (entry.path.startsWith('blobs/')) await chmod(join(folder, entry.path), 0o444)
    }
    const store = await openSqliteStore({path: join(folder, 'panel.db')})
    await store.close()
    return report
  })
}

async function copyDurably(source: string, target: string): Promise<void> {
  try {
    await mkdir(dirname(target), {recursive: true, mode: 0o700})
    await copyFile(source, target, constants.COPYFILE_EXCL)
    await chmod(target, 0o600)
    const file = await open(target, 'r+')
    await file.sync().finally(() => file.close())
  } catch (error) {
    throw fileError(error, target, 'write')
  }
}

async function entryOf(folder: string, path: string): Promise<Entry> {
  const {size} = await stat(join(folder, path))
  return {path, size, sha256: await hashFile(join(folder, path))}
}

async function isAsListed(folder: string, {path, size, sha256}: Entry): Promise<boolean> {
  const found = statIfThere(join(folder, path))
  if (found === undefined || !found.isFile() || found.size !== size) return false
  return (await hashFile(join(folder, path))) === sha256
}

async function hashFile(path: string): Promise<string> {
  const hasher = createHash('sha256')
  try {
    for await (const piece of createReadStream(path)) hasher.update(piece as Buffer)
  } catch (error) {
    throw fileError(error, path, 'read')
  }
  return hasher.digest('hex')
}

const read = fieldReader('backup_damaged')

/** Names as the backup writes them: no way out of its folder. */
const pathPattern = /^(?:[A-Za-z0-9_-][A-Za-z0-9._-]*\/)*[A-Za-z0-9_-][A-Za-z0-9._-]*$/

function readIndex(folder: string): readonly Entry[] {
  const bytes = readFileLimited(join(folder, 'backup.json'), MAX_INDEX_BYTES)
  const limits = {bytes: MAX_INDEX_BYTES, depth: 4, values: MAX_ENTRIES * 5}
  const index = read.object(parseStrictJson(bytes, limits), 'the list')
  read.only(index, ['created', 'files'], 'the list')
  read.integer(index.created, 'created')
  return read.list(index.files, 'files', MAX_ENTRIES).map((value) => {
    const entry = read.object(value, 'a file')
    read.only(entry, ['path', 'size', 'sha256'], 'a file')
    return {
      path: read.text(entry.path, 'path', pathPattern),
      size: read.integer(entry.size, 'size'),
      sha256: read.text(entry.sha256, 'sha256', digestPattern),
    }
  })
}
