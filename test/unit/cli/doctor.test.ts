import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {type DoctorFacts, judge, reportLines, tools} from '../../../src/cli/doctor.ts'
import {ignoring, notIgnoring, planInit, productName} from '../../../src/cli/init-plan.ts'

const healthy: DoctorFacts = {
  node: '26.10.0',
  nodeSupported: true,
  git: {state: 'clean', version: '2.39.5', changes: 0},
  clock: {now: 2_000_000_000, past: 1_900_000_000},
  config: {files: ['/p/rel.config.yaml'], error: undefined},
  keys: [{path: '.rel/keys/dev.key', mode: 0o600}],
  trust: {path: '/p/trust.json', there: true},
  ignored: true,
  found: new Set(tools.map(({tool}) => tool)),
}

test('a healthy machine has nothing but ok', () => {
  assert.ok(judge(healthy).every(({status}) => status === 'ok'))
  assert.is(reportLines(judge(healthy)).at(-1), '0 errors, 0 warnings, 0 skipped')
})

/** One thing wrong, the check that says so, and how bad it is. */
const faults: [string, Partial<DoctorFacts>, string, string][] = [
  ['old node', {nodeSupported: false}, 'node', 'error'],
  ['no git', {git: {state: 'no-git'}}, 'git', 'warning'],
  ['no work tree', {git: {state: 'outside', version: '2'}}, 'git', 'skipped'],
  ['dirty tree', {git: {state: 'dirty', version: '2', changes: 3}}, 'git', 'warning'],
  ['clock behind', {clock: {now: 1_000_000_000, past: 1_900_000_000}}, 'clock', 'error'],
  ['no config', {config: {files: [], error: undefined}}, 'config', 'warning'],
  ['broken config', {config: {files: [], error: 'x'}}, 'config', 'error'],
  ['no key', {keys: []}, 'signing-key', 'warning'],
  ['open key', {keys: [{path: 'k', mode: 0o640}]}, 'signing-key', 'error'],
  ['no anchor', {trust: {path: undefined, there: false}}, 'trust-anchor', 'warning'],
  ['anchor gone', {trust: {path: '/t', there: false}}, 'trust-anchor', 'error'],
  ['keys not ignored', {ignored: false}, 'gitignore', 'error'],
  ['no tools', {found: new Set()}, 'tool', 'skipped'],
]

for (const [name, fault, check, status] of faults)
  test(`${name} is found`, () => {
    const wrong = judge({...healthy, ...fault}).filter((entry) => entry.status !== 'ok')
    assert.ok(wrong.length > 0)
    for (const entry of wrong) assert.equal([entry.check, entry.status], [check, status])
  })

test('every error and warning says what to do', () => {
  for (const [, fault] of faults)
    for (const {status, fix} of judge({...healthy, ...fault}))
      if (status === 'error' || status === 'warning') assert.ok(fix)
})

const gitignores: [string | undefined, string | undefined][] = [
  [undefined, '.rel/\n'],
  ['', '.rel/\n'],
  ['a\n', 'a\n.rel/\n'],
  ['a', 'a\n.rel/\n'],
  ['.rel/\n', undefined],
  ['/.rel/\nb\n', undefined],
]

for (const [before, after] of gitignores)
  test(`.gitignore ${JSON.stringify(before)} becomes ${JSON.stringify(after)}`, () => {
    assert.is(ignoring(before), after)
  })

test('taking the line out of .gitignore leaves the rest as it was', () => {
  assert.is(notIgnoring('a\n.rel/\nb\n'), 'a\nb\n')
  assert.is(notIgnoring('.rel/\n'), undefined)
})

test('the configuration is the last file of the plan', () => {
  const plan = planInit({gitignore: undefined, schema: '{}'}, {product: 'a', channel: 'b'})
  assert.is(plan.at(-1)?.path, 'rel.config.yaml')
})

test('a folder’s name becomes a product’s', () => {
  for (const [folder, name] of [
    ['Edge Agent!', 'Edge-Agent-'],
    ['-x', 'x'],
    ['???', 'app'],
  ])
    assert.is(productName(folder ?? ''), name)
})

test.run()
