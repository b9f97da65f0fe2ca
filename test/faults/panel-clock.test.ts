import {once} from 'node:events'
import {get, type IncomingMessage} from 'node:http'
import {connect, type Socket} from 'node:net'
import {join} from 'node:path'
import {setTimeout} from 'node:timers/promises'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {backUpPanel, restorePanel} from '../../src/panel/maintenance/backup.ts'
import {licenseHeader, parseLicense} from '../../src/release/license-file.ts'
import {testNow} from '../support/anchors.ts'
import {type Checkpoint, judge, type Leaf, type LogMemory} from '../support/log-memory.ts'
import {needsThat} from '../support/needs.ts'
import {
  addProduct,
  agentSlot,
  makeRelease,
  publish,
  startPanel,
  type TestPanel,
  wanted,
} from '../support/panel.ts'
import {type Postgres, startPostgres} from '../support/postgres.ts'
import {temporaryFolder} from '../support/tmp.ts'

const DAY = 86_400
const SIZE = 24_000_000
const unlimited = {perSec: 1e6, burst: 1e6}
const limits = {perCredential: unlimited, perAddress: unlimited}

type Licensed = {readonly id: string; readonly token: string}

async function license({ask}: TestPanel, track = 'stable'): Promise<Licensed> {
  const body = {product: 'agent', customer: 'Acme', track, expires: testNow + DAY}
  const {json} = await wanted(201, ask('POST', '/v1/licenses', {body}))
  return {id: String(json.id), token: licenseHeader(parseLicense(String(json.file)))}
}

/** The head of an answer whose body is not read yet. */
async function begin(url: string, token: string): Promise<IncomingMessage> {
  const asked = get(url, {headers: {authorization: `Bearer ${token}`}, agent: false})
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  return answer
}

test('a licence that ends: a download under way is finished, no other begins, until it is renewed', async () => {
  const time = {now: testNow}
  const panel = await startPanel({clock: () => time.now, limits})
  try {
    const release = await makeRelease({version: '1.0.0', size: SIZE})
    await publish(panel, release)
    const {id, token} = await license(panel)
    const path = `/download/agent/1.0.0/${[...release.bytes.keys()][0]}`
    const codes = async () => {
      const answers = ['/update/manifest.json', path, '/check'].map((each) =>
        panel.ask('GET', each, {token}),
      )
      return (await Promise.all(answers)).map(({status, json}) => json.code ?? status)
    }
    const frozen = ['license_frozen', 'license_frozen', 'license_frozen']
    assert.equal(await codes(), [200, 200, 200])
    const underWay = await begin(panel.url + path, token)
    time.now = testNow + DAY
    assert.equal(await codes(), frozen)
    let received = 0
    for await (const piece of underWay) received += (piece as Buffer).length
    assert.is(received, SIZE)
    for (const back of [1, DAY, 365 * DAY]) {
      time.now = testNow + DAY - back
      assert.equal(await codes(), frozen, `set back by ${back} s`)
    }
    time.now = testNow + DAY
    const body = {expires: testNow + 3 * DAY}
    await wanted(200, panel.ask('POST', `/v1/licenses/${id}/renew`, {body}))
    assert.equal(await codes(), [200, 200, 200])
  } finally {
    await panel.stop()
  }
})

test('a clock that is set back and a panel that is started again thaw nothing', async () => {
  const data = join(temporaryFolder('rel panel '), 'data')
  let token = ''
  /** What a licence is told by a panel that is started with a clock that stands. */
  const toldAt = async (now: number, first = false) => {
    const panel = await startPanel({
      data,
      clock: () => now,
      limits,
      ...(first ? {} : {products: {}}),
    })
    try {
      if (first) {
        await publish(panel, await makeRelease({version: '1.0.0'}))
        token = (await license(panel)).token
      }
      const {status, json} = await panel.ask('GET', '/check?version=1.0.0', {token})
      return json.code ?? status
    } finally {
      await panel.stop()
    }
  }
  assert.is(await toldAt(testNow, true), 200)
  assert.is(await toldAt(testNow + DAY - 1), 200)
  assert.is(await toldAt(testNow + DAY), 'license_frozen')
  assert.is(await toldAt(testNow), 'license_frozen')
  assert.is(await toldAt(0), 'license_frozen')
})

/** What was promised: a revocation is known everywhere after 5 seconds. */
const REVOKED_MS = 5000

/** No request that begins later than promised may be answered; how many were is the finding. */
async function revokeReaches(one: TestPanel, other: TestPanel): Promise<void> {
  await publish(one, await makeRelease({version: '1.0.0'}))
  const {id, token} = await license(one)
  const poll = () => other.ask('GET', '/update/manifest.json', {token})
  while ((await poll()).status !== 200) await setTimeout(20)
  const body = {reason: 'sold'}
  await wanted(200, one.ask('POST', `/v1/licenses/${id}/revoke`, {body}))
  const revoked = performance.now()
  for (;;) {
    const begun = performance.now() - revoked
    const {status, json} = await poll()
    if (json.code === 'license_revoked') return
    assert.is(status, 200)
    assert.ok(begun < REVOKED_MS, `answered ${begun.toFixed(0)} ms after the revocation`)
    await setTimeout(20)
  }
}

