import {createHash, createHmac, type Hash, randomBytes, timingSafeEqual} from 'node:crypto'
import {
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
} from 'node:fs'
import {dirname, join} from 'node:path'
import {RelError} from './error.ts'
import {
  fileError,
  fsyncFolder,
  hashInto,
  readFileLimited,
  statIfThere,
  writeFileAtomic,
} from './files.ts'
import {sha256Hex} from './hash.ts'
import type {JsonObject} from './json.ts'

/** A file of the cache whose bytes have just been hashed. */
export type CachedFile = {
  readonly path: string
  /** 64 lower-case hex digits. */
  readonly sha256: string
  readonly size: number
}

/** A kept answer is a small record beside its body; longer ones are nobody's. */
const MAX_RECORD_BYTES = 64 * 1024

/** Longer than the idle limit of a download: nobody writes into a part this old any more. */
const ABANDONED_AFTER_SECS = 90

/** A part that nobody went on with in a week is removed. */
const FORGOTTEN_AFTER_SECS = 7 * 24 * 3600

const KEY_BYTES = 32

/**
 * Files by their SHA-256, kept answers by what was asked, and downloads under way. Nothing in it
 * is believed: bytes are hashed again whenever they are used, damaged ones are removed, and a kept
 * answer counts only with a code by a key that is elsewhere, so that a cache that was restored from
 * somebody else's run says nothing. Many processes may share one folder. Files are read-only and
 * never executable. What anybody else could write into is refused with cache_not_private.
 */
export class ContentCache {
  readonly #folder: string
  readonly #keyFile: string
  #key: Buffer | undefined
  #isPrivate = false

  /**
   * The folder is made when something is written; 0700, since private answers may be in it.
   * `keyFile` is for the key of kept answers: outside of the folder where that may be restored.
   */
  constructor(folder: string, keyFile: string = join(folder, 'key')) {
    this.#folder = folder
    this.#keyFile = keyFile
  }

  /** The file with this digest, or undefined when it is not there or was damaged. */
  async find(sha256: string): Promise<CachedFile | undefined> {
    this.#checkPrivate()
    const path = this.#pathOf(sha256)
    const stat = statIfThere(path)
    if (stat === undefined) return undefined
    const hasher = createHash('sha256')
    const size = stat.isFile() ? await sizeHashed(path, hasher) : -1
    if (size >= 0 && hasher.digest('hex') === sha256) return {path, sha256, size}
    rmSync(path, {force: true, recursive: true})
    return undefined
  }

  /** Keeps bytes that are in memory. Refuses with write_failed, disk_full. */
  add(bytes: Uint8Array): CachedFile {
    const sha256 = sha256Hex(bytes)
    const path = this.#pathOf(sha256)
    this.#makeFolder(join('sha256', sha256.slice(0, 2)))
    writeFileAtomic(path, bytes, {mode: 0o444})
    return {path, sha256, size: bytes.length}
  }

  /** The record that was kept under a key; undefined when there is none or it is damaged. */
  record(key: string): JsonObject | undefined {
    this.#checkPrivate()
    const path = join(this.#folder, 'answers', `${sha256Hex(key)}.json`)
    if (statIfThere(path) === undefined) return undefined
    try {
      const text = readFileLimited(path, MAX_RECORD_BYTES).toString('utf8')
      const {mac, record} = JSON.parse(text) as {mac: string; record: JsonObject}
      const wanted = this.#codeOf(key, JSON.stringify(record))
      return timingSafeEqual(Buffer.from(mac, 'hex'), wanted) ? record : undefined
    } catch {
      return undefined // it is asked for again, which mends it
    }
  }

