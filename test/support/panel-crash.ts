import {type ChildProcess, fork} from 'node:child_process'
import {once} from 'node:events'
import {cpSync, existsSync, readdirSync} from 'node:fs'
import {dirname, join} from 'node:path'
import * as assert from 'uvu/assert'
import {openS3Blobs} from '../../src/panel/blobs/s3.ts'
import {backUpPanel, verifyBackup} from '../../src/panel/maintenance/backup.ts'
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
} from './panel.ts'
import type {Orders, PanelPlace, Told} from './panel-children/stepping-panel.ts'
import {copyDatabase, type Postgres} from './postgres.ts'
import type {Swift} from './swift/swift.ts'
import {temporaryFolder} from './tmp.ts'

const PANEL = join(import.meta.dirname, 'panel-children/stepping-panel.ts')
const path = '/v1/products/agent/releases'
const tus = {'tus-resumable': '1.0.0'}
const unlimited = {perSec: 1e6, burst: 1e6}
const limits = {perCredential: unlimited, perAddress: unlimited}

/** What a pipeline and an administrator ask of a panel, wherever it runs. */
export type CrashClient = Pick<TestPanel, 'ask'> & {
  collect(): Promise<void>
  /** Absent where PostgreSQL has tools of its own. */
  backUp?(): Promise<void>
}

const milestones = ['drafted', 'uploaded', 'published', 'recalled', 'collected', 'saved'] as const
export type Milestone = (typeof milestones)[number]

/** A panel with 1.0.0 and a licence, which every case begins with a copy of. */
export type CrashTemplate = {
  copy(): Promise<PanelPlace>
  readonly license: string
  readonly adminToken: string
}

const slots: readonly Slot[] = ['amd64', 'arm64'].map((arch) => ({
  component: 'agent',
  os: 'linux',
  arch,
}))
const [first, second, orphan, abandoned] = [
  await makeRelease({version: '1.0.0', slots}),
  await makeRelease({version: '2.0.0', slots, size: 300_000}),
  Buffer.alloc(50_000, 'nobody names it'),
  Buffer.alloc(60_000, 'nobody ends it'),
]

const now = (): number => Math.floor(Date.now() / 1000)
/** When nobody came back for what was being uploaded. */
const later = (): number => now() + 2 * 86_400

/** Makes the panel that cases copy, on PostgreSQL, on S3, on both, or in a folder alone. */
export async function crashTemplate({
  postgres,
  swift,
}: {
  readonly postgres?: Postgres
  readonly swift?: Swift
}): Promise<CrashTemplate> {
  Object.assign(process.env, swift?.env) // the address of a bucket holds no secrets
  const database = await postgres?.createDatabase()
  const store = swift?.newUrl()
  const open = {...(database && {database}), ...(store && {store})}
  const panel = await startPanel({clock: now, products: {agent: slots}, open})
  await publish(panel, first)
  const body = {product: 'agent', customer: 'A', track: 'stable', expires: now() + 86_400}
  const {json} = await wanted(201, panel.ask('POST', '/v1/licenses', {body}))
  await panel.stop()
  return {
    license: licenseHeader(parseLicense(String(json.file))),
    adminToken: panel.adminToken,
    copy: async () => {
      const data = join(temporaryFolder('rel crash '), 'data')
      cpSync(panel.data, data, {recursive: true})
      return {
        data,
        ...(database && {database: await copyDatabase(database)}),
        ...(store && swift && {store: await copyBucket(store, swift.newUrl())}),
      }
    },
  }
}

async function copyBucket(from: string, to: string): Promise<string> {
  const [source, target] = await Promise.all(
    [from, to].map((url) => openS3Blobs({url, env: process.env})),
  )
  if (source === undefined || target === undefined) throw new Error('no bucket')
  for await (const sha256 of source.blobs.list()) {
    const size = (await source.blobs.stat(sha256)) ?? 0
    await target.blobs.put(sha256, size, source.blobs.read(sha256))
  }
  return to
}

/** What a pipeline and then an administrator do, told as far as the panel confirmed it. */
export async function pipeline(
  client: CrashClient,
  confirmed: (what: Milestone) => void = () => undefined,
): Promise<void> {
  const drafted = await client.ask('POST', path, {body: second.text})
  assert.ok([200, 201].includes(drafted.status), String(drafted.bytes))
  confirmed('drafted')
  for (const bytes of [...second.bytes.values(), orphan]) await send(client, bytes)
  await send(client, abandoned, 1)
  confirmed('uploaded')
  await wanted(200, flip(client, second))
  confirmed('published')
  const body = {reason: 'it eats disks', replacement: '2.0.0'}
  await wanted(200, client.ask('POST', `${path}/1.0.0/recall`, {body}))
  confirmed('recalled')
  await client.collect()
  confirmed('collected')
  if (client.backUp === undefined) return
  await client.backUp()
  confirmed('saved')
}

