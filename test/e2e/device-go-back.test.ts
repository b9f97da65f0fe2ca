import {type ChildProcess, spawn} from 'node:child_process'
import {existsSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as after} from 'node:timers/promises'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply} from '../../src/device/apply.ts'
import {whileLocked} from '../../src/device/device.ts'
import {type DurableFs, recordingFs} from '../../src/device/durable-fs.ts'
import {goBack} from '../../src/device/go-back.ts'
import {askBack} from '../../src/device/guard.ts'
import {loadRecords} from '../../src/device/layout.ts'
import {type Rested, resume} from '../../src/device/resume.ts'
import {stage} from '../../src/device/stage.ts'
import {RelError} from '../../src/system/error.ts'
import {builtPackage} from '../support/built.ts'
import {configJson, deviceAt, makeNode, makeSources, plain} from '../support/device/node.ts'
import {rejectsCode} from '../support/rejects.ts'
import {cleanEnv, type Ran, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// An operator's way back works while another process waits for the health of a new version.

const sources = await makeSources('1.0.0', '1.1.0', '1.2.0')
const rel = join(await builtPackage(), 'bin', 'rel')

type Doc = {
  readonly result: {readonly running: {readonly version: string}; readonly floor: string}
  readonly error: {readonly code: string; readonly details: Record<string, unknown>}
}

const docOf = ({stdout}: Pick<Ran, 'stdout'>) => JSON.parse(stdout) as Doc

/** A node that runs 1.1.0 after 1.0.0, with 1.2.0 staged; its health is asked, and never good. */
async function stagedNode() {
  const {root} = await makeNode(sources)
  const asked = join(temporaryFolder(), 'asked')
  const upgrade = {...configJson.upgrade, boot_health_window_secs: 300}
  const health = {command: ['sh', '-c', `echo >>'${asked}'; exit 1`]}
  const device = deviceAt(root)
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain)
  await stage(device, sources.of('1.2.0'), plain)
  writeFileSync(join(root, 'device.json'), JSON.stringify({...configJson, upgrade, health}))
  return {root, timesAsked: () => (existsSync(asked) ? readFileSync(asked, 'utf8').length : 0)}
}

async function eventually(holds: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 60_000
  while (!holds() && performance.now() < end) await after(10)
  assert.ok(holds(), what)
}

