import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {missingFrom, slotText} from '../../../src/release/completeness.ts'
import {testRelease, testSlots} from '../../support/releases.ts'

const matrix = {version: 1, required: testSlots}

test('names exactly what is taken away, for all 255 subsets of a 2 by 4 matrix', async () => {
  const {release} = await testRelease({slots: testSlots})
  const all = new Set(release.artifacts.map(({sha256}) => sha256))
  assert.is(testSlots.length, 8)
  assert.equal(missingFrom(release, matrix, all), [])
  for (let subset = 1; subset < 256; subset++) {
    const gone = new Set(testSlots.filter((_, at) => (subset >> at) & 1).map(slotText))
    const left = release.artifacts.filter((artifact) => !gone.has(slotText(artifact)))
    const unfilled = missingFrom({...release, artifacts: left}, matrix, all)
    assert.equal(
      unfilled.map(({slot, reason}) => [slotText(slot), reason]),
      [...gone].toSorted().map((slot) => [slot, 'no_artifact']),
    )
    const present = new Set(left.map(({sha256}) => sha256))
    const absent = missingFrom(release, matrix, present)
    assert.equal(
      absent
        .map((missing) => ('name' in missing ? [slotText(missing.slot), missing.reason] : []))
        .toSorted(),
      [...gone].toSorted().map((slot) => [slot, 'not_uploaded']),
    )
  }
})

test('an artifact that is not required fills no slot', async () => {
  const {release} = await testRelease({slots: testSlots})
  const [first, ...rest] = release.artifacts
  assert.ok(first)
  const artifacts = [{...first, required: false}, ...rest]
  const all = new Set(artifacts.map(({sha256}) => sha256))
  assert.equal(missingFrom({...release, artifacts}, matrix, all), [
    {slot: {component: first.component, os: first.os, arch: first.arch}, reason: 'not_required'},
  ])
})

test('further artifacts must be uploaded too', async () => {
  const {release} = await testRelease({slots: testSlots})
  const [first] = release.artifacts
  assert.ok(first)
  const few = {version: 2, required: []}
  const missing = missingFrom(release, few, new Set())
  assert.is(missing.length, 8)
  assert.is(missingFrom(release, few, new Set([first.sha256])).length, 7)
})

test.run()
