import {type ChildProcess, fork} from 'node:child_process'
import {once} from 'node:events'
import {cpSync, readdirSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {collectGarbage} from '../../src/panel/maintenance/gc.ts'
import {verifyPanel} from '../../src/panel/maintenance/verify.ts'
import {licenseHeader, parseLicense} from '../../src/release/license-file.ts'
import type {Slot} from '../../src/release/release.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import {
  clientOf,
  flip,
  makeRelease,
  publish,
  startPanel,
  type TestPanel,
  type TestRelease,
  wanted,
} from '../support/panel.ts'
import type {Orders, Told} from '../support/panel-children/stepping-panel.ts'
import {inPairs} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

const PANEL = join(import.meta.dirname, '../support/panel-children/stepping-panel.ts')
/** `npm run test:long`: every step there is, and more moments. */
const isLong = process.env.REL_TEST_LONG === '1'
const STEPS = isLong ? Number.POSITIVE_INFINITY : 16
const MOMENTS = isLong ? 200 : 20

type Client = Pick<TestPanel, 'ask'>

const now = (): number => Math.floor(Date.now() / 1000)
const slots: readonly Slot[] = ['amd64', 'arm64'].map((arch) => ({
  component: 'agent',
  os: 'linux',
  arch,
}))
const [first, second] = [
  await makeRelease({version: '1.0.0', slots}),
  await makeRelease({version: '2.0.0', slots, size: 300_000}),
]
const {template, license, adminToken} = await makeTemplate()

/** A panel with 1.0.0 and a licence; every case begins with a copy of it. */
async function makeTemplate() {
  const panel = await startPanel({clock: now, products: {agent: slots}})
  await publish(panel, first)
  const body = {product: 'agent', customer: 'A', track: 'stable', expires: now() + 86_400}
  const {json} = await wanted(201, panel.ask('POST', '/v1/licenses', {body}))
  await panel.stop()
  return {
    template: panel.data,
    license: licenseHeader(parseLicense(String(json.file))),
    adminToken: panel.adminToken,
  }
}

const milestones = ['drafted', 'uploaded', 'published', 'recalled'] as const
type Milestone = (typeof milestones)[number]

/** What a pipeline does, told as far as the panel confirmed it. */
async function pipeline(client: Client, confirmed: (what: Milestone) => void): Promise<void> {
  const path = '/v1/products/agent/releases'
  const drafted = await client.ask('POST', path, {body: second.text})
  assert.ok([200, 201].includes(drafted.status), String(drafted.bytes))
  confirmed('drafted')
  for (const bytes of second.bytes.values()) await send(client, bytes)
  confirmed('uploaded')
  await wanted(200, flip(client, second))
  confirmed('published')
  const body = {reason: 'it eats disks', replacement: '2.0.0'}
  await wanted(200, client.ask('POST', `${path}/1.0.0/recall`, {body}))
  confirmed('recalled')
}

/** One upload in two pieces. */
async function send({ask}: Client, bytes: Buffer): Promise<void> {
  const tus = {'tus-resumable': '1.0.0'}
  const metadata = `sha256 ${Buffer.from(sha256Hex(bytes)).toString('base64')}`
  const begun = await ask('POST', '/v1/uploads', {
    headers: {...tus, 'upload-length': String(bytes.length), 'upload-metadata': metadata},
  })
  if (begun.status === 200) return // it is there
  const half = bytes.length >> 1
  for (const [from, to] of [
    [0, half],
    [half, bytes.length],
  ] as const) {
    const headers = {
      ...tus,
      'upload-offset': String(from),
      'content-type': 'application/offset+octet-stream',
    }
    const location = begun.headers.get('location') ?? ''
    await wanted(204, ask('PATCH', location, {body: bytes.subarray(from, to), headers}))
  }
}

async function start(data: string): Promise<{child: ChildProcess; client: Client}> {
  cpSync(template, data, {recursive: true})
  const child = fork(PANEL, [data])
  const [told] = (await once(child, 'message')) as [Told]
  assert.ok('url' in told)
  return {child, client: clientOf(told.url, adminToken)}
}

/** Runs the pipeline until the panel dies; what was confirmed until then. */
async function untilDeath(child: ChildProcess, client: Client): Promise<ReadonlySet<Milestone>> {
  const confirmed = new Set<Milestone>()
  const ended = once(child, 'exit')
  try {
    await pipeline(client, (what) => confirmed.add(what))
    child.kill('SIGKILL') // it got to its end before the moment came
  } catch (error) {
    if (!(error instanceof TypeError)) throw error // fetch says so when the connection broke
  }
  const [, signal] = await ended
  assert.is(signal, 'SIGKILL')
  return confirmed
}