test('a revocation reaches a second panel on the same SQLite file in 5 s', async () => {
  const one = await startPanel({limits})
  const other = await startPanel({limits, data: one.data, products: {}, open: {lock: false}})
  try {
    await revokeReaches(one, other)
  } finally {
    await other.stop()
    await one.stop()
  }
})

const started = await startPostgres()
if (needsThat('PostgreSQL', typeof started !== 'string', String(started))) {
  const server = started as Postgres
  test('a revocation reaches a second panel on the same PostgreSQL in 5 s', async () => {
    const database = await server.createDatabase()
    const one = await startPanel({limits, products: {}, open: {database}})
    const second = {limits, data: one.data, products: {}, open: {database, lock: false}}
    const other = await startPanel(second)
    try {
      await addProduct(one, 'agent', [agentSlot])
      await revokeReaches(one, other)
    } finally {
      await other.stop()
      await one.stop()
    }
  })
  test.after(() => server.stop())
}

/** What a node sees of the log, with a licence that does not open everything in it. */
async function logSeen({ask}: TestPanel, token: string) {
  const product = '/v1/products/agent'
  const {json} = await wanted(200, ask('GET', `${product}/checkpoint`, {token}))
  const log = await wanted(200, ask('GET', `${product}/log?limit=1000`, {token}))
  const manifest = await wanted(200, ask('GET', '/update/manifest.json', {token}))
  const {sequence} = manifest.json.release as {sequence: number}
  return {checkpoint: json.checkpoint as Checkpoint, leaves: log.json.leaves as Leaf[], sequence}
}

function remembered({log_size, log_root}: Checkpoint): LogMemory {
  return {size: log_size, root: log_root}
}

test('a node finds out that an old backup was restored, even when the log has grown again', async () => {
  const panel = await startPanel({limits})
  const backup = join(temporaryFolder(), 'backup')
  let token = ''
  let before: Awaited<ReturnType<typeof logSeen>>
  try {
    token = (await license(panel)).token
    await publish(panel, await makeRelease({version: '1.0.0'}))
    await publish(panel, await makeRelease({version: '1.1.0-beta.1'}))
    const early = await logSeen(panel, token)
    const {folder} = panel.panel
    const key = (name: string) => [`keys/${name}`, join(folder.keys, name)]
    const files = Object.fromEntries([
      ['admin-token', folder.adminToken],
      ...['license.key', 'freshness.key'].map(key),
    ])
    await backUpPanel(panel.panel, {target: backup, now: testNow, files})
    await publish(panel, await makeRelease({version: '1.2.0'}))
    await publish(panel, await makeRelease({version: '1.3.0'}))
    before = await logSeen(panel, token)
    assert.is(judge(remembered(early.checkpoint), before.checkpoint, before.leaves), 'goes_on')
  } finally {
    await panel.stop()
  }
  const memory = remembered(before.checkpoint)
  const data = join(temporaryFolder(), 'restored')
  await restorePanel(backup, data)
  const restored = await startPanel({data, products: {}, limits})
  try {
    const now = await logSeen(restored, token)
    assert.ok(now.sequence < before.sequence)
    assert.is(judge(memory, now.checkpoint, now.leaves), 'behind')
    for (const version of ['1.2.1', '1.3.1', '1.4.0']) {
      await publish(restored, await makeRelease({version}))
    }
    const grown = await logSeen(restored, token)
    assert.ok(grown.sequence > before.sequence, 'the sequence alone would not tell')
    assert.is(judge(memory, grown.checkpoint, grown.leaves), 'another_story')
  } finally {
    await restored.stop()
  }
})

/** Sends one byte of a head every 50 ms until it is hung up on; what came back. */
async function drip(url: string): Promise<string> {
  const {hostname, port} = new URL(url)
  const socket: Socket = connect(Number(port), hostname)
  const timer = setInterval(() => socket.write('a'), 50)
  socket.on('error', () => undefined)
  socket.write('GET /livez HTTP/1.1\r\nhost: a\r\nx-slow: ')
  let said = ''
  socket.on('data', (piece) => {
    said += piece
  })
  // events.once would reject at the error that is expected here
  await new Promise((closed) => socket.once('close', closed))
  clearInterval(timer)
  return said
}

test('300 heads that come drop by drop are ended, and hold nobody up meanwhile', async () => {
  const panel = await startPanel({limits: {...limits, headerSecs: 1}})
  try {
    await publish(panel, await makeRelease({version: '1.0.0'}))
    const {token} = await license(panel)
    let isOver = false
    const slow = Promise.all(Array.from({length: 300}, () => drip(panel.url)))
    const over = slow.then(() => {
      isOver = true
    })
    let served = 0
    while (!isOver) {
      await wanted(200, panel.ask('GET', '/update/manifest.json', {token}))
      served++
      await setTimeout(10)
    }
    await over
    for (const said of await slow) assert.match(said, /^(?:HTTP\/1\.1 408 |$)/)
    assert.ok(served > 0)
    assert.is((await panel.ask('GET', '/livez')).status, 200)
  } finally {
    await panel.stop()
  }
})

test.run()
