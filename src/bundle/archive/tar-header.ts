import {RelError} from '../../system/error.ts'
import {decodeUtf8} from './pax.ts'

export const BLOCK = 512

/** The largest size that 11 octal digits can say: beyond it an extended header is needed. */
export const OCTAL_SIZE_LIMIT = 0o77777777777

/** What an entry is, by its type flag (POSIX pax, GNU tar). */
export type TarType =
  | 'file'
  | 'hardlink'
  | 'symlink'
  | 'character-device'
  | 'block-device'
  | 'directory'
  | 'fifo'
  | 'pax'
  | 'pax-global'
  | 'gnu-long-path'
  | 'gnu-long-link'
  | 'other'

/** One header block as read. Owner and times are checked and left: no bundle depends on them. */
export type TarHeader = {
  readonly path: string
  readonly type: TarType
  /** The type flag as a character, for messages. */
  readonly flag: string
  readonly size: number
  /** All bits of the mode field. */
  readonly mode: number
  readonly linkTarget: string
}

const types: Readonly<Record<string, TarType>> = {
  '\0': 'file',
  '0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character-device',
  '4': 'block-device',
  '5': 'directory',
  '6': 'fifo',
  x: 'pax',
  g: 'pax-global',
  L: 'gnu-long-path',
  K: 'gnu-long-link',
}

/** Offsets and lengths of POSIX ustar; GNU keeps other things where POSIX has the prefix. */
const field = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  flag: 156,
  linkName: [157, 100],
  magic: [257, 8],
  userName: [265, 32],
  groupName: [297, 32],
  deviceMajor: [329, 8],
  deviceMinor: [337, 8],
  prefix: [345, 155],
  /** What is left of the block behind the prefix. */
  unused: [500, 12],
  gnuRest: [345, 167],
} as const

const POSIX_MAGIC = 'ustar\x0000'
const GNU_MAGIC = 'ustar  \0'

/**
 * One header block, read strictly: a field has the digits and terminators that POSIX or GNU tar
 * write, nothing hides behind a NUL. Refuses with archive_malformed, path_not_utf8, and
 * archive_unsupported for GNU's sparse and incremental headers.
 */
export function decodeHeader(block: Buffer): TarHeader {
  checkChecksum(block)
  const magic = block.toString('latin1', field.magic[0], field.magic[0] + field.magic[1])
  if (magic !== POSIX_MAGIC && magic !== GNU_MAGIC)
    throw malformed('a header is neither POSIX ustar nor GNU')
  const flag = String.fromCharCode(block[field.flag] ?? 0)
  const type = types[flag] ?? 'other'
  const name = text(block, field.name)
  if (magic === GNU_MAGIC && !isZero(block, field.gnuRest[0], field.gnuRest[1]))
    throw new RelError('archive_unsupported', `entry ${JSON.stringify(name)} has GNU extensions`)
  const prefix = magic === POSIX_MAGIC ? text(block, field.prefix) : ''
  checkUnread(block)
  return {
    path: prefix === '' ? name : `${prefix}/${name}`,
    type,
    flag,
    size: sizeOf(block),
    mode: octal(block, field.mode[0], field.mode[1], 'mode'),
    linkTarget: text(block, field.linkName),
  }
}

const unreadNumbers = ['uid', 'gid', 'mtime', 'deviceMajor', 'deviceMinor'] as const

/**
 * Fields that nothing here depends on. Other tars stop at one that is not well-formed, some of them
 * silently, and what is behind a NUL would be carried along unseen.
 */
function checkUnread(block: Buffer): void {
  for (const name of unreadNumbers) {
    const [at, length] = field[name]
    if (!isBase256(block, at, length)) octal(block, at, length, name)
  }
  checkFilled(block, field.userName)
  checkFilled(block, field.groupName)
  if (!isZero(block, ...field.unused)) throw malformed('something hides behind a header')
}

/**
 * GNU's base-256 of at most 32 bits, or 40 for a time; 0xff begins a negative number, such as a time
 * before 1970. Other tars stop at more.
 */
function isBase256(block: Buffer, at: number, length: number): boolean {
  const [numberBytes, isTime] = length === 12 ? [5, true] : [4, false]
  const filling = block.subarray(at + 1, at + length - numberBytes)
  if (block[at] === 0x80) return filling.every((byte) => byte === 0)
  return isTime && block[at] === 0xff && filling.every((byte) => byte === 0xff)
}

/** Six digits, NUL, space (POSIX, GNU), or space, NUL (some writers); the sum of unsigned bytes. */
function checkChecksum(block: Buffer): void {
  const [at, length] = field.checksum
  const stored = block.toString('latin1', at, at + length)
  if (!/^[0-7]{6}(?:\0 | \0)$/.test(stored)) throw malformed('a header has no checksum')
  const sum = checksumOf(block)
  if (Number.parseInt(stored, 8) !== sum) throw malformed('the checksum of a header does not fit')
}

