/** Bytes from `start` to `end`, exclusive. */
export type ByteRange = {readonly start: number; readonly end: number}

/** What a Range header asks for. */
export type RangeAnswer =
  /** No range, or one that is to be ignored (RFC 9110 section 14.2): the whole. */
  | {readonly kind: 'whole'}
  | {readonly kind: 'ranges'; readonly ranges: readonly ByteRange[]}
  /** None of them is inside the representation: 416. */
  | {readonly kind: 'unsatisfiable'}

/** More ranges than a delta update needs; what asks for more gets the whole (RFC 9110 17.15). */
const MAX_RANGES = 32
const MAX_HEADER = 4096

/** An entity tag (RFC 9110 section 8.8.3), the weak mark in front of it optional. */
const entityTag = /(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g

/**
 * Whether If-None-Match names the current strong entity tag: `*`, a list, and weak forms count, for
 * the comparison is the weak one (RFC 9110 section 13.1.2).
 */
export function matchesNone(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header === etag) return true
  if (header.length > MAX_HEADER) return false
  if (header.trim() === '*') return true
  return (header.match(entityTag) ?? []).some((tag) => tag.replace(/^W\//, '') === etag)
}

/**
 * Whether If-Range allows a range: absent, or exactly the strong entity tag (RFC 9110 13.1.5). A date
 * never fits, since no Last-Modified is sent.
 */
export function allowsRange(ifRange: string | undefined, etag: string): boolean {
  return ifRange === undefined || ifRange.trim() === etag
}

/**
 * The ranges of a header over `size` bytes, in the order asked for. What is malformed, of another
 * unit, too long, or adds up to more than the whole, is ignored as RFC 9110 section 14.2 allows.
 */
export function parseRange(header: string | undefined, size: number): RangeAnswer {
  const whole = {kind: 'whole'} as const
  if (header === undefined || header.length > MAX_HEADER) return whole
  const list = /^bytes=(.+)$/i.exec(header.trim())?.[1]
  if (list === undefined) return whole
  const specs = list.split(',').map((spec) => spec.trim())
  if (specs.length > MAX_RANGES) return whole
  const ranges: ByteRange[] = []
  for (const spec of specs) {
    const range = rangeOf(spec, size)
    if (range === 'malformed') return whole
    if (range !== 'outside') ranges.push(range)
  }
  if (ranges.length === 0) return {kind: 'unsatisfiable'}
  const sum = ranges.reduce((total, {start, end}) => total + end - start, 0)
  return ranges.length > 1 && sum > size ? whole : {kind: 'ranges', ranges}
}

function rangeOf(spec: string, size: number): ByteRange | 'malformed' | 'outside' {
  const match = /^([0-9]{0,16})-([0-9]{0,16})$/.exec(spec)
  if (match === null || spec === '-') return 'malformed'
  const [, first = '', last = ''] = match
  if (first === '') {
    const suffix = Number(last)
    return suffix === 0 || size === 0 ? 'outside' : {start: Math.max(0, size - suffix), end: size}
  }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return 'malformed'
  if (start >= size) return 'outside'
  return {start, end: last === '' ? size : Math.min(size, Number(last) + 1)}
}

/** The head of one part of `multipart/byteranges` (RFC 9110 section 14.6). */
export function partHead(boundary: string, {start, end}: ByteRange, size: number): string {
  return `\r\n--${boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes ${start}-${end - 1}/${size}\r\n\r\n`
}

/** What closes `multipart/byteranges`. */
export function partsEnd(boundary: string): string {
  return `\r\n--${boundary}--\r\n`
}
