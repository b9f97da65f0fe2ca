import type {ErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import type {JsonValue} from '../system/json.ts'
import {isValidUtf8} from '../system/utf8.ts'

export type JsonLimits = {
  /** Bytes of the whole document. */
  readonly bytes: number
  /** Objects and arrays inside each other; `[]` has depth 1. */
  readonly depth: number
  /**
   * Values of all kinds, 2,000,000 when not given: a manifest of 262,144 files has 1.4 million. An
   * empty object is three bytes of text and many more of memory.
   */
  readonly values?: number
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
  if (!isValidUtf8(bytes)) throw notUtf8(bytes)
  return new Reader(bytes, limits).document()
}

function notUtf8(bytes: Uint8Array): RelError {
  const offset = firstInvalidByte(bytes)
  const message = `invalid UTF-8 at byte ${offset} of the JSON`
  return new RelError('json_utf8', message, {details: {offset}})
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

const MAX_VALUES = 2_000_000

const NEWLINE = 0x0a
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

/**
 * RFC 8259 by recursive descent over valid UTF-8; `at` is the next byte to read. Text is made of
 * the strings alone: a decoded copy of a whole manifest would double the memory it takes.
 */
class Reader {
  readonly #bytes: Buffer
  readonly #maxDepth: number
  readonly #maxValues: number
  readonly #general: boolean
  #at = 0
  #depth = 0
  #values = 0

  constructor(bytes: Uint8Array, limits: JsonLimits) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#maxDepth = limits.depth
    this.#maxValues = limits.values ?? MAX_VALUES
    this.#general = limits.profile === 'general'
  }

  document(): JsonValue {
    this.#skipSpace()
    const value = this.#value()
    this.#skipSpace()
    if (this.#at < this.#bytes.length)
      this.#refuse('json_trailing', 'more text after the JSON document')
    return value
  }

  #value(): JsonValue {
    this.#values++
    if (this.#values > this.#maxValues)
      this.#refuse('json_too_many_values', `more than ${this.#maxValues} values`)
    const byte = this.#bytes[this.#at] ?? 0
    if (byte === QUOTE) return this.#string()
    if (byte === OPEN_BRACE) return this.#object()
    if (byte === OPEN_BRACKET) return this.#array()
    if (byte === 0x2d || (byte >= ZERO && byte <= NINE)) return this.#number()
    return this.#word()
  }

  #object(): JsonValue {
    this.#enter()
    const object = new bareObject()
    if (!this.#closes(CLOSE_BRACE)) {
      do {
        this.#skipSpace()
        const keyAt = this.#at
        if (this.#bytes[keyAt] !== QUOTE) this.#expected('a key in quotes')
        const key = this.#string()
        if (key === '__proto__') this.#refuse('json_forbidden_key', 'key __proto__', keyAt)
        if (object[key] !== undefined)
          this.#refuse('json_duplicate_key', 'a key given twice', keyAt)
        this.#skipSpace()
        if (this.#bytes[this.#at] !== COLON) this.#expected('a colon')
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
    if (this.#bytes[this.#at] !== bracket) return false
    this.#at++
    return true
  }

  /** After a member: true past a comma, false past the closing bracket. */
  #continues(bracket: number): boolean {
    this.#skipSpace()
    if (this.#closes(bracket)) return false
    if (this.#bytes[this.#at] !== COMMA)
      this.#expected(`a comma or ${String.fromCharCode(bracket)}`)
    this.#at++
    return true
  }

  #string(): string {
    const bytes = this.#bytes
    const start = this.#at + 1
    let end = start
    let all = 0
    for (; ; end++) {
      const byte = bytes[end]
      if (byte === QUOTE) break
      if (byte === BACKSLASH) return this.#stringWithEscapes(start)
      // undefined, the end of the document, fails this comparison as well
      if (!((byte as number) >= 0x20)) this.#brokenString(end)
      all |= byte as number
    }
    this.#at = end + 1
    // for ASCII both encodings say the same, and latin1 is the faster one
    return bytes.toString(all < 0x80 ? 'latin1' : 'utf8', start, end)
  }

  #stringWithEscapes(start: number): string {
    const bytes = this.#bytes
    const parts: string[] = []
    let from = start
    for (let at = start; ; at++) {
      const byte = bytes[at]
      if (byte === QUOTE || byte === BACKSLASH) {
        parts.push(bytes.toString('utf8', from, at))
        this.#at = at + 1
        if (byte === QUOTE) break
        parts.push(this.#escape())
        from = this.#at
        at = from - 1
      } else if (!((byte as number) >= 0x20)) this.#brokenString(at)
    }
    return parts.join('')
  }

  #brokenString(at: number): never {
    if (at >= this.#bytes.length) this.#refuse('json_syntax', 'the JSON ends inside a string', at)
    return this.#refuse('json_syntax', 'a control character inside a string', at)
  }

  #escape(): string {
    const backslash = this.#at - 1
    const letter = String.fromCharCode(this.#bytes[this.#at] ?? 0)
    this.#at++
    if (letter !== 'u')
      return escapes.get(letter) ?? this.#refuse('json_syntax', 'an unknown escape', backslash)
    const unit = this.#hexUnit(backslash)
    if (unit === 0) this.#refuse('json_nul', 'the character NUL in a string', backslash)
    if (unit < 0xd800 || unit > 0xdfff) return String.fromCharCode(unit)
    if (unit < 0xdc00 && this.#latin1(this.#at, this.#at + 2) === '\\u') {
      this.#at += 2
      const low = this.#hexUnit(backslash)
      if (low >= 0xdc00 && low <= 0xdfff) return String.fromCharCode(unit, low)
    }
    return this.#refuse('json_surrogate', 'half of a surrogate pair in a string', backslash)
  }

  #hexUnit(backslash: number): number {
    const digits = this.#latin1(this.#at, this.#at + 4)
    if (!/^[0-9A-Fa-f]{4}$/.test(digits))
      this.#refuse('json_syntax', 'an escape \\u without four hex digits', backslash)
    this.#at += 4
    return Number.parseInt(digits, 16)
  }

  #latin1(start: number, end: number): string {
    return this.#bytes.toString('latin1', start, end)
  }

  #number(): number {
    const start = this.#at
    const token = this.#token(isNumberByte)
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
    const token = this.#token(isLetter)
    if (token === 'true') return true
    if (token === 'false') return false
    if (token !== 'null') this.#expected('a value', start)
    if (!this.#general) this.#refuse('json_null', 'a value is null', start)
    return null
  }

  #token(belongs: (byte: number) => boolean): string {
    const start = this.#at
    while (belongs(this.#bytes[this.#at] ?? 0)) this.#at++
    return this.#latin1(start, this.#at)
  }

  #skipSpace(): void {
    const bytes = this.#bytes
    let at = this.#at
    for (;;) {
      const byte = bytes[at]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
      at++
    }
    this.#at = at
  }

  #expected(what: string, at = this.#at): never {
    const seen = at < this.#bytes.length ? `${what} was expected` : `the JSON ends before ${what}`
    return this.#refuse('json_syntax', seen, at)
  }

  /** Says where, never what: the text is not trusted enough to be printed. */
  #refuse(code: ErrorCode, seen: string, at = this.#at): never {
    const bytes = this.#bytes
    let line = 1
    let start = 0
    for (
      let end = bytes.indexOf(NEWLINE);
      end >= 0 && end < at;
      end = bytes.indexOf(NEWLINE, start)
    ) {
      line++
      start = end + 1
    }
    const column = bytes.toString('utf8', start, at).length + 1
    const message = `${seen} (line ${line}, column ${column} of the JSON)`
    throw new RelError(code, message, {details: {offset: at, line, column}})
  }
}

function isNumberByte(byte: number): boolean {
  return (
    (byte >= ZERO && byte <= NINE) ||
    isLetter(byte | 0x20) ||
    byte === 0x2b ||
    byte === 0x2d ||
    byte === 0x2e
  )
}

function isLetter(byte: number): boolean {
  return byte >= 0x61 && byte <= 0x7a
}
