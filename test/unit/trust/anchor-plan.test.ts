import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {Anchor, Grant} from '../../../src/trust/anchor.ts'
import {findKey} from '../../../src/trust/anchor-keys.ts'
import {
  type Addition,
  planAdd,
  planRenew,
  planRevoke,
  planRevokeDigests,
  planRotate,
} from '../../../src/trust/anchor-plan.ts'
import {describeChange} from '../../../src/trust/anchor-text.ts'
import {testAnchor, testKey, testNow, testSigner} from '../../support/anchors.ts'
import {throwsCode} from '../../support/rejects.ts'

const id = (name: string): string => testSigner(name).publicKey.keyId
const expires = testNow + 100 * 86_400
const base = testAnchor({role: 'root', keys: ['root']}, {role: 'manifest', keys: ['build']})

type Entry = [keys: string, threshold: number, limits?: object]

/** The entries of a role with keys by their names. */
function entries(anchor: Anchor, role: 'root' | 'manifest' | 'reviewer'): Entry[] {
  return (anchor.roles.get(role) ?? []).map(({keyIds, threshold, ...limits}: Grant): Entry => {
    const names = keyIds.map((keyId) => anchor.keys.get(keyId)?.name).join(' ')
    return Object.keys(limits).length === 0 ? [names, threshold] : [names, threshold, limits]
  })
}

function add(anchor: Anchor, name: string, addition: Partial<Addition> = {}): Anchor {
  return planAdd(anchor, {key: testKey(name), roles: ['manifest'], ...addition}, expires)
}

const canary = {channels: ['canary']}

test('a key without limits joins every entry of the role', () => {
  const limited = add(base, 'canary', canary)
  const all = add(limited, 'both')
  assert.equal(entries(all, 'manifest'), [
    ['build canary both', 1, canary],
    ['build both', 1],
  ])
  assert.is(all.version, 3)
})

test('a limited key gets an entry before the one that decided, and joins it when it is there', () => {
  const limited = add(base, 'canary', canary)
  assert.equal(entries(limited, 'manifest'), [
    ['build canary', 1, canary],
    ['build', 1],
  ])
  const second = add(limited, 'canary-2', {...canary, threshold: 2})
  assert.equal(entries(second, 'manifest'), [
    ['build canary canary-2', 2, canary],
    ['build', 1],
  ])
})

test('the first key of a role starts it', () => {
  assert.equal(entries(add(base, 'anna', {roles: ['reviewer']}), 'reviewer'), [['anna', 1]])
})

test('an entry for what nobody could sign so far comes last and holds the new key alone', () => {
  const limited = testAnchor(
    {role: 'root', keys: ['root']},
    {role: 'manifest', keys: ['build'], channels: ['stable']},
  )
  assert.equal(entries(add(limited, 'canary', canary), 'manifest'), [
    ['build', 1, {channels: ['stable']}],
    ['canary', 1, canary],
  ])
})

test('one key may join several roles, and gets an end', () => {
  const key = {...testKey('anna'), notAfter: testNow + 5}
  const added = add(base, 'anna', {key, roles: ['reviewer', 'manifest']})
  assert.equal(entries(added, 'reviewer'), [['anna', 1]])
  assert.equal(entries(added, 'manifest'), [['build anna', 1]])
  assert.is(added.keys.get(id('anna'))?.notAfter, testNow + 5)
})

test('rotates in every role, at once or with an overlap', () => {
  const both = add(base, 'build', {roles: ['reviewer']})
  const rotation = {from: id('build'), to: testKey('build-2')}
  const overlap = planRotate(both, {...rotation, overlap: true}, expires)
  assert.equal(entries(overlap, 'manifest'), [['build build-2', 1]])
  assert.equal(entries(overlap, 'reviewer'), [['build build-2', 1]])
  for (const before of [both, overlap]) {
    const after = planRotate(before, {...rotation, overlap: false}, expires)
    assert.equal(entries(after, 'manifest'), [['build-2', 1]])
    assert.equal(entries(after, 'reviewer'), [['build-2', 1]])
    assert.not(after.keys.has(id('build')))
  }
})

