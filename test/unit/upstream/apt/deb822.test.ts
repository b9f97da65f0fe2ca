import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {fieldOf, parseStanza} from '../../../../src/upstream/apt/deb822.ts'
import {parseDepends} from '../../../../src/upstream/apt/depends.ts'
import {throwsCode} from '../../../support/rejects.ts'

test('a stanza has fields by name, whatever the case, and folded values', () => {
  const stanza = parseStanza('Package: a\nDESCRIPTION: one\n two\n .\n\tthree\n', 'x')
  assert.equal(
    [...stanza],
    [
      ['package', 'a'],
      ['description', 'one\ntwo\n.\nthree'],
    ],
  )
  assert.is(fieldOf(stanza, 'Package', 'x'), 'a')
})

const badStanzas = {
  'a field twice': 'A: 1\nB: 2\nA: 1\n',
  'a field twice in another case': 'A: 1\na: 2\n',
  'a continuation of nothing': ' A: 1\n',
  'no colon': 'A: 1\nB\n',
  'a comment': '# A: 1\n',
  'a PGP line': 'A: 1\n-----BEGIN PGP SIGNATURE-----\n',
  'an empty line': 'A: 1\n\nB: 2\n',
  'a line of spaces': 'A: 1\n  \nB: 2\n',
  'a carriage return': 'A: 1\r\nB: 2\n',
  'a NUL': 'A: 1\0\n',
  'a space in the name': 'A B: 1\n',
  'too many fields': Array.from({length: 201}, (_, at) => `F${at}: 1\n`).join(''),
  nothing: '',
}

for (const [name, text] of Object.entries(badStanzas))
  test(`a stanza is refused: ${name}`, () => {
    throwsCode(() => parseStanza(text, 'x'), 'deb822_malformed')
  })

for (const text of ['B: 1', 'A:', 'A: 1\n 2'])
  test(`a field of one line is wanted: ${JSON.stringify(text)}`, () => {
    throwsCode(() => fieldOf(parseStanza(text, 'x'), 'A', 'x'), 'deb822_malformed')
  })

test('dependencies are groups of alternatives', () => {
  assert.equal(
    parseDepends(
      'kmod, libc6:any (>= 2.36), initramfs-tools (>= 0.120+deb8u2) | linux-initramfs-tool',
    ),
    [
      [{name: 'kmod'}],
      [{name: 'libc6', qualifier: 'any', relation: {operator: '>=', version: '2.36'}}],
      [
        {name: 'initramfs-tools', relation: {operator: '>=', version: '0.120+deb8u2'}},
        {name: 'linux-initramfs-tool'},
      ],
    ],
  )
  assert.equal(parseDepends(' '), [])
})

for (const bad of [
  'a,',
  'a (1)',
  'a (> 1)',
  'A',
  'a [arm64]',
  'a <nocheck>',
  'a (= 1',
  'a b',
  '| a',
])
  test(`dependencies are refused: ${bad}`, () => {
    throwsCode(() => parseDepends(bad), 'deb822_malformed')
  })

test.run()
