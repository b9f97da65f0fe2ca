import type {ErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import type {JsonValue} from '../system/json.ts'

export type JsonLimits = {
  /** Bytes of the whole document. */
  readonly bytes: number
  /** Objects and arrays inside each other; `[]` has depth 1. */
  readonly depth: number
  /**
   * 'restricted' (when not given) is what rel signs: whole numbers from 0 to 2^53-1, no null.
   * 'general' also takes null and every finite number, for documents that others define.
   */
  readonly profile?: 'restricted' | 'general'
}

/**
 * The one value of a JSON document, or a RelError json_* with the byte offset, line and column in
 * its details (docs/formats/canonical-json.md). Objects inherit nothing: a path such as
 * `constructor` finds only what the document says.
 */
export function parseStrictJson(bytes: Uint8Array, limits: JsonLimits): JsonValue {
  if (bytes.length > limits.bytes) {
    const message = `${bytes.length} bytes of JSON, at most ${limits.bytes} are read`
    throw new RelError('json_too_large', message)
  }
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)
    throw new RelError('json_bom', 'the JSON begins with a byte order mark', {details: {offset: 0}})
  return new Reader(decodeUtf8(bytes), limits).document()
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes)
  } catch (cause) {
    const offset = firstInvalidByte(bytes)
    const message = `invalid UTF-8 at byte ${offset} of the JSON`
    throw new RelError('json_utf8', message, {cause, details: {offset}})
  }
}

/** Where a lenient decoder had to put its first replacement character. */
function firstInvalidByte(bytes: Uint8Array): number {
  const lenient = new TextDecoder('utf-8', {ignoreBOM: true}).decode(bytes)
  let offset = 0
  for (const character of lenient) {
    const genuine =
      bytes[offset] === 0xef && bytes[offset + 1] === 0xbf && bytes[offset + 2] === 0xbd
    if (character === '\ufffd' && !genuine) return offset
    offset += utf8Length(character.codePointAt(0) ?? 0)
  }
  return offset
}

function utf8Length(codePoint: number): number {
  if (codePoint < 0x80) return 1
  if (codePoint < 0x800) return 2
  return codePoint < 0x10000 ? 3 : 4
}

/** Objects that inherit nothing, yet of one shape: Object.create(null) takes five times the memory. */
function Bare(this: object): void {}
Bare.prototype = Object.freeze(Object.create(null))
const bareObject = Bare as unknown as new () => Record<string, JsonValue>

const QUOTE = 0x22
const COMMA = 0x2c
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** RFC 8259 section 7: what follows a backslash, but for u. */
const escapes = new Map(
  Object.entries({'"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t'}),
)

/** RFC 8259 by recursive descent over decoded text; `at` is the next UTF-16 unit to read. */
class Reader {
  readonly #text: string
  readonly #maxDepth: number
  readonly #general: boolean
  #at = 0
  #depth = 0

  constructor(text: string, limits: JsonLimits) {
    this.#text = text
    this.#maxDepth = limits.depth
    this.#general = limits.profile === 'general'
  }

  document(): JsonValue {
    this.#skipSpace()
    const value = this.#value()
    this.#skipSpace()
    if (this.#at < this.#text.length)
      this.#refuse('json_trailing', 'more text after the JSON document')
    return value
  }

  #value(): JsonValue {
    const unit = this.#text.charCodeAt(this.#at)
    if (unit === QUOTE) return this.#string()
    if (unit === OPEN_BRACE) return this.#object()
    if (unit === OPEN_BRACKET) return this.#array()
    if (unit === 0x2d || (unit >= ZERO && unit <= NINE)) return this.#number()
    return this.#word()
  }

