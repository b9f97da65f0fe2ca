import {createHash} from 'node:crypto'
import {readdirSync, readlinkSync} from 'node:fs'
import {Agent, type IncomingMessage, request} from 'node:http'
import {suite} from 'uvu'
import * as assert from 'uvu/assert'
import {licenseHeader, parseLicense} from '../../src/release/license-file.ts'
import {testNow} from '../support/anchors.ts'
import {makeRelease, publish, startPanel, type TestPanel, wanted} from '../support/panel.ts'

type World = {panel: TestPanel; license: string; bytes: Buffer; path: string; sha256: string}

const test = suite<World>('downloads')

/** Larger than one piece of the pump and than what sockets buffer. */
const SIZE = 12 * 1024 * 1024

test.before(async (world) => {
  const panel = await startPanel()
  const release = await makeRelease({version: '1.4.2', size: SIZE})
  await publish(panel, release)
  const issued = await wanted(
    201,
    panel.ask('POST', '/v1/licenses', {
      body: {product: 'agent', customer: 'Acme', track: 'stable', expires: testNow + 86_400},
    }),
  )
  const [[name, bytes] = ['', Buffer.alloc(0)]] = release.bytes
  world.panel = panel
  world.license = licenseHeader(parseLicense(String(issued.json.file)))
  world.bytes = bytes
  world.path = `/download/agent/1.4.2/${name}`
  world.sha256 = createHash('sha256').update(bytes).digest('hex')
})
test.after(({panel}) => panel.stop())

function get({panel, license, path}: World, headers: Record<string, string> = {}, method = 'GET') {
  return panel.ask(method, path, {token: license, headers})
}

test('GET has the bytes and says what they are', async (world) => {
  const {status, headers, bytes} = await get(world)
  assert.is(status, 200)
  assert.ok(bytes.equals(world.bytes))
  assert.is(headers.get('etag'), `"sha256:${world.sha256}"`)
  assert.is(headers.get('x-bundle-hash'), world.sha256)
  assert.is(
    headers.get('repr-digest'),
    `sha-256=:${Buffer.from(world.sha256, 'hex').toString('base64')}:`,
  )
  assert.is(headers.get('cache-control'), 'private, max-age=31536000, immutable')
  assert.is(headers.get('vary'), 'Authorization')
  assert.is(headers.get('accept-ranges'), 'bytes')
  assert.is(headers.get('content-length'), String(SIZE))
  assert.is(headers.get('content-encoding'), null)
})

test('no encoding is made up for those who would take one', async (world) => {
  const {headers, bytes} = await get(world, {'accept-encoding': 'gzip, br'})
  assert.is(headers.get('content-encoding'), null)
  assert.is(bytes.length, SIZE)
})

test('HEAD has the headers of GET and no body', async (world) => {
  for (const path of [
    world.path,
    '/update/manifest.json',
    '/bundles/1.4.2.tar.gz',
    '/bundles/1.4.2.sha256',
    '/v1/products/agent/releases',
  ]) {
    const got = await get({...world, path})
    const head = await get({...world, path}, {}, 'HEAD')
    assert.is(head.status, 200, path)
    assert.is(head.bytes.length, 0)
    assert.equal(comparable(head.headers), comparable(got.headers), path)
  }
})

function comparable(headers: Headers): [string, string][] {
  return [...headers].filter(
    ([name]) => !['date', 'connection', 'keep-alive', 'x-request-id'].includes(name),
  )
}

const ranges: readonly [string, number, number][] = [
  ['bytes=0-0', 0, 1],
  ['bytes=0-99', 0, 100],
  ['bytes=-100', SIZE - 100, SIZE],
  [`bytes=${SIZE - 1}-`, SIZE - 1, SIZE],
  [`bytes=${SIZE - 1}-${SIZE + 1000}`, SIZE - 1, SIZE],
  ['bytes=262143-262145', 262_143, 262_146],
  [`bytes=-${SIZE * 2}`, 0, SIZE],
]
for (const [range, start, end] of ranges)
  test(`206 for ${range}`, async (world) => {
    const {status, headers, bytes} = await get(world, {range})
    assert.is(status, 206)
    assert.is(headers.get('content-range'), `bytes ${start}-${end - 1}/${SIZE}`)
    assert.ok(bytes.equals(world.bytes.subarray(start, end)))
  })

for (const range of [
  'bytes=5-4',
  'bytes=',
  'bytes=-',
  'bytes=a-b',
  'items=0-1',
  'bytes=0-1,x',
  '0-1',
  'bytes=0-9999999,1-9999999',
])
  test(`the whole for ${range}`, async (world) => {
    const {status, bytes} = await get(world, {range})
    assert.is(status, 200)
    assert.is(bytes.length, SIZE)
  })

for (const range of [`bytes=${SIZE}-`, 'bytes=-0', `bytes=${SIZE}-,${SIZE + 5}-`])
  test(`416 for ${range}`, async (world) => {
    const {status, headers} = await get(world, {range})
    assert.is(status, 416)
    assert.is(headers.get('content-range'), `bytes */${SIZE}`)
    assert.is(headers.get('cache-control'), 'no-store')
  })

