import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../../src/system/codes.ts'
import {packagesIndex, parseRelease} from '../../../../src/upstream/apt/release-file.ts'
import {checkRelease, type SuiteWish} from '../../../../src/upstream/apt/release-rules.ts'
import {throwsCode} from '../../../support/rejects.ts'

const digest = 'ab'.repeat(32)

function releaseText(changes: Readonly<Record<string, string | undefined>> = {}): string {
  const fields = {
    Origin: 'Debian',
    Suite: 'oldstable',
    Codename: 'bookworm',
    Date: 'Sat, 11 Jul 2026 10:16:37 UTC',
    'Acquire-By-Hash': 'yes',
    Architectures: 'all amd64 arm64',
    Components: 'main contrib',
    SHA256: `\n ${digest} 7 main/binary-arm64/Packages\n ${digest} 5 main/binary-arm64/Packages.gz`,
    ...changes,
  }
  const lines = Object.entries(fields).filter(([, value]) => value !== undefined)
  return lines.map(([name, value]) => `${name}: ${value}`).join('\n')
}

const date = Date.UTC(2026, 6, 11, 10, 16, 37) / 1000
const DAY = 86_400

const wish: SuiteWish = {
  distribution: 'debian',
  suite: 'bookworm',
  components: ['main'],
  architectures: ['arm64'],
  maxAgeDays: 7,
  at: {kind: 'snapshot', time: date},
}

test('a Release file is read', () => {
  const release = parseRelease(releaseText({'Valid-Until': 'Sat, 18 Jul 2026 10:16:37 UTC'}))
  assert.is(release.date, date)
  assert.is(release.validUntil, date + 7 * DAY)
  assert.equal(release.architectures, ['all', 'amd64', 'arm64'])
  assert.is(release.files.size, 2)
})

const malformed: Readonly<Record<string, Readonly<Record<string, string | undefined>>>> = {
  'no date': {Date: undefined},
  'no codename': {Codename: undefined},
  'another zone': {Date: 'Sat, 11 Jul 2026 10:16:37 +0200'},
  'an impossible day': {Date: 'Sat, 31 Jun 2026 10:16:37 UTC'},
  'an impossible hour': {Date: 'Sat, 11 Jul 2026 24:16:37 UTC'},
  'a date of another form': {Date: '2026-07-11'},
  'no SHA256': {SHA256: undefined},
  'SHA256 in one line': {SHA256: `${digest} 7 a`},
  'a short digest': {SHA256: `\n ${digest.slice(1)} 7 a`},
  'a file twice': {SHA256: `\n ${digest} 7 a\n ${digest} 8 a`},
  'a size with a sign': {SHA256: `\n ${digest} -7 a`},
}

for (const [name, changes] of Object.entries(malformed))
  test(`a Release file is refused: ${name}`, () => {
    throwsCode(() => parseRelease(releaseText(changes)), 'deb822_malformed')
  })

test('the index is the gz one, by its digest first', () => {
  const index = packagesIndex(parseRelease(releaseText()), 'main', 'arm64')
  assert.equal(index, {
    paths: [`main/binary-arm64/by-hash/SHA256/${digest}`, 'main/binary-arm64/Packages.gz'],
    compression: 'gz',
    packed: {sha256: digest, size: 5},
    plain: {sha256: digest, size: 7},
  })
})

test('xz is taken where there is no gz, and by name where there is no by-hash', () => {
  const SHA256 = `\n ${digest} 5 main/binary-arm64/Packages.xz`
  const release = parseRelease(releaseText({SHA256, 'Acquire-By-Hash': 'no'}))
  const index = packagesIndex(release, 'main', 'arm64')
  assert.equal([index?.compression, index?.paths], ['xz', ['main/binary-arm64/Packages.xz']])
  assert.is(packagesIndex(release, 'contrib', 'arm64'), undefined)
})

type Change = Readonly<Record<string, string | undefined>>
const accepted: readonly [string, Change, Partial<SuiteWish>][] = [
  ['as asked', {}, {}],
  ['of the very limit of age', {}, {at: {kind: 'snapshot', time: date + 7 * DAY}}],
  ['of updates/main for main', {Components: 'updates/main'}, {}],
  ['live, with a clock that is slow', {}, {at: {kind: 'live', time: date - 600}}],
  [
    'an Ubuntu pocket',
    {Origin: 'Ubuntu', Suite: 'noble-updates', Codename: 'noble'},
    {distribution: 'ubuntu', suite: 'noble-updates'},
  ],
  [
    'valid at the pinned time, expired since',
    {'Valid-Until': 'Sun, 12 Jul 2026 10:16:37 UTC'},
    {at: {kind: 'snapshot', time: date + DAY}},
  ],
]

for (const [name, changes, wished] of accepted)
  test(`a release is accepted: ${name}`, () => {
    checkRelease(parseRelease(releaseText(changes)), {...wish, ...wished})
  })

const ubuntu = {distribution: 'ubuntu', suite: 'noble'} as const
const refused: readonly [string, Change, Partial<SuiteWish>, ErrorCode][] = [
  ['another codename', {Codename: 'trixie'}, {}, 'apt_suite_mismatch'],
  ['a suite that moves', {}, {suite: 'oldstable'}, 'apt_suite_mismatch'],
  ['another origin', {Origin: 'Raspbian'}, {}, 'apt_suite_mismatch'],
  ['security for main', {Codename: 'bookworm-security'}, {}, 'apt_suite_mismatch'],
  [
    'a pocket that shares the codename',
    {Origin: 'Ubuntu', Suite: 'noble-updates', Codename: 'noble'},
    ubuntu,
    'apt_suite_mismatch',
  ],
  [
    'a suite with the codename of another release',
    {Origin: 'Ubuntu', Suite: 'noble', Codename: 'jammy'},
    ubuntu,
    'apt_suite_mismatch',
  ],
  ['no arm64', {Architectures: 'amd64'}, {}, 'apt_architecture_missing'],
  ['no main', {Components: 'contrib'}, {}, 'apt_component_missing'],
  ['dated after the pin', {}, {at: {kind: 'snapshot', time: date - 1}}, 'pin_ineffective'],
  [
    'too old for the pin',
    {},
    {at: {kind: 'snapshot', time: date + 7 * DAY + 1}},
    'apt_release_stale',
  ],
  ['too old for today', {}, {at: {kind: 'live', time: date + 7 * DAY + 1}}, 'apt_release_stale'],
  ['from the future', {}, {at: {kind: 'live', time: date - 601}}, 'apt_release_in_future'],
  [
    'expired',
    {'Valid-Until': 'Sun, 12 Jul 2026 10:16:37 UTC'},
    {at: {kind: 'live', time: date + DAY + 1}},
    'apt_release_expired',
  ],
  [
    'expired at the pinned time already',
    {'Valid-Until': 'Sun, 12 Jul 2026 10:16:37 UTC'},
    {at: {kind: 'snapshot', time: date + DAY + 1}},
    'apt_release_expired',
  ],
]

for (const [name, changes, wished, code] of refused)
  test(`a release is refused: ${name}`, () => {
    throwsCode(() => checkRelease(parseRelease(releaseText(changes)), {...wish, ...wished}), code)
  })

test.run()
