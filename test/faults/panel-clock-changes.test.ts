import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {verifyPanel} from '../../src/panel/maintenance/verify.ts'
import {licenseHeader, parseLicense} from '../../src/release/license-file.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import {testNow} from '../support/anchors.ts'
import {
  draft,
  flip,
  makeRelease,
  publish,
  startPanel,
  type TestPanel,
  wanted,
} from '../support/panel.ts'

const DAY = 86_400
const YEAR = 365 * DAY
const unlimited = {perSec: 1e6, burst: 1e6}
const limits = {perCredential: unlimited, perAddress: unlimited}
const tus = {'tus-resumable': '1.0.0'}
const bytes = Buffer.alloc(1000, 'half of it has come')

async function license({ask}: TestPanel, expires: number): Promise<string> {
  const body = {product: 'agent', customer: 'Acme', track: 'stable', expires}
  const {json} = await wanted(201, ask('POST', '/v1/licenses', {body}))
  return licenseHeader(parseLicense(String(json.file)))
}

async function beginUpload({ask}: TestPanel): Promise<string> {
  const metadata = `sha256 ${Buffer.from(sha256Hex(bytes)).toString('base64')}`
  const headers = {...tus, 'upload-length': '1000', 'upload-metadata': metadata}
  const {headers: answered} = await wanted(201, ask('POST', '/v1/uploads', {headers}))
  const location = answered.get('location') ?? ''
  const type = 'application/offset+octet-stream'
  const first = {...tus, 'upload-offset': '0', 'content-type': type}
  await wanted(204, ask('PATCH', location, {body: bytes.subarray(0, 500), headers: first}))
  return location
}

/** A panel whose clock a test holds, with one of everything that ends some day. */
async function withPanel(
  work: (facts: {
    readonly panel: TestPanel
    /** Seconds from when it was made. */
    readonly setClock: (seconds: number) => void
    readonly day: string
    readonly decades: string
    readonly deploy: string
    readonly location: string
  }) => Promise<void>,
): Promise<void> {
  const time = {now: testNow}
  const panel = await startPanel({limits, clock: () => time.now})
  try {
    await publish(panel, await makeRelease({version: '1.0.0'}))
    await draft(panel, await makeRelease({version: '2.0.0'}))
    await work({
      panel,
      setClock: (seconds) => {
        time.now = testNow + seconds
      },
      day: await license(panel, testNow + DAY),
      decades: await license(panel, testNow + 30 * YEAR),
      deploy: await panel.token(['publish']), // for a day
      location: await beginUpload(panel),
    })
    await checkSound(panel)
  } finally {
    await panel.stop()
  }
}

async function checkSound({panel}: TestPanel): Promise<void> {
  assert.equal((await verifyPanel(panel)).findings, [])
  assert.is((await panel.store.verifyAudit()).broken, undefined)
}

async function code({ask}: TestPanel, path: string, token?: string): Promise<unknown> {
  const {status, json} = await ask('GET', path, token === undefined ? {} : {token})
  return json.code ?? status
}

const manifest = '/update/manifest.json'

/** When what the panel signs as current was issued, and until when it is good. */
async function fresh({ask}: TestPanel, token: string) {
  const {json} = await wanted(200, ask('GET', '/v1/products/agent/checkpoint', {token}))
  return json.checkpoint as {issued: number; expires: number}
}

test('nine years later: what ended has ended, what lasts goes on, and everything is signed anew', () =>
  withPanel(async ({panel, setClock, day, decades, deploy, location}) => {
    const before = await fresh(panel, decades)
    setClock(9 * YEAR)
    assert.is(await code(panel, manifest, day), 'license_frozen')
    assert.is(await code(panel, manifest, decades), 200)
    assert.is(await code(panel, '/v1/products/agent/releases/2.0.0', deploy), 'token_invalid')
    const {status, json} = await panel.ask('HEAD', location, {headers: tus})
    assert.equal([status, json.code], [404, undefined], 'an upload is kept for a day')
    const now = await fresh(panel, decades)
    assert.ok(now.issued > before.issued && now.expires > testNow + 9 * YEAR + 2 * DAY)
    assert.is(await code(panel, '/readyz'), 200)
    // a draft does not end by itself
    await draft(panel, await makeRelease({version: '2.0.0'}))
    await wanted(200, flip(panel, await makeRelease({version: '2.0.0'})))
    assert.is(await code(panel, manifest, decades), 200)
  }))

test('ten years later: the first administrator’s token has ended too, nodes are served on', () =>
  withPanel(async ({panel, setClock, decades}) => {
    setClock(10 * YEAR)
    assert.is(await code(panel, '/v1/audit'), 'token_invalid')
    assert.is(await code(panel, manifest, decades), 200)
    setClock(0)
    assert.is(await code(panel, '/v1/audit'), 200)
    assert.is(await code(panel, manifest, decades), 200)
  }))

for (const [what, seconds] of [
  ['a day', -DAY],
  ['ten years', -10 * YEAR],
  ['to 1970', 5 - testNow],
] as const)
  test(`set back ${what}: nothing thaws, nothing that is good ends, the log stays in order`, () =>
    withPanel(async ({panel, setClock, day, decades, deploy, location}) => {
      const {ask} = panel
      setClock(DAY)
      assert.is(await code(panel, manifest, day), 'license_frozen')
      setClock(seconds)
      assert.is(await code(panel, manifest, day), 'license_frozen')
      assert.is(await code(panel, manifest, decades), 200)
      assert.is(await code(panel, '/v1/products/agent/releases/2.0.0', deploy), 200)
      await wanted(200, ask('HEAD', location, {headers: tus}))
      const release = await makeRelease({version: '2.0.0'})
      await draft(panel, release)
      await wanted(200, flip(panel, release))
      const {json} = await wanted(200, ask('GET', manifest, {token: decades}))
      const {version, sequence} = json.release as {version: string; sequence: number}
      assert.equal([version, sequence], ['2.0.0', 2])
      setClock(DAY + 1)
      await checkSound(panel)
      assert.is(await code(panel, manifest, decades), 200)
      assert.is(await code(panel, '/readyz'), 200)
    }))

test.run()
