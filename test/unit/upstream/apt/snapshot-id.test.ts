import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../../src/system/codes.ts'
import {
  parseSnapshotId,
  snapshotAgeWarning,
  snapshotIdAt,
} from '../../../../src/upstream/apt/snapshot-id.ts'
import {throwsCode} from '../../../support/rejects.ts'

const now = Date.UTC(2026, 10, 21, 12, 0, 0) / 1000

test('an id is an instant, and back', () => {
  const secs = parseSnapshotId('20260331T235959Z', 'ubuntu', now)
  assert.is(secs, Date.UTC(2026, 2, 31, 23, 59, 59) / 1000)
  assert.is(snapshotIdAt(secs + 0.9), '20260331T235959Z')
})

test('the first instant of a service and now are taken', () => {
  parseSnapshotId('20230301T000000Z', 'ubuntu', now)
  parseSnapshotId('20050312T000000Z', 'debian', now)
  parseSnapshotId('20240229T000000Z', 'debian', now)
  parseSnapshotId(snapshotIdAt(now), 'ubuntu', now)
})

const refused: readonly [string, ErrorCode][] = [
  ['20260331t000000z', 'snapshot_id_malformed'],
  ['20260331T000000z', 'snapshot_id_malformed'],
  ['2026-03-31T00:00:00Z', 'snapshot_id_malformed'],
  ['20260331T0000Z', 'snapshot_id_malformed'],
  ['20260331T000000Z\n', 'snapshot_id_malformed'],
  [' 20260331T000000Z', 'snapshot_id_malformed'],
  ['20260331T000000Z/../x', 'snapshot_id_malformed'],
  ['٢٠٢٦0331T000000Z', 'snapshot_id_malformed'],
  ['', 'snapshot_id_malformed'],
  ['latest', 'snapshot_id_malformed'],
  ['20250231T000000Z', 'snapshot_id_impossible'],
  ['20250229T000000Z', 'snapshot_id_impossible'],
  ['20260001T000000Z', 'snapshot_id_impossible'],
  ['20261301T000000Z', 'snapshot_id_impossible'],
  ['20260331T240000Z', 'snapshot_id_impossible'],
  ['20260331T006000Z', 'snapshot_id_impossible'],
  ['20260331T000060Z', 'snapshot_id_impossible'],
  ['00990101T000000Z', 'snapshot_id_impossible'],
  ['20230228T235959Z', 'snapshot_too_early'],
  ['20261121T120001Z', 'snapshot_in_future'],
  ['99991231T235959Z', 'snapshot_in_future'],
]

for (const [id, code] of refused)
  test(`refused: ${JSON.stringify(id)}`, () => {
    throwsCode(() => parseSnapshotId(id, 'ubuntu', now), code)
  })

test('a pin of more than 18 months is warned of', () => {
  const at = (id: string) => parseSnapshotId(id, 'ubuntu', now)
  assert.is(snapshotAgeWarning(at('20250601T000000Z'), now), undefined)
  assert.match(snapshotAgeWarning(at('20250501T000000Z'), now) ?? '', /18 months/)
})

test.run()
