import {chmodSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {setFlagsFromString} from 'node:v8'
import {runInNewContext} from 'node:vm'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {Buckets, networkOf} from '../../../src/panel/server/limits.ts'
import type {License} from '../../../src/release/license.ts'
import {
  armouredLicense,
  issueLicense,
  licenseHeader,
  parseLicense,
} from '../../../src/release/license-file.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {signedAnchor, testAnchor, testNow, testSigner} from '../../support/anchors.ts'
import {
  type Answer,
  agentSlot,
  draft,
  flip,
  makeRelease,
  panelSigners,
  publish,
  type StartOptions,
  startPanel,
  type TestPanel,
  upload,
  wanted,
} from '../../support/panel.ts'

const DAY = 86_400

const license: License = {
  id: '01KB0000000000000000000001',
  product: 'agent',
  customer: 'ACME',
  track: 'stable',
  entitlements: [],
  issued: testNow,
  expires: testNow + 30 * DAY,
  serial: 1,
}

async function withPanel(
  options: StartOptions,
  use: (panel: TestPanel) => Promise<void>,
): Promise<void> {
  const panel = await startPanel(options)
  try {
    await use(panel)
  } finally {
    await panel.stop()
  }
}

/** A request by a licence in its armour. */
function asNode(
  panel: TestPanel,
  file: string,
  method: string,
  path: string,
  body?: Record<string, string>,
  more: Record<string, string> = {},
): Promise<Answer> {
  const authorization = `Bearer ${licenseHeader(parseLicense(file))}`
  return panel.ask(method, path, {
    token: null,
    headers: {authorization, ...more},
    ...(body === undefined ? {} : {body}),
  })
}

async function signed(changes: Partial<License>): Promise<string> {
  const signer = testSigner(panelSigners.license)
  return armouredLicense(await issueLicense({...license, ...changes}, signer))
}

test('credentials that somebody made up do not fill the memory', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const buckets = new Buckets({perSec: 1, burst: 1})
  collect()
  const before = process.memoryUsage().heapUsed
  for (let at = 0; at < 5000; at++)
    buckets.take(Buffer.alloc(16_000, String(at).padEnd(16)).toString('latin1'), 0)
  collect()
  const grown = process.memoryUsage().heapUsed - before
  assert.ok(grown < 20e6, `${grown} bytes for 5,000 names of 16 KB`)
  const name = Buffer.alloc(16_000, '0'.padEnd(16)).toString('latin1')
  assert.ok(buckets.take(name, 0) > 0, 'a long name has its bucket')
})

