import {cpSync, readlinkSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {compareVersions} from '../../src/bundle/version.ts'
import {apply, rollback} from '../../src/device/apply.ts'
import {whileLocked} from '../../src/device/device.ts'
import {loadRecords} from '../../src/device/layout.ts'
import {resume} from '../../src/device/resume.ts'
import {stage} from '../../src/device/stage.ts'
import {verifyDevice} from '../../src/device/status.ts'
import {deviceAt, makeNode, makeSources, plain} from '../support/device/node.ts'
import {rejectsCode} from '../support/rejects.ts'
import {inPairs, run} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

const sources = await makeSources('1.0.0', '1.1.0', '1.2.0')
const script = join(import.meta.dirname, '../support/device/killed-updater.ts')

/** Each child would compile the same sources anew. */
const compiled = temporaryFolder()

const updater = (root: string, what: string, at = 0, when = 'before') =>
  run(process.execPath, [script, root, sources.of('1.2.0'), what, String(at), when], {
    patienceSecs: 120,
    env: {NODE_COMPILE_CACHE: compiled},
  })

/** A node that has been updated once, to be copied. */
async function updatedNode(): Promise<string> {
  const device = await makeNode(sources)
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain)
  return device.root
}

const node = await updatedNode()

function copyOf(root: string): string {
  const copy = join(temporaryFolder(), 'node')
  cpSync(root, copy, {recursive: true, verbatimSymlinks: true})
  return copy
}

type Case = {readonly at: number; readonly when: string}

async function casesOf(what: string): Promise<Case[]> {
  const {stdout, stderr, code} = await updater(copyOf(node), what)
  assert.is(code, 0, stderr)
  const count = Number(stdout)
  assert.ok(count >= 8, `${count} operations`)
  return Array.from({length: count}, (_, at) => at + 1).flatMap((at) => [
    {at, when: 'before'},
    {at, when: 'after'},
  ])
}

test('an update that is killed anywhere is ended by the next run', async () => {
  const cases = await casesOf('update')
  await inPairs(cases, async ({at, when}) => {
    const root = copyOf(node)
    const {signal} = await updater(root, 'update', at, when)
    assert.is(signal, 'SIGKILL', `${when} ${at}`)
    const device = deviceAt(root)
    await verifyDevice(device)
    assert.ok(
      compareVersions(loadRecords(root).floor, '1.1.0') >= 0,
      `${when} ${at}: the floor fell`,
    )
    const {record} = await resume(device)
    if (record.running.version !== '1.2.0') {
      if (record.state !== 'staged') await stage(device, sources.of('1.2.0'), plain)
      await apply(device, plain)
    }
    await verifyDevice(device)
    assert.is(readlinkSync(join(root, 'current')), 'versions/1.2.0', `${when} ${at}`)
    assert.is(loadRecords(root).floor, '1.2.0')
  })
})

test('a rollback that is killed anywhere is ended by the next run', async () => {
  const cases = await casesOf('rollback')
  await inPairs(cases, async ({at, when}) => {
    const root = copyOf(node)
    const {signal} = await updater(root, 'rollback', at, when)
    assert.is(signal, 'SIGKILL', `${when} ${at}`)
    const device = deviceAt(root)
    await verifyDevice(device)
    const {record} = await resume(device)
    if (record.state !== 'rolled_back') await rollback(device)
    await verifyDevice(device)
    assert.is(readlinkSync(join(root, 'current')), 'versions/1.0.0', `${when} ${at}`)
    assert.is(loadRecords(root).floor, '1.1.0', `${when} ${at}`)
  })
})

test('one acts, another is told upgrade_busy, and the lock is free when its holder ends', async () => {
  const root = copyOf(node)
  await whileLocked(root, async () => {
    await rejectsCode(() => whileLocked(root, async () => undefined), 'upgrade_busy')
  })
  await whileLocked(root, async () => undefined)
})

test.run()
