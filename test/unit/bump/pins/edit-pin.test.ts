import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {editPin} from '../../../../src/bump/pins/edit-pin.ts'
import {findPin} from '../../../../src/bump/pins/find-pin.ts'
import type {PinSpec} from '../../../../src/bump/playbook-pins.ts'
import type {ErrorCode} from '../../../../src/system/codes.ts'
import {throwsCode} from '../../../support/rejects.ts'

const common = {file: 'f', input: 'NEW', expect: 1} as const
const make: PinSpec = {kind: 'make_variable', name: 'V', ...common}
const yaml: PinSpec = {kind: 'yaml_path', path: 'build.version', ...common}
const workflow: PinSpec = {
  kind: 'yaml_expression_default',
  path: 'env.SNAP',
  expression: 'inputs.snap',
  ...common,
}
const pattern: PinSpec = {kind: 'regex', pattern: 'traefik:(?<pin>v[0-9.]+)', ...common}

const EXPRESSION = '$' + '{{ inputs.snap || '
const BOM = '\uFEFF'

/** Files in which `v1` (or what stands for it) becomes `v2` and nothing else changes. */
const edited: readonly [string, PinSpec, string, string][] = [
  ['=', make, 'V = v1\n', 'V = v2\n'],
  [':=', make, 'V := v1\n', 'V := v2\n'],
  ['::=', make, 'V ::= v1\n', 'V ::= v2\n'],
  ['?=', make, 'V ?= v1\n', 'V ?= v2\n'],
  ['without spaces', make, 'V=v1\n', 'V=v2\n'],
  ['tabs around', make, 'V\t:=\tv1\t\n', 'V\t:=\tv2\t\n'],
  ['export', make, 'export V ?= v1\n', 'export V ?= v2\n'],
  ['override export', make, 'override export V := v1\n', 'override export V := v2\n'],
  ['a comment after', make, 'V := v1 # was v1\n', 'V := v2 # was v1\n'],
  ['a comment at once', make, 'V := v1# pinned\n', 'V := v2# pinned\n'],
  ['CRLF', make, 'A = 1\r\nV := v1\r\nB = v1\r\n', 'A = 1\r\nV := v2\r\nB = v1\r\n'],
  ['no final newline', make, 'A = 1\nV := v1', 'A = 1\nV := v2'],
  ['a byte order mark', make, `${BOM}V := v1\n`, `${BOM}V := v2\n`],
  [
    'its name in others',
    make,
    'VV = v1\nAV = v1\nV = v1\nV_X = v1\n',
    'VV = v1\nAV = v1\nV = v2\nV_X = v1\n',
  ],
  ['its name in a recipe', make, 'V := v1\nall:\n\tV=v1 ./run\n', 'V := v2\nall:\n\tV=v1 ./run\n'],
  ['its name in a comment', make, '# V := v1\nV := v1\n', '# V := v1\nV := v2\n'],
  [
    'its name in a continued line',
    make,
    'A = \\\nV := v1\nV := v1\n',
    'A = \\\nV := v1\nV := v2\n',
  ],
  [
    'its name inside define',
    make,
    'define A\nV := v1\nendef\nV := v1\n',
    'define A\nV := v1\nendef\nV := v2\n',
  ],
  [
    'its name in a recipe behind comments, blank lines and conditions',
    make,
    'V := v1\n$(A) b: c$(D:x=y)\n\n# c\nifdef X\n\tV=v0 ./run\nendif\n',
    'V := v2\n$(A) b: c$(D:x=y)\n\n# c\nifdef X\n\tV=v0 ./run\nendif\n',
  ],
  ['a tab before, and no rule', make, 'A = 1\n\tV := v1\n', 'A = 1\n\tV := v2\n'],
  ['letters beyond ASCII before', make, '# ünï 😀\nV := v1\n', '# ünï 😀\nV := v2\n'],
  ['a plain scalar', yaml, 'build:\n  version: v1\n', 'build:\n  version: v2\n'],
  ['double quotes', yaml, 'build:\n  version: "v1" # c\n', 'build:\n  version: "v2" # c\n'],
  ['single quotes', yaml, "build: {version: 'v1'}\n", "build: {version: 'v2'}\n"],
  ['a number in quotes', yaml, 'build:\n  version: "1.20"\n', 'build:\n  version: "v2"\n'],
  [
    'YAML, CRLF',
    yaml,
    'a: 1\r\nbuild:\r\n  version: v1\r\n',
    'a: 1\r\nbuild:\r\n  version: v2\r\n',
  ],
  ['YAML, byte order mark', yaml, `${BOM}build:\n  version: v1`, `${BOM}build:\n  version: v2`],
  [
    'YAML, odd spacing',
    yaml,
    'build  :\n    version :   v1   \n',
    'build  :\n    version :   v2   \n',
  ],
  ['YAML, a quoted key', yaml, '"build":\n  "version": v1\n', '"build":\n  "version": v2\n'],
  [
    'YAML, a second document',
    yaml,
    '---\na: 1\n---\nbuild: {version: v1}\n',
    '---\na: 1\n---\nbuild: {version: v2}\n',
  ],
  [
    'YAML, emoji before',
    yaml,
    '# 😀 ünï\nbuild: {version: v1}\n',
    '# 😀 ünï\nbuild: {version: v2}\n',
  ],
  [
    'an expression',
    workflow,
    `env:\n  SNAP: ${EXPRESSION}'v1' }}\n`,
    `env:\n  SNAP: ${EXPRESSION}'v2' }}\n`,
  ],
  [
    'an expression in quotes',
    workflow,
    `env:\n  SNAP: "${EXPRESSION}'v1' }}"\n`,
    `env:\n  SNAP: "${EXPRESSION}'v2' }}"\n`,
  ],
  [
    'an expression in single quotes',
    workflow,
    `env:\n  SNAP: '${EXPRESSION}''v1'' }}'\n`,
    `env:\n  SNAP: '${EXPRESSION}''v2'' }}'\n`,
  ],
  [
    'an expression in a block',
    workflow,
    `env:\n  SNAP: |\n    a ${EXPRESSION}'v1'}}\n`,
    `env:\n  SNAP: |\n    a ${EXPRESSION}'v2'}}\n`,
  ],
  ['a pattern', pattern, 'image: traefik:v1 # v1\r\n', 'image: traefik:v2 # v1\r\n'],
]