/** The sum of all bytes, those of the checksum itself counting as spaces. */
function checksumOf(block: Buffer): number {
  const [at, length] = field.checksum
  let sum = length * 0x20
  for (let i = 0; i < at; i++) sum += block[i] as number
  for (let i = at + length; i < BLOCK; i++) sum += block[i] as number
  return sum
}

function sizeOf(block: Buffer): number {
  const [at, length] = field.size
  const first = block[at] ?? 0
  if (first < 0x80) return octal(block, at, length, 'size')
  // GNU's base-256: a set top bit, then the number; a negative one begins with 0xff
  if (first !== 0x80 || !isZero(block, at + 1, length - 8) || (block[at + 5] ?? 0) > 0x1f)
    throw malformed('a size is negative or beyond any file')
  return block.readUIntBE(at + 6, 6) + (block[at + 5] ?? 0) * 2 ** 48
}

/** Octal digits, then only NUL or space; a field of zero bytes is 0, one of spaces is nothing. */
function octal(block: Buffer, at: number, length: number, what: string): number {
  let value = 0
  let digits = 0
  for (; digits < length; digits++) {
    const byte = block[at + digits] ?? 0
    if (byte < 0x30 || byte > 0x37) break
    value = value * 8 + byte - 0x30
  }
  for (let i = digits; i < length; i++) {
    const byte = block[at + i]
    if (byte !== 0 && (byte !== 0x20 || digits === 0))
      throw malformed(`a ${what} is not an octal number`)
  }
  return value
}

type Place = readonly [at: number, length: number]

function text(block: Buffer, place: Place): string {
  const end = checkFilled(block, place)
  return end === place[0] ? '' : decodeUtf8(block.subarray(place[0], end))
}

/** Where a name ends: at the first NUL, behind which there are zeros only. */
function checkFilled(block: Buffer, [at, length]: Place): number {
  const nul = block.indexOf(0, at)
  const end = nul === -1 || nul > at + length ? at + length : nul
  if (!isZero(block, end, at + length - end)) throw malformed('something hides behind a name')
  return end
}

/** True when all `length` bytes at `at` are zero. */
export function isZero(bytes: Buffer, at: number, length: number): boolean {
  const end = at + length
  for (let i = at; i < end; i++) if (bytes[i] !== 0) return false
  return true
}

/** What our own headers say; everything else in them is fixed. */
export type HeaderInput = {
  readonly path: string
  readonly flag: '0' | '2' | 'x'
  readonly size: number
  readonly mode: number
  readonly linkTarget?: string
  /** Seconds since the epoch; later than the year 2242 becomes that. */
  readonly mtime: number
}

/**
 * Writes one POSIX ustar header into `block` (512 zero bytes): owner 0, no names, no devices.
 * The caller has made sure that everything fits (fitsName, fitsLink, OCTAL_SIZE_LIMIT).
 */
export function encodeHeader(block: Buffer, input: HeaderInput): void {
  const {name, prefix} = splitName(input.path) ?? {name: input.path.slice(0, 100), prefix: ''}
  block.write(name, field.name[0], 'latin1')
  block.write(`${digits(input.mode, 7)}\x000000000\x000000000\0`, field.mode[0], 'latin1')
  block.write(`${digits(input.size, 11)}\0`, field.size[0], 'latin1')
  block.write(`${digits(Math.min(input.mtime, OCTAL_SIZE_LIMIT), 11)}\0`, 136, 'latin1')
  block[field.flag] = input.flag.charCodeAt(0)
  if (input.linkTarget !== undefined) block.write(input.linkTarget, field.linkName[0], 'latin1')
  block.write(POSIX_MAGIC, field.magic[0], 'latin1')
  block.write('0000000\x000000000\0', 329, 'latin1')
  block.write(prefix, field.prefix[0], 'latin1')
  block.write(`${digits(checksumOf(block), 6)}\0 `, field.checksum[0], 'latin1')
}

function digits(value: number, length: number): string {
  return value.toString(8).padStart(length, '0')
}

/** True when a path fits into the header's own fields, which hold ASCII only. */
export function fitsName(path: string): boolean {
  return isAscii(path) && splitName(path) !== undefined
}

/** True when the target of a link fits into its own field. */
export function fitsLink(target: string): boolean {
  return isAscii(target) && target.length <= field.linkName[1]
}

function isAscii(path: string): boolean {
  return /^[\x20-\x7e]*$/.test(path)
}

function splitName(path: string): {name: string; prefix: string} | undefined {
  const [, nameLength] = field.name
  if (path.length <= nameLength) return {name: path, prefix: ''}
  const slash = path.indexOf('/', path.length - nameLength - 1)
  if (slash === -1 || slash > field.prefix[1]) return undefined
  return {name: path.slice(slash + 1), prefix: path.slice(0, slash)}
}

function malformed(seen: string): RelError {
  return new RelError('archive_malformed', seen)
}