test('several ranges come as multipart/byteranges, each where it says', async (world) => {
  const {status, headers, bytes} = await get(world, {range: `bytes=0-9, 1000-1999,-5,${SIZE}-`})
  assert.is(status, 206)
  const [, boundary = ''] =
    /^multipart\/byteranges; boundary=(\w+)$/.exec(headers.get('content-type') ?? '') ?? []
  assert.is(headers.get('content-length'), String(bytes.length))
  const parts = bytes.toString('latin1').split(`\r\n--${boundary}`)
  assert.is(parts.shift(), '')
  assert.is(parts.pop(), '--\r\n')
  const found = parts.map((part) => {
    const end = part.indexOf('\r\n\r\n')
    const [, start, last, size] =
      /Content-Range: bytes (\d+)-(\d+)\/(\d+)/.exec(part.slice(0, end)) ?? []
    const content = Buffer.from(part.slice(end + 4), 'latin1')
    assert.ok(content.equals(world.bytes.subarray(Number(start), Number(last) + 1)))
    return [Number(start), Number(last), Number(size)]
  })
  assert.equal(found, [
    [0, 9, SIZE],
    [1000, 1999, SIZE],
    [SIZE - 5, SIZE - 1, SIZE],
  ])
})

test('If-Range: the range only for the very bytes it began with', async (world) => {
  const range = 'bytes=0-9'
  const etag = `"sha256:${world.sha256}"`
  assert.is((await get(world, {range, 'if-range': etag})).status, 206)
  for (const other of ['"sha256:00"', `W/${etag}`, 'Thu, 01 Jan 2026 00:00:00 GMT'])
    assert.is((await get(world, {range, 'if-range': other})).status, 200)
})

test('304 goes before ranges', async (world) => {
  const tag = `"x", W/"sha256:${world.sha256}"`
  const {status, bytes, headers} = await get(world, {'if-none-match': tag, range: 'bytes=0-9'})
  assert.equal([status, bytes.length], [304, 0])
  assert.is(headers.get('etag'), `"sha256:${world.sha256}"`)
})

test('paths are names, never places', async (world) => {
  for (const path of [
    '/download/agent/1.4.2/..%2f..%2f..%2fpanel.db',
    '/download/agent/1.4.2/%2e%2e',
    '/download/agent/..%2f..%2fkeys/license',
    '/download/agent/1.4.2/',
    '/download/agent/1.4.2/x%00',
    '/download/%2e%2e/1.4.2/x',
    '/bundles/..%2fpanel.db',
    '/bundles/.tar.gz',
  ]) {
    const {status} = await get({...world, path})
    assert.ok(status === 404 || status === 400, `${path} ${status}`)
  }
})

test('what is gone from the store is a failure of the panel, never a short file', async () => {
  const panel = await startPanel()
  try {
    const release = await makeRelease({version: '2.0.0'})
    await publish(panel, release)
    const issued = await wanted(
      201,
      panel.ask('POST', '/v1/licenses', {
        body: {product: 'agent', customer: 'Acme', track: 'stable', expires: testNow + 86_400},
      }),
    )
    const token = licenseHeader(parseLicense(String(issued.json.file)))
    const [artifact] = release.file.release.artifacts
    await panel.panel.blobs.remove(artifact?.sha256 ?? '')
    const answer = await panel.ask('GET', `/download/agent/2.0.0/${artifact?.name}`, {token})
    assert.equal([answer.status, answer.json.code], [500, 'panel_failed'])
    assert.is(answer.headers.get('etag'), null)
    assert.is(answer.headers.get('cache-control'), 'no-store')
  } finally {
    await panel.stop()
  }
})

test('300 aborted downloads leave no descriptor and a live panel', async (world) => {
  const agent = new Agent({maxSockets: 16})
  await Promise.all(
    Array.from({length: 300}, async (_, at) => {
      const answer = await open(world, agent, at % 3 === 0 ? {range: 'bytes=100-,0-50'} : {})
      // some at once, some in the middle of the first megabytes
      if (at % 2 === 0) await new Promise((resolve) => answer.once('data', resolve))
      answer.destroy()
    }),
  )
  agent.destroy()
  await eventually(() => blobDescriptors(world) === 0)
  const {status, bytes} = await get(world)
  assert.equal([status, bytes.length], [200, SIZE])
  await eventually(() => blobDescriptors(world) === 0)
})

function open(
  {panel, license, path}: World,
  agent: Agent,
  headers: Record<string, string>,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asked = request(panel.url + path, {
      agent,
      headers: {authorization: `Bearer ${license}`, ...headers},
    })
    asked.once('response', resolve).once('error', reject).end()
  })
}

/** Descriptors of the panel's blobs that are open in this process, in which the panel runs. */
function blobDescriptors({sha256}: World): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes(sha256)
    } catch {
      return false // closed meanwhile
    }
  }).length
}

/** As long as it takes, within the runner's own limit. */
async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

test.run()
