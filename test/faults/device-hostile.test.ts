import {spawn, spawnSync} from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {dirname, join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply} from '../../src/device/apply.ts'
import {raiseMark} from '../../src/device/clock-mark.ts'
import {parseConfig} from '../../src/device/config.ts'
import {advance, readConfig, whileLocked} from '../../src/device/device.ts'
import {makeRoot} from '../../src/device/init.ts'
import {loadRecords} from '../../src/device/layout.ts'
import {repair} from '../../src/device/repair.ts'
import {checkSource, stage} from '../../src/device/stage.ts'
import {testNow} from '../support/anchors.ts'
import {bundleOf, configJson, makeNode, makeSources, plain} from '../support/device/node.ts'
import {makeProgramNode, programSources, writeRelease} from '../support/device/program-node.ts'
import {needsThat} from '../support/needs.ts'
import {rejectsCode, throwsCode} from '../support/rejects.ts'
import {writeTree} from '../support/signed-tree.ts'
import {temporaryFolder} from '../support/tmp.ts'

// Each test is an attack that went through once: what somebody does to whom `rel device` obeys.

const sources = await makeSources('1.0.0', '1.1.0', '1.2.0')

const isRoot = process.getuid?.() === 0
const OTHER = 12345

const takeovers: readonly [string, (root: string) => void][] = [
  ['device.json that all can write', (root) => chmodSync(join(root, 'device.json'), 0o666)],
  ['an anchor that a group can write', (root) => chmodSync(join(root, 'trust_anchor.json'), 0o664)],
  ['a root that all can write', (root) => chmodSync(root, 0o777)],
  ['a folder above that all can write', (root) => chmodSync(join(root, '..'), 0o777)],
]

for (const [name, change] of takeovers)
  test(`a node that others can change is not opened: ${name}`, async () => {
    const {root} = await makeNode(sources)
    readConfig(root)
    change(root)
    throwsCode(() => readConfig(root), 'upgrade_layout_invalid')
  })

const owned = ['', '..', '.rel', 'versions', 'device.json', 'trust_anchor.json']

if (needsThat('root', isRoot, 'changing an owner takes root'))
  for (const name of owned)
    test(`rel as root obeys no node of another user: ${name || 'the root'}`, async () => {
      const {root} = await makeNode(sources)
      chownSync(join(root, name), OTHER, OTHER)
      throwsCode(() => readConfig(root), 'upgrade_layout_invalid')
    })

test('no node is made where others could exchange it', () => {
  const folder = join(temporaryFolder(), 'open')
  mkdirSync(folder)
  chmodSync(folder, 0o777)
  throwsCode(() => makeRoot(join(folder, 'node')), 'upgrade_layout_invalid')
})

/** Holds a shared lock of SQLite's on a file until it is told to end; says whether it could. */
const holder = `
const {DatabaseSync} = require('node:sqlite')
try {
  const lock = new DatabaseSync(process.argv[1], {readOnly: true})
  lock.exec('BEGIN; SELECT * FROM sqlite_master')
  process.stdout.write('held')
  process.stdin.resume()
} catch {
  process.stdout.write('refused')
}`

const writer = `
const {DatabaseSync} = require('node:sqlite')
try {
  new DatabaseSync(process.argv[1], {timeout: 0}).exec('BEGIN EXCLUSIVE')
  process.stdout.write('got it')
} catch {
  process.stdout.write('busy')
}`

/** Lets every user through to a path, as it is below /opt: temporary folders are for their owner alone. */
function letThrough(path: string): void {
  for (let at = path; (statSync(at).mode & 0o1000) === 0 && at !== '/'; at = dirname(at))
    chmodSync(at, 0o755)
}

/** A Node that every user can start, wherever the one of the tests is. */
function nodeOfAll(): string {
  const folder = temporaryFolder()
  letThrough(folder)
  const path = join(folder, 'node')
  copyFileSync(process.execPath, path)
  chmodSync(path, 0o755)
  return path
}

if (needsThat('root', isRoot, 'running as another user takes root'))
  test('another user of the machine cannot hold the lock of a node, and so stop its updates', async () => {
    const {root} = await makeNode(sources)
    letThrough(root)
    const lock = join(root, '.rel/lock')
    await whileLocked(root, async () => undefined)
    // as an earlier version of rel has left it
    for (const mode of [undefined, 0o644]) {
      if (mode !== undefined) chmodSync(lock, mode)
      await whileLocked(root, async () => undefined)
      const child = spawn(nodeOfAll(), ['-e', holder, lock], {
        uid: OTHER,
        gid: OTHER,
        cwd: '/',
        stdio: ['pipe', 'pipe', 'ignore'],
      })
      const said = await new Promise((done) => child.stdout.once('data', (text) => done(`${text}`)))
      try {
        await whileLocked(root, async () => undefined)
        assert.is(said, 'refused')
      } finally {
        child.kill()
      }
    }
  })