/** One upload in two pieces, or the first of them alone. */
async function send({ask}: CrashClient, bytes: Buffer, pieces = 2): Promise<void> {
  const metadata = `sha256 ${Buffer.from(sha256Hex(bytes)).toString('base64')}`
  const begun = await ask('POST', '/v1/uploads', {
    headers: {...tus, 'upload-length': String(bytes.length), 'upload-metadata': metadata},
  })
  if (begun.status === 200) return // it is there
  const half = bytes.length >> 1
  const cuts = [0, half, bytes.length].slice(0, pieces + 1)
  for (const [at, from] of cuts.slice(0, -1).entries()) {
    const headers = {
      ...tus,
      'upload-offset': String(from),
      'content-type': 'application/offset+octet-stream',
    }
    const location = begun.headers.get('location') ?? ''
    await wanted(204, ask('PATCH', location, {body: bytes.subarray(from, cuts[at + 1]), headers}))
  }
}

/** Panels in processes of their own, which die when they are told to. */
export class CrashingPanels {
  readonly #template: CrashTemplate

  constructor(template: CrashTemplate) {
    this.#template = template
  }

  async start(place: PanelPlace): Promise<{child: ChildProcess; client: CrashClient}> {
    const child = fork(PANEL, [JSON.stringify(place)])
    const [told] = (await once(child, 'message')) as [Told]
    assert.ok('url' in told)
    const {ask} = clientOf(told.url, this.#template.adminToken)
    const order = (orders: Orders) => ordered(child, orders)
    const target = backupOf(place)
    return {
      child,
      client: {
        ask,
        collect: () => order({collect: {now: later()}}),
        ...(place.database === undefined && {backUp: () => order({backUp: {target, now: now()}})}),
      },
    }
  }

  /** The steps of one whole pipeline, in their order, and how long it took. */
  async countSteps(): Promise<{readonly steps: readonly string[]; readonly ms: number}> {
    const {child, client} = await this.start(await this.#template.copy())
    const steps: string[] = []
    child.on('message', (told: Told) => {
      if ('step' in told) steps.push(told.step)
    })
    child.send({count: true} satisfies Orders)
    const began = performance.now()
    await pipeline(client)
    const ms = performance.now() - began
    const told = once(child, 'disconnect') // after all that it said
    child.send({end: true} satisfies Orders)
    await told
    return {steps, ms}
  }

  /** A panel that dies instead of taking a step, and what is left of it. */
  async dieAt(step: number, name: string): Promise<void> {
    const place = await this.#template.copy()
    const {child, client} = await this.start(place)
    child.send({dieAt: step} satisfies Orders)
    await this.#checkAfter(place, await untilDeath(child, client), name)
  }

  async dieAfter(ms: number): Promise<void> {
    const place = await this.#template.copy()
    const {child, client} = await this.start(place)
    const timer = setTimeout(() => child.kill('SIGKILL'), ms)
    const confirmed = await untilDeath(child, client)
    clearTimeout(timer)
    await this.#checkAfter(place, confirmed, `killed after ${ms.toFixed(1)} ms`)
  }

  /** Two instances on one database and bucket: one dies at a step, the other has the rest to do. */
  async dieBesideAnother(step: number, name: string): Promise<void> {
    const place = await this.#template.copy()
    const data = join(temporaryFolder('rel crash '), 'data')
    cpSync(place.data, data, {recursive: true})
    const {child, client} = await this.start(place)
    const other = await startPanel({data, clock: now, limits, products: {}, open: openOf(place)})
    try {
      child.send({dieAt: step} satisfies Orders)
      const confirmed = await untilDeath(child, client)
      await this.#checkRunning(other, place, confirmed, name)
    } finally {
      await other.stop()
    }
  }

  /** Nothing half, nothing lost; the same pipeline again ends as if nothing had been. */
  async #checkAfter(
    place: PanelPlace,
    confirmed: ReadonlySet<Milestone>,
    name: string,
  ): Promise<void> {
    const {data} = place
    const panel = await startPanel({data, clock: now, limits, products: {}, open: openOf(place)})
    try {
      await this.#checkRunning(panel, place, confirmed, name)
    } finally {
      await panel.stop()
    }
  }

  async #checkRunning(
    panel: TestPanel,
    place: PanelPlace,
    confirmed: ReadonlySet<Milestone>,
    name: string,
  ): Promise<void> {
    const {store} = panel.panel
    await checkSound(panel, name)
    const shown = await this.seen(panel)
    if (confirmed.has('published')) assert.is(shown, '2.0.0', name)
    assert.ok(['1.0.0', '2.0.0'].includes(shown), `${name}: ${shown}`)
    if (shown === '1.0.0') await this.#checkHidden(panel, name)
    const old = await store.release('agent', '1.0.0')
    assert.ok(!confirmed.has('recalled') || old?.state === 'recalled', name)
    const target = backupOf(place)
    assert.ok(!confirmed.has('saved') || existsSync(target), name)
    if (existsSync(target)) await verifyBackup(target)

    await pipeline({
      ask: panel.ask,
      collect: async () => {
        await collectGarbage(panel.panel, {graceSecs: 0, now: later()})
      },
      ...(place.database === undefined &&
        !existsSync(target) && {
          backUp: async () => {
            await backUpPanel(panel.panel, {target, files: {}, now: now()})
          },
        }),
    })
    if (place.database === undefined) await verifyBackup(target)
    await checkSound(panel, name)
    assert.is(await this.seen(panel), '2.0.0', name)
    const release = await store.release('agent', '2.0.0')
    assert.equal([release?.digest, release?.sequence], [second.file.digest, 2], name)
    assert.is((await store.logHead('agent')).size, 3, name)
    await checkNoLeftovers(panel, place, name)
  }

