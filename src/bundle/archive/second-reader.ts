import {once} from 'node:events'
import {type Extract, extract, type Header} from 'tar-stream'
import {RelError} from '../../system/error.ts'
import {shownPath} from '../path-rules.ts'
import type {TarEntry} from './tar-reader.ts'

/** tar-stream tells where the bytes of an entry begin, which its types leave out. */
type SeenHeader = Header & {readonly byteOffset: number}

/**
 * A second opinion on every archive: tar-stream reads the same bytes, and the two must agree on
 * each entry's path, type, size, link target and place. What one reader sees and another does not
 * is how archives smuggle files past a check (docs/decisions/archive-readers.md).
 * Refuses with archive_readers_disagree.
 */
export class SecondReader {
  readonly #extract: Extract = extract()
  readonly #seen: SeenHeader[] = []
  readonly #expected: TarEntry[] = []
  #failure: unknown

  constructor() {
    this.#extract.on('entry', (header, stream, next) => {
      this.#seen.push(header as SeenHeader)
      stream.on('end', () => next()).resume()
    })
    this.#extract.on('error', (error: unknown) => {
      this.#failure = error
    })
  }

  /** What the first reader has found. */
  expect(entry: TarEntry): void {
    this.#expected.push(entry)
  }

  /** Resolves when all bytes were looked at, so that they may be overwritten. */
  async feed(bytes: Buffer): Promise<void> {
    if (!this.#extract.write(bytes)) await once(this.#extract, 'drain').catch(() => undefined)
    this.#compare()
  }

  async finish(): Promise<void> {
    const closed = once(this.#extract, 'close').catch(() => undefined)
    this.#extract.end(undefined)
    await closed
    this.#compare()
    if (this.#expected.length > 0 || this.#seen.length > 0) throw disagree('the number of entries')
  }

  close(): void {
    this.#extract.destroy()
  }

  #compare(): void {
    if (this.#failure !== undefined) throw disagree('whether it can be read', this.#failure)
    const count = Math.min(this.#expected.length, this.#seen.length)
    const expected = this.#expected.splice(0, count)
    const seen = this.#seen.splice(0, count)
    expected.forEach((entry, at) => {
      const header = seen[at]
      if (header === undefined || !agrees(entry, header)) throw disagree(shownPath(entry.path))
    })
  }
}

function agrees(entry: TarEntry, header: SeenHeader): boolean {
  return (
    header.name === entry.path &&
    header.type === entry.type &&
    header.size === entry.size &&
    (header.linkname ?? '') === entry.linkTarget &&
    header.byteOffset === entry.bodyAt
  )
}

function disagree(on: string, cause?: unknown): RelError {
  return new RelError('archive_readers_disagree', `two readers disagree on ${on}`, {cause})
}
