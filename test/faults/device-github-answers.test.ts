import {randomInt} from 'node:crypto'
import {cpSync, readdirSync, writeFileSync} from 'node:fs'
import type {IncomingMessage, ServerResponse} from 'node:http'
import {join} from 'node:path'
import {gzipSync} from 'node:zlib'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {Device} from '../../src/device/device.ts'
import {githubSource} from '../../src/device/github-source.ts'
import {look, stageOffer} from '../../src/device/update.ts'
import {RelError} from '../../src/system/error.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import type {JsonValue} from '../../src/system/json.ts'
import {planFirst} from '../../src/trust/anchor-plan.ts'
import {signedAnchor, testKey, testNow} from '../support/anchors.ts'
import {beforeOf, checkStands, fillFolders} from '../support/device/after-each.ts'
import {
  type ReleaseChange,
  releaseAssets,
  releaseSources,
  target,
} from '../support/device/github-releases.ts'
import {
  endless,
  hostileReply,
  pick,
  type Random,
  randomOf,
  withWrongValue,
} from '../support/device/hostile-answers.ts'
import {type Reply, sendRange, sendStatus} from '../support/device/hostile-panel.ts'
import {configJson, deviceAt, installOne, plain} from '../support/device/node.ts'
import {
  allowed,
  memoryOf,
  outcome,
  outside,
  recordBytes,
  whileTimeRuns,
} from '../support/device/untouched.ts'
import {type LoopbackServer, loopbackServer} from '../support/http/loopback-server.ts'
import {temporaryFolder} from '../support/tmp.ts'

// Generated answers of somebody between a node and GitHub, or of GitHub in wrong hands. Whatever
// comes: the genuine release and nothing else is taken, the node is as it was, there is a code for
// it, and the token of the node goes nowhere else.

const seed = Number(process.env.REL_TEST_SEED ?? randomInt(2 ** 31))
const COUNT = process.env.REL_TEST_LONG === '1' ? 500 : 250
const TOKEN = 'Bearer fake-token'

const sources = await releaseSources('1.0.0')
const first = deviceAt(join(temporaryFolder(), 'node'), {}, {target})
await installOne(first, sources)

type Assets = readonly {readonly name: string; readonly bytes: Buffer}[]
const good = await releaseAssets('1.1.0')
/** Genuine bytes that are of no use here. */
const strange: readonly Assets[] = await Promise.all(
  (
    [
      {by: 'stranger'},
      {by: 'artifact'},
      {product: 'other'},
      {version: '1.0.5', artifactVersion: '1.0.5'},
      {artifactVersion: '1.0.0'},
      {expires: testNow - 1},
      {timestamp: testNow + 3600},
      {arch: 'arm64'},
    ] satisfies readonly ReleaseChange[]
  ).map((change) => releaseAssets('1.1.0', change)),
)

type Json = Record<string, JsonValue>
const listedAsset = ({name, bytes}: Assets[number], id: number): Json => ({
  id,
  name,
  state: 'uploaded',
  size: bytes.length,
  digest: `sha256:${sha256Hex(bytes)}`,
  browser_download_url: 'file:///etc/passwd',
  url: 'http://127.0.0.1:9/evil',
})
const listed = (assets: Assets, change: Json = {}): Json => ({
  tag_name: 'v1.1.0',
  draft: false,
  prerelease: false,
  assets: assets.map((asset, at) => listedAsset(asset, at + 1)),
  ...change,
})
const listOf = (...releases: readonly JsonValue[]) => JSON.stringify(releases)

/** The three things that a node asks GitHub for. */
type GitHub = {list: Reply; manifest: Reply; bundle: Reply}

const sendText =
  (text: string): Reply =>
  (_request, response) =>
    void response.writeHead(200, {'content-type': 'application/json'}).end(text)

function honest(assets: Assets = good, list = listOf(listed(assets))): GitHub {
  const [manifest, bundle] = assets.map(({bytes}) => bytes)
  return {
    list: sendText(list),
    manifest: (request, response) => sendRange(request, response, manifest ?? Buffer.alloc(0)),
    bundle: (request, response) => sendRange(request, response, bundle ?? Buffer.alloc(0)),
  }
}

const assetPath = /^\/repos\/acme\/app\/releases\/assets\/(\d+)$/

type Server = LoopbackServer & {github: GitHub}

async function startServer(): Promise<Server> {
  const counts = new Map<string, number>()
  const state = {github: honest()}
  const server = await loopbackServer((request: IncomingMessage, response: ServerResponse) => {
    const {pathname} = new URL(request.url ?? '', 'http://localhost')
    const [, id] = assetPath.exec(pathname) ?? []
    const count = counts.get(pathname) ?? 0
    counts.set(pathname, count + 1)
    if (pathname === '/repos/acme/app/releases') state.github.list(request, response, count)
    else if (id === '1') state.github.manifest(request, response, count)
    else if (id === '2') state.github.bundle(request, response, count)
    else sendStatus(response, 404)
  })
  return Object.assign(state, server)
}

