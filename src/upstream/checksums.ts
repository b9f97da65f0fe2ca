import {RelError} from '../system/error.ts'
import {nearest} from '../system/nearest.ts'
import {isValidUtf8} from '../system/utf8.ts'

/** One line of a checksum file. */
export type ChecksumLine = {
  /** The last part of the path in the line: projects write `./` and build folders before it. */
  readonly name: string
  /** 64 lower-case hex digits. */
  readonly sha256: string
}

export const checksumLimits = {
  /** Kubernetes has some 40 KiB for 200 files. */
  bytes: 1024 * 1024,
  lines: 10_000,
} as const

const hex = '([0-9a-fA-F]{64})'

/**
 * The forms that projects use: GNU `sha256sum` in text and binary mode, with or without a path;
 * BSD `shasum --tag`; and `name:hash`.
 */
const forms: readonly {readonly form: RegExp; readonly name: number; readonly sha256: number}[] = [
  {form: new RegExp(`^${hex} [ *](\\S.*)$`), sha256: 1, name: 2},
  {form: new RegExp(`^${hex}[ \\t]+(\\S.*)$`), sha256: 1, name: 2},
  {form: new RegExp(`^SHA2?-?256 ?\\((.+)\\) ?= ?${hex}$`), name: 1, sha256: 2},
  {form: new RegExp(`^([^\\s:]+): ?${hex}$`), name: 1, sha256: 2},
]

/**
 * The lines of a checksum file that came from anywhere. `only` is the one file it is about when
 * it may hold a digest alone. Refuses with checksum_file_html, checksum_file_malformed.
 */
export function parseChecksums(bytes: Uint8Array, only?: string): readonly ChecksumLine[] {
  if (bytes.length > checksumLimits.bytes) throw malformed(`${bytes.length} bytes`)
  if (!isValidUtf8(bytes)) throw malformed('it is not text')
  const text = Buffer.from(bytes)
    .toString('utf8')
    .replace(/^\ufeff/, '')
  if (looksLikeHtml(text))
    throw new RelError('checksum_file_html', 'a web page came instead of a checksum file')
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '' && !/^[#;]/.test(line))
  if (lines.length === 0) throw malformed('it has no lines')
  if (lines.length > checksumLimits.lines) throw malformed(`it has ${lines.length} lines`)
  const alone = new RegExp(`^${hex}$`).exec(lines[0]?.trim() ?? '')?.[1]
  if (alone !== undefined && lines.length === 1 && only !== undefined)
    return [{name: only, sha256: alone.toLowerCase()}]
  return lines.map((line, at) => parseLine(line.trimEnd(), at + 1))
}

function parseLine(line: string, number: number): ChecksumLine {
  for (const {form, name, sha256} of forms) {
    const match = form.exec(line)
    if (match === null) continue
    return {name: baseName(match[name] ?? ''), sha256: (match[sha256] ?? '').toLowerCase()}
  }
  throw malformed(`line ${number} has no known form`)
}

/** GNU writes a backslash before the line when it has escaped the name; those are not read. */
function baseName(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1)
}

function looksLikeHtml(text: string): boolean {
  return /^\s*<(?:!doctype|html|head|body|\?xml|!--)/i.test(text)
}

/** What is known of the digests of a release beside the line that is looked for. */
export type KnownDigests = {
  /** By the interface, for the wanted file; undefined when it gives none. */
  readonly own: string | undefined
  /** By the interface, of all other files: name to digest. */
  readonly others: ReadonlyMap<string, string>
}

/**
 * The one digest that the file has for exactly this name. Refuses with checksum_contradiction,
 * checksum_repeated, checksum_missing, checksum_misnamed, checksum_swapped: what it is, is told
 * by the other lines and by what the interface says.
 */
export function checksumOf(
  lines: readonly ChecksumLine[],
  name: string,
  known: KnownDigests,
): string {
  const [line, another] = lines.filter((one) => one.name === name)
  if (line === undefined) throw missing(lines, name, known.own)
  if (another !== undefined) throw twice(lines, name)
  const owner = ownerOf(line.sha256, known)
  if (owner === undefined) return line.sha256
  const message = `the line of ${name} has the digest of ${shown(owner)}`
  throw new RelError('checksum_swapped', message)
}

/** Whose digest it really is, when the interface knows that it is another file's. */
function ownerOf(sha256: string, {own, others}: KnownDigests): string | undefined {
  if (own === sha256) return undefined // two files may have the same bytes
  return [...others].find(([, digest]) => digest === sha256)?.[0]
}

/** A name in a line that is not the wanted one but has its digest, once the bytes are known. */
export function otherNameOf(
  lines: readonly ChecksumLine[],
  name: string,
  sha256: string,
): string | undefined {
  return lines.find((line) => line.name !== name && line.sha256 === sha256)?.name
}

function missing(lines: readonly ChecksumLine[], name: string, own: string | undefined): RelError {
  const misnamed = own === undefined ? undefined : otherNameOf(lines, name, own)
  if (misnamed !== undefined)
    return new RelError(
      'checksum_misnamed',
      `the digest of ${name} stands at the name ${shown(misnamed)}`,
    )
  const names = lines.map((line) => line.name)
  const near = nearest(name, names, 3).map(shown).join(', ')
  const seen = near === '' ? `${lines.length} other names` : near
  const message = `no line has the name ${name}, seen ${seen}`
  return new RelError('checksum_missing', message)
}

function twice(lines: readonly ChecksumLine[], name: string): RelError {
  const digests = new Set(lines.filter((one) => one.name === name).map(({sha256}) => sha256))
  if (digests.size > 1)
    return new RelError('checksum_contradiction', `${digests.size} digests stand at ${name}`)
  return new RelError('checksum_repeated', `${name} stands in more than one line`)
}

/** Names in a checksum file are an attacker's: quoted and short. */
function shown(name: string): string {
  return JSON.stringify(name.slice(0, 120))
}

function malformed(seen: string): RelError {
  return new RelError('checksum_file_malformed', `not a checksum file: ${seen}`)
}
