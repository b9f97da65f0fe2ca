import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from 'node:fs'
import {request} from 'node:http'
import {connect} from 'node:net'
import {join} from 'node:path'
import {text} from 'node:stream/consumers'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {openDataFolder} from '../../../src/panel/data-folder.ts'
import {makeFirstAdmin, openPanel} from '../../../src/panel/open-panel.ts'
import {jsonLines} from '../../../src/panel/server/request-log.ts'
import {openSqliteStore} from '../../../src/panel/store/sqlite.ts'
import {licenseHeader, parseLicense} from '../../../src/release/license-file.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {testNow} from '../../support/anchors.ts'
import {
  makeRelease,
  publish,
  type StartOptions,
  startPanel,
  type TestPanel,
} from '../../support/panel.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

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

/** Sends bytes as they are and returns all that comes back until the panel closes. */
async function raw({url}: TestPanel, bytes: string | Buffer): Promise<string> {
  const {hostname, port} = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => undefined)
  socket.write(bytes)
  return text(socket)
}

const hostile: readonly [string, Parameters<TestPanel['ask']>, number, string][] = [
  ['no token', ['GET', '/v1/products', {token: null}], 401, 'token_missing'],
  ['a word as token', ['GET', '/v1/products', {token: 'hello'}], 401, 'token_invalid'],
  [
    'an unknown token',
    ['GET', '/v1/products', {token: `relp_${'A'.repeat(43)}`}],
    401,
    'token_invalid',
  ],
  [
    'another scheme',
    ['GET', '/v1/products', {token: null, headers: {authorization: 'Basic YTpi'}}],
    401,
    'token_invalid',
  ],
  ['an unknown path', ['GET', '/v2/nothing'], 404, 'route_unknown'],
  ['an unknown method', ['DELETE', '/v1/products'], 404, 'route_unknown'],
  ['a path that climbs', ['GET', '/v1/products/..%2f..%2fetc%2fpasswd'], 400, 'request_invalid'],
  ['a NUL in the path', ['GET', '/v1/products/a%00b'], 400, 'request_invalid'],
  ['a bad escape', ['GET', '/v1/products/%ff%fe'], 400, 'request_invalid'],
  ['SQL as a product', ['GET', "/v1/products/a'%20OR%201=1--"], 400, 'request_invalid'],
  ['a line break in the path', ['GET', '/v1/products/a%0d%0ab:c'], 400, 'request_invalid'],
  ['a long segment', ['GET', `/v1/products/${'a'.repeat(300)}`], 400, 'request_invalid'],
  ['no JSON', ['PUT', '/v1/products/agent/floor', {body: '{"version":'}], 400, 'json_syntax'],
  ['an empty body', ['PUT', '/v1/products/agent/floor', {body: ''}], 400, 'json_syntax'],
  [
    'bad UTF-8',
    ['PUT', '/v1/products/agent/floor', {body: Buffer.from('7b22ff223a317d', 'hex')}],
    400,
    'json_utf8',
  ],
  [
    'a key twice',
    ['PUT', '/v1/products/agent/floor', {body: '{"version":"1.0.0","version":"2.0.0"}'}],
    400,
    'json_duplicate_key',
  ],
  [
    'a field too many',
    ['PUT', '/v1/products/agent/floor', {body: {version: '1.0.0', force: true}}],
    400,
    'request_invalid',
  ],
  [
    'a number for a text',
    ['PUT', '/v1/products/agent/floor', {body: {version: 1}}],
    400,
    'request_invalid',
  ],
  [
    'prototype keys',
    ['PUT', '/v1/products/agent/floor', {body: '{"__proto__":{"admin":true}}'}],
    400,
    'json_forbidden_key',
  ],
  [
    'another content type',
    [
      'PUT',
      '/v1/products/agent/floor',
      {body: 'version=1', headers: {'content-type': 'application/x-www-form-urlencoded'}},
    ],
    415,
    'media_type_unknown',
  ],
  [
    'a body over the limit',
    ['PUT', '/v1/products/agent/floor', {body: Buffer.alloc(1024 * 1024 + 1, 32)}],
    413,
    'request_too_large',
  ],
  [
    'a floor that is no version',
    ['PUT', '/v1/products/agent/floor', {body: {version: '1'}}],
    400,
    'version_invalid',
  ],
  ['a number in the query', ['GET', '/v1/audit?limit=many'], 400, 'request_invalid'],
  ['a field in the query', ['GET', '/v1/audit?sort=desc'], 400, 'request_invalid'],
]

