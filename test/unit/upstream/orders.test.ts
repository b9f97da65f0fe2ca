import fc from 'fast-check'
import semver from 'semver'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {
  checkVersion,
  compareVersions,
  fillVersion,
  isPrerelease,
  isVersion,
  type OrderName,
} from '../../../src/upstream/orders.ts'
import {throwsCode} from '../../support/rejects.ts'

const rising: Readonly<Record<OrderName, readonly string[]>> = {
  k3s: [
    'v1.9.9+k3s1',
    'v1.31.3-rc1+k3s1',
    'v1.31.3-rc2+k3s1',
    'v1.31.3-rc10+k3s1',
    'v1.31.3+k3s1',
    'v1.31.3+k3s2',
    'v1.31.3+k3s9',
    'v1.31.3+k3s10',
    'v1.31.4+k3s1',
    'v1.32.0+k3s1',
    'v2.0.0+k3s1',
  ],
  semver: [
    'v2.11.53',
    'v3.0.0-beta3',
    'v3.0.0-rc.1',
    'v3.0.0-rc.10',
    'v3.0.0',
    'v3.3.5',
    'v3.10.0',
  ],
  date: ['1.20240424', '1.20250305', '1.20250915', '2.20200101'],
}

for (const [order, versions] of Object.entries(rising) as [OrderName, readonly string[]][])
  test(`${order}: each version of a rising list is above the ones before it`, () => {
    for (const [i, a] of versions.entries())
      for (const [j, b] of versions.entries())
        assert.is(Math.sign(compareVersions(order, a, b)), Math.sign(i - j), `${a} and ${b}`)
  })

const refused: readonly (readonly [OrderName, string])[] = [
  ['k3s', 'stable'],
  ['k3s', 'latest'],
  ['k3s', 'v1.31.3'],
  ['k3s', 'v1.31.3-k3s1'],
  ['k3s', 'v1.31.3%2Bk3s1'],
  ['k3s', 'v1.31.3+k3s01'],
  ['k3s', 'v1.31.3+k3s1 '],
  ['k3s', 'v1.31.3+k3s1\n'],
  ['k3s', '1.31.3+k3s1'],
  ['semver', 'v3.3'],
  ['semver', 'v3.03.5'],
  ['semver', 'v3.3.5+build'],
  ['semver', 'v3.3.5/../../evil'],
  ['semver', ''],
  ['semver', `v1.1.${'1'.repeat(200)}`],
  ['date', '1.20250231'],
  ['date', '1.2025'],
  ['date', 'latest'],
]
for (const [order, version] of refused)
  test(`${order} has no version ${JSON.stringify(version.slice(0, 30))}`, () => {
    assert.not.ok(isVersion(order, version))
    throwsCode(() => checkVersion(order, version), 'upstream_version_malformed')
    throwsCode(
      () => compareVersions(order, version, rising[order][0] ?? ''),
      'upstream_version_malformed',
    )
  })

test('a missing v is named', () => {
  const refusal = throwsCode(() => checkVersion('k3s', '1.31.3+k3s1'), 'upstream_version_malformed')
  assert.is(refusal.hint, 'Write it with its v: v1.31.3+k3s1')
})

test('pre-releases are known as such', () => {
  assert.ok(isPrerelease('k3s', 'v1.31.3-rc1+k3s1'))
  assert.not.ok(isPrerelease('k3s', 'v1.31.3+k3s1'))
  assert.ok(isPrerelease('semver', 'v3.0.0-rc.1'))
  assert.not.ok(isPrerelease('date', '1.20250915'))
})

test('templates know the words of a version, and put nothing else in', () => {
  const fill = (template: string) => fillVersion(template, 'k3s', 'v1.31.3+k3s1')
  assert.is(fill('v{major}.{minor}.'), 'v1.31.')
  assert.is(fill('k3s-{version}-{number}-{patch}'), 'k3s-v1.31.3+k3s1-1.31.3+k3s1-3')
  assert.is(fill('{arch}'), '{arch}')
  assert.is(fillVersion('{version}', 'semver', 'v1.0.0-{major}'), 'v1.0.0-{major}')
})

test('the order of SemVer is that of the package semver', () => {
  const number = fc.nat({max: 12})
  const word = fc.constantFrom('alpha', 'beta', 'rc', '0', '2', '10', 'rc1', 'x-y')
  const version = fc
    .tuple(number, number, number, fc.array(word, {maxLength: 3}))
    .map(([a, b, c, words]) => `v${a}.${b}.${c}${words.length > 0 ? `-${words.join('.')}` : ''}`)
  fc.assert(
    fc.property(version, version, (a, b) => {
      assert.is(Math.sign(compareVersions('semver', a, b)), semver.compare(a, b), `${a} and ${b}`)
    }),
    {numRuns: 2000},
  )
})

test.run()
