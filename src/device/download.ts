import {createHash, type Hash} from 'node:crypto'
import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {isDigest} from '../system/digest.ts'
import {RelError} from '../system/error.ts'
import {
  entriesIn,
  hashInto,
  readFileLimited,
  statIfThere,
  writeFileAtomic,
} from '../system/files.ts'
import type {HttpHeaders} from '../system/http.ts'
import type {OpenAnswer} from '../system/http-exchange.ts'
import {bootSecs} from './boot-clock.ts'
import {openAnswer, problemOf, sourceError, statusError} from './device-http.ts'
import {
  askAgainAt,
  checkRoom,
  continuation,
  type Part,
  recentRefusals,
  resumeHeaders,
} from './download-rules.ts'
import {paths, writing} from './layout.ts'
import type {OnProgress} from './source.ts'
import {freeSpace} from './write-tree.ts'

/** What is fetched, and what of it is signed. */
export type Wanted = {
  readonly url: string
  /** Bytes; without it, no more than a third of what is free is taken. */
  readonly size?: number
  /** 64 lower-case hex digits; the name of the file, and its digest. */
  readonly sha256?: string
  /** The name of the file where no digest is signed: 64 hex digits of whatever identifies it. */
  readonly name?: string
  readonly headers?: HttpHeaders
  readonly authorization?: string | undefined
  readonly maxBytesPerSec?: number | undefined
  /** Refused with interrupted once it says so; what is there is gone on with later. */
  readonly stop?: AbortSignal | undefined
}

/** How patient a download is. Times are of a clock that is never set. */
export type DownloadLimits = {
  /** Requests for one download in one call. */
  readonly attempts: number
  /** The longest first wait between two of them, in milliseconds; doubled each time, with jitter. */
  readonly retryMs: number
  readonly headersMs: number
  readonly idleMs: number
  /** All of it, in milliseconds, without what a bandwidth limit takes. */
  readonly totalMs: number
  /** Slower than this over a window of waiting is an attack, or as good as one. */
  readonly minBytesPerSec: number
  readonly windowMs: number
}

const defaultLimits: DownloadLimits = {
  attempts: 5,
  retryMs: 2000,
  headersMs: 30_000,
  idleMs: 30_000,
  totalMs: 12 * 3_600_000,
  minBytesPerSec: 512,
  windowMs: 60_000,
}

/** Where no size is signed: what a release may hold (docs/formats/release-manifest.md). */
const MAX_UNSIGNED_BYTES = 2 ** 31 - 1
const FORGOTTEN_SECS = 7 * 86_400
const MAX_SIDECAR_BYTES = 4096
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW

type Sidecar = {readonly etag?: string; readonly refusals?: readonly number[]}

/**
 * Fetches a file into .rel/downloads, going on with what an earlier process left, and answers with
 * its path: of the signed size and digest where they are signed. Nothing on disk is believed: it is
 * hashed again before it is continued. Refuses with upgrade_download_failed,
 * upgrade_checksum_mismatch, upgrade_size_exceeded, upgrade_disk_full, upgrade_source_unreachable,
 * upgrade_source_invalid, upgrade_license_invalid, upgrade_license_frozen.
 */
export async function download(
  root: string,
  wanted: Wanted,
  onProgress: OnProgress = () => undefined,
  change: Partial<DownloadLimits> = {},
): Promise<string> {
  const limits = {...defaultLimits, ...change}
  const folder = join(root, paths.downloads)
  writing(() => mkdirSync(folder, {recursive: true, mode: 0o700}))
  const name = wanted.sha256 ?? wanted.name ?? ''
  if (!isDigest(name)) throw new RelError('internal_error', 'a download without a name')
  removeOld(folder, wanted)
  const run = new Download(join(folder, name), wanted, limits, onProgress)
  const there = await run.finished()
  if (there !== undefined) return there
  run.checkAllowed()
  if (wanted.size !== undefined) checkRoom(freeSpace(root), wanted.size, run.size())
  try {
    await run.go()
    return run.finish()
  } finally {
    run.close()
  }
}

/** Removes a download that is of no more use, whole or in parts. */
export function dropDownload(root: string, path: string): void {
  if (!path.startsWith(join(root, paths.downloads))) return
  for (const file of [path, `${path}.part`, `${path}.part.json`]) rmSync(file, {force: true})
}

/**
 * Removes what nobody went on with. Where no size is signed, also every other download: whoever names
 * a new version at each poll could fill the disk with beginnings.
 */