test('one customer of IPv6 is one address', () => {
  const one = ['2001:db8:1:2::1', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::']
  assert.equal(new Set(one.map(networkOf)).size, 1)
  assert.is(networkOf('2001:db8::1'), networkOf('2001:db8:0:0:1::'))
  assert.is.not(networkOf('2001:db8::1'), networkOf('2001:db8:0:1::1'))
  assert.is(networkOf('192.0.2.1'), '192.0.2.1')
  assert.is(networkOf(undefined), 'none')
  assert.is.not(networkOf('::ffff:192.0.2.1'), networkOf('::ffff:192.0.2.2'))
})

test('a report of a stranger is not read when it is long', async () => {
  await withPanel({}, async (panel) => {
    const body = `[${'1,'.repeat(3000)}1]`
    const {json} = await panel.ask('POST', '/v1/report', {token: null, body})
    assert.is(json.code, 'request_too_large')
  })
})

test('one node cannot fill the disk with reports', async () => {
  let now = testNow
  await withPanel({clock: () => now}, async (panel) => {
    const file = await signed({})
    await wanted(201, panel.ask('POST', '/v1/licenses', {body: {file}}))
    const body = {code: 'disk_full', version: '1.0.0', phase: 'apply'}
    const report = () => asNode(panel, file, 'POST', '/v1/report', body)
    for (let at = 0; at < 200; at++) await wanted(202, report())
    const refused = await wanted(429, report())
    assert.is(refused.json.code, 'rate_limited')
    assert.is(refused.headers.get('retry-after'), String(DAY))
    now += DAY
    await wanted(202, report())
  })
})

test('a report that a node sends again is one report', async () => {
  await withPanel({}, async (panel) => {
    await publish(panel, await makeRelease({version: '1.0.0'}))
    const file = await signed({})
    await wanted(201, panel.ask('POST', '/v1/licenses', {body: {file}}))
    const body = {code: 'disk_full', version: '1.0.0', phase: 'apply'}
    const report = (key: string) =>
      asNode(panel, file, 'POST', '/v1/report', body, {'idempotency-key': key})
    for (const key of ['a', 'a', 'b']) await wanted(202, report(key))
    const {json} = await wanted(200, panel.ask('GET', `/v1/products/${license.product}/reports`))
    const [counted, ...others] = json.counts as readonly {readonly reports: number}[]
    assert.equal([counted?.reports, others.length], [2, 0])
    for (const key of ['a'.repeat(129), 'two words'])
      assert.is((await wanted(400, report(key))).json.code, 'request_invalid', key)
  })
})

test('an older file of a renewed licence opens no more than the newest one', async () => {
  await withPanel({}, async (panel) => {
    await publish(panel, await makeRelease({version: '1.1.0-canary.1'}))
    const first = await signed({entitlements: ['channel:canary']})
    const second = await signed({serial: 2})
    await wanted(201, panel.ask('POST', '/v1/licenses', {body: {file: first}}))
    const manifest = '/update/manifest.json'
    await wanted(200, asNode(panel, first, 'GET', manifest))
    const path = `/v1/licenses/${license.id}`
    await wanted(200, panel.ask('POST', `${path}/renew`, {body: {file: second}}))
    for (const file of [first, second])
      assert.is((await asNode(panel, file, 'GET', manifest)).json.code, 'no_release')
    assert.equal((await panel.ask('GET', path)).json.channels, ['stable'])
  })
})

test('of two renewals with one serial the second is stale', async () => {
  await withPanel({}, async (panel) => {
    const file = await signed({})
    await wanted(201, panel.ask('POST', '/v1/licenses', {body: {file}}))
    const by = {id: 'local'}
    const change = (name: string) =>
      panel.panel.store.setLicense(license.id, {serial: 2, file: name}, by)
    await change('one')
    await change('one')
    const codes = await change('two').then(
      () => 'changed',
      (error: {code?: string}) => error.code,
    )
    assert.is(codes, 'license_stale')
  })
})

test('no proxy may keep what tokens are answered with', async () => {
  await withPanel({}, async (panel) => {
    const issued = await wanted(
      201,
      panel.ask('POST', '/v1/licenses', {body: {file: await signed({})}}),
    )
    assert.is(issued.headers.get('cache-control'), 'no-store')
    for (const path of [`/v1/licenses/${license.id}`, '/v1/tokens', '/v1/audit', '/v1/whoami'])
      assert.is(
        (await wanted(200, panel.ask('GET', path))).headers.get('cache-control'),
        'no-store',
        path,
      )
  })
})

test('bytes that were swapped on the disk are sent again by who publishes', async () => {
  await withPanel({}, async (panel) => {
    const release = await makeRelease({version: '1.0.0'})
    await draft(panel, release)
    const [artifact] = release.file.release.artifacts
    const [content] = release.bytes.values()
    assert.ok(artifact && content)
    const path = join(panel.data, 'blobs', panel.panel.blobs.localPath?.(artifact.sha256) ?? '')
    chmodSync(path, 0o600)
    writeFileSync(path, Buffer.alloc(content.length))
    assert.is((await flip(panel, release)).json.code, 'release_incomplete')
    assert.is((await panel.ask('HEAD', `/v1/blobs/${artifact.sha256}`)).status, 404)
    const {json} = await panel.ask('GET', '/v1/products/agent/releases/1.0.0')
    assert.equal(
      (json.missing as {reason: string}[]).map(({reason}) => reason),
      ['not_uploaded'],
    )
    await wanted(204, upload(panel, content))
    await wanted(200, panel.ask('HEAD', `/v1/blobs/${artifact.sha256}`))
    await wanted(200, flip(panel, release))
    assert.equal(readFileSync(path), content)
  })
})

test('a publisher of one product does not learn what another one has', async () => {
  await withPanel({products: {agent: [agentSlot], secret: [agentSlot]}}, async (panel) => {
    const release = await makeRelease({product: 'secret', version: '1.0.0'})
    await draft(panel, release)
    const [content] = release.bytes.values()
    assert.ok(content)
    const path = `/v1/blobs/${sha256Hex(content)}`
    const [stranger, own] = [
      await panel.token(['publish'], ['agent']),
      await panel.token(['publish'], ['agent', 'secret']),
    ]
    const absent = await panel.ask('HEAD', `/v1/blobs/${'0'.repeat(64)}`, {token: stranger})
    const hidden = await panel.ask('HEAD', path, {token: stranger})
    assert.equal([absent.status, hidden.status], [404, 404])
    assert.is((await panel.ask('HEAD', path, {token: own})).status, 200)
    assert.is((await upload(panel, content, own)).status, 200)
    assert.is((await upload(panel, content, stranger)).status, 204)
    assert.is((await panel.ask('HEAD', path, {token: stranger})).status, 404)
  })
})

test('what people wrote cannot move a cursor or turn text around', async () => {
  await withPanel({}, async (panel) => {
    const file = await signed({})
    await wanted(201, panel.ask('POST', '/v1/licenses', {body: {file}}))
    const path = `/v1/licenses/${license.id}/freeze`
    for (const hostile of ['\u0007', '\u009b2J', '\u2028', '\u202egnp.exe', '\u2066x'])
      assert.is(
        (await panel.ask('POST', path, {body: {reason: `a${hostile}`}})).json.code,
        'request_invalid',
      )
    await wanted(200, panel.ask('POST', path, {body: {reason: 'Schlüssel verloren 🔑'}}))
  })
})

test('a token for licences alone sees no drafts', async () => {
  await withPanel({}, async (panel) => {
    await draft(panel, await makeRelease({version: '1.0.0'}))
    const path = '/v1/products/agent/releases'
    const licensor = await panel.token(['license'])
    assert.is((await panel.ask('GET', path, {token: licensor})).json.code, 'token_not_allowed')
    await wanted(200, panel.ask('GET', path, {token: await panel.token(['audit'])}))
  })
})

test('a stolen token cannot promise more uploads than its share', async () => {
  const limits = {openUploads: 3, openUploadBytes: 10_000}
  await withPanel({limits}, async (panel) => {
    const begin = (token: string, size: number, digit: string) =>
      panel.ask('POST', '/v1/uploads', {
        token,
        headers: {
          'tus-resumable': '1.0.0',
          'upload-length': String(size),
          'upload-metadata': `sha256 ${Buffer.from(digit.repeat(64)).toString('base64')}`,
        },
      })
    const [one, other] = [await panel.token(['publish']), await panel.token(['publish'])]
    await wanted(201, begin(one, 9000, '1'))
    assert.is((await begin(one, 2000, '2')).json.code, 'upload_quota')
    const {headers} = await wanted(201, begin(one, 500, '3'))
    await wanted(201, begin(one, 500, '4'))
    assert.is((await begin(one, 0, '5')).json.code, 'upload_quota')
    await wanted(201, begin(other, 9000, '6'))
    await wanted(204, panel.ask('DELETE', headers.get('location') ?? '', {token: one}))
    await wanted(201, begin(one, 500, '7'))
  })
})

test('keys that are taken away while a release is checked do not publish it', async () => {
  await withPanel({}, async (panel) => {
    const release = await makeRelease({version: '1.0.0'})
    await draft(panel, release)
    const {root, license: licenses} = panelSigners
    const next = testAnchor(
      {role: 'root', keys: [root]},
      {role: 'manifest', keys: ['next manifest']},
      {role: 'artifact', keys: ['next artifact']},
      {role: 'license', keys: [licenses]},
    )
    const body = await signedAnchor({...next, version: 2, expires: 4_102_444_800}, root)
    const read = panel.panel.blobs.read.bind(panel.panel.blobs)
    panel.panel.blobs.read = async function* (sha256, range) {
      await wanted(200, panel.ask('PUT', '/v1/products/agent/keys', {body}))
      yield* read(sha256, range)
    }
    assert.is((await flip(panel, release)).json.code, 'keys_changed')
    assert.is((await panel.ask('GET', '/v1/products/agent/releases/1.0.0')).json.state, 'draft')
    assert.ok((await flip(panel, release)).json.code !== 'keys_changed')
    assert.is((await panel.ask('GET', '/v1/products/agent/releases/1.0.0')).json.state, 'draft')
  })
})

test('a node is not told where the panel keeps its data', async () => {
  await withPanel({}, async (panel) => {
    const release = await makeRelease({version: '1.0.0'})
    await publish(panel, release)
    const file = await signed({})
    await wanted(201, panel.ask('POST', '/v1/licenses', {body: {file}}))
    const [artifact] = release.file.release.artifacts
    assert.ok(artifact)
    const path = join(panel.data, 'blobs', panel.panel.blobs.localPath?.(artifact.sha256) ?? '')
    rmSync(path)
    symlinkSync(panel.panel.folder.adminToken, path)
    const answer = await asNode(panel, file, 'GET', `/download/agent/1.0.0/${artifact.name}`)
    assert.is(answer.json.code, 'store_failed')
    assert.not(answer.bytes.includes(panel.data))
    const failed = panel.logged.find(({event}) => event === 'request.failed')
    assert.ok(String(failed?.fields?.detail).includes(panel.data), 'the log says where')
  })
})

test.run()