test('the lock of a node is for its owner alone, and closing it twice gives nothing back', async () => {
  const {root} = await makeNode(sources)
  await whileLocked(root, async () => {
    assert.is(statSync(join(root, '.rel/lock')).mode & 0o777, 0o600)
    const inside = whileLocked(root, async () => undefined)
    await rejectsCode(() => inside, 'upgrade_busy')
    const other = spawnSync(process.execPath, ['-e', writer, join(root, '.rel/lock')])
    assert.is(`${other.stdout}`, 'busy')
  })
})

test('a clock that is set back within its day opens no bundle and no release that had expired', async () => {
  const [expires, timestamp] = [testNow - 3600, testNow - 86_400]
  const bundle = join(temporaryFolder(), 'expired')
  writeTree(bundle, await bundleOf('1.1.0', {expires}, timestamp))
  const programs = await programSources('1.0.0')
  const release = join(temporaryFolder(), 'release')
  await writeRelease(release, '1.1.0', {expires, timestamp})
  for (const [device, source, code] of [
    [await makeNode(sources), bundle, 'manifest_expired'],
    [await makeProgramNode(programs), release, 'release_expired'],
  ] as const) {
    raiseMark(device, testNow) // something newer that was signed was seen
    const back = {...device, world: {...device.world, now: () => testNow - 7200}}
    await rejectsCode(() => checkSource(back, source, plain), code)
    await rejectsCode(() => stage(back, source, plain), code)
    assert.is(loadRecords(device.root).record.state, 'committed')
  }
})

/** A node on which a power cut has ended a trial of 1.1.0, after the links were swapped. */
async function cutInTrial(state: 'trial' | 'rolling_back') {
  const device = await makeNode(sources, {
    restart: () => {
      throw new Error('power cut')
    },
    ...(state === 'trial' ? {} : {broken: ['1.1.0']}),
  })
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain).catch(() => undefined)
  if (state === 'rolling_back') {
    const {record, floor} = loadRecords(device.root)
    const {candidate, running} = record
    if (candidate === undefined) throw new Error('no candidate')
    const failed = [{version: candidate.version, digest: candidate.digest}]
    advance(device, {record, floor}, 'rolling_back', {candidate, target: running, failed})
  }
  assert.is(loadRecords(device.root).record.state, state)
  assert.is(readlinkSync(join(device.root, 'current')), 'versions/1.1.0')
  return device
}

for (const state of ['trial', 'rolling_back'] as const)
  test(`a repair does not commit what never proved itself: ${state}`, async () => {
    const device = await cutInTrial(state)
    // whoever can damage any small file of .rel makes somebody type --repair
    writeFileSync(join(device.root, '.rel/clock.json'), 'damaged')
    const {slot} = await repair(device)
    const {record, floor} = loadRecords(device.root)
    assert.equal(
      [slot.version, record.state, record.running.version, floor],
      ['1.0.0', 'committed', '1.0.0', '1.0.0'],
    )
    assert.is(readlinkSync(join(device.root, 'current')), 'versions/1.0.0')
  })

test('a repair forgets no version that failed here', async () => {
  const device = await makeNode(sources, {broken: ['1.1.0']})
  await stage(device, sources.of('1.1.0'), plain)
  await rejectsCode(() => apply(device, plain), 'upgrade_rolled_back')
  writeFileSync(join(device.root, '.rel/floor.json'), 'damaged')
  await repair(device)
  await rejectsCode(() => stage(device, sources.of('1.1.0'), plain), 'upgrade_blocked')
})

test('a program has no path that is more than a line to the guard', () => {
  const named = (path: string) =>
    parseConfig(Buffer.from(JSON.stringify({...configJson, binary: {path, component: 'agent'}})))
  assert.is(named('/opt/a b/agent').profile.kind, 'binary')
  for (const end of ['\n', '\r', '\u0000', '\u001b[2J', '/', '/../x'])
    throwsCode(() => named(`/opt/agent${end}`), 'upgrade_config_invalid')
  throwsCode(() => named('/opt/agent\nkind=tree'), 'upgrade_config_invalid')
})

test.run()