/** Nothing half, nothing lost; the same pipeline again ends as if nothing had been. */
async function checkAfter(data: string, confirmed: ReadonlySet<Milestone>, name: string) {
  const panel = await startPanel({data, clock: now, products: {}})
  try {
    await checkSound(panel, name)
    const shown = await seen(panel)
    if (confirmed.has('published')) assert.is(shown, '2.0.0', name)
    assert.ok(['1.0.0', '2.0.0'].includes(shown), `${name}: ${shown}`)
    const old = await panel.panel.store.release('agent', '1.0.0')
    assert.ok(!confirmed.has('recalled') || old?.state === 'recalled', name)

    await pipeline(panel, () => undefined)
    await checkSound(panel, name)
    assert.is(await seen(panel), '2.0.0', name)
    const release = await panel.panel.store.release('agent', '2.0.0')
    assert.equal([release?.digest, release?.sequence], [second.file.digest, 2], name)
    assert.is((await panel.panel.store.logHead('agent')).size, 3, name)
    await checkNoLeftovers(panel, name)
  } finally {
    await panel.stop()
  }
}

async function checkSound({panel: {store, blobs}}: TestPanel, name: string): Promise<void> {
  const {findings} = await verifyPanel({store, blobs})
  assert.equal(findings, [], name)
}

/** The version that a customer is shown, every byte of it compared. */
async function seen({ask}: Client): Promise<string> {
  const {json} = await wanted(200, ask('GET', '/update/manifest.json', {token: license}))
  const {artifacts} = json as {artifacts: {name: string; url: string; version: string}[]}
  assert.is(artifacts.length, slots.length)
  for (const {name, url, version} of artifacts) {
    const release: TestRelease = version === '2.0.0' ? second : first
    const {bytes} = await wanted(200, ask('GET', url, {token: license}))
    assert.ok(bytes.equals(release.bytes.get(name) ?? Buffer.alloc(0)), name)
  }
  return artifacts[0]?.version ?? ''
}

async function checkNoLeftovers({panel, data}: TestPanel, name: string): Promise<void> {
  const nextDay = now() + 2 * 86_400 // nobody came back for what was being uploaded
  await collectGarbage(panel, {graceSecs: 0, now: nextDay})
  assert.equal(readdirSync(join(data, 'blobs', 'tmp')), [], name)
  assert.equal(readdirSync(join(data, 'uploads')), [], name)
  const live = new Set<string>()
  for await (const sha256 of panel.store.liveBlobs()) live.add(sha256)
  for await (const sha256 of panel.blobs.list()) assert.ok(live.has(sha256), name)
}

/** The steps of one whole pipeline, in their order, and how long it took. */
async function countSteps(): Promise<{readonly steps: readonly string[]; readonly ms: number}> {
  const {child, client} = await start(join(temporaryFolder('rel crash '), 'data'))
  const steps: string[] = []
  child.on('message', (told: Told) => {
    if ('step' in told) steps.push(told.step)
  })
  child.send({count: true} satisfies Orders)
  const began = performance.now()
  await pipeline(client, () => undefined)
  const ms = performance.now() - began
  const told = once(child, 'disconnect') // after all that it said
  child.send({end: true} satisfies Orders)
  await told
  return {steps, ms}
}

const {steps, ms} = await countSteps()

test('the steps of a publication are files, folders and statements', () => {
  assert.ok(steps.length > 60, `${steps.length}`)
  for (const name of [
    'mkdir',
    'rename',
    'write',
    'sync',
    'link',
    'rm',
    'begin',
    'insert',
    'update',
    'commit',
  ])
    assert.ok(steps.includes(name), name)
})

test(`a panel that is killed at a step has lost nothing, shows nothing half, and goes on`, async () => {
  const stride = Math.max(1, steps.length / STEPS)
  const chosen = Array.from({length: Math.ceil(steps.length / stride)}, (_, at) =>
    Math.floor(at * stride + Math.random() * stride),
  ).filter((at) => at < steps.length)
  await inPairs(chosen, async (dieAt) => {
    const data = join(temporaryFolder('rel crash '), 'data')
    const {child, client} = await start(data)
    child.send({dieAt} satisfies Orders)
    const confirmed = await untilDeath(child, client)
    await checkAfter(data, confirmed, `killed at step ${dieAt} of ${steps.length}, ${steps[dieAt]}`)
  })
})

test(`a panel that is killed at any moment has lost nothing, shows nothing half, and goes on`, async () => {
  await inPairs([...Array(MOMENTS).keys()], async () => {
    const data = join(temporaryFolder('rel crash '), 'data')
    const {child, client} = await start(data)
    const moment = Math.random() * ms
    const timer = setTimeout(() => child.kill('SIGKILL'), moment)
    const confirmed = await untilDeath(child, client)
    clearTimeout(timer)
    await checkAfter(data, confirmed, `killed after ${moment.toFixed(1)} ms`)
  })
})

test.run()
