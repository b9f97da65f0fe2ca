import {RelError} from '../system/error.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'

/** Text is handed on in pieces of about this many UTF-16 units: enough to make hashing cheap. */
const PIECE_LENGTH = 65_536

/** An object or array in the middle of being written. */
type Frame = {
  readonly value: readonly JsonValue[] | JsonObject
  /** Sorted; undefined for an array. */
  readonly keys: readonly string[] | undefined
  readonly length: number
  /** The member to write next. */
  next: number
}

/**
 * RFC 8785 (JCS): no white space, keys sorted by UTF-16 code units, numbers as ECMAScript prints
 * them. Refuses with json_surrogate and json_number what has no canonical form.
 */
export function canonicalJson(value: JsonValue): string {
  return [...canonicalPieces(value)].join('')
}

/** canonicalJson in pieces, so that the form of a large document is hashed without being held. */
export function* canonicalPieces(value: JsonValue): Generator<string, void, undefined> {
  const open: Frame[] = []
  let piece = begin(value, open)
  for (let frame = open.at(-1); frame !== undefined; frame = open.at(-1)) {
    if (frame.next === frame.length) {
      piece += frame.keys === undefined ? ']' : '}'
      open.pop()
    } else {
      piece += separator(frame) + begin(member(frame), open)
    }
    if (piece.length < PIECE_LENGTH) continue
    yield piece
    piece = ''
  }
  yield piece
}

/** The whole of a scalar, or the bracket of a container, which is then open. */
function begin(value: JsonValue, open: Frame[]): string {
  if (typeof value !== 'object' || value === null) return scalar(value)
  if (isArray(value)) {
    open.push({value, keys: undefined, length: value.length, next: 0})
    return '['
  }
  const keys = sortedKeys(value)
  open.push({value, keys, length: keys.length, next: 0})
  return '{'
}

function separator(frame: Frame): string {
  const comma = frame.next === 0 ? '' : ','
  const key = frame.keys?.[frame.next]
  return key === undefined ? comma : `${comma}${quoted(key)}:`
}

function member(frame: Frame): JsonValue {
  const at = frame.keys?.[frame.next] ?? frame.next
  frame.next++
  return (frame.value as {readonly [key: string | number]: JsonValue})[at] as JsonValue
}

/** Array.isArray that also narrows readonly arrays. */
function isArray(value: readonly JsonValue[] | JsonObject): value is readonly JsonValue[] {
  return Array.isArray(value)
}

/** By UTF-16 code units, RFC 8785 section 3.2.3; documents written by rel are sorted already. */
function sortedKeys(value: JsonObject): readonly string[] {
  const keys = Object.keys(value)
  for (let at = 1; at < keys.length; at++) {
    if ((keys[at - 1] as string) > (keys[at] as string)) return keys.sort()
  }
  return keys
}

function scalar(value: string | number | boolean | null): string {
  if (typeof value === 'string') return quoted(value)
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new RelError('json_number', `${value} has no JSON form`)
  // JSON.stringify prints numbers as RFC 8785 section 3.2.2.3 wants them, -0 as 0
  const text: string | undefined = JSON.stringify(value)
  if (text === undefined)
    throw new RelError('internal_error', `a value of type ${typeof value} has no JSON form`)
  return text
}

/** Printable ASCII but for the two characters that are escaped. */
const plainText = /^[ !#-[\]-~]*$/
/** With the u flag a pair is one character, so this finds halves alone. */
const loneSurrogate = /\p{Surrogate}/u

/** Well-formed JSON.stringify escapes exactly what RFC 8785 section 3.2.2.2 escapes. */
function quoted(text: string): string {
  if (plainText.test(text)) return `"${text}"`
  if (loneSurrogate.test(text))
    throw new RelError('json_surrogate', 'half of a surrogate pair has no canonical form')
  return JSON.stringify(text)
}
