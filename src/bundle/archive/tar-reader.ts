import {RelError} from '../../system/error.ts'
import {shownPath} from '../path-rules.ts'
import {archiveLimits} from './limits.ts'
import {decodeUtf8, type PaxRecords, parsePax} from './pax.ts'
import {BLOCK, decodeHeader, isZero, OCTAL_SIZE_LIMIT, type TarHeader} from './tar-header.ts'

/** An entry with its extended headers applied. */
export type TarEntry = TarHeader & {
  /** Where its bytes begin, from the beginning of the tar. */
  readonly bodyAt: number
}

/** What a tar consists of, in order: an entry, its bytes in any number of pieces, its end. */
export type TarToken =
  | {readonly kind: 'entry'; readonly entry: TarEntry}
  | {readonly kind: 'data'; readonly bytes: Buffer}
  | {readonly kind: 'end'}

type State = 'header' | 'body' | 'padding' | 'zero-block' | 'trailer'

/** An extended header (POSIX or GNU) on its way in. */
type Extension = {readonly header: TarHeader; readonly bytes: Buffer; have: number}

const END: TarToken = {kind: 'end'}

/**
 * A tar as tokens: synchronous, so that a small file costs no promise, and pulled, so that the
 * caller can wait between two tokens (for the verdict on the manifest). Feed bytes, call `next`
 * until it returns undefined, feed more, `finish` at the end. A token's bytes live until the next
 * `feed`. Entries are as strict as decodeHeader; refuses with archive_malformed, archive_truncated,
 * archive_trailing_data, archive_unsupported, archive_limit, path_not_utf8.
 */
export class TarReader {
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0
  /** Bytes of the tar before this piece. */
  #before = 0
  #state: State = 'header'
  /** A header that began in an earlier piece. */
  readonly #block = Buffer.alloc(BLOCK)
  #blockHave = 0
  #remaining = 0
  #padding = 0
  #zeros = 0
  #open = false
  #extension: Extension | undefined
  #pax: PaxRecords | undefined
  #longPath: string | undefined
  #longLink: string | undefined

  feed(bytes: Buffer): void {
    this.#before += this.#bytes.length
    this.#bytes = bytes
    this.#at = 0
  }

  next(): TarToken | undefined {
    for (;;) {
      const token = this.#step()
      if (token !== 'more') return token
    }
  }