for (const [name, spec, before, after] of edited)
  test(`only the pin changes: ${name}`, () => {
    const bytes = Buffer.from(before)
    const result = editPin(bytes, spec, 'v2')
    assert.is(Buffer.from(result.bytes).toString(), after)
    assert.is(result.after.value, 'v2')
    assert.is(bytes.toString(), before)
    assert.is(
      Buffer.from(editPin(result.bytes, spec, result.before.value).bytes).toString(),
      before,
    )
  })

const refused: readonly [string, PinSpec, string, ErrorCode][] = [
  ['nothing there', make, 'A = v1\n', 'pin_missing'],
  ['an empty file', make, '', 'pin_missing'],
  ['only in a recipe', make, 'all:\n\tV = v1\n', 'pin_missing'],
  ['set twice', make, 'V = v1\nV = v1\n', 'pin_ambiguous'],
  ['one of two branches', make, 'ifdef A\nV = v1\nelse\nV = v0\nendif\n', 'pin_ambiguous'],
  ['appended to', make, 'V = v1\nV += v2\n', 'pin_ambiguous'],
  ['only appended to', make, 'V += v1\n', 'pin_unsupported'],
  ['a shell', make, 'V != echo v1\n', 'pin_unsupported'],
  ['computed', make, 'V = $(shell echo v1)\n', 'pin_unsupported'],
  ['empty', make, 'V =\n', 'pin_unsupported'],
  ['continued', make, 'V = v1 \\\n  v2\n', 'pin_unsupported'],
  ['defined', make, 'define V\nv1\nendef\n', 'pin_unsupported'],
  ['set again behind a tab', make, 'V = v1\n\tV = v0\n', 'pin_ambiguous'],
  [
    'set again behind a tab, behind a rule and a variable',
    make,
    'V = v1\nall:\n\ttrue\nA = 1\n\tV = v0\n',
    'pin_ambiguous',
  ],
  [
    'set again behind a tab, where recipes begin with something else',
    make,
    'V = v1\n.RECIPEPREFIX = >\nall:\n\tV = v0\n',
    'pin_ambiguous',
  ],
  ['taken away again', make, 'V = v1\nundefine V\n', 'pin_ambiguous'],
  ['set by a target as well', make, 'V = v1\nall: V = v0\n', 'pin_ambiguous'],
  ['no such key', yaml, 'build:\n  versions: v1\n', 'pin_missing'],
  ['a key twice', yaml, 'build:\n  version: v1\n  version: v1\n', 'pin_ambiguous'],
  ['in two documents', yaml, 'build: {version: v1}\n---\nbuild: {version: v1}\n', 'pin_ambiguous'],
  ['a number', yaml, 'build:\n  version: 1.20\n', 'pin_unsupported'],
  ['null', yaml, 'build:\n  version:\n', 'pin_unsupported'],
  ['an alias', yaml, 'a: &a v1\nbuild:\n  version: *a\n', 'pin_unsupported'],
  ['an anchor', yaml, 'build:\n  version: &a v1\nb: *a\n', 'pin_unsupported'],
  ['an anchor above', yaml, 'build: &a\n  version: v1\nb: *a\n', 'pin_unsupported'],
  ['a tag', yaml, 'build:\n  version: !!str v1\n', 'pin_unsupported'],
  ['a block', yaml, 'build:\n  version: |\n    v1\n', 'pin_unsupported'],
  ['escapes', yaml, 'build:\n  version: "v\\x31"\n', 'pin_unsupported'],
  [
    'an expression where text is wanted',
    yaml,
    `build:\n  version: ${EXPRESSION}'v1' }}\n`,
    'pin_unsupported',
  ],
  ['a map', yaml, 'build:\n  version: {a: b}\n', 'pin_missing'],
  ['broken YAML', yaml, 'build: "v1\n', 'pin_unreadable'],
  ['a tab in YAML', yaml, 'build:\n\tversion: v1\n', 'pin_unreadable'],
  [
    'another expression',
    workflow,
    `env:\n  SNAP: ${EXPRESSION.replace('snap', 'other')}'v1' }}\n`,
    'pin_missing',
  ],
  [
    'an expression twice',
    workflow,
    `env:\n  SNAP: ${EXPRESSION}'v1' }}${EXPRESSION}'v1' }}\n`,
    'pin_ambiguous',
  ],
  [
    'a longer expression',
    workflow,
    `env:\n  SNAP: ${EXPRESSION}github.ref || 'v1' }}\n`,
    'pin_missing',
  ],
  ['a pattern twice', pattern, 'traefik:v1 traefik:v1\n', 'pin_ambiguous'],
  ['a pattern over lines', pattern, 'traefik:\nv1\n', 'pin_missing'],
  ['UTF-16', make, Buffer.from('V = v1\n', 'utf16le').toString('latin1'), 'pin_unreadable'],
  ['no UTF-8', make, 'V = v1\n\xff', 'pin_unreadable'],
]

