import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {parseAssignments} from '../../../src/bump/assignments.ts'
import {findPin} from '../../../src/bump/pins/find-pin.ts'
import {parsePlaybook} from '../../../src/bump/playbook-parse.ts'
import type {PinSpec} from '../../../src/bump/playbook-pins.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {traefikPlaybook} from '../../support/bump/sample.ts'
import {throwsCode} from '../../support/rejects.ts'

// Files of a repository that are made to keep a reader busy: before there were limits, each of them
// took from a minute to for ever. The limit of time is that of the runner for this file.

const MIB = 1 << 20
const common = {file: 'f', input: 'NEW', expect: 1} as const
const make: PinSpec = {kind: 'make_variable', name: 'V', ...common}
const yaml: PinSpec = {kind: 'yaml_path', path: 'a.b', ...common}
const regex = (pattern: string): PinSpec => ({kind: 'regex', pattern, ...common})

const pins: readonly [string, PinSpec, string, ErrorCode][] = [
  ['4 MiB of opened lists', yaml, '['.repeat(4 * MIB), 'pin_unreadable'],
  ['4 MiB of lists in lists', yaml, '- '.repeat(2 * MIB), 'pin_unreadable'],
  [
    'lists in lists that end well',
    yaml,
    `a: ${'['.repeat(120)}${']'.repeat(120)}`,
    'pin_unreadable',
  ],
  ['4 MiB of keys', yaml, 'k: 1\n'.repeat(MIB * 0.8), 'pin_unreadable'],
  ['many anchors of one value', yaml, `a: ${'&a '.repeat(100_000)}`, 'pin_unreadable'],
  ['many tags of one value', yaml, `a: ${'!a '.repeat(100_000)}`, 'pin_unreadable'],
  ['many commas', yaml, `a: [${','.repeat(300_000)}]`, 'pin_unreadable'],
  ['many closed lists', yaml, ']'.repeat(300_000), 'pin_unreadable'],
  ['a line of blanks', make, `V = a${' '.repeat(MIB)}b`, 'pin_unsupported'],
  ['a line of blanks without a name', make, `${' '.repeat(MIB)}x`, 'pin_missing'],
  ['a pin on each of many lines', make, 'V = v1\n'.repeat(MIB / 2), 'pin_ambiguous'],
  ['a match between each two letters', regex('(?<pin>)'), 'a'.repeat(4 * MIB), 'pin_ambiguous'],
  [
    'repetitions in repetitions',
    regex('^(?<pin>(a+)+)$'),
    `${'a'.repeat(60)}!`,
    'pattern_too_slow',
  ],
  ['three repetitions', regex('(?<pin>a*a*a*a*)b'), 'a'.repeat(MIB), 'pattern_too_slow'],
]
for (const [name, spec, text, code] of pins) {
  test(`${name}: ${code}`, () => {
    throwsCode(() => findPin(Buffer.from(text), spec), code)
  })
}

test('a large file that people could have written is read', () => {
  const text = `a:\n  b: v1\njobs:\n${'  - {name: build, run: "make all", with: [x, y]}\n'.repeat(10_000)}`
  assert.is(findPin(Buffer.from(text), yaml).value, 'v1')
})

const playbooks: readonly [string, string, ErrorCode][] = [
  [
    '30,000 keys',
    Array.from({length: 30_000}, (_, at) => `k${at}: 1\n`).join(''),
    'playbook_invalid',
  ],
  [
    '5,000 keys',
    Array.from({length: 5_000}, (_, at) => `k${at}: 1\n`).join(''),
    'playbook_invalid',
  ],
  ['opened lists', '['.repeat(250_000), 'playbook_invalid'],
  ['maps in maps', `a: ${'{a: '.repeat(200)}${'}'.repeat(200)}`, 'playbook_invalid'],
  [
    'an input whose pattern never ends',
    traefikPlaybook.replace(/NEW: .*/, `NEW: {pattern: '(a+)+b', example: ${'a'.repeat(60)}}`),
    'pattern_too_slow',
  ],
]
for (const [name, text, code] of playbooks) {
  test(`a playbook with ${name}: ${code}`, () => {
    throwsCode(() => parsePlaybook(text, 'playbooks/p.yaml'), code)
  })
}

test('a value at which the pattern of its input never ends', () => {
  const text = traefikPlaybook.replace(/NEW: .*/, `NEW: {pattern: '(a+)+', example: aa}`)
  const playbook = parsePlaybook(text, 'playbooks/p.yaml')
  throwsCode(() => parseAssignments([`NEW=${'a'.repeat(60)}_`], playbook), 'pattern_too_slow')
})

test.run()