test('revoking with a replacement keeps every entry', () => {
  const revocation = {keyId: id('build'), since: testNow, replacement: testKey('build-2')}
  const after = planRevoke(add(base, 'canary', canary), revocation, expires)
  assert.equal(entries(after, 'manifest'), [
    ['build-2 canary', 1, canary],
    ['build-2', 1],
  ])
  assert.equal(after.revoked, [{keyId: id('build'), since: testNow}])
})

test('revoking the last key of a role ends the role', () => {
  const after = planRevoke(base, {keyId: id('build'), since: testNow}, expires)
  assert.equal(entries(after, 'manifest'), [])
  assert.not(after.roles.has('manifest'))
})

test('revoking never lets a broader entry decide instead', () => {
  const lone = testAnchor(
    {role: 'root', keys: ['root']},
    {role: 'manifest', keys: ['stable'], channels: ['stable']},
  )
  const two = planAdd(lone, {key: testKey('rest'), roles: ['manifest'], ...canary}, expires)
  throwsCode(
    () => planRevoke(two, {keyId: id('stable'), since: 1}, expires),
    'threshold_unreachable',
  )
})

const revoked = planRevoke(base, {keyId: id('build'), since: testNow}, expires)

const refused: [string, () => unknown, Parameters<typeof throwsCode>[1]][] = [
  ['a key that is there already', () => add(base, 'build'), 'anchor_unchanged'],
  ['a revoked key, added', () => add(revoked, 'build'), 'key_revoked'],
  [
    'a revoked key, rotated to',
    () => planRotate(revoked, {from: id('root'), to: testKey('build'), overlap: false}, expires),
    'key_revoked',
  ],
  [
    'a revoked key, as a replacement',
    () =>
      planRevoke(revoked, {keyId: id('root'), since: 1, replacement: testKey('build')}, expires),
    'anchor_inconsistent',
  ],
  [
    'a key revoked twice',
    () => planRevoke(revoked, {keyId: id('build'), since: 1}, expires),
    'anchor_unchanged',
  ],
  ['a threshold beyond the keys', () => add(base, 'b2', {threshold: 3}), 'threshold_unreachable'],
  [
    'the last root key',
    () => planRevoke(base, {keyId: id('root'), since: 1}, expires),
    'threshold_unreachable',
  ],
  [
    'a root key for one product',
    () => add(base, 'r2', {roles: ['root'], products: ['agent']}),
    'anchor_inconsistent',
  ],
  ['a renewal to the same end', () => planRenew(base, base.expires), 'anchor_unchanged'],
  [
    'a digest that is revoked already',
    () =>
      planRevokeDigests(
        planRevokeDigests(base, ['ab'.repeat(32)], expires),
        ['ab'.repeat(32)],
        expires,
      ),
    'anchor_unchanged',
  ],
]
for (const [title, plan, code] of refused) {
  test(`refuses ${title}`, () => {
    throwsCode(plan, code)
  })
}

test('finds a key by name, by id and by the first digits of it', () => {
  for (const wanted of ['build', id('build'), id('build').slice(0, 8)])
    assert.is(findKey(base, wanted), id('build'))
  for (const wanted of ['nobody', id('build').slice(0, 7), ''])
    throwsCode(() => findKey(base, wanted), 'anchor_key_not_found')
  const twins = planAdd(base, {key: {...testKey('x'), name: 'build'}, roles: ['manifest']}, expires)
  throwsCode(() => findKey(twins, 'build'), 'anchor_key_not_found')
})

test('says what changes, and nothing when nothing does', () => {
  assert.equal(describeChange(base, base), [])
  const short = (name: string): string => `${id(name).slice(0, 16)} (${name})`
  assert.equal(describeChange(base, {...add(base, 'canary', canary), expires: base.expires}), [
    `+ key ${short('canary')}`,
    `+ role manifest: 1 of ${short('build')}, ${short('canary')}, on canary`,
  ])
})

test.run()
