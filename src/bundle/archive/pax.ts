import {RelError} from '../../system/error.ts'
import {shownPath} from '../path-rules.ts'

/** What an extended header (POSIX pax) may say about the entry after it. */
export type PaxRecords = {
  readonly path?: string
  readonly linkpath?: string
  readonly size?: number
}

/** Facts about the machine that made the archive: nothing in a bundle depends on them. */
const ignored: readonly string[] = [
  'mtime',
  'atime',
  'ctime',
  'uid',
  'gid',
  'uname',
  'gname',
  'LIBARCHIVE.creationtime',
  'SCHILY.dev',
  'SCHILY.ino',
  'SCHILY.nlink',
]

/**
 * The records of one extended header, each `LENGTH KEY=VALUE\n` with its length in bytes.
 * Refuses with archive_malformed, and with archive_unsupported for keys that change what a file
 * is (sparse maps, extended attributes, another character set).
 */
export function parsePax(bytes: Buffer): PaxRecords {
  const records: {path?: string; linkpath?: string; size?: number} = {}
  const seen = new Set<string>()
  for (let at = 0; at < bytes.length; ) {
    const {key, value, next} = parseRecord(bytes, at)
    at = next
    if (seen.has(key)) throw malformed(`the key ${shownPath(key)} is there twice`)
    seen.add(key)
    if (key === 'path' || key === 'linkpath') records[key] = textOf(value)
    else if (key === 'size') records.size = sizeOf(value)
    else if (!ignored.includes(key))
      throw new RelError('archive_unsupported', `extended header with ${shownPath(key)}`)
  }
  return records
}

function parseRecord(bytes: Buffer, at: number): {key: string; value: Buffer; next: number} {
  const space = bytes.indexOf(0x20, at)
  const digits = space === -1 ? '' : bytes.toString('latin1', at, space)
  if (!/^[1-9][0-9]{0,5}$/.test(digits)) throw malformed('a record has no length')
  const next = at + Number(digits)
  const equals = bytes.indexOf(0x3d, space)
  if (next > bytes.length || bytes[next - 1] !== 0x0a || equals === -1 || equals >= next)
    throw malformed('a record does not end where its length says')
  return {
    key: bytes.toString('latin1', space + 1, equals),
    value: bytes.subarray(equals + 1, next - 1),
    next,
  }
}

function textOf(value: Buffer): string {
  if (value.length === 0 || value.includes(0)) throw malformed('a path is empty or holds NUL')
  return decodeUtf8(value)
}

function sizeOf(value: Buffer): number {
  const text = value.toString('latin1')
  const size = Number(text)
  if (!/^(0|[1-9][0-9]{0,15})$/.test(text) || !Number.isSafeInteger(size))
    throw malformed('a size is not a whole number')
  return size
}

const decoder = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true})

/** Text of a name in an archive. Refuses with path_not_utf8. */
export function decodeUtf8(bytes: Buffer): string {
  const text = bytes.toString('utf8')
  // the replacement character is where a lenient decoder met something else
  if (!text.includes('\ufffd')) return text
  try {
    return decoder.decode(bytes)
  } catch {
    throw new RelError('path_not_utf8', `the name ${shownPath(text)} is not UTF-8`)
  }
}

/** An extended header for what does not fit into an entry's own header. */
export function encodePax(records: PaxRecords): Buffer {
  const parts = Object.entries(records).map(([key, value]) => {
    const text = ` ${key}=${value}\n`
    const bytes = Buffer.byteLength(text)
    // the length counts its own digits, which can make it one digit longer
    let total = bytes + String(bytes).length
    if (bytes + String(total).length !== total) total = bytes + String(total).length
    return `${total}${text}`
  })
  return Buffer.from(parts.join(''), 'utf8')
}

function malformed(seen: string): RelError {
  return new RelError('archive_malformed', `extended header: ${seen}`)
}
