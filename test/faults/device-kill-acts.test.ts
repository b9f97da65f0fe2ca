import {cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {compareVersions} from '../../src/bundle/version.ts'
import {apply} from '../../src/device/apply.ts'
import type {Device} from '../../src/device/device.ts'
import {grantText} from '../../src/device/grant.ts'
import {readGrantMemory} from '../../src/device/grant-memory.ts'
import {loadRecords} from '../../src/device/layout.ts'
import {waitingResults} from '../../src/device/outbox.ts'
import {stage} from '../../src/device/stage.ts'
import {verifyDevice} from '../../src/device/status.ts'
import {RelError} from '../../src/system/error.ts'
import {testNow} from '../support/anchors.ts'
import {bundleWith, deltaOf, nodeWith} from '../support/delta.ts'
import {grantSources, namedNode, signedGrant} from '../support/device/grants.ts'
import {hostilePanel} from '../support/device/hostile-panel.ts'
import {acts, type Given} from '../support/device/kill-acts.ts'
import {memoryAt} from '../support/device/memory.ts'
import {plain} from '../support/device/node.ts'
import {
  bundleRelease,
  licenseText,
  nodeAnchor,
  packedBundle,
  panelNode,
} from '../support/device/panel-node.ts'
import {
  makeProgramNode,
  programBytes,
  programFolder,
  programSources,
} from '../support/device/program-node.ts'
import {rejectsCode} from '../support/rejects.ts'
import {inPairs, run} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// SIGKILL at each durable operation of a real process; after each: what runs verifies, the floor has
// not fallen, and the same act, done once more, ends well and has reached its target. CI takes a spread
// of them, `npm run test:long` before and after each.

const isLong = process.env.REL_TEST_LONG === '1'
const script = join(import.meta.dirname, '../support/device/killed-act.ts')
/** What Node has compiled once: half of the time of each child else. */
const compiled = temporaryFolder()

type Case = {
  readonly name: keyof typeof acts
  /** The folder that is copied for each kill, and where the node is in it. */
  readonly from: string
  readonly at: string
  readonly given: Given
  /** Before the act; '' for no node yet. */
  readonly floor: string
  readonly target: string
  /** What is true besides, once the act has ended well. */
  readonly besides?: (device: Device) => void
}

const child = (name: string, folder: string, given: Given, at: number, when: string) =>
  run(process.execPath, [script, name, folder, JSON.stringify(given), String(at), when], {
    patienceSecs: 120,
    env: {NODE_COMPILE_CACHE: compiled},
  })

function copyOf(from: string): string {
  const copy = join(temporaryFolder(), 'copy')
  cpSync(from, copy, {recursive: true, verbatimSymlinks: true})
  return copy
}

async function pointsOf({name, from, given}: Case) {
  const {stdout, stderr, code} = await child(name, copyOf(from), given, 0, 'before')
  assert.is(code, 0, stderr)
  const count = Number(stdout)
  assert.ok(count >= 5, `${count} operations`)
  return Array.from({length: count}, (_, at) => at + 1).flatMap((at) => [
    ...(isLong || at % 10 === 1 ? [{at, when: 'before'}] : []),
    ...(isLong || at % 10 === 6 || at === count ? [{at, when: 'after'}] : []),
  ])
}

/** A node that is being repaired or taken over has no records to go by: its program has. */
async function checkRuns(device: Device, {floor, name}: Case, where: string): Promise<void> {
  if (name === 'repair a program' || name === 'take a program over') return
  await verifyDevice(device)
  assert.ok(compareVersions(loadRecords(device.root).floor, floor) >= 0, `${where}: the floor fell`)
}

async function killEverywhere(each: Case): Promise<void> {
  const {name, from, at: place, given, floor, target} = each
  const act = acts[name]
  if (act === undefined) throw new Error(name)
  const points = await pointsOf(each)
  await inPairs(points, async ({at, when}) => {
    const where = `${name}, ${when} ${at}`
    const copy = copyOf(from)
    const {signal} = await child(name, copy, given, at, when)
    assert.is(signal, 'SIGKILL', where)
    const device = act.device(copy)
    assert.is(device.root, join(copy, place))
    await checkRuns(device, each, where)
    await act.act(device, given)
    await verifyDevice(device)
    const {record, floor: now} = loadRecords(device.root)
    assert.is(record.running.version, target, where)
    assert.ok(compareVersions(now, floor === '' ? target : floor) >= 0, `${where}: the floor fell`)
    each.besides?.(device)
    rmSync(dirname(copy), {recursive: true})
  })
  process.stderr.write(`${name}: killed at ${points.length} points\n`)
}

// programs

const programs = await programSources('1.0.0', '1.1.0')
const given = {source: dirname(programs.of('1.0.0')), anchor: programs.anchor}
const one = await makeProgramNode(programs)
const two = await makeProgramNode(programs)
await stage(two, programs.of('1.1.0'), plain)
await apply(two, plain)
const trial = await makeProgramNode(programs)
await stage(trial, programs.of('1.1.0'), plain)
const unjudged = {...trial.world, health: () => Promise.reject(new RelError('interrupted', ''))}
await rejectsCode(() => apply({...trial, world: unjudged}, plain), 'interrupted')
const around = ({root}: Device) => dirname(root)

// with two versions on disk nothing says which one is to run
const damaged = copyOf(around(one))
rmSync(join(damaged, 'node/.rel/floor.json'))
rmSync(join(damaged, 'bin/agent'))

const foreign = programFolder()
mkdirSync(join(foreign, 'node'))
writeFileSync(join(foreign, 'bin/agent'), programBytes('1.0.0'), {mode: 0o755})

const programIs = (version: string) => (device: Device) =>
  assert.equal(
    readFileSync(join(around(device), 'bin/agent'), 'utf8'),
    programBytes(version).toString(),
  )

// deltas, grants and a panel

const old = await bundleWith('1.0.0', {app: 'a'.repeat(3000), 'a/kept': 'kept'})
const next = await bundleWith('1.1.0', {app: `${'a'.repeat(3000)}b`, 'b/kept': 'kept', new: 'n'})

const sources = await grantSources({keys: ['rollback']}, '1.0.0', '1.1.0')
const granted = await namedNode(join(temporaryFolder(), 'node'), sources)
await stage(granted, sources.of('1.1.0'), plain)
await apply(granted, plain)
const grant = join(temporaryFolder(), 'grant.json')
writeFileSync(grant, grantText(await signedGrant()))
const isUsedUp = ({root}: Device) =>
  assert.equal(
    readGrantMemory(root).used.map(({seq}) => seq),
    [undefined],
  )

const bytes = await packedBundle({version: '1.1.0'})
const renewed = await licenseText({serial: 2})
const keys = new Set<string>()
const server = await hostilePanel(await bundleRelease('1.1.0', bytes), {
  license: (_request, response) => void response.end(renewed),
  report: (request, response) => {
    keys.add(String(request.headers['idempotency-key']))
    response.writeHead(202).end()
  },
})
test.after(() => server.close())
const polling = await panelNode({
  url: server.url,
  anchor: await nodeAnchor(),
  license: await licenseText({expires: testNow + 86_400}),
  upgrade: {policy: 'auto'},
})

const cases: readonly Case[] = [
  {
    name: 'update a program',
    from: around(one),
    at: 'node',
    given,
    floor: '1.0.0',
    target: '1.1.0',
    besides: programIs('1.1.0'),
  },
  {
    name: 'roll a program back',
    from: around(two),
    at: 'node',
    given,
    floor: '1.1.0',
    target: '1.0.0',
    besides: programIs('1.0.0'),
  },
  {
    name: 'end the trial of a program',
    from: around(trial),
    at: 'node',
    given,
    floor: '1.0.0',
    target: '1.0.0',
    besides: (device) => {
      programIs('1.0.0')(device)
      assert.not.ok(readdirSync(join(device.root, '.rel')).includes('back'))
    },
  },
  {
    name: 'repair a program',
    from: damaged,
    at: 'node',
    given,
    floor: '1.0.0',
    target: '1.0.0',
    besides: programIs('1.0.0'),
  },
  {
    name: 'take a program over',
    from: foreign,
    at: 'node',
    given,
    floor: '',
    target: '1.0.0',
    besides: programIs('1.0.0'),
  },
  {
    name: 'update by a delta',
    from: (await nodeWith(old)).root,
    at: '',
    given: {source: await deltaOf(old, next)},
    floor: '1.0.0',
    target: '1.1.0',
  },
  {
    name: 'roll back by a grant',
    from: granted.root,
    at: '',
    given: {source: sources.of('1.0.0'), grant},
    floor: '1.1.0',
    target: '1.0.0',
    besides: isUsedUp,
  },
  {
    name: 'update to an older version by a grant',
    from: granted.root,
    at: '',
    given: {source: sources.of('1.0.0'), grant},
    floor: '1.1.0',
    target: '1.0.0',
    besides: isUsedUp,
  },
  {
    name: 'update by turns',
    from: polling.root,
    at: '',
    given: {source: ''},
    floor: '1.0.0',
    target: '1.1.0',
    besides: ({root}) => {
      assert.is(waitingResults(root), 0, 'all is told')
      assert.is(memoryAt(root).serial, 2)
      assert.is(memoryAt(root).reported?.running, loadRecords(root).record.running.digest)
    },
  },
]

for (const each of cases) test(`${each.name}: killed anywhere`, () => killEverywhere(each))

test.run()
