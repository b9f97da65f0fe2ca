import {createHash} from 'node:crypto'
import {Readable} from 'node:stream'
import {createGunzip} from 'node:zlib'
import {digestPattern} from '../../system/digest.ts'
import {RelError} from '../../system/error.ts'
import {readFileLimited} from '../../system/files.ts'
import {sha256Hex} from '../../system/hash.ts'
import {fieldOf, MAX_STANZA_BYTES, malformed, parseStanza, type Stanza} from './deb822.ts'
import type {ListedFile, PackagesIndex} from './release-file.ts'
import {unpackXz} from './unpack-xz.ts'

/** A package as a signed index has it. */
export type PackageEntry = {
  readonly name: string
  readonly version: string
  readonly architecture: string
  /** Pre-Depends and Depends. */
  readonly depends: string
  /** Below the address of the archive; never leads out of it. */
  readonly filename: string
  readonly size: number
  /** 64 lower-case hex digits. */
  readonly sha256: string
}

/** Ubuntu's largest Packages.gz has some 20 MB, unpacked 90 MB. */
export const indexLimits = {packedBytes: 64 * 1024 * 1024, plainBytes: 512 * 1024 * 1024} as const

const SEPARATOR = Buffer.from('\n\n')
const FIRST_FIELD = Buffer.from('Package: ')
const LF = 0x0a

/**
 * The wanted packages of a downloaded index. The packed bytes are hashed before they are unpacked,
 * the plain ones on the way; nothing is returned unless both are what was signed. Refuses with
 * apt_index_mismatch, deb822_malformed, tool_missing (xz).
 */
export async function readPackages(
  path: string,
  index: PackagesIndex,
  isWanted: (name: string) => boolean,
): Promise<readonly PackageEntry[]> {
  const packed = readFileLimited(path, indexLimits.packedBytes)
  checkListed(index.packed, {sha256: sha256Hex(packed), size: packed.length})
  const hasher = createHash('sha256')
  const scanner = new StanzaScanner(isWanted)
  const limit = index.plain?.size ?? indexLimits.plainBytes
  let size = 0
  try {
    for await (const chunk of unpacked(packed, index.compression)) {
      size += chunk.length
      if (size > limit) throw mismatch(`more than ${limit} bytes`)
      hasher.update(chunk)
      scanner.push(chunk)
    }
  } catch (error) {
    if (error instanceof RelError) throw error
    throw new RelError('apt_index_mismatch', 'the package index does not unpack', {cause: error})
  }
  if (index.plain !== undefined) checkListed(index.plain, {sha256: hasher.digest('hex'), size})
  return scanner.end().map(parsePackage)
}

function unpacked(
  packed: Buffer,
  compression: PackagesIndex['compression'],
): AsyncIterable<Buffer> {
  if (compression === 'gz') return Readable.from([packed]).pipe(createGunzip({chunkSize: 1 << 18}))
  if (compression === 'xz') return unpackXz(Readable.from([packed]))
  return Readable.from([packed])
}

function checkListed(signed: ListedFile, seen: ListedFile): void {
  if (seen.size !== signed.size) throw mismatch(`${seen.size} bytes, signed are ${signed.size}`)
  if (seen.sha256 !== signed.sha256)
    throw mismatch(`SHA-256 ${seen.sha256}, signed is ${signed.sha256}`)
}

function mismatch(seen: string): RelError {
  return new RelError('apt_index_mismatch', `the package index has ${seen}`)
}

/** Splits an index at its empty lines and keeps the stanzas of wanted packages: sid has 70,000. */
class StanzaScanner {
  readonly #isWanted: (name: string) => boolean
  readonly #kept: Stanza[] = []
  #rest: Buffer = Buffer.alloc(0)

  constructor(isWanted: (name: string) => boolean) {
    this.#isWanted = isWanted
  }

  push(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let start = 0
    for (;;) {
      const end = bytes.indexOf(SEPARATOR, start)
      if (end === -1) break
      this.#take(bytes, start, end)
      start = end + SEPARATOR.length
    }
    this.#rest = bytes.subarray(start)
    if (this.#rest.length > MAX_STANZA_BYTES)
      throw malformed(`a stanza of more than ${MAX_STANZA_BYTES} bytes`)
  }

  /** The stanzas that were wanted. */
  end(): readonly Stanza[] {
    if (this.#rest.length > 0) this.#take(this.#rest, 0, this.#rest.length)
    return this.#kept
  }

  #take(bytes: Buffer, start: number, end: number): void {
    const nameAt = start + FIRST_FIELD.length
    if (nameAt > end || bytes.compare(FIRST_FIELD, 0, FIRST_FIELD.length, start, nameAt) !== 0) {
      this.#takeUnusual(bytes.toString('utf8', start, end))
      return
    }
    const lineEnd = bytes.indexOf(LF, nameAt)
    const nameEnd = lineEnd === -1 || lineEnd > end ? end : lineEnd
    if (!this.#isWanted(bytes.toString('latin1', nameAt, nameEnd))) return
    this.#kept.push(parseStanza(bytes.toString('utf8', start, end), 'the package index'))
  }

  /** The name of the package may stand anywhere in its stanza (deb822(5)). */
  #takeUnusual(text: string): void {
    if (/^\s*$/.test(text)) return
    const stanza = parseStanza(text.replace(/^\n+/, ''), 'the package index')
    if (this.#isWanted(fieldOf(stanza, 'Package', 'the package index'))) this.#kept.push(stanza)
  }
}

function parsePackage(stanza: Stanza): PackageEntry {
  const name = fieldOf(stanza, 'Package', 'the package index')
  const one = (field: string) => fieldOf(stanza, field, `the package ${name}`)
  const depends = ['pre-depends', 'depends'].map((field) => stanza.get(field) ?? '')
  return {
    name: checked(name, /^[a-z0-9][a-z0-9+.-]{0,199}$/, 'name'),
    version: one('Version'),
    architecture: one('Architecture'),
    depends: depends.filter((text) => text !== '').join(', '),
    filename: checked(
      one('Filename'),
      /^(?!\/)(?!(?:.*\/)?\.\.?(?:\/|$))[\w./+~%:=-]{1,1000}$/,
      'Filename',
    ),
    size: Number(checked(one('Size'), /^[1-9][0-9]{0,14}$/, 'Size')),
    sha256: checked(one('SHA256'), digestPattern, 'SHA256'),
  }
}

function checked(text: string, form: RegExp, what: string): string {
  if (form.test(text)) return text
  throw malformed(`a package has the ${what} ${JSON.stringify(text.slice(0, 120))}`)
}
