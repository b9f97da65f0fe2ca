import {type ChildProcess, spawn} from 'node:child_process'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {verifyPanel} from '../../src/panel/maintenance/verify.ts'
import {needsThat} from '../support/needs.ts'
import {
  addProduct,
  agentSlot,
  draft,
  makeRelease,
  startPanel,
  type TestPanel,
  wanted,
} from '../support/panel.ts'
import type {HttpRaceResult} from '../support/panel-children/http-publisher.ts'
import {type Postgres, startPostgres} from '../support/postgres.ts'

const PUBLISHER = join(import.meta.dirname, '../support/panel-children/http-publisher.ts')
/** `npm run test:long`: as many as were promised. */
const VERSIONS = process.env.REL_TEST_LONG === '1' ? 300 : 100
const names = ['anna', 'berta', 'clara']
/** Three pipelines behind one token and one address. */
const unlimited = {perSec: 1e6, burst: 1e6}
const limits = {perCredential: unlimited, perAddress: unlimited}

type Publisher = {readonly child: ChildProcess; readonly lines: AsyncIterator<string>}

function start({url, adminToken}: TestPanel, name: string): Publisher {
  const child = spawn(process.execPath, [PUBLISHER, url, adminToken, name, String(VERSIONS)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const {stdout} = child
  if (stdout === null) throw new Error('no output')
  return {child, lines: createInterface({input: stdout})[Symbol.asyncIterator]()}
}

/** Three processes, each with a panel to talk to, begin together. */
async function race(panels: readonly TestPanel[]): Promise<readonly HttpRaceResult[]> {
  const publishers = names.map((name, at) => start(panels[at % panels.length] as TestPanel, name))
  try {
    for (const {lines} of publishers) assert.is((await lines.next()).value, 'ready')
    for (const {child} of publishers) child.stdin?.end('go\n')
    return await Promise.all(
      publishers.map(async ({lines}) => {
        const {value} = await lines.next()
        return JSON.parse(value ?? '{}') as HttpRaceResult
      }),
    )
  } finally {
    for (const {child} of publishers) child.kill('SIGKILL')
  }
}

/** One winner each, whose release is what every panel has; the log has no gap and no repetition. */
async function checkRace(
  results: readonly HttpRaceResult[],
  panels: readonly TestPanel[],
): Promise<void> {
  assert.equal(
    results.flatMap(({others}) => others),
    [],
    'no publisher is refused with anything but the conflict',
  )
  const winners = new Map(results.flatMap(({won}) => Object.entries(won)))
  assert.is(winners.size, VERSIONS)
  const attempts = results.map(({won, lost}) => Object.keys(won).length + lost.length)
  assert.equal(attempts, [VERSIONS, VERSIONS, VERSIONS])
  assert.is(results.flatMap(({won}) => Object.keys(won)).length, VERSIONS, 'nothing is won twice')
  for (const {panel} of panels) {
    const releases = await panel.store.releases('agent', {limit: VERSIONS + 1})
    assert.equal(
      new Map(releases.map(({version, digest}) => [version, digest])),
      new Map([...winners].sort(([a], [b]) => patchOf(b) - patchOf(a))),
    )
    const sequences = releases.map(({sequence}) => sequence ?? 0).sort((a, b) => a - b)
    assert.equal(
      sequences,
      [...Array(VERSIONS).keys()].map((at) => at + 1),
    )
    assert.is((await panel.store.logHead('agent')).size, VERSIONS)
    assert.equal((await verifyPanel(panel)).findings, [])
  }
}

function patchOf(version: string): number {
  return Number(version.split('.')[2])
}

/** Whoever leased first wakes up late: its fence is lower than the one that was given since. */
async function checkFence([one, other = one]: readonly TestPanel[]): Promise<void> {
  if (one === undefined || other === undefined) throw new Error('no panel')
  const lease = '/v1/products/agent/lease'
  const sleeper = (await wanted(200, one.ask('POST', lease, {body: {}}))).json.fence
  const awake = (await wanted(200, other.ask('POST', lease, {body: {}}))).json.fence
  assert.ok(Number(awake) > Number(sleeper))
  const before = await one.panel.store.logHead('agent')
  const release = await makeRelease({version: '2.0.0'})
  await draft(other, release)
  const path = '/v1/products/agent/releases/2.0.0/publish'
  const as = (fence: unknown) => ({
    headers: {'if-match': `"${release.file.digest}"`, 'rel-fence': String(fence)},
  })
  const late = await one.ask('POST', path, as(sleeper))
  assert.equal([late.status, late.json.code], [409, 'publisher_fenced'])
  assert.equal(await one.panel.store.logHead('agent'), before)
  await wanted(200, other.ask('POST', path, as(awake)))
}

test('three processes race for a hundred versions over HTTP, one panel on SQLite', async () => {
  const panel = await startPanel({limits})
  try {
    await checkRace(await race([panel]), [panel])
    await checkFence([panel])
  } finally {
    await panel.stop()
  }
})

const started = await startPostgres()
if (needsThat('PostgreSQL', typeof started !== 'string', String(started))) {
  const server = started as Postgres
  test('three processes race over HTTP, two panels on one PostgreSQL', async () => {
    const database = await server.createDatabase()
    const one = await startPanel({limits, products: {}, open: {database}})
    const other = await startPanel({
      limits,
      data: one.data,
      products: {},
      open: {database, lock: false},
    })
    try {
      await addProduct(one, 'agent', [agentSlot])
      await checkRace(await race([one, other]), [one, other])
      await checkFence([one, other])
    } finally {
      await other.stop()
      await one.stop()
    }
  })
  test.after(() => server.stop())
}

test.run()