  #object(): JsonValue {
    this.#enter()
    const object = new bareObject()
    if (!this.#closes(CLOSE_BRACE)) {
      do {
        this.#skipSpace()
        const keyAt = this.#at
        if (this.#text.charCodeAt(keyAt) !== QUOTE) this.#expected('a key in quotes')
        const key = this.#string()
        if (key === '__proto__') this.#refuse('json_forbidden_key', 'key __proto__', keyAt)
        if (object[key] !== undefined)
          this.#refuse('json_duplicate_key', 'a key given twice', keyAt)
        this.#skipSpace()
        if (this.#text.charCodeAt(this.#at) !== COLON) this.#expected('a colon')
        this.#at++
        this.#skipSpace()
        object[key] = this.#value()
      } while (this.#continues(CLOSE_BRACE))
    }
    this.#depth--
    return object
  }

  #array(): JsonValue {
    this.#enter()
    const array: JsonValue[] = []
    if (!this.#closes(CLOSE_BRACKET)) {
      do {
        this.#skipSpace()
        array.push(this.#value())
      } while (this.#continues(CLOSE_BRACKET))
    }
    this.#depth--
    return array
  }

  /** Past the opening bracket, one level deeper. */
  #enter(): void {
    this.#depth++
    if (this.#depth > this.#maxDepth)
      this.#refuse('json_depth', `nested more than ${this.#maxDepth} deep`)
    this.#at++
    this.#skipSpace()
  }

  #closes(bracket: number): boolean {
    if (this.#text.charCodeAt(this.#at) !== bracket) return false
    this.#at++
    return true
  }

  /** After a member: true past a comma, false past the closing bracket. */
  #continues(bracket: number): boolean {
    this.#skipSpace()
    if (this.#closes(bracket)) return false
    if (this.#text.charCodeAt(this.#at) !== COMMA)
      this.#expected(`a comma or ${String.fromCharCode(bracket)}`)
    this.#at++
    return true
  }

  #string(): string {
    const text = this.#text
    const start = this.#at + 1
    let end = start
    for (;;) {
      const unit = text.charCodeAt(end)
      if (unit === QUOTE) break
      if (unit === BACKSLASH) return this.#stringWithEscapes(start)
      // NaN, the end of the text, fails this comparison as well
      if (!(unit >= 0x20)) this.#brokenString(end)
      end++
    }
    this.#at = end + 1
    return text.slice(start, end)
  }

  #stringWithEscapes(start: number): string {
    const text = this.#text
    const parts: string[] = []
    let from = start
    for (let at = start; ; at++) {
      const unit = text.charCodeAt(at)
      if (unit === QUOTE || unit === BACKSLASH) {
        parts.push(text.slice(from, at))
        this.#at = at + 1
        if (unit === QUOTE) break
        parts.push(this.#escape())
        from = this.#at
        at = from - 1
      } else if (!(unit >= 0x20)) this.#brokenString(at)
    }
    return parts.join('')
  }

  #brokenString(at: number): never {
    if (at >= this.#text.length) this.#refuse('json_syntax', 'the JSON ends inside a string', at)
    return this.#refuse('json_syntax', 'a control character inside a string', at)
  }

  #escape(): string {
    const backslash = this.#at - 1
    const letter = this.#text.charAt(this.#at)
    this.#at++
    if (letter !== 'u')
      return escapes.get(letter) ?? this.#refuse('json_syntax', 'an unknown escape', backslash)
    const unit = this.#hexUnit(backslash)
    if (unit === 0) this.#refuse('json_nul', 'the character NUL in a string', backslash)
    if (unit < 0xd800 || unit > 0xdfff) return String.fromCharCode(unit)
    if (unit < 0xdc00 && this.#text.startsWith('\\u', this.#at)) {
      this.#at += 2
      const low = this.#hexUnit(backslash)
      if (low >= 0xdc00 && low <= 0xdfff) return String.fromCharCode(unit, low)
    }
    return this.#refuse('json_surrogate', 'half of a surrogate pair in a string', backslash)
  }

  #hexUnit(backslash: number): number {
    const digits = this.#text.slice(this.#at, this.#at + 4)
    if (!/^[0-9A-Fa-f]{4}$/.test(digits))
      this.#refuse('json_syntax', 'an escape \\u without four hex digits', backslash)
    this.#at += 4
    return Number.parseInt(digits, 16)
  }

  #number(): number {
    const start = this.#at
    const token = this.#token(/[-+.0-9A-Za-z]*/y)
    if (!/^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$/.test(token))
      this.#refuse('json_syntax', 'a malformed number', start)
    const value = Number(token)
    const accepted = this.#general
      ? Number.isFinite(value)
      : /^[0-9]+$/.test(token) && Number.isSafeInteger(value)
    if (!accepted) this.#refuse('json_number', 'a number outside 0 to 2^53-1, or not whole', start)
    return value
  }

  #word(): JsonValue {
    const start = this.#at
    const token = this.#token(/[a-z]*/y)
    if (token === 'true') return true
    if (token === 'false') return false
    if (token !== 'null') this.#expected('a value', start)
    if (!this.#general) this.#refuse('json_null', 'a value is null', start)
    return null
  }

  #token(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const token = pattern.exec(this.#text)?.[0] ?? ''
    this.#at += token.length
    return token
  }

  #skipSpace(): void {
    const text = this.#text
    let at = this.#at
    for (;;) {
      const unit = text.charCodeAt(at)
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) break
      at++
    }
    this.#at = at
  }

  #expected(what: string, at = this.#at): never {
    const seen = at < this.#text.length ? `${what} was expected` : `the JSON ends before ${what}`
    return this.#refuse('json_syntax', seen, at)
  }

  /** Says where, never what: the text is not trusted enough to be printed. */
  #refuse(code: ErrorCode, seen: string, at = this.#at): never {
    const before = this.#text.slice(0, at)
    const line = before.split('\n').length
    const column = at - before.lastIndexOf('\n')
    const offset = new TextEncoder().encode(before).length
    const message = `${seen} (line ${line}, column ${column} of the JSON)`
    throw new RelError(code, message, {details: {offset, line, column}})
  }
}
