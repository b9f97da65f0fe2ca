import {type ChildProcess, spawn, spawnSync} from 'node:child_process'
import {cpSync, existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as after} from 'node:timers/promises'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply} from '../../src/device/apply.ts'
import {parseConfig} from '../../src/device/config.ts'
import {type Device, realWorld} from '../../src/device/device.ts'
import {loadRecords} from '../../src/device/layout.ts'
import {stage} from '../../src/device/stage.ts'
import {builtPackage, checkout} from '../support/built.ts'
import {
  type Before,
  beforeOf,
  checkStands,
  fillFolders,
  runs,
} from '../support/device/after-each.ts'
import {runGuard} from '../support/device/guard.ts'
import {plain} from '../support/device/node.ts'
import {
  licenseText,
  nodeAnchor,
  packedBundle,
  panelConfig,
  panelNode,
} from '../support/device/panel-node.ts'
import {loopDisk} from '../support/loop-disk.ts'
import {needsThat} from '../support/needs.ts'
import {cleanEnv, type Ran, run, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

const terms = {
  url: 'http://127.0.0.1:9',
  anchor: await nodeAnchor(),
  license: await licenseText(),
}
const archives = temporaryFolder()
for (const version of ['1.1.0', '1.2.0'])
  writeFileSync(join(archives, `${version}.tar.gz`), await packedBundle({version}))
const rel = join(await builtPackage(), 'bin', 'rel')

/** A node that runs 1.1.0 with 1.2.0 staged, and whose restart lasts until it may end. */
type Node = {
  readonly device: Device
  readonly root: string
  readonly before: Before
  /** True once the new version was started. */
  isStarted(): boolean
  /** Lets the restart end. */
  go(): void
}

async function stagedNode(): Promise<Node> {
  const made = await panelNode(terms)
  const {root} = made
  for (const [version, isApplied] of [
    ['1.1.0', true],
    ['1.2.0', false],
  ] as const) {
    await stage(made, join(archives, `${version}.tar.gz`), plain)
    if (isApplied) await apply(made, plain)
  }
  const folder = temporaryFolder()
  const [started, go] = [join(folder, 'started'), join(folder, 'go')]
  const script = `: > '${started}'; until test -e '${go}'; do sleep 0.05; done`
  const text = JSON.stringify({
    ...panelConfig({...terms, upgrade: {boot_health_window_secs: 120}}),
    restart: ['sh', '-c', script],
  })
  writeFileSync(join(root, 'device.json'), text)
  fillFolders(root)
  const config = parseConfig(Buffer.from(text))
  return {
    device: {root, config, world: realWorld(root, config, () => undefined)},
    root,
    before: beforeOf(root),
    isStarted: () => existsSync(started),
    go: () => writeFileSync(go, ''),
  }
}

/** Looks until it is so, for 60 s at most. */
async function eventually(holds: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 60_000
  while (!holds() && performance.now() < end) await after(10)
  assert.ok(holds(), what)
}

const codeOf = ({stdout}: Ran) => (JSON.parse(stdout) as {error?: {code: string}}).error?.code

/** The records as bytes: what somebody who was refused must not have touched. */
const recordsOf = (root: string) =>
  ['.rel/state.json', '.rel/state.json.1', '.rel/floor.json'].map((path) =>
    readFileSync(join(root, path), 'utf8'),
  )

test('of thirty updaters at once one acts, and all others and a stage change nothing', async () => {
  const node = await stagedNode()
  const {root} = node
  const refused: Ran[] = []
  const all = Array.from({length: 30}, async () => {
    const ran = await run(rel, ['device', 'apply', root, '--json'], {patienceSecs: 120})
    if (ran.code !== 0) refused.push(ran)
    return ran
  })
  await eventually(() => node.isStarted() && refused.length >= 29, '29 are refused')
  const records = recordsOf(root)
  const staging = await runRel(['device', 'stage', root, join(archives, '1.2.0.tar.gz'), '--json'])
  assert.equal([staging.code, codeOf(staging)], [75, 'upgrade_busy'])
  for (const ran of refused) assert.equal([ran.code, codeOf(ran)], [75, 'upgrade_busy'])
  await runGuard(root)
  assert.equal(recordsOf(root), records)
  node.go()
  const codes = (await Promise.all(all)).map(({code}) => code)
  assert.is(codes.filter((code) => code === 0).length, 1, codes.join())
  assert.is(codes.filter((code) => code === 75).length, 29, codes.join())
  await checkStands(node.device, node.before, 'thirty at once')
  assert.ok(runs(node.device, '1.2.0', '1.2.0'))
  // one trial, one commit
  assert.is(loadRecords(root).record.seq, loadSeq(records) + 1)
})

function loadSeq(records: readonly string[]): number {
  const found = records.map((text) => Number(/"seq":(\d+)/.exec(text)?.[1] ?? 0))
  return Math.max(...found)
}

/** An `apply` that holds the lock of a node. */
async function holderOf(node: Node, env: Readonly<Record<string, string>> = {}) {
  const child: ChildProcess = spawn(rel, ['device', 'apply', node.root, '--json'], {
    env: cleanEnv(env),
    stdio: 'ignore',
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  await eventually(node.isStarted, 'it holds the lock')
  return {child, ended}
}

test('a holder that is killed gives the lock back at once', async () => {
  const node = await stagedNode()
  const {child, ended} = await holderOf(node)
  assert.is((await runRel(['device', 'apply', node.root, '--json'])).code, 75)
  child.kill('SIGKILL')
  await ended
  await checkStands(node.device, node.before, 'killed')
  node.go()
  const next = await runRel(['device', 'apply', node.root, '--json'])
  assert.is(next.code, 0, next.stdout)
  await checkStands(node.device, node.before, 'the next run')
  assert.ok(runs(node.device, '1.2.0', '1.2.0'))
})

const nodes = ['node22', 'node24', 'node'].map((name) =>
  join(checkout, 'node_modules', name, 'bin/node'),
)

test('every Node that rel runs on sees the lock of every other', async () => {
  for (const [at, holder] of nodes.entries()) {
    const node = await stagedNode()
    const {ended} = await holderOf(node, {REL_NODE: holder})
    const other = nodes[(at + 1) % nodes.length] as string
    const ran = await runRel(['device', 'apply', node.root, '--json'], {env: {REL_NODE: other}})
    assert.equal([ran.code, codeOf(ran)], [75, 'upgrade_busy'], `${holder}, then ${other}`)
    node.go()
    assert.is(await ended, 0, holder)
    assert.ok(runs(node.device, '1.2.0', '1.2.0'), holder)
  }
})

const namespaces = ['--net', '--pid', '--fork', '--mount', '--ipc', '--uts']
const unshared = spawnSync('unshare', [...namespaces, 'true'], {encoding: 'utf8'})
if (needsThat('unshare', unshared.status === 0, `no namespaces here: ${unshared.stderr}`))
  test('the lock holds between containers, whatever namespaces they have', async () => {
    const node = await stagedNode()
    const {ended} = await holderOf(node)
    const words = [...namespaces, rel, 'device', 'apply', node.root, '--json']
    const ran = await run('unshare', words)
    assert.equal([ran.code, codeOf(ran)], [75, 'upgrade_busy'])
    node.go()
    assert.is(await ended, 0)
  })

const disk = loopDisk(8)
if (needsThat('a small disk', typeof disk !== 'string', String(disk)) && typeof disk !== 'string') {
  test('on a disk that is read-only a command says so, and what runs is still verified', async () => {
    const node = await stagedNode()
    const root = join(disk.folder, 'node')
    cpSync(node.root, root, {recursive: true, verbatimSymlinks: true})
    spawnSync('sync', ['--file-system', disk.folder])
    disk.remount('ro')
    for (const words of [['apply'], ['rollback'], ['stage', join(archives, '1.2.0.tar.gz')]]) {
      const [name = '', ...rest] = words
      const ran = await runRel(['device', name, root, ...rest, '--json'])
      assert.equal([ran.code, codeOf(ran)], [28, 'upgrade_io_error'], name)
    }
    const ran = await runRel(['device', 'verify', root, '--json'])
    assert.is(ran.code, 0, ran.stdout)
    disk.remount('rw')
  })
  test.after(() => disk.close())
}

test.run()
