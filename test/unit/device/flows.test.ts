import {existsSync, readFileSync, readlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {applyPack, planPack} from '../../../src/bundle/archive/pack.ts'
import {apply, rollback} from '../../../src/device/apply.ts'
import {loadRecords} from '../../../src/device/layout.ts'
import {repair} from '../../../src/device/repair.ts'
import {resume} from '../../../src/device/resume.ts'
import {stage} from '../../../src/device/stage.ts'
import {statusOf, verifyDevice} from '../../../src/device/status.ts'
import {deviceAt, makeNode, makeSources, plain} from '../../support/device/node.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const sources = await makeSources('0.9.0', '1.0.0', '1.1.0', '1.2.0')
const linkOf = (root: string, name = 'current') => readlinkSync(join(root, name))

test('an update goes through, and its floor rises after the commit', async () => {
  const device = await makeNode(sources)
  await stage(device, sources.of('1.1.0'), plain)
  assert.is(loadRecords(device.root).floor, '1.0.0')
  await apply(device, plain)
  const {record, floor} = loadRecords(device.root)
  assert.equal(
    [record.state, record.running.version, record.previous?.version, floor],
    ['committed', '1.1.0', '1.0.0', '1.1.0'],
  )
  assert.equal(
    [linkOf(device.root), linkOf(device.root, 'previous')],
    ['versions/1.1.0', 'versions/1.0.0'],
  )
  await verifyDevice(device)
  const names = device.events.map(({event}) => event)
  assert.equal(names.slice(1), [
    'upgrade_started',
    'upgrade_downloaded',
    'upgrade_staged',
    'upgrade_started',
    'upgrade_completed',
  ])
})

test('an archive does as well as a folder', async () => {
  const device = await makeNode(sources)
  const output = join(temporaryFolder(), 'app.tar.zst')
  const directory = sources.of('1.1.0')
  await applyPack(planPack({directory, output, format: 'tar.zst', replace: false}))
  await stage(device, output, plain)
  await apply(device, plain)
  await verifyDevice(device)
  assert.is(linkOf(device.root), 'versions/1.1.0')
})

test('a version that is not healthy is taken back and not tried again', async () => {
  const device = await makeNode(sources, {broken: ['1.1.0']})
  await stage(device, sources.of('1.1.0'), plain)
  const refusal = await rejectsCode(() => apply(device, plain), 'upgrade_rolled_back')
  assert.is(refusal.details?.running, '1.0.0')
  const {record, floor} = loadRecords(device.root)
  assert.equal([record.state, record.running.version, floor], ['rolled_back', '1.0.0', '1.0.0'])
  assert.is(linkOf(device.root), 'versions/1.0.0')
  await verifyDevice(device)
  await rejectsCode(() => stage(device, sources.of('1.1.0'), plain), 'upgrade_blocked')
  await stage(device, sources.of('1.1.0'), {...plain, isRetry: true})
  await stage(device, sources.of('1.2.0'), plain)
  await apply(device, plain)
  assert.is(linkOf(device.root), 'versions/1.2.0')
  assert.not.ok(existsSync(join(device.root, 'versions/1.1.0')), 'what nothing names is removed')
})

test('an operator goes back once, without lowering the floor', async () => {
  const device = await makeNode(sources)
  await rejectsCode(() => rollback(device), 'upgrade_no_previous')
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain)
  await rollback(device)
  const status = statusOf(device)
  assert.equal(
    [status.state, status.record.running.version, status.floor, status.isBelowFloor],
    ['rolled_back', '1.0.0', '1.1.0', true],
  )
  await verifyDevice(device)
  await rejectsCode(() => rollback(device), 'upgrade_no_previous')
  // what somebody went back from does not come again by itself
  await rejectsCode(() => stage(device, sources.of('1.1.0'), plain), 'upgrade_blocked')
  await stage(device, sources.of('1.2.0'), plain)
})

test('a version that takes the machine down each time is given up after the allowed attempts', async () => {
  const device = await makeNode(sources)
  const starts: string[] = []
  const dying = {
    ...device,
    config: {...device.config, maxBootAttempts: 3},
    world: {
      ...device.world,
      restart: async () => {
        starts.push(linkOf(device.root))
        if (linkOf(device.root) === 'versions/1.1.0') throw new Error('the machine went down')
        return undefined
      },
    },
  }
  await stage(dying, sources.of('1.1.0'), plain)
  const wentDown = async (work: () => Promise<unknown>) => {
    const message = await work().then(String, (error: Error) => error.message)
    assert.match(message, 'the machine went down')
  }
  await wentDown(() => apply(dying, plain))
  await wentDown(() => resume(dying))
  await wentDown(() => resume(dying))
  await rejectsCode(() => resume(dying), 'upgrade_rolled_back')
  assert.equal(starts, [...Array(3).fill('versions/1.1.0'), 'versions/1.0.0'])
  assert.is(statusOf(dying).state, 'rolled_back')
})

