import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {highestUpTo, nextFrom} from '../../../../src/panel/agent/offer.ts'
import {channelNames} from '../../../../src/release/release.ts'
import {compareVersions, sortKey} from '../../../../src/release/version.ts'

function candidates(minFrom: Readonly<Record<string, string>>, ...versions: readonly string[]) {
  return versions
    .toSorted((a, b) => compareVersions(b, a))
    .map((version) => {
      const from = minFrom[version]
      const base = {version, sortKey: sortKey(version)}
      return from === undefined ? base : {...base, minFromKey: sortKey(from)}
    })
}

const all = candidates({'3.0.0': '2.0.0'}, '1.0.0', '1.1.0', '1.2.0', '2.0.0', '3.0.0')

const cases: readonly [string, string, readonly string[], string | undefined][] = [
  ['the highest that it may go to', '1.0.0', [], '2.0.0'],
  ['min_from is met', '2.0.0', [], '3.0.0'],
  ['nothing newer', '3.0.0', [], undefined],
  ['newer than all', '9.0.0', [], undefined],
  ['the lowest stop-over in between', '1.0.0', ['2.0.0', '1.1.0'], '1.1.0'],
  ['at a stop-over, on to the next', '1.1.0', ['1.1.0', '1.2.0'], '1.2.0'],
  ['a stop-over that was passed', '1.2.0', ['1.1.0'], '2.0.0'],
  ['a stop-over that is not there lets nobody past', '1.1.0', ['1.5.0'], '1.2.0'],
  ['and nothing before it', '1.2.0', ['1.5.0'], undefined],
  ['a stop-over by another spelling of the same', '1.0.0', ['1.1.0+build'], '1.1.0'],
]
for (const [name, current, stopovers, want] of cases)
  test(name, () => {
    assert.is(nextFrom(all, stopovers, ['stable'], current)?.version, want)
  })

test('a stop-over of another channel binds nobody', () => {
  assert.is(nextFrom(all, ['1.1.0-beta.1'], ['stable'], '1.0.0')?.version, '2.0.0')
})

test('walking on from any version never passes a stop-over, and never goes down', () => {
  const stopovers = ['1.1.0', '2.0.0']
  const visited: string[] = []
  for (let at: string | undefined = '0.9.0'; at !== undefined; ) {
    const next: string | undefined = nextFrom(all, stopovers, channelNames, at)?.version
    if (next !== undefined) visited.push(next)
    at = next
  }
  assert.equal(visited, ['1.1.0', '2.0.0', '3.0.0'])
})

test('the highest that is not newer', () => {
  assert.is(highestUpTo(all, '1.1.5')?.version, '1.1.0')
  assert.is(highestUpTo(all, '1.1.0')?.version, '1.1.0', 'what it has itself')
  assert.is(highestUpTo(all, '0.1.0'), undefined)
})

test.run()