test('what is wrong is refused with code, hint and request id, and changes nothing', async () => {
  await withPanel({}, async (panel) => {
    const before = await panel.panel.store.verifyAudit()
    const ids = new Set<string>()
    for (const [name, given, status, code] of hostile) {
      const {json, headers, status: seen} = await panel.ask(...given)
      assert.equal([name, seen, json.code], [name, status, code])
      assert.is(headers.get('content-type'), 'application/problem+json', name)
      assert.is(headers.get('cache-control'), 'no-store', name)
      assert.ok(String(json.hint).length > 10, name)
      assert.is(json.request_id, headers.get('x-request-id'), name)
      ids.add(String(json.request_id))
    }
    assert.is(ids.size, hostile.length)
    assert.equal(await panel.panel.store.verifyAudit(), before)
  })
})

test('a head over the limit, and what is no HTTP, get a problem and a closed connection', async () => {
  await withPanel({}, async (panel) => {
    const large = await raw(
      panel,
      `GET /livez HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`,
    )
    assert.match(large, /^HTTP\/1\.1 431 /)
    assert.match(large, /"code":"headers_too_large"/)
    const noise = await raw(panel, Buffer.from([0, 1, 2, 3, 13, 10, 13, 10]))
    assert.match(noise, /^HTTP\/1\.1 400 /)
    assert.match(noise, /"code":"request_invalid"/)
    const smuggled = await raw(
      panel,
      'POST /v1/tokens HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    )
    assert.match(smuggled, /^HTTP\/1\.1 400 /)
  })
})

test('a head that comes drop by drop is ended', async () => {
  await withPanel({limits: {headerSecs: 0.2}}, async (panel) => {
    const answer = await raw(panel, 'GET /livez HTTP/1.1\r\nhost: a\r\nx-slow: ')
    assert.match(answer, /^HTTP\/1\.1 408 /)
    assert.match(answer, /"code":"request_timeout"/)
  })
})

test('a body that comes drop by drop is cut off', async () => {
  await withPanel({products: {}, limits: {idleSecs: 0.2}}, async (panel) => {
    const head = `PUT /v1/products/agent/floor HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${panel.adminToken}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{`
    assert.is(await raw(panel, head), '')
    assert.ok(panel.logged.some(({event}) => event === 'peer.cut'))
  })
})

test('a reader that does not read is cut off, and its descriptor is given back', async () => {
  const first = await startPanel()
  const release = await makeRelease({version: '1.0.0', size: 24_000_000})
  await publish(first, release)
  const body = {product: 'agent', customer: 'A', track: 'stable', expires: testNow + 86_400}
  const {json} = await first.ask('POST', '/v1/licenses', {body})
  await first.stop()
  const license = licenseHeader(parseLicense(String(json.file)))
  const [name] = release.bytes.keys()
  const path = `/download/agent/1.0.0/${name}`
  // only what is cut off goes to the panel with the short limit: a loaded machine is slow as well
  const options = {data: first.data, products: {}, limits: {idleSecs: 0.3}}
  await withPanel(options, async (panel) => {
    const {hostname, port} = new URL(panel.url)
    const cut = new Promise((resolve) => {
      panel.app.server.once('connection', (peer) => peer.once('close', resolve))
    })
    const socket = connect(Number(port), hostname)
    socket.on('error', () => undefined)
    socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${license}\r\n\r\n`)
    socket.pause()
    await cut
    socket.destroy()
    assert.ok(panel.logged.some(({event}) => event === 'peer.cut'))
    // closing a file takes a thread of its own; one that leaked would stay until the runner's limit
    while (readdirSync('/proc/self/fd').some(isBlob)) await new Promise(setImmediate)
  })
  await withPanel({data: first.data, products: {}}, async (panel) => {
    assert.is((await panel.ask('GET', path, {token: license})).bytes.length, 24_000_000)
  })
})

function isBlob(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).includes('/blobs/sha256/')
  } catch {
    return false
  }
}

test('who asks too often is told when to come back', async () => {
  const limits = {perCredential: {perSec: 0.001, burst: 8}}
  await withPanel({limits}, async (panel) => {
    const other = await panel.token(['audit'])
    const answers = []
    for (let at = 0; at < 9; at++) answers.push(await panel.ask('GET', '/v1/whoami'))
    const last = answers.at(-1)
    assert.equal([last?.status, last?.json.code], [429, 'rate_limited'])
    assert.ok(Number(last?.headers.get('retry-after')) >= 1)
    assert.is((await panel.ask('GET', '/v1/whoami', {token: other})).status, 200)
  })
  await withPanel({limits: {perAddress: {perSec: 0.001, burst: 6}}}, async (panel) => {
    for (let at = 0; at < 6; at++) await panel.ask('GET', `/livez`, {token: null})
    assert.is((await panel.ask('GET', '/livez', {token: null})).status, 429)
  })
})

test('health, readiness, metrics', async () => {
  await withPanel({}, async (panel) => {
    assert.equal((await panel.ask('GET', '/livez')).json, {status: 'alive'})
    assert.equal((await panel.ask('GET', '/readyz')).json, {status: 'ready'})
    await panel.ask('GET', '/v1/nothing')
    const metrics = (await panel.ask('GET', '/metrics')).bytes.toString('utf8')
    assert.match(metrics, /^rel_panel_requests_total\{method="GET",route="\/readyz"\} 1$/m)
    assert.match(metrics, /^rel_panel_problems_total\{code="route_unknown",status="404"\} 1$/m)
    assert.match(metrics, /^rel_panel_ready 1$/m)
    assert.match(metrics, /^process_resident_memory_bytes [0-9]+$/m)
  })
})

test('a panel whose statements would be too old is not ready', async () => {
  await withPanel({config: {freshnessSecs: 40 * 3600}}, async (panel) => {
    const {status, json} = await panel.ask('GET', '/readyz')
    assert.equal([status, json.failures], [503, ['freshness_short']])
  })
})

test('the OpenAPI document is the committed one', async () => {
  await withPanel({}, async (panel) => {
    const served = (await panel.ask('GET', '/openapi.json')).bytes.toString('utf8')
    const committed = readFileSync(join(import.meta.dirname, '../../../docs/openapi.json'), 'utf8')
    assert.is(served, committed)
  })
})

test('no secret is in the log', async () => {
  await withPanel({}, async (panel) => {
    const canary = `relp_${'canary'.repeat(7)}x`
    await panel.ask('GET', `/v1/products?token=${canary}`, {token: canary})
    await panel.ask('PUT', '/v1/products/agent/floor', {body: `{"version":"${canary}"`})
    await panel.ask('POST', '/v1/licenses', {body: {file: canary}})
    await panel.ask('GET', `/${canary}`, {headers: {cookie: canary, 'x-request-id': canary}})
    const made = await panel.token(['audit'])
    const lines: string[] = []
    const write = jsonLines((line) => lines.push(line))
    for (const entry of panel.logged) write(entry)
    assert.ok(lines.length >= 5)
    for (const secret of [canary, made, panel.adminToken])
      assert.not(lines.some((line) => line.includes(secret)))
    assert.ok(lines.every((line) => line.endsWith('\n') && JSON.parse(line).time !== undefined))
  })
})

test('a request under way is ended before the panel stops, a new one is not taken', async () => {
  const panel = await startPanel()
  const {hostname, port} = new URL(panel.url)
  const slow = request({
    hostname,
    port,
    method: 'PUT',
    path: '/v1/products/agent/floor',
    headers: {
      authorization: `Bearer ${panel.adminToken}`,
      'content-type': 'application/json',
      'content-length': '19',
    },
  })
  const answered = new Promise<number | undefined>((resolve, reject) => {
    slow.on('response', (answer) => {
      answer.resume()
      resolve(answer.statusCode)
    })
    slow.on('error', reject)
  })
  const begun = new Promise((resolve) => panel.app.server.once('request', resolve))
  slow.write('{"version"')
  await begun
  const stopped = panel.stop()
  slow.end(':"1.0.0"}')
  assert.is(await answered, 200)
  await stopped
  await assertRefused(panel.url)
})

async function assertRefused(url: string): Promise<void> {
  let isRefused = false
  await fetch(url).catch(() => {
    isRefused = true
  })
  assert.ok(isRefused)
}

test('one panel at a time has a data folder; its keys and its token survive', async () => {
  const panel = await startPanel()
  const {data, adminToken} = panel
  try {
    await rejectsCode(() => openPanel({data}), 'panel_locked')
  } finally {
    await panel.stop()
  }
  const again = await startPanel({data, products: {}})
  try {
    assert.is(again.adminToken, adminToken)
    assert.is(again.panel.isNew, false)
    assert.is(again.panel.keys.license.publicKey.keyId, panel.panel.keys.license.publicKey.keyId)
    assert.is((await again.ask('GET', '/v1/products/agent')).status, 200)
  } finally {
    await again.stop()
  }
})

test('of two instances that start on one empty database, one makes the administrator', async () => {
  const folder = temporaryFolder()
  const store = await openSqliteStore({path: join(folder, 'panel.db'), now: () => testNow})
  try {
    const data = ['one', 'two'].map((name) => openDataFolder(join(folder, name)))
    const made = await Promise.all(data.map((each) => makeFirstAdmin(store, each, testNow)))
    assert.equal(made.toSorted(), [false, true])
    assert.equal(
      data.map(({adminToken}) => existsSync(adminToken)),
      made,
    )
    const tokens = await store.tokens()
    assert.is(tokens.length, 1)
    const kept = readFileSync(data[made.indexOf(true)]?.adminToken ?? '', 'utf8').trim()
    assert.is(tokens[0]?.sha256, sha256Hex(kept))
  } finally {
    await store.close()
  }
})

test('other keys than those of the database are refused', async () => {
  const first = await startPanel({products: {}})
  await first.stop()
  rmSync(join(first.data, 'keys'), {recursive: true})
  await rejectsCode(() => openPanel({data: first.data}), 'panel_keys_differ')
})

test('an expired or revoked token is refused at once', async () => {
  let now = testNow
  await withPanel({clock: () => now}, async (panel) => {
    const token = await panel.token(['audit'])
    const {json} = await panel.ask('GET', '/v1/whoami', {token})
    now += 86_400
    assert.is((await panel.ask('GET', '/v1/whoami', {token})).json.code, 'token_invalid')
    now -= 86_400
    assert.is((await panel.ask('GET', '/v1/whoami', {token})).status, 200)
    assert.is((await panel.ask('DELETE', `/v1/tokens/${json.id}`)).status, 204)
    assert.is((await panel.ask('GET', '/v1/whoami', {token})).json.code, 'token_invalid')
    assert.not(JSON.stringify((await panel.ask('GET', '/v1/tokens')).json).includes(token))
  })
})

test('a folder that others may write to is refused', async () => {
  const data = join(temporaryFolder(), 'open')
  mkdirSync(data)
  chmodSync(data, 0o777)
  await rejectsCode(() => openPanel({data}), 'panel_data_invalid')
})

test.run()
