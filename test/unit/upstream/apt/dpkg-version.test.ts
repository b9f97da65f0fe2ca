import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {compareDpkgVersions, parseDpkgVersion} from '../../../../src/upstream/apt/dpkg-version.ts'
import {throwsCode} from '../../../support/rejects.ts'

/** In ascending order; each is below the next. */
const ascending = [
  ...[
    '0~~',
    '0~',
    '0',
    '0.9-1',
    '1~rc1-1',
    '1-0~bpo1',
    '1-0.1',
    '1-1~deb12u1',
    '1-1',
    '1-1+deb12u1',
  ],
  ...['1-1.1', '1-9', '1-10', '1a-1', '1b-1', '1+dfsg-1', '1.0-1', '1.0.1-1', '1.9-1', '1.10-1'],
  ...['6.1.0-56', '6.1.176-1', '6.1.192-2', '6.12.100-1~deb12u1', '6.12.117-1~deb12u1'],
  ...['20250331-1', '20250331120000-1', '1:0.1-1', '2:0-1'],
]

test('versions sort as dpkg sorts them', () => {
  for (const [at, low] of ascending.entries()) {
    assert.is(compareDpkgVersions(low, low), 0, low)
    for (const high of ascending.slice(at + 1)) {
      assert.ok(compareDpkgVersions(low, high) < 0, `${low} < ${high}`)
      assert.ok(compareDpkgVersions(high, low) > 0, `${high} > ${low}`)
    }
  }
})

test('what dpkg takes for equal is equal', () => {
  for (const [a, b] of [
    ['1.0', '1.0-0'],
    ['0:1-1', '1-1'],
    ['1.01-1', '1.1-1'],
    ['1.0-01', '1.0-1'],
    ['1.a0', '1.a'],
  ] as const)
    assert.is(compareDpkgVersions(a, b), 0, `${a} = ${b}`)
})

test('numbers of any length are compared exactly', () => {
  assert.ok(compareDpkgVersions('9007199254740993-1', '9007199254740992-1') > 0)
})

test('the revision begins at the last hyphen', () => {
  assert.equal(parseDpkgVersion('2:1.0-rc1-3'), {epoch: 2, upstream: '1.0-rc1', revision: '3'})
})

for (const bad of [
  '',
  'a1',
  '1-',
  '-1',
  ':1',
  '1:',
  'x:1',
  '1 2',
  '1_2',
  '1/2',
  `1${'0'.repeat(300)}`,
])
  test(`refused: ${JSON.stringify(bad.slice(0, 20))}`, () => {
    throwsCode(() => parseDpkgVersion(bad), 'dpkg_version_malformed')
  })

test.run()
