import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {Device} from '../../../src/device/device.ts'
import {rememberRefused, wasRefused} from '../../../src/device/refused.ts'
import type {Offer} from '../../../src/device/source.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {RelError} from '../../../src/system/error.ts'
import {testNow} from '../../support/anchors.ts'
import {makeNode, makeSources} from '../../support/device/node.ts'

const sources = await makeSources('1.0.0')
const offerOf = (n: number): Offer => ({version: `1.${n}.0`, deltas: [], fetch: async () => ''})
const at = (device: Device, time: number): Device => ({
  ...device,
  world: {...device.world, now: () => time},
})
const refuse = (device: Device, n: number, code: ErrorCode = 'upgrade_checksum_mismatch') =>
  rememberRefused(device, offerOf(n), new RelError(code, 'no'))

test('what could not be used is known for a day, and to no clock that is behind', async () => {
  const device = await makeNode(sources)
  refuse(device, 1)
  const known = (time: number) => wasRefused(at(device, time), offerOf(1))
  assert.equal([known(testNow), known(testNow + 86_399)], [true, true])
  assert.equal([known(testNow + 86_400), known(testNow - 1)], [false, false])
  assert.not(wasRefused(device, offerOf(2)))
})

test('trouble on the way says nothing of an offer', async () => {
  const device = await makeNode(sources)
  for (const code of ['upgrade_download_failed', 'upgrade_disk_full', 'interrupted'] as const)
    refuse(device, 1, code)
  rememberRefused(device, offerOf(1), new Error('a bug'))
  assert.not(wasRefused(device, offerOf(1)))
})

test('sixteen are known, the newest', async () => {
  const device = await makeNode(sources)
  for (let n = 1; n <= 17; n++) refuse(device, n)
  const known = Array.from({length: 17}, (_, n) => wasRefused(device, offerOf(n + 1)))
  assert.equal(known, [false, ...Array.from({length: 16}, () => true)])
})

test.run()
