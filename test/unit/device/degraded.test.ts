import {existsSync, readlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply} from '../../../src/device/apply.ts'
import {loadRecords} from '../../../src/device/layout.ts'
import {repair} from '../../../src/device/repair.ts'
import {resume} from '../../../src/device/resume.ts'
import {stage} from '../../../src/device/stage.ts'
import {verifyDevice} from '../../../src/device/status.ts'
import {makeNode, makeSources, plain} from '../../support/device/node.ts'
import {rejectsCode} from '../../support/rejects.ts'

const sources = await makeSources('1.0.0', '1.1.0', '1.2.0')
const unattended = {isRetry: false, isUnattended: true}

/** A new version that fails over an old one that somebody has damaged. */
async function degraded() {
  const device = await makeNode(sources, {broken: ['1.1.0']})
  await stage(device, sources.of('1.1.0'), plain)
  writeFileSync(join(device.root, 'versions/1.0.0/data.txt'), 'x')
  device.events.length = 0
  await rejectsCode(() => apply(device, plain), 'upgrade_degraded')
  return device
}

test('with no way back the node keeps what it has, with one critical event', async () => {
  const device = await degraded()
  const critical = device.events.filter(({severity}) => severity === 'critical')
  assert.equal(
    critical.map(({event}) => event),
    ['upgrade_rollback_failed'],
  )
  const before = loadRecords(device.root)
  const {state, running, previous, failed} = before.record
  assert.equal([state, running.version, previous], ['degraded', '1.1.0', undefined])
  assert.equal(
    failed.map(({version}) => version),
    ['1.1.0'],
  )
  assert.is(readlinkSync(join(device.root, 'current')), 'versions/1.1.0')
  assert.not.ok(existsSync(join(device.root, '.rel/trial')))
  await resume(device)
  assert.equal(loadRecords(device.root), before, 'nothing changes it by itself')
})

test('a degraded node takes nothing by itself', async () => {
  const device = await degraded()
  const config = {...device.config, policy: 'auto'} as const
  const before = loadRecords(device.root)
  await rejectsCode(
    () => stage({...device, config}, sources.of('1.2.0'), unattended),
    'upgrade_degraded',
  )
  assert.equal(loadRecords(device.root), before)
})

test('a good release by hand leads out of it', async () => {
  const device = await degraded()
  await stage(device, sources.of('1.2.0'), plain)
  await apply(device, plain)
  const {record} = loadRecords(device.root)
  assert.equal([record.state, record.running.version], ['committed', '1.2.0'])
  await verifyDevice(device)
})

test('a repair leads out of it, and ends a trial for the guard', async () => {
  const device = await degraded()
  writeFileSync(join(device.root, '.rel/trial'), 'rel-trial 1\nend\n')
  await repair(device)
  assert.is(loadRecords(device.root).record.state, 'committed')
  assert.not.ok(existsSync(join(device.root, '.rel/trial')))
})

test.run()