function nodeOf({url}: LoopbackServer) {
  const root = join(temporaryFolder(), 'node')
  cpSync(first.root, root, {recursive: true, verbatimSymlinks: true})
  fillFolders(root)
  const device = deviceAt(root, {}, {target, source: {github: 'acme/app', api: url}})
  const {source} = device.config
  if (source?.kind !== 'github') throw new Error('no GitHub')
  return {...device, source: githubSource(device, source, 'fake-token')}
}

/** What GitHub can say of a release that is none. */
const claims: readonly ((random: Random) => string)[] = [
  () => listOf(listed(good, {draft: true})),
  () => listOf(listed(good, {prerelease: true})),
  (random) => listOf(listed(good, {draft: pick<JsonValue>(random, ['', 0, 'false', null, []])})),
  (random) =>
    listOf(
      listed(good, {
        tag_name: pick(random, ['v99.0.0', '99.0.0', '../../victim', '/etc', 'v1.1.0\n', 'v0.9.0']),
      }),
    ),
  (random) => {
    const release = listed(good)
    const [manifest = {}, bundle = {}] = release.assets as Json[]
    const lie = pick<Json>(random, [
      {size: 0},
      {size: 2 ** 53},
      {size: -1},
      {size: 1e9},
      {digest: `sha256:${'0'.repeat(64)}`},
      {digest: null},
      {state: 'starter'},
      {id: 1},
      {id: 2 ** 52},
      {id: '../../../../etc'},
      {name: '../manifest.json'},
      {name: 'manifest.json'},
    ])
    const isBundle = random(2) === 0
    return listOf({
      ...release,
      assets: isBundle ? [manifest, {...bundle, ...lie}] : [{...manifest, ...lie}, bundle],
    })
  },
  () => listOf(listed(good), listed(good, {tag_name: '1.1.0'})),
  () => listOf(...Array.from({length: 101}, (_, at) => listed([], {tag_name: `v2.0.${at}`}))),
  () => listOf(...Array.from({length: 100}, (_, at) => listed([], {tag_name: `docs-${at}`}))),
  () =>
    listOf(
      listed(Array.from({length: 1001}, (_, at) => ({name: `${at}`, bytes: Buffer.alloc(0)}))),
    ),
  (random) => listOf(withWrongValue(random, listed(good))),
  (random) => JSON.stringify(withWrongValue(random, [listed(good)])),
]

function answers(random: Random, elsewhere: string): GitHub {
  const base = honest()
  const kind = random(10)
  if (kind < 3) return {...base, list: hostileReply(random, listOf(listed(good)))}
  if (kind < 5) return {...base, list: sendText(pick(random, claims)(random))}
  if (kind === 5) return honest(pick(random, strange))
  const route = pick(random, ['list', 'manifest', 'bundle'] as const)
  const [manifest, bundle] = good.map(({bytes}) => bytes)
  if (kind === 6) {
    const location = pick(random, [
      'file:///etc/passwd',
      'ftp://127.0.0.1/x',
      `${elsewhere}/elsewhere`,
      `${elsewhere.replace('http:', 'https:')}/`,
      '/repos/acme/app/releases/assets/1',
      'data:,x',
    ])
    const status = pick(random, [301, 302, 303, 307, 308])
    return {
      ...base,
      [route]: (_: unknown, to: ServerResponse) => sendStatus(to, status, undefined, {location}),
    }
  }
  if (kind === 7) {
    const headers = pick<Record<string, string>>(random, [
      {'retry-after': '1000000000'},
      {'retry-after': '-1'},
      {'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '4102444800'},
      {'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1e30'},
      {'x-ratelimit-remaining': '0'},
      {},
    ])
    const status = pick(random, [401, 403, 404, 429, 451, 500, 503])
    return {
      ...base,
      [route]: (_: unknown, to: ServerResponse) => sendStatus(to, status, undefined, headers),
    }
  }
  if (kind === 8) {
    const bytes = Buffer.from(
      pick(random, [manifest, bundle, ...strange.flat().map((it) => it.bytes)]) ?? '',
    )
    const at = random(bytes.length)
    if (random(3) > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8))
    return {
      ...base,
      [route]: (request: IncomingMessage, to: ServerResponse) => sendRange(request, to, bytes),
    }
  }
  return {
    ...base,
    manifest: hostileReply(random, String(manifest)),
    bundle: hostileReply(random, '{"a":["b"]}'),
  }
}