  keepRecord(key: string, record: JsonObject): void {
    const mac = this.#codeOf(key, JSON.stringify(record)).toString('hex')
    const text = JSON.stringify({mac, record})
    if (text.length > MAX_RECORD_BYTES) return
    this.#makeFolder('answers')
    writeFileAtomic(join(this.#folder, 'answers', `${sha256Hex(key)}.json`), text)
  }

  #codeOf(name: string, text: string): Buffer {
    this.#key ??= loadKey(this.#keyFile)
    return createHmac('sha256', this.#key)
      .update(`${sha256Hex(name)} ${text}`)
      .digest()
  }

  /** A folder that another user could write into, or has made, is where bytes change after their check. */
  #checkPrivate(): void {
    if (this.#isPrivate) return
    const stat = statSync(this.#folder, {throwIfNoEntry: false})
    if (stat === undefined) return
    const isOurs = process.geteuid === undefined || stat.uid === process.geteuid()
    if (!isOurs || !stat.isDirectory() || (stat.mode & 0o022) !== 0)
      throw new RelError(
        'cache_not_private',
        `${this.#folder} ${isOurs ? 'can be written by others' : 'belongs to another user'}`,
      )
    this.#isPrivate = true
  }

  /**
   * A file on its way in, for what `key` names: the one that an earlier process left unfinished,
   * or a new one. Refuses with write_failed, disk_full.
   */
  async openPart(key: string): Promise<PartFile> {
    this.#makeFolder('parts')
    const name = sha256Hex(key)
    const path = join(this.#folder, 'parts', `${name}.${randomBytes(8).toString('hex')}.part`)
    const etag = claimAbandoned(join(this.#folder, 'parts'), name, path)
    const part = new PartFile(path, (sha256) => {
      this.#makeFolder(join('sha256', sha256.slice(0, 2)))
      return this.#pathOf(sha256)
    })
    if (etag !== undefined) await part.goOn(etag)
    return part
  }

  #pathOf(sha256: string): string {
    return join(this.#folder, 'sha256', sha256.slice(0, 2), sha256)
  }

  #makeFolder(name: string): void {
    const path = join(this.#folder, name)
    try {
      this.#checkPrivate()
      mkdirSync(path, {recursive: true, mode: 0o700})
      this.#checkPrivate()
    } catch (error) {
      throw fileError(error, path, 'write')
    }
  }
}

/** The key of kept answers, made once; where it cannot be kept, one for this process alone. */
function loadKey(path: string): Buffer {
  const there = readKey(path)
  if (there !== undefined) return there
  const key = randomBytes(KEY_BYTES)
  try {
    mkdirSync(dirname(path), {recursive: true, mode: 0o700})
    writeFileAtomic(path, key, {mode: 0o600, exclusive: true})
    return key
  } catch {
    return readKey(path) ?? key // another process was first, or nothing can be written here
  }
}

/** Nobody's but this user's: a key that somebody else could have put there is none. */
function readKey(path: string): Buffer | undefined {
  const stat = statIfThere(path)
  const isOurs = process.geteuid === undefined || stat?.uid === process.geteuid()
  if (stat?.isFile() !== true || !isOurs || (stat.mode & 0o077) !== 0) return undefined
  const key = readFileLimited(path, KEY_BYTES)
  return key.length === KEY_BYTES ? key : undefined
}

/** A file that is being written; its digest is computed on the way. */
export class PartFile {
  readonly #path: string
  readonly #placeFor: (sha256: string) => string
  readonly #fd: number
  #isOpen = true
  #hasher: Hash = createHash('sha256')
  #size = 0
  #etag: string | undefined

  constructor(path: string, placeFor: (sha256: string) => string) {
    this.#path = path
    this.#placeFor = placeFor
    try {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND
      this.#fd = openSync(path, flags | constants.O_NOFOLLOW, 0o600)
    } catch (error) {
      throw fileError(error, path, 'write')
    }
  }

  get size(): number {
    return this.#size
  }

  /** The strong ETag of what the bytes belong to: only then can they be gone on with. */
  get etag(): string | undefined {
    return this.#etag
  }

  /** Takes over what is in the file already. */
  async goOn(etag: string): Promise<void> {
    this.#size = await sizeHashed(this.#path, this.#hasher)
    this.#etag = etag
  }

  /** Begins anew, with bytes of this ETag. */
  restart(etag: string | undefined): void {
    this.#write(() => ftruncateSync(this.#fd, 0))
    this.#hasher = createHash('sha256')
    this.#size = 0
    this.#etag = etag
    rmSync(etagPath(this.#path), {force: true})
    if (etag !== undefined) writeFileAtomic(etagPath(this.#path), etag, {mode: 0o600})
  }

  append(bytes: Buffer): void {
    this.#write(() => {
      let offset = 0
      while (offset < bytes.length) offset += writeSync(this.#fd, bytes, offset)
    })
    this.#hasher.update(bytes)
    this.#size += bytes.length
  }

  /** The digest of what is there so far. */
  digest(): string {
    return this.#hasher.copy().digest('hex')
  }

  /** Gives the file its place in the cache: read-only, named by its digest, durable. */
  finish(): CachedFile {
    const sha256 = this.digest()
    const path = this.#placeFor(sha256)
    this.#write(() => {
      fsyncSync(this.#fd)
      this.#close()
      chmodSync(this.#path, 0o444)
      renameSync(this.#path, path)
      fsyncFolder(join(path, '..'))
    })
    rmSync(etagPath(this.#path), {force: true})
    return {path, sha256, size: this.#size}
  }

  /** Leaves the file for whoever comes next, or removes it when nobody could go on with it. */
  leave(): void {
    this.#close()
    if (this.#etag === undefined || this.#size === 0) this.#remove()
    else utimesSync(this.#path, 1, 1) // as old as can be: it may be claimed at once
  }

  discard(): void {
    this.#close()
    this.#remove()
  }

  #close(): void {
    if (this.#isOpen) closeSync(this.#fd)
    this.#isOpen = false
  }

  #remove(): void {
    rmSync(this.#path, {force: true})
    rmSync(etagPath(this.#path), {force: true})
  }

  #write(act: () => void): void {
    try {
      act()
    } catch (error) {
      throw fileError(error, this.#path, 'write')
    }
  }
}

function etagPath(partPath: string): string {
  return `${partPath}.etag`
}

/**
 * Renames an abandoned part of `name` to `path` and returns its ETag: of two processes that try,
 * one gets it. Parts that nobody came back for are removed.
 */
function claimAbandoned(folder: string, name: string, path: string): string | undefined {
  const now = Date.now() / 1000
  for (const entry of readdirSync(folder)) {
    const file = join(folder, entry)
    const age = now - (statSync(file, {throwIfNoEntry: false})?.mtimeMs ?? now * 1000) / 1000
    const isOurs = entry.startsWith(`${name}.`) && entry.endsWith('.part')
    if (isOurs && age > ABANDONED_AFTER_SECS) {
      const etag = claim(file, path)
      if (etag !== undefined) return etag
    } else if (age > FORGOTTEN_AFTER_SECS && age < now - 1) rmSync(file, {force: true})
  }
  return undefined
}

function claim(file: string, path: string): string | undefined {
  try {
    const now = Date.now() / 1000
    utimesSync(file, now, now) // before its new name, under which it would look abandoned
    renameSync(file, path)
  } catch {
    return undefined // another process was first
  }
  try {
    const etag = readFileLimited(etagPath(file), MAX_RECORD_BYTES).toString('utf8')
    renameSync(etagPath(file), etagPath(path))
    return etag
  } catch {
    rmSync(path, {force: true}) // bytes of nobody knows what
    return undefined
  }
}

/** Its size once it is in the hash; -1 when it cannot be read. */
function sizeHashed(path: string, hasher: Hash): Promise<number> {
  return hashInto(path, hasher).catch(() => -1)
}