  /** The version that a customer is shown, every byte of it compared. */
  async seen({ask}: Pick<TestPanel, 'ask'>): Promise<string> {
    const token = this.#template.license
    const {json} = await wanted(200, ask('GET', '/update/manifest.json', {token}))
    const {artifacts} = json as {artifacts: {name: string; url: string; version: string}[]}
    assert.is(artifacts.length, slots.length)
    for (const {name, url, version} of artifacts) {
      const release: TestRelease = version === '2.0.0' ? second : first
      const bytes = await downloaded(ask, url, token)
      assert.ok(bytes.equals(release.bytes.get(name) ?? Buffer.alloc(0)), name)
    }
    return artifacts[0]?.version ?? ''
  }

  /** Blobs of what is not published may be there; nobody is handed one. */
  async #checkHidden({ask}: TestPanel, name: string): Promise<void> {
    const token = this.#template.license
    for (const file of second.bytes.keys()) {
      const {status} = await ask('GET', `/download/agent/2.0.0/${file}`, {token})
      assert.is(status, 404, name)
    }
  }
}

async function downloaded(ask: TestPanel['ask'], url: string, token: string): Promise<Buffer> {
  const answer = await ask('GET', url, {token})
  if (answer.status === 200) return answer.bytes
  assert.is(answer.status, 307)
  const from = await fetch(answer.headers.get('location') ?? '')
  assert.is(from.status, 200)
  return Buffer.from(await from.arrayBuffer())
}

function openOf({database, store}: PanelPlace): {database?: string; store?: string} {
  return {...(database && {database}), ...(store && {store})}
}

function backupOf({data}: PanelPlace): string {
  return join(dirname(data), 'backup')
}

/** One thing that a panel's process does for its owner; a TypeError when it died over it. */
async function ordered(child: ChildProcess, orders: Orders): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const died = () => reject(new TypeError('the panel died'))
    child.once('exit', died)
    child.on('message', (told: Told) => {
      if ('done' in told) resolve()
    })
    if (child.connected) child.send(orders)
    else died()
  })
}

/** Runs the pipeline until the panel dies; what was confirmed until then. */
async function untilDeath(
  child: ChildProcess,
  client: CrashClient,
): Promise<ReadonlySet<Milestone>> {
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

async function checkSound({panel: {store, blobs}}: TestPanel, name: string): Promise<void> {
  const {findings} = await verifyPanel({store, blobs})
  assert.equal(findings, [], name)
}

async function checkNoLeftovers(
  {panel}: TestPanel,
  {data, store}: PanelPlace,
  name: string,
): Promise<void> {
  await collectGarbage(panel, {graceSecs: 0, now: later()})
  const live = new Set<string>()
  for await (const sha256 of panel.store.liveBlobs()) live.add(sha256)
  for await (const sha256 of panel.blobs.list()) assert.ok(live.has(sha256), name)
  const nothing = {blobs: 0, bytes: 0, uploads: 0, orphans: 0}
  assert.equal(await collectGarbage(panel, {graceSecs: 0, now: later()}), nothing, name)
  const half = readdirSync(dirname(data)).filter((each) => each.endsWith('.rel-tmp'))
  assert.equal(half, [], `${name}: half a backup`)
  if (store !== undefined) return
  assert.equal(readdirSync(join(data, 'blobs', 'tmp')), [], name)
  assert.equal(readdirSync(join(data, 'uploads')), [], name)
}

/** So many of the steps, spread over all of them, another choice in every run. */
export function chosenOf(steps: readonly string[], count: number): readonly number[] {
  const stride = Math.max(1, steps.length / count)
  return Array.from({length: Math.ceil(steps.length / stride)}, (_, at) =>
    Math.floor(at * stride + Math.random() * stride),
  ).filter((at) => at < steps.length)
}
