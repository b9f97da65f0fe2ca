import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {askAgainAt, checkRoom, continuation} from '../../../src/device/download-rules.ts'
import {machineOf, pickArtifact} from '../../../src/device/pick-artifact.ts'
import {firstPollSecs, nextPollSecs} from '../../../src/device/poll-rules.ts'
import type {ReleaseArtifact} from '../../../src/release/release.ts'
import {throwsCode} from '../../support/rejects.ts'

const interval = 3600
const most = 1 - Number.EPSILON

test('polls are spread: the first over the whole interval, later ones by a tenth', () => {
  assert.equal(
    [0, 0.5].map((random) => firstPollSecs(interval, random)),
    [0, 1800],
  )
  assert.is(nextPollSecs(interval, {failures: 0}, 0), 0.9 * interval)
  assert.ok(nextPollSecs(interval, {failures: 0}, most) <= 1.1 * interval)
})

test('failures wait with full jitter, never more than four intervals', () => {
  const longest = (failures: number) => nextPollSecs(interval, {failures}, most)
  assert.equal(
    [1, 2, 3, 4, 100].map((failures) => Math.round(longest(failures) / interval)),
    [1, 2, 4, 4, 4],
  )
  assert.ok(
    nextPollSecs(interval, {failures: 3}, 0) >= 1,
    'a node that fails at once does not spin',
  )
})

const asked: readonly [string, number, number][] = [
  ['later is obeyed', 7200, 7200],
  ['sooner is not', 1, 0.9 * interval],
  ['no longer than a day', 10 ** 9, 86_400],
]

for (const [name, askedSecs, wanted] of asked)
  test(`a source asks for another time: ${name}`, () => {
    assert.is(nextPollSecs(interval, {failures: 0, askedSecs}, 0), wanted)
  })

const etag = '"a"'
const part = {size: 10, etag}
const heads: readonly [
  string,
  number,
  Record<string, string>,
  ReturnType<typeof continuation>['act'],
][] = [
  ['the rest', 206, {etag, 'content-range': 'bytes 10-99/100'}, 'append'],
  ['from elsewhere', 206, {etag, 'content-range': 'bytes 11-99/100'}, 'drop'],
  ['not to the end', 206, {etag, 'content-range': 'bytes 10-98/100'}, 'drop'],
  ['of another size', 206, {etag, 'content-range': 'bytes 10-100/101'}, 'drop'],
  ['of no size', 206, {etag, 'content-range': 'bytes 10-99/*'}, 'drop'],
  ['of another file', 206, {etag: '"b"', 'content-range': 'bytes 10-99/100'}, 'drop'],
  ['of a weak tag', 206, {etag: 'W/"a"', 'content-range': 'bytes 10-99/100'}, 'drop'],
  ['of no tag', 206, {'content-range': 'bytes 10-99/100'}, 'drop'],
  ['several parts', 206, {etag, 'content-type': 'multipart/byteranges'}, 'drop'],
  ['compressed', 206, {etag, 'content-range': 'bytes 10-99/100', 'content-encoding': 'br'}, 'drop'],
  ['the whole', 200, {etag}, 'restart'],
  ['no part', 416, {}, 'drop'],
  ['not found', 404, {}, 'refuse'],
]

for (const [name, status, headers, act] of heads)
  test(`an answer to the question for the rest: ${name}`, () => {
    assert.is(continuation(status, headers, part, 100).act, act)
  })

test('a part that nobody asked for is refused, also one that is the whole', () => {
  for (const headers of [{}, {etag}])
    assert.equal(
      continuation(
        206,
        {...headers, 'content-range': 'bytes 0-99/100'},
        {size: 0, etag: undefined},
        100,
      ),
      {act: 'refuse'},
    )
})

test('three times the size must be free, less what is there, and files as well', () => {
  checkRoom({bytes: 300, files: 1000}, 100, 0)
  checkRoom({bytes: 250, files: 1000}, 100, 50)
  throwsCode(() => checkRoom({bytes: 299, files: 1000}, 100, 0), 'upgrade_disk_full')
  throwsCode(() => checkRoom({bytes: 10 ** 9, files: 3}, 100, 0), 'upgrade_disk_full')
})

test('what is missing is asked for three times an hour', () => {
  assert.is(askAgainAt([100, 200], 300), undefined)
  assert.is(askAgainAt([100, 200, 300], 300), 3700)
  assert.is(askAgainAt([100, 200, 300], 3701), undefined)
  assert.is(askAgainAt([9000, 9001, 9002], 300), undefined, 'of a clock that was ahead')
})

function artifact(change: Partial<ReleaseArtifact>): ReleaseArtifact {
  const name = 'app.tar.gz'
  const slot = {component: 'bundle', os: 'linux', arch: 'amd64'}
  return {name, ...slot, size: 1, sha256: '', signature: '', keyId: '', required: true, ...change}
}

const wanted = {component: 'bundle', os: 'linux', arch: 'amd64'}

test('the artifact of a node, and deltas of it', () => {
  const artifacts = [
    artifact({}),
    artifact({name: 'app.from-1.0.0.delta.tar.zst', required: false}),
    artifact({name: 'arm.tar.gz', arch: 'arm64'}),
    artifact({name: 'cli', component: 'cli'}),
    artifact({name: 'sbom.json', required: false}),
  ]
  const {whole, deltas} = pickArtifact({artifacts, version: '1.1.0'}, wanted)
  assert.is(whole.name, 'app.tar.gz')
  assert.equal(
    deltas.map(({from}) => from),
    ['1.0.0'],
  )
})

test('a name is a delta, and from a version, as where deltas are made', () => {
  const names = [
    'app.from-x.from-1.0.0.delta.tar.zst',
    'app.from-x.delta.tar.zst',
    'app.delta.tar.zst',
    'app.tar.gz',
  ]
  const artifacts = names.map((name) => artifact({name}))
  const {whole, deltas} = pickArtifact({artifacts, version: '1.1.0'}, wanted)
  assert.is(whole.name, 'app.tar.gz')
  assert.equal(
    deltas.map(({from}) => from),
    ['1.0.0'],
  )
})

test('a release without an artifact for the node, or with two, is refused', () => {
  for (const artifacts of [[], [artifact({arch: 'arm64'})], [artifact({}), artifact({name: 'b'})]])
    throwsCode(() => pickArtifact({artifacts, version: '1.1.0'}, wanted), 'upgrade_source_invalid')
})

test('the machine of a node is its target, or this one', () => {
  const here = {platform: 'linux', arch: 'x64'}
  assert.equal(machineOf(undefined, here), {os: 'linux', arch: 'amd64'})
  assert.equal(machineOf('linux-arm64', here), {os: 'linux', arch: 'arm64'})
  assert.equal(machineOf('linux-arm-v7', here), {os: 'linux', arch: 'arm-v7'})
})

test.run()
