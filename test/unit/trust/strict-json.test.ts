import {readdirSync, readFileSync} from 'node:fs'
import fc from 'fast-check'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {jsonCodes} from '../../../src/system/codes/json.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {RelError} from '../../../src/system/error.ts'
import type {JsonValue} from '../../../src/system/json.ts'
import {type JsonLimits, parseStrictJson} from '../../../src/trust/strict-json.ts'
import {throwsCode} from '../../support/rejects.ts'

const vectors = new URL('../../vectors/json/', import.meta.url)
const limits: JsonLimits = {bytes: 4096, values: 100, depth: 4}

function parse(text: string, extra: Partial<JsonLimits> = {}): JsonValue {
  return parseStrictJson(Buffer.from(text), {...limits, ...extra})
}

/** Objects of the reader inherit nothing, so they are compared as text. */
function same(value: JsonValue, expected: JsonValue): void {
  assert.is(JSON.stringify(value), JSON.stringify(expected))
}

for (const code of readdirSync(new URL('refused/', vectors))) {
  for (const name of readdirSync(new URL(`refused/${code}/`, vectors))) {
    test(`refuses ${code}/${name}`, () => {
      const bytes = readFileSync(new URL(`refused/${code}/${name}`, vectors))
      throwsCode(() => parseStrictJson(bytes, limits), code as ErrorCode)
    })
  }
}

test('every code of the reader has a vector', () => {
  const codes = Object.keys(jsonCodes)
  assert.equal(readdirSync(new URL('refused/', vectors)).sort(), codes.sort())
})

for (const name of readdirSync(new URL('good/', vectors))) {
  test(`accepts good/${name}`, () => {
    const bytes = readFileSync(new URL(`good/${name}`, vectors))
    same(parseStrictJson(bytes, limits), JSON.parse(bytes.toString()))
  })
}

test('the general profile takes null and every finite number, nothing else more', () => {
  same(parse('[null,-1.5e3,0.1,-0]', {profile: 'general'}), [null, -1500, 0.1, 0])
  throwsCode(() => parse('[1e400]', {profile: 'general'}), 'json_number')
  throwsCode(() => parse('{"a":null,"a":1}', {profile: 'general'}), 'json_duplicate_key')
  throwsCode(() => parse('[01]', {profile: 'general'}), 'json_syntax')
})

test('objects inherit nothing and pollute nothing', () => {
  const object = parse('{"constructor":{"prototype":{"polluted":1}}}') as {[key: string]: unknown}
  assert.is(object.toString, undefined)
  assert.is((parse('{}') as {[key: string]: unknown}).constructor, undefined)
  assert.is(({} as {[key: string]: unknown}).polluted, undefined)
})

test('what objects inherit from cannot be changed through one of them', () => {
  const prototype = Object.getPrototypeOf(parse('{}'))
  assert.is(Object.getPrototypeOf(prototype), null)
  assert.ok(Object.isFrozen(prototype))
})

const positions: [string, string, ErrorCode, {offset: number; line: number; column: number}][] = [
  ['first byte', 'x', 'json_syntax', {offset: 0, line: 1, column: 1}],
  ['second line', '{\n  "a": x}', 'json_syntax', {offset: 9, line: 2, column: 8}],
  ['after two bytes of one letter', '["é",x]', 'json_syntax', {offset: 6, line: 1, column: 6}],
  ['second key', '{"a":1,\n"a":2}', 'json_duplicate_key', {offset: 8, line: 2, column: 1}],
]
for (const [title, text, code, position] of positions) {
  test(`tells the position: ${title}`, () => {
    assert.equal(throwsCode(() => parse(text), code).details, position)
  })
}

test('tells the first byte that is not UTF-8, also after a genuine replacement character', () => {
  const bytes = Buffer.concat([Buffer.from('"é😀\ufffd'), Buffer.from([0xe2, 0x28, 0x22])])
  const refusal = throwsCode(() => parseStrictJson(bytes, limits), 'json_utf8')
  assert.equal(refusal.details, {offset: 10})
})

test('a failure at the end of millions of lines is told without a copy of them', () => {
  const bytes = Buffer.alloc(3_000_000, '\n')
  bytes[bytes.length - 1] = 0x78
  const refusal = throwsCode(
    () => parseStrictJson(bytes, {...limits, bytes: bytes.length}),
    'json_syntax',
  )
  assert.equal(refusal.details, {offset: 2_999_999, line: 3_000_000, column: 1})
})

test('says nothing of the content in its messages', () => {
  const cases: [string, ErrorCode][] = [
    ['{"secret":1,"secret":2}', 'json_duplicate_key'],
    ['["secret', 'json_syntax'],
    ['{"a":"\\u0000secret"}', 'json_nul'],
    ['secret', 'json_syntax'],
    ['[1]secret', 'json_trailing'],
  ]
  for (const [text, code] of cases)
    assert.not.match(throwsCode(() => parse(text), code).message, 'secret')
})

/** Keys that JSON.parse and the restricted profile both take. */
const key = fc
  .string({unit: 'grapheme', maxLength: 8})
  .filter((text) => text !== '__proto__' && !text.includes('\0'))
const {value: restricted} = fc.letrec<{value: JsonValue}>((tie) => ({
  value: fc.oneof(
    {maxDepth: 4, withCrossShrink: true},
    fc.maxSafeNat(),
    fc.boolean(),
    key,
    fc.array(tie('value'), {maxLength: 4}),
    fc.dictionary(key, tie('value'), {maxKeys: 4, noNullPrototype: true}),
  ),
}))

test('property: reads what JSON.stringify wrote, with and without white space', () => {
  fc.assert(
    fc.property(restricted, fc.constantFrom(undefined, '\t', '\r\n '), (value, space) => {
      const text = JSON.stringify(value, undefined, space)
      same(parse(text, {depth: 8, bytes: 1_000_000, values: 10_000}), JSON.parse(text))
    }),
    {numRuns: 500},
  )
})

test('property: whatever is accepted means what JSON.parse says', () => {
  const token = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '"b"',
    '"\\u0041"',
    '"',
    '\\',
    '0',
    '12',
    '-',
    '.5',
    'e1',
    'true',
    'null',
    ' ',
    '\n',
    '\u00a0',
    '\ud800',
    '__proto__',
    '"__proto__"',
  )
  fc.assert(
    fc.property(fc.array(token, {maxLength: 12}), (tokens) => {
      const text = tokens.join('')
      const value = attempt(() => parse(text))
      if (value !== undefined) same(value, JSON.parse(Buffer.from(text).toString()))
    }),
    {numRuns: 5000},
  )
})

test('property: whatever JSON.parse refuses is refused, byte by byte', () => {
  const start = Buffer.from('{"a":[1,{"b":"\\u00e9é"},true],"c":{}}')
  fc.assert(
    fc.property(fc.nat(start.length - 1), fc.nat(255), (at, byte) => {
      const bytes = Buffer.from(start)
      bytes[at] = byte
      const value = attempt(() => parseStrictJson(bytes, limits))
      if (value !== undefined) same(value, JSON.parse(bytes.toString()))
    }),
    {numRuns: 5000},
  )
})

/** undefined when refused by a code; anything else thrown fails the test. */
function attempt<T>(call: () => T): T | undefined {
  try {
    return call()
  } catch (error) {
    if (error instanceof RelError) return undefined
    throw error
  }
}

test.run()
