import {join} from 'node:path'
import {setTimeout} from 'node:timers/promises'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {verifyPanel} from '../../src/panel/maintenance/verify.ts'
import {licenseHeader, parseLicense} from '../../src/release/license-file.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import {testNow} from '../support/anchors.ts'
import {type LoopDisk, loopDisk} from '../support/loop-disk.ts'
import {needsThat} from '../support/needs.ts'
import {
  type Answer,
  addProduct,
  agentSlot,
  draft,
  flip,
  makeRelease,
  publish,
  startPanel,
  type TestPanel,
  type TestRelease,
  wanted,
} from '../support/panel.ts'
import {type Postgres, startPostgres} from '../support/postgres.ts'

const unlimited = {perSec: 1e6, burst: 1e6}
const limits = {perCredential: unlimited, perAddress: unlimited}
const releases = '/v1/products/agent/releases'
const tus = {'tus-resumable': '1.0.0'}
const [served, next, later] = [
  await makeRelease({version: '1.0.0', size: 200_000}),
  await makeRelease({version: '2.0.0', size: 400_000}),
  await makeRelease({version: '3.0.0', size: 400_000}),
]

function onlyBytes({bytes}: TestRelease): Buffer {
  const [only = Buffer.alloc(0)] = bytes.values()
  return only
}

async function license({ask}: TestPanel): Promise<string> {
  const body = {product: 'agent', customer: 'A', track: 'stable', expires: testNow + 86_400}
  const {json} = await wanted(201, ask('POST', '/v1/licenses', {body}))
  return licenseHeader(parseLicense(String(json.file)))
}

/** An upload of which the first half has arrived; its address. */
async function beginUpload({ask}: TestPanel, bytes: Buffer): Promise<string> {
  const metadata = `sha256 ${Buffer.from(sha256Hex(bytes)).toString('base64')}`
  const headers = {...tus, 'upload-length': String(bytes.length), 'upload-metadata': metadata}
  const begun = await wanted(201, ask('POST', '/v1/uploads', {headers}))
  const location = begun.headers.get('location') ?? ''
  await wanted(204, piece({ask}, location, bytes, 0, bytes.length / 2))
  return location
}

function piece(
  {ask}: Pick<TestPanel, 'ask'>,
  location: string,
  bytes: Buffer,
  from: number,
  to: number,
): Promise<Answer> {
  const type = 'application/offset+octet-stream'
  const headers = {...tus, 'upload-offset': String(from), 'content-type': type}
  return ask('PATCH', location, {body: bytes.subarray(from, to), headers})
}

/** Everything that nodes ask for, compared to the byte. */
async function checkReads({ask, url}: TestPanel, token: string): Promise<void> {
  const {json, headers} = await wanted(200, ask('GET', '/update/manifest.json', {token}))
  assert.is((json.release as {version: string}).version, '1.0.0')
  const etag = headers.get('etag') ?? ''
  const again = {token, headers: {'if-none-match': etag}}
  await wanted(304, ask('GET', '/update/manifest.json', again))
  const [name] = served.bytes.keys()
  const got = await wanted(200, ask('GET', `/download/agent/1.0.0/${name}`, {token}))
  assert.ok(got.bytes.equals(onlyBytes(served)))
  await wanted(200, ask('GET', '/check?version=0.9.0', {token}))
  await wanted(200, ask('GET', `${releases}/1.0.0`))
  await wanted(200, ask('GET', '/v1/audit'))
  assert.is((await fetch(`${url}/livez`)).status, 200)
}

/** RFC 9457, with a code, a hint and an id, and no path of the panel's machine. */
function checkProblem(name: string, {status, json, headers, bytes}: Answer, place: string): void {
  assert.equal([status, json.code], [503, 'store_read_only'], `${name}: ${bytes}`)
  assert.match(headers.get('content-type') ?? '', /^application\/problem\+json/)
  for (const field of ['type', 'title', 'detail', 'hint', 'request_id'])
    assert.ok(String(json[field] ?? '').length > 0, `${name}: ${field}`)
  assert.not.ok(String(bytes).includes(place), name)
}

/** What /readyz and the metrics say when they look again, which they do once a second. */
async function readiness({ask}: TestPanel, status: 200 | 503): Promise<readonly string[]> {
  for (let tries = 0; tries < 100; tries++) {
    const answer = await ask('GET', '/readyz', {token: null})
    if (answer.status === status) {
      const {bytes} = await ask('GET', '/metrics', {token: null})
      assert.ok(String(bytes).includes(`rel_panel_ready ${status === 200 ? 1 : 0}\n`))
      return (answer.json.failures ?? []) as string[]
    }
    await setTimeout(50)
  }
  throw new Error(`/readyz never answered ${status}`)
}

