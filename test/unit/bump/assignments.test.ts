import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {parseAssignments} from '../../../src/bump/assignments.ts'
import {parsePlaybook} from '../../../src/bump/playbook-parse.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {traefikPlaybook} from '../../support/bump/sample.ts'
import {throwsCode} from '../../support/rejects.ts'

const playbook = parsePlaybook(
  traefikPlaybook.replace(
    'example: v3.3.5}',
    "example: v3.3.5}\n  NOTE: {pattern: '.+', example: x}",
  ),
  'traefik.yaml',
)

test('words are taken by their first =', () => {
  assert.equal(parseAssignments(['NOTE=a:b', 'NEW=v3.3.5'], playbook), {NOTE: 'a:b', NEW: 'v3.3.5'})
})

const refused: readonly [string, readonly string[], ErrorCode][] = [
  ['no NEW', [], 'input_required'],
  ['no NEW among others', ['NOTE=x'], 'input_required'],
  ['no =', ['v3.3.5'], 'usage_invalid'],
  ['no key', ['=v3.3.5'], 'usage_invalid'],
  ['an unknown key', ['NEW=v3.3.5', 'FOO=1'], 'usage_invalid'],
  ['another case', ['new=v3.3.5'], 'usage_invalid'],
  ['a key twice', ['NEW=v3.3.5', 'NEW=v3.3.5'], 'usage_invalid'],
  ['an inherited key', ['NEW=v3.3.5', 'constructor=1'], 'usage_invalid'],
  ['no value', ['NEW='], 'usage_invalid'],
  ['a missing v', ['NEW=3.3.5'], 'pin_value_refused'],
  ['a value of the wrong form', ['NEW=v3.3'], 'pin_value_refused'],
  ['more than the pattern', ['NEW=v3.3.5;id'], 'pin_value_refused'],
  ['a line end', ['NEW=v3.3.5\n'], 'pin_value_refused'],
  ['what the pattern takes and a pin does not', ['NEW=v3.3.5', 'NOTE=$(id)'], 'pin_value_refused'],
]
for (const [name, words, code] of refused)
  test(`refused: ${name}`, () => {
    throwsCode(() => parseAssignments(words, playbook), code)
  })

test('a missing v is named', () => {
  const error = throwsCode(() => parseAssignments(['NEW=3.3.5'], playbook), 'pin_value_refused')
  assert.is(error.hint, 'Did you mean NEW=v3.3.5?')
})

test.run()
