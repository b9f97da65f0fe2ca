import {createHash, randomInt} from 'node:crypto'
import {readdirSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {sha256Hex} from '../../src/system/hash.ts'
import {testNow} from '../support/anchors.ts'
import {beforeOf, checkStands, fillFolders} from '../support/device/after-each.ts'
import {
  endless,
  hostileReply,
  pick,
  type Random,
  randomOf,
} from '../support/device/hostile-answers.ts'
import {
  type HostilePanel,
  hostilePanel,
  manifestBodyOf,
  type Reply,
  type Script,
  sendBody,
  sendRange,
} from '../support/device/hostile-panel.ts'
import {
  bundleRelease,
  licenseText,
  nodeAnchor,
  packedBundle,
  panelNode,
} from '../support/device/panel-node.ts'
import {
  allowed,
  memoryOf,
  outcome,
  outside,
  recordBytes,
  whileTimeRuns,
} from '../support/device/untouched.ts'
import type {TestRelease} from '../support/panel.ts'

// Generated answers of panels in wrong hands. Whatever comes: the genuine release and nothing else is
// taken, the node is as it was, and there is a code for it.

const seed = Number(process.env.REL_TEST_SEED ?? randomInt(2 ** 31))
console.log(`REL_TEST_SEED=${seed}`)

async function releaseOf(version: string, terms: object = {}): Promise<TestRelease> {
  const filler = createHash('shake256', {outputLength: 20_000}).update(version).digest()
  return bundleRelease(version, await packedBundle({version, filler}), terms)
}

const good = await releaseOf('1.1.0')
const others = await Promise.all([
  releaseOf('0.9.0'),
  releaseOf('1.0.0'),
  releaseOf('1.1.0', {expires: testNow - 1}),
  releaseOf('1.1.0', {timestamp: testNow + 3600}),
  releaseOf('1.1.0', {product: 'other'}),
  releaseOf('1.1.0', {artifacts: []}).catch(() => good),
])
const honest = await manifestBodyOf(good)
const [bytes = Buffer.alloc(0)] = good.bytes.values()
const [anchor, license] = [await nodeAnchor(), await licenseText()]

/** What a statement on a release can be wrong about. */
const lies = (random: Random) => ({
  issued: testNow + pick(random, [-3600, -400 * 86_400, 0, 86_400, 10 ** 9]),
  expires: testNow + pick(random, [86_400, -86_400, 10 ** 9, 100 * 86_400]),
  ...pick<object>(random, [
    {},
    {product: 'other'},
    {digest: '0'.repeat(64)},
    {signer: 'license'},
    {current: '0.9.0'},
    {channels: ['beta']},
    {track: 'prerelease'},
    {log: {size: 0, root: sha256Hex('x')}},
    {log: {size: 2 ** 40, root: ''}},
  ]),
})

async function d0(random: Random): Promise<Script> {
  const kind = random(10)
  if (kind < 6) return {manifest: hostileReply(random, honest)}
  if (kind < 8) {
    const text = await manifestBodyOf(pick(random, [good, ...others]), lies(random)).catch(
      () => honest,
    )
    return {manifest: (request, response) => sendBody(request, response, text)}
  }
  return {download: hostileDownload(random)}
}

function d2(random: Random): Script {
  const version = pick(random, ['1.1.0', '9.9.9', '1.0.0', '0.9.0', '1.1.0-beta.1'])
  const check = JSON.stringify({available: true, version, channel: 'stable', poll_after: 60})
  if (random(10) < 6) return {check: hostileReply(random, check)}
  const hint: Reply = (request, response) => sendBody(request, response, check)
  return {check: hint, bundle: hostileDownload(random)}
}

/** Other bytes, fewer, more, of another version, without end. */
function hostileDownload(random: Random): Reply {
  const kind = random(6)
  const [at, bit] = [random(bytes.length), 1 << random(8)]
  const changed = Buffer.from(bytes)
  changed[at] = (changed[at] as number) ^ bit
  const [other = bytes] = pick(random, others).bytes.values()
  if (kind === 0) return (request, response) => sendRange(request, response, changed)
  if (kind === 1) return (request, response) => sendRange(request, response, other)
  if (kind === 2) return (_, response) => void response.writeHead(200).end(bytes.subarray(0, at))
  if (kind === 3) return (_, response) => endless(response)
  if (kind === 4) {
    const more = Buffer.concat([bytes, changed])
    return (_, response) => void response.writeHead(206, {'content-range': 'bytes 0-1/2'}).end(more)
  }
  return hostileReply(random, JSON.stringify({bytes: bytes.toString('base64')}))
}

for (const [protocol, count] of [
  ['d0', 300],
  ['d2', 200],
] as const)
  test(`${protocol}: ${count} answers of a panel in wrong hands change nothing (REL_TEST_SEED=${seed})`, async () => {
    const server: HostilePanel = await hostilePanel(good)
    const seen = new Map<string, number>()
    try {
      for (let at = 0; at < count; at++) {
        const random = randomOf(seed + at)
        const what = `${protocol} ${at} of REL_TEST_SEED=${seed}`
        for (const name of Object.keys(server.script)) delete server.script[name as keyof Script]
        Object.assign(server.script, protocol === 'd0' ? await d0(random) : d2(random))
        const node = await panelNode({url: server.url, anchor, license, protocol})
        fillFolders(node.root)
        const before = {
          ...beforeOf(node.root),
          files: outside(node.root),
          of: recordBytes(node.root),
        }
        const how = await whileTimeRuns(() => outcome(node))
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
    } finally {
      await server.close()
    }
    console.log([...seen].map(([how, times]) => `${how} ${times}`).join(', '))
    assert.ok(seen.size > 4, 'the answers went everywhere')
  })

const floods: readonly [string, Script][] = [
  ['a manifest without end', {manifest: (_, response) => endless(response)}],
  ['a download without end', {download: (_, response) => endless(response)}],
  [
    'a manifest of 1e9 bytes',
    {
      manifest: (_, response) => {
        response.writeHead(200, {'content-length': 1e9})
        response.write(Buffer.alloc(1e7, '['))
      },
    },
  ],
]

for (const [name, script] of floods)
  test(`${name} takes little memory`, async () => {
    const server = await hostilePanel(good, script)
    try {
      const {root} = await panelNode({url: server.url, anchor, license})
      const {code, peak} = await memoryOf(root)
      assert.ok(code !== 0 && code !== null, `${code}`)
      assert.ok(peak > 30e6 && peak < 150e6, `${peak} bytes`)
      console.log(`${name}: ${Math.round(peak / 1e6)} MB`)
    } finally {
      await server.close()
    }
  })

test.run()
