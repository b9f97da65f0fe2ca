import {RelError} from '../../system/error.ts'
import {admitSidecar, checkManifestFirst, isSidecar} from '../archive/admission.ts'
import {type ArchiveSource, openArchive} from '../archive/decompress.ts'
import {archiveLimits} from '../archive/limits.ts'
import {type TarEntry, TarReader, type TarToken} from '../archive/tar-reader.ts'
import {MANIFEST_NAME} from '../manifest.ts'
import {shownPath} from '../path-rules.ts'
import type {Sidecars} from '../vouched-sidecars.ts'
import {DELTA_NAME, deltaFailed, deltaLimits} from './delta-document.ts'

/** The entry of the file that is the n-th in delta.json. No path of a tree is a name in a delta. */
export function entryName(at: number): string {
  return `data/${at}`
}

/**
 * A delta in one pass, entry by entry in the one order of docs/formats/delta.md: whoever reads it
 * says what comes next, and everything else is refused with upgrade_delta_failed. A disk that cannot
 * be read keeps its code (file_missing, file_unreadable).
 */
export class DeltaArchive {
  readonly #source: ArchiveSource
  readonly #tokens: AsyncGenerator<TarToken>
  /** True until something signed says how much there may be. */
  #isUnsized = true
  #entry: TarEntry | undefined
  #bytes: Buffer = Buffer.alloc(0)

  constructor(path: string) {
    this.#source = ofDelta(() => openArchive(path))
    this.#tokens = this.#read()
  }

  close(): void {
    this.#source.close()
  }

  /** manifest.json and the sidecars behind it, their sizes within their limits. */
  async head(): Promise<Sidecars> {
    const found = new Map<string, Buffer>()
    const seen = new Set<string>()
    for (let entry = await this.#peek(); entry !== undefined; entry = await this.#peek()) {
      const current = entry
      if (seen.size === 0) ofDelta(() => checkManifestFirst(current))
      if (!isSidecar(current)) break
      const name = ofDelta(() => admitSidecar(current, seen))
      found.set(name, await this.#body(current))
    }
    if (found.has(MANIFEST_NAME)) return found
    throw deltaFailed('it has no manifest.json')
  }

  /** delta.json, which stands behind the head. */
  async document(): Promise<Buffer> {
    const entry = await this.#expect(DELTA_NAME)
    if (entry.size > deltaLimits.bytes)
      throw deltaFailed(`${DELTA_NAME} has ${entry.size} bytes, at most ${deltaLimits.bytes}`)
    const bytes = await this.#body(entry)
    this.#isUnsized = false
    return bytes
  }

  /** Goes to the next entry, which must be this one. */
  async open(name: string, size: number): Promise<void> {
    const entry = await this.#expect(name)
    if (entry.size !== size)
      throw deltaFailed(`${name} has ${entry.size} bytes, ${size} were expected`)
    this.#entry = undefined
  }

  /** Bytes of the open entry, at most so many, valid until the next call; the entry must have them. */
  async some(most: number): Promise<Buffer> {
    while (this.#bytes.length === 0) {
      const token = await this.#next()
      if (token?.kind !== 'data') throw deltaFailed('an entry is shorter than it should be')
      this.#bytes = token.bytes
    }
    const bytes = this.#bytes.subarray(0, most)
    this.#bytes = this.#bytes.subarray(bytes.length)
    return bytes
  }

  /** Exactly so many bytes of the open entry, the caller's own. */
  async take(size: number): Promise<Buffer> {
    const whole = Buffer.allocUnsafeSlow(size)
    for (let at = 0; at < size; ) at += (await this.some(size - at)).copy(whole, at)
    return whole
  }

  /** After the last byte of the open entry. */
  async end(): Promise<void> {
    if (this.#bytes.length > 0 || (await this.#next())?.kind !== 'end')
      throw deltaFailed('an entry is longer than it should be')
  }

  /** That nothing follows, to the last byte of the file. */
  async finish(): Promise<void> {
    const token = await this.#next()
    if (token !== undefined) throw deltaFailed('it has an entry that is not in delta.json')
  }

  async #body(entry: TarEntry): Promise<Buffer> {
    this.#entry = undefined
    const bytes = await this.take(entry.size)
    await this.end()
    return bytes
  }

  async #expect(name: string): Promise<TarEntry> {
    const entry = await this.#peek()
    if (entry?.path === name && entry.type === 'file') return entry
    const seen = entry === undefined ? 'its end' : shownPath(entry.path)
    throw deltaFailed(`${name} was expected, not ${seen}`)
  }

  async #peek(): Promise<TarEntry | undefined> {
    if (this.#entry !== undefined) return this.#entry
    const token = await this.#next()
    if (token === undefined) return undefined
    if (token.kind !== 'entry') throw new RelError('internal_error', 'an entry was not read')
    this.#entry = token.entry
    return token.entry
  }

  async #next(): Promise<TarToken | undefined> {
    try {
      const {value, done} = await this.#tokens.next()
      return done === true ? undefined : value
    } catch (error) {
      throw asDeltaError(error)
    }
  }

  async *#read(): AsyncGenerator<TarToken> {
    const reader = new TarReader()
    let inflated = 0
    for await (const bytes of this.#source.tar) {
      inflated += bytes.length
      const most = archiveLimits.ratioFrom + archiveLimits.ratio * this.#source.bytesRead()
      if (this.#isUnsized && inflated > most)
        throw new RelError('archive_limit', `what nobody has signed inflates to over ${most} bytes`)
      reader.feed(bytes)
      for (let token = reader.next(); token !== undefined; token = reader.next()) yield token
    }
    reader.finish()
  }
}

function ofDelta<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw asDeltaError(error)
  }
}

/** Whatever is wrong with its bytes is one thing to a node: it fetches the whole. */
function asDeltaError(error: unknown): unknown {
  if (!(error instanceof RelError)) return error
  const isLocal = ['upgrade_delta_failed', 'file_missing', 'file_unreadable', 'internal_error']
  return isLocal.includes(error.code) ? error : deltaFailed(error.message, error)
}