async function checkSound({panel}: TestPanel): Promise<void> {
  assert.equal((await verifyPanel(panel)).findings, [])
}

/** A panel with 1.0.0, a whole draft of 2.0.0 and half of an upload of 3.0.0. */
async function prepared(panel: TestPanel) {
  await publish(panel, served)
  const token = await license(panel)
  await draft(panel, next)
  const location = await beginUpload(panel, onlyBytes(later))
  return {token, location}
}

async function failingDisk(disk: LoopDisk): Promise<void> {
  const data = join(disk.folder, 'data')
  const panel = await startPanel({data, limits})
  const {token, location} = await prepared(panel)
  const half = onlyBytes(later).length / 2
  await readiness(panel, 200)
  disk.fail()
  try {
    const writes: Readonly<Record<string, () => Promise<Answer>>> = {
      draft: () => panel.ask('POST', releases, {body: later.text}),
      upload: () => {
        const bytes = Buffer.from('other bytes')
        const metadata = `sha256 ${Buffer.from(sha256Hex(bytes)).toString('base64')}`
        const headers = {...tus, 'upload-length': '11', 'upload-metadata': metadata}
        return panel.ask('POST', '/v1/uploads', {headers})
      },
      'second half': () => piece(panel, location, onlyBytes(later), half, 2 * half),
      publish: () => flip(panel, next),
      recall: () => panel.ask('POST', `${releases}/1.0.0/recall`, {body: {reason: 'eats disks'}}),
      licence: () =>
        panel.ask('POST', '/v1/licenses', {
          body: {product: 'agent', customer: 'B', track: 'stable', expires: testNow + 86_400},
        }),
      token: () => panel.ask('POST', '/v1/tokens', {body: {name: 'x', verbs: ['audit'], days: 1}}),
    }
    for (const [name, write] of Object.entries(writes)) {
      checkProblem(name, await write(), disk.folder)
      await checkReads(panel, token)
    }
    assert.ok((await readiness(panel, 503)).includes('store_read_only'))
  } finally {
    await panel.stop()
  }
  disk.repair()
  const again = await startPanel({data, limits, products: {}})
  try {
    await readiness(again, 200)
    await checkSound(again)
    await checkReads(again, token)
    await wanted(204, piece(again, location, onlyBytes(later), half, 2 * half))
    for (const release of [next, later]) await publish(again, release)
    await checkSound(again)
  } finally {
    await again.stop()
  }
}

async function remountedDisk(disk: LoopDisk, postgres: Postgres): Promise<void> {
  const data = join(disk.folder, 'data')
  // nothing but uploads and blobs is on the disk, and no lock is held there, so it may be remounted
  const open = {database: await postgres.createDatabase(), lock: false}
  const panel = await startPanel({data, limits, products: {}, open})
  try {
    await addProduct(panel, 'agent', [agentSlot])
    const {token, location} = await prepared(panel)
    const bytes = onlyBytes(later)
    const half = bytes.length / 2
    for (let round = 1; round <= 3; round++) {
      disk.remount('ro')
      checkProblem('upload', await piece(panel, location, bytes, half, 2 * half), disk.folder)
      assert.equal(await readiness(panel, 503), ['store_read_only'])
      await checkReads(panel, token)
      disk.remount('rw')
      await readiness(panel, 200)
      await checkSound(panel)
    }
    const {headers} = await wanted(200, panel.ask('HEAD', location, {headers: tus}))
    assert.is(headers.get('upload-offset'), String(half), 'what had arrived is there')
    await wanted(204, piece(panel, location, bytes, half, 2 * half))
    for (const release of [next, later]) await publish(panel, release)
    await checkSound(panel)
  } finally {
    await panel.stop()
  }
}

const disks = [loopDisk(64), loopDisk(64)] as const
const [failing, remounted] = disks
if (needsThat('a loop disk', typeof failing !== 'string', String(failing))) {
  test('the kernel takes the disk for reading alone: reading goes on, writing says why not, nothing is lost', () =>
    failingDisk(failing as LoopDisk))

  const postgres = await startPostgres()
  if (needsThat('PostgreSQL', typeof postgres !== 'string', String(postgres))) {
    const server = postgres as Postgres
    test('a disk that is mounted read-only and back: the panel goes on without a restart', () =>
      remountedDisk(remounted as LoopDisk, server))
    test.after(() => server.stop())
  }
}

test.after(() => {
  for (const disk of disks) if (typeof disk !== 'string') disk.close()
})

test.run()