for (const [name, spec, text, code] of refused)
  test(`refused: ${name}`, () => {
    const encoding = code === 'pin_unreadable' && spec === make ? 'latin1' : 'utf8'
    throwsCode(() => findPin(Buffer.from(text, encoding), spec), code)
  })

test('the lines of every place are named', () => {
  const error = throwsCode(() => findPin(Buffer.from('V = v1\n#\nV = v2\n'), make), 'pin_ambiguous')
  assert.equal(error.details, {file: 'f', lines: [1, 3]})
})

const values: readonly [string, string][] = [
  ['spaces', 'v2 v3'],
  ['a comment', 'v2#'],
  ['a reference', '$(shell id)'],
  ['a line end', 'v2\nA = 1'],
  ['quotes', "v2'"],
  ['an expression', '$' + '{{ secrets.X }}'],
  ['a dash before', '-v2'],
  ['nothing', ''],
]
for (const [name, value] of values)
  test(`a value is refused: ${name}`, () => {
    throwsCode(() => editPin(Buffer.from('V = v1\n'), make, value), 'pin_value_refused')
  })

for (const value of ['1.20', '2024', 'yes', 'null', '1e3', '0x1F', '1:30', '2024-01-01', 'a: b'])
  test(`unquoted YAML is refused: ${value}`, () => {
    const bytes = Buffer.from('build: {version: v1}\n')
    throwsCode(() => editPin(bytes, yaml, value), 'pin_value_refused')
    if (value === 'a: b') return
    const quoted = Buffer.from('build: {version: "v1"}\n')
    assert.is(editPin(quoted, yaml, value).after.value, value)
  })

test('the diff is one line out, one line in, with its surroundings', () => {
  const {diff, before} = editPin(Buffer.from('a\nb\nc\nd\nV = v1\ne\nf\ng\nh\n'), make, 'v2')
  assert.is(before.line, 5)
  assert.is(diff, '--- a/f\n+++ b/f\n@@ -2,7 +2,7 @@\n b\n c\n d\n-V = v1\n+V = v2\n e\n f\n g\n')
})

test('a diff says that there is no newline at the end', () => {
  const {diff} = editPin(Buffer.from('V = v1'), make, 'v2')
  const end = '\\ No newline at end of file\n'
  assert.is(diff, `--- a/f\n+++ b/f\n@@ -1 +1 @@\n-V = v1\n${end}+V = v2\n${end}`)
})

test.run()