  /** To be called when no bytes are left: was the end of the archive there? */
  finish(): void {
    if (this.#state !== 'trailer') throw new RelError('archive_truncated', 'the archive has no end')
    if (this.#zeros % BLOCK !== 0)
      throw new RelError('archive_trailing_data', 'the archive ends within a block')
  }

  #step(): TarToken | undefined | 'more' {
    switch (this.#state) {
      case 'body':
        return this.#body()
      case 'padding':
        return this.#pad()
      case 'trailer':
        return this.#trail()
      default:
        return this.#head()
    }
  }

  #body(): TarToken | undefined | 'more' {
    if (this.#remaining === 0) {
      this.#state = 'padding'
      return 'more'
    }
    const bytes = this.#take(this.#remaining)
    if (bytes.length === 0) return undefined
    this.#remaining -= bytes.length
    if (this.#extension === undefined) return {kind: 'data', bytes}
    bytes.copy(this.#extension.bytes, this.#extension.have)
    this.#extension.have += bytes.length
    return 'more'
  }

  #pad(): TarToken | undefined | 'more' {
    const bytes = this.#take(this.#padding)
    this.#padding -= bytes.length
    if (!isZero(bytes, 0, bytes.length))
      throw new RelError('archive_malformed', 'something hides in the padding of an entry')
    if (this.#padding > 0) return undefined
    this.#state = 'header'
    if (this.#open) {
      this.#open = false
      return END
    }
    if (this.#extension !== undefined) this.#extend(this.#extension)
    this.#extension = undefined
    return 'more'
  }

  #trail(): undefined {
    const bytes = this.#take(Number.POSITIVE_INFINITY)
    this.#zeros += bytes.length
    if (!isZero(bytes, 0, bytes.length) || this.#zeros > archiveLimits.trailingZeros)
      throw new RelError('archive_trailing_data', 'data follows the end of the archive')
    return undefined
  }

  #head(): TarToken | undefined | 'more' {
    const block = this.#takeBlock()
    if (block === undefined) return undefined
    if (isZero(block, 0, BLOCK)) return this.#endOfArchive()
    if (this.#state === 'zero-block')
      throw new RelError('archive_trailing_data', 'an entry follows a block of zeros')
    const header = decodeHeader(block)
    return this.#begin(header)
  }

  #endOfArchive(): 'more' {
    if (this.#isExtended())
      throw new RelError('archive_malformed', 'an extended header has no entry')
    this.#state = this.#state === 'zero-block' ? 'trailer' : 'zero-block'
    return 'more'
  }

  #begin(header: TarHeader): TarToken | 'more' {
    const {type} = header
    if (type === 'pax' || type === 'gnu-long-path' || type === 'gnu-long-link')
      return this.#beginExtension(header)
    if (type === 'pax-global' || type === 'other')
      throw new RelError('archive_unsupported', `entry of type ${JSON.stringify(header.flag)}`)
    const entry = this.#applied(header)
    // POSIX lets links and directories carry a size without bytes; readers disagree on it
    if (type !== 'file' && entry.size !== 0)
      throw new RelError('archive_malformed', `${shownPath(entry.path)}: a ${type} with a size`)
    this.#expect(entry.size)
    this.#open = true
    return {kind: 'entry', entry}
  }

  #beginExtension(header: TarHeader): 'more' {
    const {size, type} = header
    if (size === 0 || size > archiveLimits.extendedHeaderBytes)
      throw new RelError('archive_limit', `an extended header of ${size} bytes`)
    const twice = type === 'gnu-long-path' ? this.#longPath : this.#longLink
    if (this.#pax !== undefined || (type === 'pax' ? this.#isExtended() : twice !== undefined))
      throw new RelError('archive_malformed', 'an extended header follows another')
    this.#extension = {header, bytes: Buffer.alloc(size), have: 0}
    this.#expect(size)
    return 'more'
  }

  #extend({header, bytes}: Extension): void {
    if (header.type === 'pax') this.#pax = parsePax(bytes)
    else if (header.type === 'gnu-long-path') this.#longPath = longName(bytes)
    else this.#longLink = longName(bytes)
  }

  #isExtended(): boolean {
    return [this.#pax, this.#longPath, this.#longLink].some((value) => value !== undefined)
  }

  #applied(header: TarHeader): TarEntry {
    const {path, linkpath, size} = this.#pax ?? {}
    const entry = {
      ...header,
      path: path ?? this.#longPath ?? header.path,
      linkTarget: linkpath ?? this.#longLink ?? header.linkTarget,
      size: size ?? header.size,
      bodyAt: this.#before + this.#at,
    }
    // two sizes for one file let readers disagree on where the next entry begins (CVE-2025-62518)
    if (size !== undefined && size !== header.size && size <= OCTAL_SIZE_LIMIT)
      throw new RelError('archive_malformed', `${shownPath(entry.path)} has two sizes`)
    if (Buffer.byteLength(entry.path) > archiveLimits.pathBytes + 2)
      throw new RelError('archive_limit', 'a path is too long')
    this.#pax = undefined
    this.#longPath = undefined
    this.#longLink = undefined
    return entry
  }

  #expect(size: number): void {
    this.#remaining = size
    this.#padding = (BLOCK - (size % BLOCK)) % BLOCK
    this.#state = 'body'
  }

  #take(most: number): Buffer {
    const end = Math.min(this.#bytes.length, this.#at + most)
    const bytes = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return bytes
  }

  #takeBlock(): Buffer | undefined {
    if (this.#blockHave === 0 && this.#bytes.length - this.#at >= BLOCK) return this.#take(BLOCK)
    const part = this.#take(BLOCK - this.#blockHave)
    part.copy(this.#block, this.#blockHave)
    this.#blockHave += part.length
    if (this.#blockHave < BLOCK) return undefined
    this.#blockHave = 0
    return this.#block
  }
}

/** GNU's long names end in one NUL. */
function longName(bytes: Buffer): string {
  const nul = bytes.indexOf(0)
  if (nul === 0 || nul !== bytes.length - 1)
    throw new RelError('archive_malformed', 'a long name does not end at its end')
  return decodeUtf8(bytes.subarray(0, nul))
}
