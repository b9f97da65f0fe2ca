import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {checkClock, noteTime, raiseMark, trustedNow} from '../../../src/device/clock-mark.ts'
import type {Device} from '../../../src/device/device.ts'
import {checkLicensed} from '../../../src/device/license-gate.ts'
import {checkNotExpired, checkTrack} from '../../../src/device/license-rules.ts'
import {stage} from '../../../src/device/stage.ts'
import {testNow} from '../../support/anchors.ts'
import {bundleOf, deviceAt, makeNode, makeSources, plain} from '../../support/device/node.ts'
import {licenseText, nodeAnchor, panelNode} from '../../support/device/panel-node.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {testLicense} from '../../support/releases.ts'
import {writeTree} from '../../support/signed-tree.ts'
import {temporaryFolder} from '../../support/tmp.ts'
import {treeState} from '../../support/tree-state.ts'

const sources = await makeSources('1.0.0')
const at = (device: Device, time: number): Device => ({
  ...device,
  world: {...device.world, now: () => time},
})

test('the latest signed time counts, unless it is of the future', async () => {
  const device = await makeNode(sources)
  const longAgo = at(device, 0)
  const steps = [
    [testNow + 301, 0, 'further ahead than clocks differ'],
    [testNow - 60, testNow - 60, 'signed a minute ago'],
    [testNow - 120, testNow - 60, 'an older one lowers nothing'],
    [testNow + 300, testNow + 300, 'as far ahead as clocks differ'],
  ] as const
  for (const [signed, mark, what] of steps) {
    raiseMark(device, signed)
    assert.is(trustedNow(longAgo), mark, what)
  }
  await noteTime(device, testNow + 301)
  assert.is(trustedNow(longAgo), testNow + 300)
})

test('a clock may be a day behind what was signed', async () => {
  const device = await makeNode(sources)
  raiseMark(device, testNow)
  checkClock(at(device, testNow - 86_400))
  throwsCode(() => checkClock(at(device, testNow - 86_401)), 'upgrade_clock_untrusted')
})

test('what was signed after a licence ended is not opened by it, whatever the clock shows', async () => {
  const license = await licenseText({expires: testNow + 100})
  const node = await panelNode({url: 'http://127.0.0.1:9', anchor: await nodeAnchor(), license})
  const facts = {product: 'app', channel: 'stable'}
  checkLicensed(node, {...facts, signed: testNow + 99})
  throwsCode(() => checkLicensed(node, {...facts, signed: testNow + 100}), 'upgrade_license_frozen')
  const source = join(temporaryFolder(), 'bundle')
  writeTree(source, await bundleOf('1.1.0', {}, testNow + 100))
  const before = treeState(node.root)
  await rejectsCode(() => stage(node, source, plain), 'upgrade_license_frozen')
  const isLasting = (line: string) => !line.startsWith('versions ')
  assert.equal(treeState(node.root).filter(isLasting), before.filter(isLasting))
})

test('a licence ends at the second that it names', () => {
  const {expires} = testLicense
  checkNotExpired(testLicense, expires - 1)
  throwsCode(() => checkNotExpired(testLicense, expires), 'upgrade_license_frozen')
})

test('a licence that names components opens no others', () => {
  const {product} = testLicense
  const facts = {product, channel: 'stable'}
  const license = {...testLicense, entitlements: ['component:agent']}
  checkTrack(license, facts)
  checkTrack(license, {...facts, component: 'agent'})
  checkTrack(testLicense, {...facts, component: 'cli'})
  throwsCode(() => checkTrack(license, {...facts, component: 'cli'}), 'upgrade_license_invalid')
})

test('a mark that is no time is no mark of 0', async () => {
  const {root} = await makeNode(sources)
  writeFileSync(join(root, '.rel/clock.json'), '')
  throwsCode(() => trustedNow(deviceAt(root)), 'upgrade_state_corrupt')
})

test.run()
