import {execFileSync} from 'node:child_process'
import {readdirSync, readFileSync} from 'node:fs'
import fc from 'fast-check'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../src/system/codes.ts'
import type {JsonValue} from '../../../src/system/json.ts'
import {canonicalJson, canonicalPieces} from '../../../src/trust/canonical-json.ts'
import {parseStrictJson} from '../../../src/trust/strict-json.ts'
import {needs} from '../../support/needs.ts'
import {throwsCode} from '../../support/rejects.ts'

const vectors = new URL('../../vectors/jcs/', import.meta.url)

for (const name of readdirSync(new URL('input/', vectors))) {
  test(`RFC 8785: ${name}`, () => {
    const input = readFileSync(new URL(`input/${name}`, vectors))
    const expected = readFileSync(new URL(`output/${name}`, vectors), 'utf8')
    const value = parseStrictJson(input, {bytes: 4096, depth: 8, profile: 'general'})
    assert.is(canonicalJson(value), expected)
    assert.is(canonicalJson(JSON.parse(input.toString())), expected)
  })
}

test('RFC 8785 appendix B: numbers', () => {
  const lines = readFileSync(new URL('numbers.csv', vectors), 'utf8').trimEnd().split('\n')
  assert.is(lines.length, 24)
  for (const line of lines) {
    const [hex = '', expected] = line.split(',')
    assert.is(canonicalJson(Buffer.from(hex, 'hex').readDoubleBE()), expected)
  }
})

const formless: [string, JsonValue, ErrorCode][] = [
  ['NaN', Number.NaN, 'json_number'],
  ['infinity', [Number.POSITIVE_INFINITY], 'json_number'],
  ['half a pair in a string', ['\ud800'], 'json_surrogate'],
  ['half a pair in a key', {'a\udc00': 1}, 'json_surrogate'],
  ['undefined', {a: undefined as unknown as JsonValue}, 'internal_error'],
]
for (const [title, value, code] of formless) {
  test(`has no canonical form: ${title}`, () => {
    throwsCode(() => canonicalJson(value), code)
  })
}

test('a large document comes in several pieces of bounded length', () => {
  const value = Array.from({length: 20_000}, (_, at) => ({path: `file-${at}`, size: at}))
  const pieces = [...canonicalPieces(value)]
  assert.ok(pieces.length > 5)
  assert.ok(pieces.every((piece) => piece.length < 70_000))
  assert.is(pieces.join(''), JSON.stringify(value))
})

const asciiKeys = [..." !#$%'()+,-./0;=@AZ[]^_`az{}~"].map((character) => `k${character}`)

const {value: restricted} = fc.letrec<{value: JsonValue}>((tie) => ({
  value: fc.oneof(
    {maxDepth: 4},
    fc.maxSafeNat(),
    fc.boolean(),
    fc.string({maxLength: 12}),
    fc.array(tie('value'), {maxLength: 4}),
    fc.dictionary(fc.string({unit: fc.constantFrom(...asciiKeys), maxLength: 6}), tie('value'), {
      maxKeys: 5,
      noNullPrototype: true,
    }),
  ),
}))

test('property: canonical form is a fixed point, and the order of keys does not matter', () => {
  fc.assert(
    fc.property(restricted, (value) => {
      const canonical = canonicalJson(value)
      const back = parseStrictJson(Buffer.from(canonical), {bytes: 1_000_000, depth: 8})
      assert.is(canonicalJson(back), canonical)
      assert.is(canonicalJson(backwards(value)), canonical)
    }),
  )
})

function backwards(value: JsonValue): JsonValue {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(backwards)
  const entries = Object.entries(value).map(([key, item]) => [key, backwards(item)] as const)
  return Object.fromEntries(entries.reverse())
}

if (needs('python3')) {
  test('Python prints the same bytes for restricted documents', () => {
    const values = fc.sample(restricted, 300)
    const script =
      'import sys,json\nfor line in sys.stdin: print(json.dumps(json.loads(line), sort_keys=True, separators=(",",":")))'
    const input = values.map((value) => `${JSON.stringify(value)}\n`).join('')
    const lines = execFileSync('python3', ['-c', script], {input, encoding: 'utf8'}).split('\n')
    for (const [at, value] of values.entries()) assert.is(lines[at], canonicalJson(value))
  })
}

test.run()
