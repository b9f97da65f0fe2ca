import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {branchOf, isBumpSubject, subjectOf, tagOf} from '../../../src/bump/change-text.ts'
import {parseLock, withLockEntry} from '../../../src/bump/lock-file.ts'
import {checkAge, checkMove, checkOnePin, currentVersion} from '../../../src/bump/plan.ts'
import {parsePlaybook} from '../../../src/bump/playbook-parse.ts'
import {k3sPlaybook, traefikPlaybook} from '../../support/bump/sample.ts'
import {throwsCode} from '../../support/rejects.ts'

const playbook = parsePlaybook(traefikPlaybook, 't.yaml')
const k3s = parsePlaybook(k3sPlaybook, 'k3s.yaml')
const options = {rollback: false, critical: false}
const move = {item: 'traefik', old: 'v3.3.4', new: 'v3.3.5'}

test('subject, branch and tag are those of the playbook', () => {
  assert.is(subjectOf(move), 'chore(traefik): bump traefik v3.3.4 → v3.3.5')
  assert.is(isBumpSubject(subjectOf(move), 'traefik'), true)
  assert.is(isBumpSubject(subjectOf(move), 'k3s'), false)
  assert.is(branchOf(playbook, move), 'bump/traefik-v3.3.5')
  assert.is(tagOf(playbook, move, false), undefined)
  assert.is(tagOf(playbook, move, true), 'traefik-v3.3.5')
})

test('a version that git takes for no ref becomes one', () => {
  const odd = {...move, new: '1:2~rc1..x.lock'}
  assert.is(branchOf(playbook, odd), 'bump/traefik-1-2-rc1.x')
})

const moves: readonly [string, string, number, boolean, string | undefined][] = [
  ['up', 'v3.3.5', 1, false, undefined],
  ['same', 'v3.3.4', 0, false, 'version_same'],
  ['same, as a rollback', 'v3.3.4', 0, true, 'version_same'],
  ['down', 'v3.3.3', -1, false, 'downgrade_refused'],
  ['down, as a rollback', 'v3.3.3', -1, true, undefined],
]
for (const [name, next, order, rollback, code] of moves)
  test(`a move: ${name}`, () => {
    const check = () => checkMove({...move, new: next}, order, {...options, rollback})
    if (code === undefined) check()
    else throwsCode(check, code as 'version_same')
  })

test('a version must have been public for long enough, and a date must be known', () => {
  const young = parsePlaybook(
    traefikPlaybook.replace('{min: L1}', '{min: L1, min_age_hours: 24}'),
    't',
  )
  const candidate = {version: 'v3.3.5', tag: 'v3.3.5', publishedAt: 1000}
  checkAge(young, candidate, 1000 + 24 * 3600)
  const error = throwsCode(() => checkAge(young, candidate, 999 + 24 * 3600), 'version_too_young')
  assert.equal(error.details, {ready_at: 1000 + 24 * 3600})
  throwsCode(() => checkAge(young, {version: 'v', tag: 'v'}, 10 ** 10), 'version_too_young')
  checkAge(playbook, {version: 'v', tag: 'v'}, 0)
})

test('pins of one item that disagree are refused', () => {
  const pin = '  - {file: agent/Makefile, kind: make_variable, name: TRAEFIK_VERSION}\n'
  const two = parsePlaybook(
    traefikPlaybook.replace(pin, pin + pin.replace('TRAEFIK', 'OTHER')),
    't',
  )
  const files = new Map([['agent/Makefile', Buffer.from('TRAEFIK_VERSION=v1\nOTHER_VERSION=v2\n')]])
  throwsCode(() => currentVersion(two, files), 'pins_disagree')
})

test('the pin of another item that moves is refused', () => {
  const files = (version: string) =>
    new Map([['modules/manifest.yaml', Buffer.from(`build: {k3s_version: "${version}"}\n`)]])
  checkOnePin([k3s], files('v1'), files('v1'))
  checkOnePin([k3s], new Map(), files('v1'))
  throwsCode(() => checkOnePin([k3s], files('v1'), files('v2')), 'second_pin')
})

test('a lock reads back as it was written, sorted, and one entry changes alone', () => {
  const entry = {
    version: 'v3.3.5',
    level: 'L1' as const,
    verifiedAt: 7,
    artifacts: [{path: 'b', sha256: 'a'.repeat(64)}],
    upstream: {z: 1, a: {y: [2], x: null}},
  }
  const first = withLockEntry(new Map(), 'traefik', entry)
  const both = withLockEntry(parseLock(first), 'k3s', {...entry, version: 'v1', artifacts: []})
  assert.equal(parseLock(both).get('traefik'), entry)
  assert.equal([...parseLock(both).keys()], ['k3s', 'traefik'])
  assert.is(withLockEntry(parseLock(both), 'traefik', entry), both)
})

for (const [name, text] of [
  ['no JSON', '<<<<<<< HEAD'],
  ['another version', '{"version": 2, "items": {}}'],
  ['no items', '{"version": 1}'],
  ['an entry that is none', '{"version": 1, "items": {"a": {}}}'],
  [
    'an unknown level',
    '{"version": 1, "items": {"a": {"version": "v", "level": "L9", "verified_at": 1, "upstream": {}}}}',
  ],
  [
    'a digest that is none',
    '{"version": 1, "items": {"a": {"version": "v", "level": "L1", "verified_at": 1, "upstream": {}, "artifacts": {"x": "y"}}}}',
  ],
] as const)
  test(`a lock is refused: ${name}`, () => {
    throwsCode(() => parseLock(text), 'lock_invalid')
  })

test.run()
