import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {readRequest, refusesColor, wantsJson} from '../../../src/cli/argv.ts'
import {printable, printableJson} from '../../../src/cli/printable.ts'
import {withhold} from '../../../src/cli/withhold.ts'
import {editDistance, nearest} from '../../../src/system/nearest.ts'

const ids = new Set(['sign', 'keys:new', 'keys:list', 'bump', 'bump:list'])

const requests: [string, object][] = [
  ['', {ask: 'help', words: []}],
  ['--json', {ask: 'help', words: []}],
  ['sign dist --json', {ask: 'command', id: 'sign', argv: ['dist', '--json']}],
  ['--json -q sign dist', {ask: 'command', id: 'sign', argv: ['--json', '-q', 'dist']}],
  ['keys new dev', {ask: 'command', id: 'keys:new', argv: ['dev']}],
  ['bump traefik NEW=v3', {ask: 'command', id: 'bump', argv: ['traefik', 'NEW=v3']}],
  ['bump list', {ask: 'command', id: 'bump:list', argv: []}],
  ['keys', {ask: 'help', words: ['keys']}],
  ['keys nope', {ask: 'unknown', words: ['keys', 'nope']}],
  ['keys:new', {ask: 'unknown', words: ['keys:new']}],
  ['sing', {ask: 'unknown', words: ['sing']}],
  ['help', {ask: 'help', words: []}],
  ['help keys new', {ask: 'help', words: ['keys', 'new']}],
  ['sign --help', {ask: 'help', words: ['sign']}],
  ['sign dist -h', {ask: 'help', words: ['sign']}],
  ['sign -- --help', {ask: 'command', id: 'sign', argv: ['--', '--help']}],
  ['--help', {ask: 'help', words: []}],
  ['--version', {ask: 'version'}],
  ['-v', {ask: 'version'}],
  ['version', {ask: 'version'}],
  ['--nope', {ask: 'unknown-flag', flag: '--nope'}],
]

for (const [line, want] of requests)
  test(`rel ${line}`, () => {
    const argv = line === '' ? [] : line.split(' ')
    assert.equal(readRequest(argv, ids), want)
  })

test('--json counts before --, not after it', () => {
  assert.is(wantsJson(['sign', '--json']), true)
  assert.is(wantsJson(['sign', '--', '--json']), false)
})

test('the last of --color and --no-color wins', () => {
  assert.is(refusesColor(['--no-color']), true)
  assert.is(refusesColor(['--no-color', '--color']), false)
  assert.is(refusesColor([]), false)
})

const distances: [string, string, number][] = [
  ['sign', 'sign', 0],
  ['sing', 'sign', 1],
  ['', 'abc', 3],
  ['verify', 'verfiy', 1],
  ['kitten', 'sitting', 3],
]

for (const [a, b, distance] of distances)
  test(`${a} is ${distance} from ${b}, both ways`, () => {
    assert.is(editDistance(a, b), distance)
    assert.is(editDistance(b, a), distance)
  })

test('near words come nearest first, far ones not at all', () => {
  assert.equal(nearest('sing', ['verify', 'sign', 'ring']), ['ring'])
  assert.equal(nearest('sing', ['verify', 'sign', 'ring'], 2), ['ring', 'sign'])
  assert.equal(nearest('verif', ['verify']), ['verify'])
  assert.equal(nearest('frobnicate', ['sign', 'verify']), [])
  assert.equal(nearest('x'.repeat(100_000), ['sign']), [])
})

test('escapes, overrides, separators and line ends are spelled out; tabs stay', () => {
  assert.is(printable('a\tb\n::error::c'), 'a\tb\\u000a::error::c')
  assert.is(printable('\u001b[31m'), '\\u001b[31m')
  for (const character of ['\u0000', '\r', '\u007f', '\u009b', '\u202e', '\u2066', '\u2028'])
    assert.not.match(printable(character), new RegExp(character))
  const text = '\u009b\u202e"\\ü'
  assert.is(JSON.parse(printableJson(JSON.stringify(text))), text)
})

test('values of secret variables become their names', () => {
  const env = {
    REL_TOKEN: 'abcdef-long',
    REL_PASSPHRASE: 'abcdef',
    REL_SIGNING_KEY_FILE: '/path/key',
    AWS_SECRET_ACCESS_KEY: 'aws-canary',
    EMPTY_TOKEN: '',
    SHORT_TOKEN: 'abc',
    PATH: '/usr/bin',
  }
  assert.is(withhold('x abcdef-long y', env), 'x $REL_TOKEN y')
  assert.is(withhold('abcdef', env), '$REL_PASSPHRASE')
  assert.is(withhold('aws-canary', env), '$AWS_SECRET_ACCESS_KEY')
  assert.is(withhold('/path/key abc /usr/bin', env), '/path/key abc /usr/bin')
})

test.run()