/** An `apply` that waits for health. */
async function waitingApply(node: Awaited<ReturnType<typeof stagedNode>>) {
  const child: ChildProcess = spawn(rel, ['device', 'apply', node.root, '--json'], {
    env: cleanEnv(),
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let stdout = ''
  child.stdout?.on('data', (piece: Buffer) => {
    stdout += piece.toString('utf8')
  })
  const ended = new Promise<{code: number | null; stdout: string}>((resolve) =>
    child.once('close', (code) => resolve({code, stdout})),
  )
  await eventually(() => node.timesAsked() > 0, 'it asks for health')
  return {child, ended}
}

/** Also by a link that leads nowhere. */
const hasAsked = (root: string) => readdirSync(join(root, '.rel')).includes('back')

function stateOf(root: string): readonly string[] {
  const {record, floor} = loadRecords(root)
  return [record.state, record.running.version, record.previous?.version ?? 'none', floor]
}

test('a rollback ends the trial that another process waits for', async () => {
  const node = await stagedNode()
  const {child, ended} = await waitingApply(node)
  const busy = docOf(await runRel(['device', 'stage', node.root, sources.of('1.2.0'), '--json']))
  assert.equal([busy.error.code, busy.error.details.pid], ['upgrade_busy', child.pid])
  const dry = await runRel(['device', 'rollback', node.root, '--dry-run'])
  assert.match(dry.stdout, /1\.1\.0/)
  const back = await runRel(['device', 'rollback', node.root, '--json'])
  assert.equal([back.code, docOf(back).result.running.version], [0, '1.1.0'])
  const {code, stdout} = await ended
  assert.equal([code, docOf({stdout}).error.code], [25, 'upgrade_rolled_back'])
  assert.is(docOf({stdout}).error.details.reason, 'an operator asked for it')
  // one step alone: the version before the trial, not the one before that
  assert.equal(stateOf(node.root), ['rolled_back', '1.1.0', '1.0.0', '1.1.0'])
  assert.not.ok(hasAsked(node.root))
  const again = await runRel(['device', 'rollback', node.root, '--json'])
  assert.is(docOf(again).result.running.version, '1.0.0')
})

test('a rollback of a trial that nobody waits for asks for no health', async () => {
  const node = await stagedNode()
  const {child, ended} = await waitingApply(node)
  child.kill('SIGKILL')
  await ended
  const asked = node.timesAsked()
  const back = await runRel(['device', 'rollback', node.root, '--json'])
  assert.equal([back.code, docOf(back).result.running.version], [0, '1.1.0'])
  assert.is(node.timesAsked(), asked)
  assert.equal(stateOf(node.root), ['rolled_back', '1.1.0', '1.0.0', '1.1.0'])
})

test('operators who ask at once go one step back, all of them', async () => {
  const node = await stagedNode()
  const {ended} = await waitingApply(node)
  const all = await Promise.all(
    [1, 2, 3].map(() => runRel(['device', 'rollback', node.root, '--json'])),
  )
  for (const {code, stdout} of all) assert.is(code, 0, stdout)
  assert.is((await ended).code, 25)
  assert.equal(stateOf(node.root), ['rolled_back', '1.1.0', '1.0.0', '1.1.0'])
})

test('what was asked of a trial that has ended is no word on the next one', async () => {
  const {root} = await stagedNode()
  const device = deviceAt(root)
  const {running, candidate} = loadRecords(root).record
  askBack(device, candidate ?? running)
  await apply(device, plain)
  assert.equal(stateOf(root), ['committed', '1.2.0', '1.1.0', '1.2.0'])
  assert.not.ok(hasAsked(root))
})

test('who asks of a trial when the next one has begun does not end that one', async () => {
  const {root} = await stagedNode()
  const {running} = loadRecords(root).record
  const late = deviceAt(root, {restart: () => askBack(deviceAt(root), running)})
  await apply(late, plain)
  assert.equal(stateOf(root), ['committed', '1.2.0', '1.1.0', '1.2.0'])
  assert.not.ok(hasAsked(root))
})

/** A node whose trial waits in this process; what happens to it before the operator gets the lock. */
async function onTrial() {
  const {root} = await stagedNode()
  const device = deviceAt(root)
  const {world} = device
  const stopped = {
    ...device,
    world: {...world, health: () => Promise.reject(new RelError('interrupted', 'stopped'))},
  }
  await rejectsCode(() => apply(stopped, plain), 'interrupted')
  return device
}

test('a trial that is judged already is committed, and then gone back from', async () => {
  const device = await onTrial()
  const {root, world} = device
  const asked: Promise<Rested>[] = []
  const fs = recordingFs(world.fs, (op) => {
    const isJudged = op.op === 'unlink' && op.path === '.rel/trial' && asked.length === 0
    if (isJudged) asked.push(goBack(device, () => {}))
  })
  const committed = await whileLocked(root, () => resume({...device, world: {...world, fs}}))
  assert.is(committed.record.running.version, '1.2.0')
  const [back] = await Promise.all(asked)
  assert.is(back?.record.running.version, '1.1.0')
  assert.equal(stateOf(root), ['rolled_back', '1.1.0', 'none', '1.2.0'])
  assert.not.ok(hasAsked(root))
})

test('a full disk keeps nobody from going back', async () => {
  const device = await onTrial()
  const {root, world} = device
  const reserve = join(root, '.rel/reserve')
  assert.ok(existsSync(reserve))
  const full: DurableFs = {
    root,
    run: (op) => {
      if (op.op === 'symlink' && op.path === '.rel/back' && existsSync(reserve))
        throw Object.assign(new Error('full'), {code: 'ENOSPC'})
      world.fs.run(op)
    },
  }
  const {record} = await goBack({...device, world: {...world, fs: full}}, () => {})
  assert.is(record.running.version, '1.1.0')
})

test('a trial that another process could not end well is no rollback', async () => {
  const device = await onTrial()
  const {promise, resolve} = Promise.withResolvers<void>()
  const held = whileLocked(device.root, async () => {
    await promise
    rmSync(join(device.root, 'versions/1.1.0/bin/app'))
    await rejectsCode(() => resume(device), 'upgrade_degraded')
  })
  await rejectsCode(() => goBack(device, resolve), 'upgrade_degraded')
  await held
})

test.run()
