import compare from 'semver/functions/compare.js'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {compareVersions as compareOfBundle} from '../../../src/bundle/version.ts'
import {channelOf, compareVersions, parseVersion, sortKey} from '../../../src/release/version.ts'
import {throwsCode} from '../../support/rejects.ts'

/** mulberry32: the same pairs on every run. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

const words = [
  'alpha',
  'alpha-x',
  'ALPHA',
  'beta',
  'rc',
  'a',
  'a-',
  '-',
  '--',
  '0a',
  '1-',
  'x9',
  'z',
  'beta2',
]

function randomVersion(next: () => number): string {
  const number = (): string => {
    const size = next()
    if (size < 0.7) return String(Math.floor(next() * 3))
    return String(Math.floor(next() * (size < 0.9 ? 1200 : 9_007_199_254_740_991)))
  }
  const identifier = (): string =>
    next() < 0.5 ? number() : (words[Math.floor(next() * words.length)] ?? 'a')
  const core = [number(), number(), number()].join('.')
  const count = next() < 0.4 ? 0 : 1 + Math.floor(next() * 4)
  const prerelease = Array.from({length: count}, identifier).join('.')
  const build = next() < 0.1 ? `+b.${Math.floor(next() * 9)}` : ''
  return `${core}${prerelease === '' ? '' : `-${prerelease}`}${build}`
}

test('orders 100,000 random pairs as semver does, by comparison and by the bytes of the key', () => {
  const next = random(20_261_121)
  let equal = 0
  for (let at = 0; at < 100_000; at++) {
    const a = randomVersion(next)
    // every third is the same version, or nearly
    const b = at % 3 === 0 ? `${a.split('+', 1)}${next() < 0.5 ? '+b' : ''}` : randomVersion(next)
    const want = compare(a, b)
    if (want === 0) equal++
    const pair = `${a} ${b}`
    assert.is(compareVersions(a, b), want, pair)
    assert.is(Buffer.compare(Buffer.from(sortKey(a)), Buffer.from(sortKey(b))), want, pair)
  }
  assert.ok(equal > 100, `${equal} equal pairs`)
})

test('keeps precedence where numbers are larger than a double holds', () => {
  const big = '9'.repeat(40)
  assert.is(compareVersions(`1.0.0-rc.${big}8`, `1.0.0-rc.${big}9`), -1)
  assert.is(compareVersions(`1.0.0-rc.${big}`, `1.0.0-rc.${big}0`), -1)
  // what a node's floor is compared by
  assert.is(compareOfBundle('1.0.0-rc.9007199254740992', '1.0.0-rc.9007199254740993'), -1)
})

const spec = [
  '1.0.0-alpha',
  '1.0.0-alpha.1',
  '1.0.0-alpha.beta',
  '1.0.0-beta',
  '1.0.0-beta.2',
  '1.0.0-beta.11',
  '1.0.0-rc.1',
  '1.0.0',
  '2.0.0',
  '2.1.0',
  '2.1.1',
  '10.0.0',
]

test('orders the examples of semver.org', () => {
  assert.equal([...spec].reverse().toSorted(compareVersions), spec)
})

test('keys are printable ASCII without quotes', () => {
  for (const version of spec) assert.match(sortKey(version), /^[!-&(-[\]-~]+$/)
})

const invalid = [
  '',
  'v1.2.3',
  ' 1.2.3',
  '1.2.3\n',
  '1.2',
  '1.2.3.4',
  '01.2.3',
  '1.2.3-01',
  '1.2.3-',
  '1.2.3-a..b',
  '1.2.3-ä',
  '1.2.3+',
  '=1.2.3',
  '9007199254740992.0.0',
  `1.2.3-${'a'.repeat(300)}`,
]
for (const text of invalid)
  test(`refuses ${JSON.stringify(text.slice(0, 20))}`, () => {
    throwsCode(() => parseVersion(text), 'version_invalid')
  })

test('keeps build metadata and does not order by it', () => {
  assert.is(parseVersion('1.2.3+build-7').text, '1.2.3+build-7')
  assert.equal(parseVersion('1.2.3+build-7').prerelease, [])
  assert.is(compareVersions('1.2.3+a', '1.2.3+b'), 0)
})

const channels = {
  '1.2.3': 'stable',
  '1.2.3+build.1': 'stable',
  '1.2.3-beta.1': 'beta',
  '1.2.3-rc.0': 'rc',
  '1.2.3-canary.20261121': 'canary',
  '1.2.3-dev.3': 'canary',
} as const
for (const [version, channel] of Object.entries(channels))
  test(`${version} is for ${channel}`, () => {
    assert.is(channelOf(version), channel)
  })

for (const version of [
  '1.2.3-alpha.1',
  '1.2.3-beta',
  '1.2.3-rc2',
  '1.2.3-beta.x',
  '1.2.3-beta.1.2',
  '1.2.3-RC.1',
  '1.2.3-1',
  '1.2.3-constructor.1',
])
  test(`${version} is for no channel`, () => {
    throwsCode(() => channelOf(version), 'channel_unknown_prerelease')
  })

test.run()