test(`${COUNT} answers of a GitHub in wrong hands change nothing (REL_TEST_SEED=${seed})`, async () => {
  console.log(`REL_TEST_SEED=${seed}`)
  const server = await startServer()
  const other = await loopbackServer((_request, response) => void response.end('{"evil": true}'))
  const seen = new Map<string, number>()
  try {
    for (let at = 0; at < COUNT; at++) {
      const what = `${at} of REL_TEST_SEED=${seed}`
      server.github = answers(randomOf(seed + at), other.url)
      const node = nodeOf(server)
      const before = {...beforeOf(node.root), files: outside(node.root), of: recordBytes(node.root)}
      const how = await whileTimeRuns(() => outcome(node, node.source))
      assert.match(how, allowed, `${what}: ${how}`)
      seen.set(how, (seen.get(how) ?? 0) + 1)
      await checkStands(node, before, what)
      if (how === 'staged') {
        assert.equal(readdirSync(join(node.root, 'versions')), ['1.0.0', '1.1.0'], what)
        continue
      }
      assert.equal(outside(node.root), before.files, what)
      assert.equal(recordBytes(node.root), before.of, what)
    }
    assert.ok(other.seen.length > 0, 'some went elsewhere')
    for (const {headers} of other.seen) assert.is(headers.authorization, undefined)
    for (const {headers} of server.seen)
      if (headers.authorization !== undefined) assert.is(headers.authorization, TOKEN)
  } finally {
    await server.close()
    await other.close()
  }
  console.log([...seen].map(([how, times]) => `${how} ${times}`).join(', '))
  assert.ok(seen.size > 4, 'the answers went everywhere')
})

async function refusalOf(node: Device & {readonly source: ReturnType<typeof githubSource>}) {
  try {
    const {answer} = await look(node, node.source, {isRetry: false})
    if (answer.offer !== undefined) await stageOffer(node, answer.offer, plain)
    return undefined
  } catch (error) {
    if (error instanceof RelError) return error
    throw error
  }
}

const reset = {'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '4102444800'}
const limited: readonly [string, keyof GitHub, number, Record<string, string>][] = [
  ['the list, for the hour', 'list', 403, reset],
  ['the manifest, for the hour', 'manifest', 403, reset],
  ['the bundle, for the hour', 'bundle', 403, reset],
  ['the bundle, for now', 'bundle', 403, {'retry-after': '60'}],
  ['the bundle, too many', 'bundle', 429, reset],
]

for (const [name, route, status, headers] of limited)
  test(`an allowance that is used up is no wrong token: ${name}`, async () => {
    const server = await startServer()
    try {
      server.github = {
        ...honest(),
        [route]: (_: unknown, to: ServerResponse) => sendStatus(to, status, undefined, headers),
      }
      const error = await whileTimeRuns(() => refusalOf(nodeOf(server)))
      const wanted = route === 'bundle' ? 'upgrade_download_failed' : 'upgrade_source_unreachable'
      assert.is(error?.code, wanted, error?.message)
      assert.ok(
        Number(error?.details?.retry_at) > Date.now() / 1000,
        JSON.stringify(error?.details),
      )
    } finally {
      await server.close()
    }
  })

const floods: readonly [string, (to: GitHub) => GitHub][] = [
  ['a list without end', (base) => ({...base, list: (_, response) => endless(response)})],
  [
    'a list of 1e9 bytes',
    (base) => ({
      ...base,
      list: (_, response) => {
        response.writeHead(200, {'content-length': 1e9})
        response.write(Buffer.alloc(1e7, '['))
      },
    }),
  ],
  [
    'a list as long as it may be',
    (base) => ({...base, list: sendText(listOf(listed(good, {body: 'x'.repeat(16_000_000)})))}),
  ],
  [
    'a gzip bomb',
    (base) => ({
      ...base,
      list: (_, response) => {
        const bomb = gzipSync(Buffer.alloc(3e8))
        response.writeHead(200, {'content-encoding': 'gzip', 'content-length': bomb.length})
        response.end(bomb)
      },
    }),
  ],
  ['a manifest without end', (base) => ({...base, manifest: (_, to) => endless(to)})],
  ['a bundle without end', (base) => ({...base, bundle: (_, to) => endless(to)})],
]

test('floods take little memory', async () => {
  const server = await startServer()
  try {
    const {root} = nodeOf(server)
    const source = {github: 'acme/app', api: server.url}
    writeFileSync(join(root, 'device.json'), JSON.stringify({...configJson, target, source}))
    // the built command has the clock of this machine
    const role = (name: 'root' | 'manifest' | 'artifact', key: string) =>
      ({role: name, keys: [testKey(key)], threshold: 1}) as const
    const roles = [role('root', 'root'), role('manifest', 'archive'), role('artifact', 'artifact')]
    const text = await signedAnchor(planFirst(roles, 4_102_444_800), 'root')
    writeFileSync(join(root, 'trust_anchor.json'), text)
    const said: string[] = []
    for (const [name, flood] of floods) {
      server.github = flood(honest())
      const {code, peak} = await memoryOf(root)
      const isFine = name === 'a list as long as it may be'
      assert.ok(isFine ? code === 0 : code !== 0 && code !== null, `${name}: ${code}`)
      assert.ok(peak > 30e6 && peak < 150e6, `${name}: ${peak} bytes`)
      said.push(`${name} ${Math.round(peak / 1e6)} MB`)
    }
    console.log(said.join(', '))
  } finally {
    await server.close()
  }
})

test.run()