function removeOld(folder: string, {sha256, name = ''}: Wanted): void {
  const now = Date.now() / 1000
  for (const entry of entriesIn(folder)) {
    const path = join(folder, entry.name)
    if (sha256 === undefined && !entry.name.startsWith(name))
      rmSync(path, {force: true, recursive: true})
    const changed = (lstatSync(path, {throwIfNoEntry: false})?.mtimeMs ?? 0) / 1000
    if (now - changed > FORGOTTEN_SECS) rmSync(path, {force: true, recursive: true})
  }
}

class Download {
  readonly #path: string
  readonly #wanted: Wanted
  readonly #limits: DownloadLimits
  readonly #onProgress: OnProgress
  readonly #started = performance.now()
  readonly #startedSecs = bootSecs()
  #fd: number | undefined
  #hasher: Hash = createHash('sha256')
  #part: Part = {size: 0, etag: undefined}
  #isResumed = false
  /** What the source says of its bytes: a hint. */
  #hint: string | undefined

  constructor(path: string, wanted: Wanted, limits: DownloadLimits, onProgress: OnProgress) {
    this.#path = path
    this.#wanted = wanted
    this.#limits = limits
    this.#onProgress = onProgress
  }

  /** The file, if an earlier process had it whole: hashed again. */
  async finished(): Promise<string | undefined> {
    const {sha256} = this.#wanted
    if (sha256 === undefined || statIfThere(this.#path) === undefined) {
      rmSync(this.#path, {force: true, recursive: true})
      return undefined
    }
    const hasher = createHash('sha256')
    await hashInto(this.#path, hasher)
    if (hasher.digest('hex') === sha256) return this.#path
    rmSync(this.#path, {force: true, recursive: true})
    return undefined
  }

  /** Refuses with upgrade_download_failed what has been refused too often within an hour. */
  checkAllowed(): void {
    const now = Math.floor(Date.now() / 1000)
    const retryAt = askAgainAt(this.#sidecar().refusals ?? [], now)
    if (retryAt === undefined) return
    throw new RelError('upgrade_download_failed', 'it was not there three times within an hour', {
      details: {retry_at: retryAt},
    })
  }

  /** Bytes on disk. */
  size(): number {
    return statIfThere(`${this.#path}.part`)?.size ?? 0
  }

  async go(): Promise<void> {
    await this.#takeUp()
    let isDone = this.#isWhole()
    for (let attempt = 1; !isDone; attempt++) {
      const before = this.#part.size
      try {
        await this.#attempt()
        this.#checkEnd()
        isDone = true
      } catch (error) {
        const known = error instanceof RelError ? error : undefined
        const mayHelp =
          known?.code === 'upgrade_source_unreachable' || known?.details?.again === true
        if (known === undefined || !mayHelp || attempt >= this.#limits.attempts) throw failed(error)
        if (known.details?.retry_at !== undefined) throw failed(error)
        const most =
          this.#part.size > before ? this.#limits.retryMs : this.#limits.retryMs * attempt
        await pause(Math.random() * most, this.#wanted.stop)
      }
    }
  }

  #isWhole(): boolean {
    const {size, sha256} = this.#wanted
    return size !== undefined && this.#part.size === size && this.#digest() === sha256
  }

  /** Opens the part and hashes what is in it. */
  async #takeUp(): Promise<void> {
    const path = `${this.#path}.part`
    const {etag} = this.#sidecar()
    const stat = statIfThere(path)
    if (stat !== undefined && (!stat.isFile() || (etag === undefined && stat.size > 0)))
      rmSync(path, {force: true, recursive: true})
    this.#fd = writing(() => openSync(path, CREATE, 0o600))
    const {size = Number.POSITIVE_INFINITY} = this.#wanted
    const there = await hashInto(path, this.#hasher)
    if (there > size) this.#restart(undefined)
    else this.#part = {size: there, etag: there === 0 ? undefined : etag}
    this.#isResumed = this.#part.size > 0
    if (this.#isResumed) this.#onProgress(this.#part.size, this.#wanted.size)
  }

  async #attempt(): Promise<void> {
    const {size, sha256, url, authorization, stop} = this.#wanted
    if (size !== undefined && this.#part.size === size && this.#digest() !== sha256)
      this.#restart(undefined)
    const {headersMs, idleMs, totalMs} = this.#limits
    // a suspend counts: what was asked for a day ago is asked for anew by the next run
    const left = totalMs - (bootSecs() - this.#startedSecs) * 1000
    if (left <= 0) throw new RelError('upgrade_download_failed', 'the download took too long')
    const idle = Math.max(idleMs, this.#slowestPieceMs())
    const timeouts = {connectMs: 10_000, headersMs, idleMs: idle, totalMs: left + idle}
    const headers = {...this.#wanted.headers, ...resumeHeaders(this.#part)}
    const opened = await openAnswer({url, authorization, headers, stop}, timeouts)
    const {answer} = opened
    const next = continuation(answer.status, answer.headers, this.#part, size)
    if (next.act === 'refuse') throw this.#refused(await problemOf(answer, opened.url, headersMs))
    if (next.act === 'drop') {
      answer.drop()
      this.#restart(undefined)
      throw new RelError('upgrade_download_failed', 'the source gives another part', {
        details: {again: true},
      })
    }
    if (next.act === 'restart') this.#restart(next.etag)
    await this.#receive(answer)
  }

  #refused(problem: Awaited<ReturnType<typeof problemOf>>): RelError {
    const {status} = problem
    if ([404, 410, 451].includes(status)) {
      const now = Math.floor(Date.now() / 1000)
      const refusals = [...recentRefusals(this.#sidecar().refusals ?? [], now), now]
      this.#writeSidecar({...this.#sidecar(), refusals})
    }
    const error = statusError(problem, 'the download')
    if (error.code !== 'upgrade_source_invalid') return error
    const {details, message} = error
    return new RelError('upgrade_download_failed', message, details === undefined ? {} : {details})
  }

  async #receive(answer: OpenAnswer): Promise<void> {
    const {size} = this.#wanted
    const most = size ?? this.#mostUnsigned()
    const total = answer.length === undefined ? size : this.#part.size + answer.length
    this.#hint = answer.headers['x-bundle-hash']
    const tooLong = () => {
      answer.drop()
      this.#restart(undefined)
      return new RelError('upgrade_size_exceeded', `more than the ${most} bytes that are allowed`, {
        details: {allowed: most},
      })
    }
    if (total !== undefined && total > most) throw tooLong()
    if (total !== undefined && size !== undefined && total !== size) {
      answer.drop()
      throw this.#mismatch(`${total} bytes are announced, ${size} are signed`)
    }
    const pace = new Pace(this.#limits, this.#wanted)
    try {
      pace.waits()
      for await (const chunk of answer.body) {
        pace.got(chunk.length)
        if (this.#part.size + chunk.length > most) throw tooLong()
        if (performance.now() - this.#started - pace.sleptMs > this.#limits.totalMs)
          throw new RelError('upgrade_download_failed', 'the download took too long')
        this.#append(chunk)
        this.#onProgress(this.#part.size, total)
        await pace.rest()
        pace.waits()
      }
    } catch (error) {
      answer.drop()
      throw sourceError(error)
    }
    if (total !== undefined && this.#part.size < total)
      throw new RelError('upgrade_source_unreachable', 'the source broke off')
  }

  /** At the end of a body: whole, or to be continued, or nothing worth. */
  #checkEnd(): void {
    const {size, sha256} = this.#wanted
    if (size !== undefined && this.#part.size < size)
      throw new RelError('upgrade_source_unreachable', `${this.#part.size} of ${size} bytes came`)
    const expected = sha256 ?? hintOf(this.#hint)
    if (expected === undefined || this.#digest() === expected) return
    const wasResumed = this.#isResumed
    const error = this.#mismatch('the bytes do not have the digest that was promised')
    // what an earlier process left may have been damaged: once more, from the start
    if (wasResumed) throw new RelError(error.code, error.message, {details: {again: true}})
    throw error
  }

  #mismatch(what: string): RelError {
    this.#restart(undefined)
    this.#isResumed = false
    return new RelError('upgrade_checksum_mismatch', `the download: ${what}`)
  }

  #mostUnsigned(): number {
    const free = freeSpace(join(this.#path, '..')).bytes
    return Math.min(MAX_UNSIGNED_BYTES, Math.floor((free + this.#part.size) / 3))
  }

  /** Node hands on pieces of 64 KiB; a slow limit makes even one of them last. */
  #slowestPieceMs(): number {
    const {maxBytesPerSec} = this.#wanted
    return maxBytesPerSec === undefined ? 0 : (4 * 65_536 * 1000) / maxBytesPerSec
  }

  #append(chunk: Buffer): void {
    try {
      writing(() => {
        for (let at = 0; at < chunk.length; )
          at += writeSync(this.#fd as number, chunk, at, chunk.length - at)
      })
    } catch (error) {
      // a full disk gets everything back, so that what runs can go on writing
      if (error instanceof RelError && error.code === 'upgrade_disk_full') this.#restart(undefined)
      throw error
    }
    this.#hasher.update(chunk)
    this.#part = {...this.#part, size: this.#part.size + chunk.length}
  }

  #restart(etag: string | undefined): void {
    writing(() => ftruncateSync(this.#fd as number, 0))
    this.#hasher = createHash('sha256')
    this.#part = {size: 0, etag}
    const {refusals} = this.#sidecar()
    this.#writeSidecar({
      ...(etag === undefined ? {} : {etag}),
      ...(refusals === undefined ? {} : {refusals}),
    })
  }

  #digest(): string {
    return this.#hasher.copy().digest('hex')
  }

  #sidecar(): Sidecar {
    try {
      const text = readFileLimited(`${this.#path}.part.json`, MAX_SIDECAR_BYTES).toString('utf8')
      const {etag, refusals} = JSON.parse(text) as {etag?: unknown; refusals?: unknown}
      return {
        ...(typeof etag === 'string' && /^"[\x21\x23-\x7e]*"$/.test(etag) ? {etag} : {}),
        ...(Array.isArray(refusals) ? {refusals: refusals.filter(Number.isSafeInteger)} : {}),
      }
    } catch {
      return {} // what cannot be read is not gone on with
    }
  }

  #writeSidecar(sidecar: Sidecar): void {
    writing(() =>
      writeFileAtomic(`${this.#path}.part.json`, JSON.stringify(sidecar), {mode: 0o600}),
    )
  }

  finish(): string {
    writing(() => {
      fsyncSync(this.#fd as number)
      this.close()
      renameSync(`${this.#path}.part`, this.#path)
    })
    rmSync(`${this.#path}.part.json`, {force: true})
    return this.#path
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }
}

/** How fast bytes may come, and how slowly. */
class Pace {
  readonly #limits: DownloadLimits
  readonly #rate: number | undefined
  readonly #stop: AbortSignal | undefined
  readonly #started = performance.now()
  #bytes = 0
  #waitingSince = 0
  #waitedMs = 0
  #windowBytes = 0
  sleptMs = 0

  constructor(limits: DownloadLimits, {maxBytesPerSec, stop}: Wanted) {
    this.#limits = limits
    this.#rate = maxBytesPerSec
    this.#stop = stop
  }

  waits(): void {
    this.#waitingSince = performance.now()
  }

  /** Refuses with upgrade_download_failed when the last window was too slow. */
  got(bytes: number): void {
    const {windowMs, minBytesPerSec} = this.#limits
    this.#waitedMs += performance.now() - this.#waitingSince
    this.#bytes += bytes
    this.#windowBytes += bytes
    if (this.#waitedMs < windowMs) return
    if (this.#windowBytes < (minBytesPerSec * windowMs) / 1000)
      throw new RelError('upgrade_download_failed', 'the source sends too slowly')
    this.#waitedMs = 0
    this.#windowBytes = 0
  }

  /** Waits until the bytes so far are not more than the limit allows. */
  async rest(): Promise<void> {
    if (this.#rate === undefined) return
    const aheadMs = (this.#bytes / this.#rate) * 1000 - (performance.now() - this.#started)
    if (aheadMs < 1) return
    await pause(aheadMs, this.#stop)
    this.sleptMs += aheadMs
  }
}

/** Refuses with interrupted. */
async function pause(ms: number, stop: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(ms, undefined, stop === undefined ? {} : {signal: stop})
  } catch (cause) {
    throw new RelError('interrupted', 'the download was stopped', {cause})
  }
}

function hintOf(header: string | undefined): string | undefined {
  return header !== undefined && isDigest(header) ? header : undefined
}

/** A source that went silent within a download is a download that failed; the rest keeps its code. */
function failed(error: unknown): unknown {
  if (!(error instanceof RelError) || error.code !== 'upgrade_source_unreachable') return error
  const {details, message} = error
  return new RelError('upgrade_download_failed', message, {
    cause: error,
    ...(details === undefined ? {} : {details}),
  })
}