test('a rollback whose target was changed touches nothing', async () => {
  const device = await makeNode(sources)
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain)
  writeFileSync(join(device.root, 'versions/1.0.0/data.txt'), 'x')
  const before = loadRecords(device.root)
  await rejectsCode(() => rollback(device), 'upgrade_rollback_failed')
  assert.equal(loadRecords(device.root), before)
  assert.is(linkOf(device.root), 'versions/1.1.0')
})

test('what was staged is verified again', async () => {
  const device = await makeNode(sources)
  await rejectsCode(() => apply(device, plain), 'upgrade_nothing_staged')
  await stage(device, sources.of('1.1.0'), plain)
  writeFileSync(join(device.root, 'versions/1.1.0/data.txt'), 'data 1.1.1\n')
  await rejectsCode(() => apply(device, plain), 'upgrade_staged_corrupt')
  assert.is(linkOf(device.root), 'versions/1.0.0')
})

const refusals: readonly [string, object, string, Parameters<typeof rejectsCode>[1]][] = [
  ['disabled', {upgrade: {enabled: false}}, '1.1.0', 'upgrade_disabled'],
  ['without the section', {upgrade: undefined}, '1.1.0', 'upgrade_disabled'],
  [
    'another channel',
    {upgrade: {enabled: true, allowed_channels: ['beta']}},
    '1.1.0',
    'upgrade_channel_not_allowed',
  ],
  [
    'below min_version',
    {upgrade: {enabled: true, min_version: '1.2.0'}},
    '1.1.0',
    'upgrade_version_too_old',
  ],
  ['older', {}, '0.9.0', 'upgrade_version_too_old'],
  ['the same', {}, '1.0.0', 'upgrade_not_newer'],
  ['another product', {product: 'other'}, '1.1.0', 'product_mismatch'],
]

for (const [name, change, version, code] of refusals)
  test(`a gate refuses and nothing changes: ${name}`, async () => {
    const {root} = await makeNode(sources)
    const before = loadRecords(root)
    await rejectsCode(() => stage(deviceAt(root, {}, change), sources.of(version), plain), code)
    assert.equal(loadRecords(root), before)
    assert.not.ok(existsSync(join(root, 'versions/1.1.0')))
  })

test('bytes and signatures that are not the signed ones have the codes of D1', async () => {
  const device = await makeNode(sources)
  const {of} = await makeSources('1.1.0', '1.2.0')
  writeFileSync(join(of('1.1.0'), 'data.txt'), 'data 1.1.1\n')
  const bytes = await rejectsCode(
    () => stage(device, of('1.1.0'), plain),
    'upgrade_checksum_mismatch',
  )
  assert.is(bytes.details?.cause_code, 'file_digest_mismatch')
  const path = join(of('1.2.0'), 'manifest.json')
  writeFileSync(path, readFileSync(path, 'utf8').replaceAll('1.2.0', '1.3.0'))
  await rejectsCode(() => stage(device, of('1.2.0'), plain), 'upgrade_signature_invalid')
  assert.not.ok(existsSync(join(device.root, 'versions/1.1.0')))
  assert.not.ok(existsSync(join(device.root, 'versions/.1.1.0.partial')))
})

test('unattended does what the policy says', async () => {
  const {root} = await makeNode(sources)
  const unattended = {isRetry: false, isUnattended: true}
  const withPolicy = (policy: string, isStopped = false) =>
    deviceAt(root, {isStopped}, {upgrade: {enabled: true, policy}})
  const source = sources.of('1.1.0')
  await rejectsCode(() => stage(withPolicy('manual'), source, unattended), 'upgrade_policy_manual')
  await stage(withPolicy('stage'), source, unattended)
  await rejectsCode(() => apply(withPolicy('stage'), unattended), 'upgrade_policy_manual')
  await rejectsCode(() => apply(withPolicy('apply_when_stopped'), unattended), 'app_running')
  assert.is(linkOf(root), 'versions/1.0.0')
  await apply(withPolicy('apply_when_stopped', true), unattended)
  assert.is(linkOf(root), 'versions/1.1.0')
})

test('one damaged generation is survived, and repair rebuilds both from what verifies', async () => {
  const device = await makeNode(sources)
  await stage(device, sources.of('1.1.0'), plain)
  writeFileSync(join(device.root, '.rel/state.json'), 'garbage')
  assert.is(loadRecords(device.root).record.state, 'staged')
  writeFileSync(join(device.root, '.rel/state.json.1'), 'garbage')
  throwsCode(() => loadRecords(device.root), 'upgrade_state_corrupt')
  await repair(device)
  assert.equal(
    [loadRecords(device.root).record.running.version, loadRecords(device.root).floor],
    ['1.0.0', '1.0.0'],
  )
  writeFileSync(join(device.root, 'versions/1.0.0/data.txt'), 'changed')
  await rejectsCode(() => repair(device), 'upgrade_checksum_mismatch')
})

test.run()
