import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {closedGates, type GateFacts} from '../../../src/device/state.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'

const open: GateFacts = {
  enabled: true,
  allowedChannels: ['stable'],
  minVersion: undefined,
  floor: '1.0.0',
  running: '1.0.0',
  failed: [],
  candidate: {version: '1.1.0', digest: 'd', channel: 'stable', minFrom: undefined},
  isRetry: false,
  granted: undefined,
}

const of = (change: Partial<GateFacts['candidate']>): Partial<GateFacts> => ({
  candidate: {...open.candidate, ...change},
})

const cases: readonly [string, Partial<GateFacts>, readonly ErrorCode[]][] = [
  ['all open', {}, []],
  ['a channel that nobody signed', of({channel: undefined}), ['upgrade_channel_not_allowed']],
  ['another channel', of({channel: 'beta'}), ['upgrade_channel_not_allowed']],
  ['a step that is left out', of({minFrom: '1.0.5'}), ['upgrade_step_missing']],
  ['a step that is the one that runs', of({minFrom: '1.0.0'}), []],
  ['below the floor alone', {floor: '1.2.0'}, ['upgrade_version_too_old']],
  ['at the floor', {floor: '1.1.0'}, []],
  ['older than what runs', {running: '1.2.0'}, ['upgrade_version_too_old']],
  ['a grant for it', {floor: '1.2.0', running: '1.2.0', granted: '1.1.0'}, []],
  ['a grant for another', {running: '1.2.0', granted: '1.0.9'}, ['upgrade_version_too_old']],
  ['what runs', {running: '1.1.0'}, ['upgrade_not_newer']],
  ['failed before', {failed: [{version: '1.1.0', digest: 'd'}]}, ['upgrade_blocked']],
  ['failed before, again', {failed: [{version: '1.1.0', digest: 'd'}], isRetry: true}, []],
  ['too old for the node', {minVersion: '1.1.1'}, ['upgrade_version_too_old']],
  [
    'a grant opens no other gate',
    {minVersion: '1.1.1', granted: '1.1.0'},
    ['upgrade_version_too_old'],
  ],
  ['switched off', {enabled: false}, ['upgrade_disabled']],
]

for (const [name, change, codes] of cases)
  test(`gates: ${name}`, () => {
    assert.equal(
      closedGates({...open, ...change}).map(({code}) => code),
      codes,
    )
  })

test.run()
