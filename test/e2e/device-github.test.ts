import {once} from 'node:events'
import {readlinkSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply} from '../../src/device/apply.ts'
import {trustedNow} from '../../src/device/clock-mark.ts'
import type {Device} from '../../src/device/device.ts'
import {checkFound, look, stageOffer} from '../../src/device/update.ts'
import type {ErrorCode} from '../../src/system/codes.ts'
import {planFirst} from '../../src/trust/anchor-plan.ts'
import {signedAnchor, testKey, testNow} from '../support/anchors.ts'
import {
  githubNode,
  type ReleaseChange,
  releaseAssets,
  releaseSources,
  target,
} from '../support/device/github-releases.ts'
import {configJson, plain} from '../support/device/node.ts'
import {type FakeGitHub, startFakeGitHub} from '../support/github/fake-github.ts'
import type {ReleaseSeed} from '../support/github/release-store.ts'
import {loopbackServer} from '../support/http/loopback-server.ts'
import {rejectsCode} from '../support/rejects.ts'
import {runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// The releases are synthetic: bundles and manifests signed by test keys, on an imitation of GitHub.

const sources = await releaseSources('1.0.0')
let fake: FakeGitHub
let count = 0
let repository = ''

test.before(async () => {
  fake = await startFakeGitHub()
})
test.after(() => fake.close())
test.before.each(() => {
  repository = `acme/app-${count++}`
})

type Release = Omit<ReleaseSeed, 'assets'> & {readonly assets?: ReleaseSeed['assets']}

async function publish(
  version: string,
  {change, ...seed}: Partial<Release> & {readonly change?: ReleaseChange} = {},
): Promise<void> {
  const assets = seed.assets ?? (await releaseAssets(version, change))
  fake.releases.add(repository, {tag: `v${version}`, ...seed, assets})
}

const node = (options = {}) => githubNode(fake, sources, repository, options)
type Node = Awaited<ReturnType<typeof node>>

const offered = async (device: Node, version?: string) =>
  (await look(device, device.source, {isRetry: false, version})).answer.offer?.version

async function update(device: Node): Promise<void> {
  const offer = checkFound(await look(device, device.source, {isRetry: false}))
  await stageOffer(device, offer, plain)
  await apply(device, plain)
}

const runs = ({root}: Device) => readlinkSync(join(root, 'current'))

test('a node goes to the highest release, and asks no further', async () => {
  await publish('1.1.0')
  await publish('1.10.0')
  await publish('1.9.0')
  const device = await node()
  const before = fake.requests.length
  await update(device)
  assert.is(runs(device), 'versions/1.10.0')
  assert.is(await offered(device), undefined)
  const api = fake.requests.slice(before).filter(({kind}) => kind === 'api')
  assert.is(api.length, 4, 'list, manifest, bundle, list')
})

test('a certain version, by its tag with and without v', async () => {
  await publish('1.1.0')
  await publish('1.2.0', {tag: '1.2.0'})
  await publish('1.3.0')
  const device = await node()
  assert.is(await offered(device, '1.1.0'), '1.1.0')
  assert.is(await offered(device, '1.2.0'), '1.2.0')
  assert.is(await offered(device, '1.4.0'), undefined)
})

test('what GitHub says can leave a release out', async () => {
  await publish('1.1.0')
  await publish('1.2.0', {draft: true})
  await publish('1.3.0', {prerelease: true})
  await publish('1.4.0-beta.1', {prerelease: true, assets: []})
  await publish('1.5.0-nightly.1', {assets: []})
  fake.releases.add(repository, {tag: 'nightly', assets: []})
  const device = await node({token: 'fake-token'})
  assert.is(await offered(device), '1.1.0')
  assert.is(await offered(device, '1.2.0'), undefined, 'a draft is not published')
})

test('a release on page two is found', async () => {
  await publish('1.1.0')
  for (let n = 0; n < 120; n++) fake.releases.add(repository, {tag: `docs-${n}`, assets: []})
  await publish('1.2.0')
  assert.is(await offered(await node()), '1.2.0')
})

test('a version that must be installed first is taken first', async () => {
  await publish('1.1.0')
  await publish('2.0.0', {change: {minFrom: '1.1.0'}})
  assert.is(await offered(await node()), '1.1.0')
})

test('a manifest under the name that rel gives it', async () => {
  const [manifest, bundle] = await releaseAssets('1.1.0')
  if (manifest === undefined || bundle === undefined) throw new Error('no assets')
  await publish('1.1.0', {assets: [{...manifest, name: 'release.json'}, bundle]})
  assert.is(await offered(await node()), '1.1.0')
})

test('a token goes to the API alone, and not to where it redirects', async () => {
  await publish('1.1.0')
  const device = await node({token: 'fake-token'})
  const before = fake.requests.length
  await update(device)
  const seen = fake.requests.slice(before)
  assert.ok(seen.some(({kind}) => kind === 'asset'))
  for (const {kind, isAuthorized} of seen) assert.is(isAuthorized, kind === 'api')
})

test('a token goes over no wire in the clear', async () => {
  const seen: (string | undefined)[] = []
  const server = createServer(({headers}, response) => {
    seen.push(headers.authorization)
    response.end('[]')
  })
  // this machine as well, but not by a name that says so
  server.listen(0, '127.0.0.2')
  await once(server, 'listening')
  try {
    const {port} = server.address() as AddressInfo
    const device = await githubNode({url: `http://127.0.0.2:${port}`}, sources, repository, {
      token: 'fake-token',
    })
    assert.is(await offered(device), undefined)
    assert.equal(seen, [undefined])
  } finally {
    server.close()
  }
})

test('a tag with another release under it is not read', async () => {
  const release = {tag_name: 'v1.1.0', draft: false, prerelease: false, assets: []}
  const server = await loopbackServer((_request, response) => response.end(JSON.stringify(release)))
  try {
    const device = await githubNode(server, sources, repository)
    const refusal = await rejectsCode(() => offered(device, '1.2.0'), 'upgrade_source_invalid')
    assert.is(refusal.details, undefined, 'its assets are not looked for')
    assert.equal(
      server.seen.map(({path}) => path),
      [`/repos/${repository}/releases/tags/v1.2.0`],
    )
  } finally {
    await server.close()
  }
})

test('the time at which a release was signed is remembered', async () => {
  await publish('1.1.0')
  const device = await node()
  const longAgo = {...device, world: {...device.world, now: () => 0}}
  assert.is(trustedNow(longAgo), 0)
  assert.is(await offered(device), '1.1.0')
  assert.is(trustedNow(longAgo), testNow - 60)
})

type Case = {
  readonly name: string
  readonly code: ErrorCode
  readonly cause?: string
  readonly change?: ReleaseChange
  readonly spoil?: () => void
}

const swapped = Buffer.from('another file under the same name')
const cases: readonly Case[] = [
  {
    name: 'an unknown key',
    code: 'upgrade_signature_invalid',
    cause: 'key_unknown',
    change: {by: 'stranger'},
  },
  {
    name: 'a key of another role',
    code: 'upgrade_signature_invalid',
    cause: 'key_not_for_role',
    change: {by: 'artifact'},
  },
  {name: 'another product', code: 'product_mismatch', change: {product: 'other'}},
  {
    name: 'a tag that says another version',
    code: 'version_mismatch',
    change: {version: '1.0.5', artifactVersion: '1.0.5'},
  },
  {name: 'expired', code: 'release_expired', change: {expires: testNow - 1}},
  {name: 'from the future', code: 'timestamp_future', change: {timestamp: testNow + 3600}},
  {name: 'another machine', code: 'upgrade_source_invalid', change: {arch: 'arm64'}},
  {
    name: 'no manifest',
    code: 'upgrade_source_invalid',
    cause: 'asset_missing',
    spoil: () => fake.releases.removeAsset(repository, 'v1.1.0', 'manifest.json'),
  },
  {
    name: 'a bundle that was deleted',
    code: 'upgrade_source_invalid',
    cause: 'asset_missing',
    spoil: () => fake.releases.removeAsset(repository, 'v1.1.0', 'app-linux-amd64.tar.zst'),
  },
  {
    name: 'a manifest that is not uploaded yet',
    code: 'upgrade_source_unreachable',
    cause: 'upstream_release_incomplete',
    spoil: () =>
      fake.releases.replaceAsset(repository, 'v1.1.0', {name: 'manifest.json', state: 'starter'}),
  },
  {
    name: 'a bundle that was replaced',
    code: 'upgrade_checksum_mismatch',
    cause: 'asset_replaced',
    spoil: () =>
      fake.releases.replaceAsset(repository, 'v1.1.0', {
        name: 'app-linux-amd64.tar.zst',
        bytes: swapped,
      }),
  },
  {
    name: 'a manifest that was replaced',
    code: 'upgrade_signature_invalid',
    spoil: () =>
      fake.releases.replaceAsset(repository, 'v1.1.0', {
        name: 'manifest.json',
        bytes: '<html>maintenance</html>',
      }),
  },
  {
    name: 'two releases of one version',
    code: 'upgrade_source_invalid',
    cause: 'github_duplicate_release',
    spoil: () => fake.releases.add(repository, {tag: '1.1.0', assets: []}),
  },
]

for (const {name, code, cause, change, spoil} of cases)
  test(`a release is not taken: ${name}`, async () => {
    await publish('1.1.0', change === undefined ? {} : {change})
    spoil?.()
    const device = await node()
    const error = await rejectsCode(() => update(device), code)
    if (cause !== undefined) assert.is(error.details?.cause_code, cause)
    assert.is(runs(device), 'versions/1.0.0')
  })

test('bytes that GitHub gives another digest for are found when they come', async () => {
  await publish('1.1.0')
  const name = 'app-linux-amd64.tar.zst'
  const [, {bytes}] = (await releaseAssets('1.1.0')) as [unknown, {bytes: Buffer}]
  const changed = Buffer.from(bytes)
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
  fake.releases.replaceAsset(repository, 'v1.1.0', {name, bytes: changed, digest: null})
  const device = await node()
  await rejectsCode(() => update(device), 'upgrade_checksum_mismatch')
  assert.is(runs(device), 'versions/1.0.0')
})

test('a release renamed by its maintainer is told with what is there', async () => {
  const [manifest, bundle] = await releaseAssets('1.1.0')
  if (manifest === undefined || bundle === undefined) throw new Error('no assets')
  await publish('1.1.0', {assets: [manifest, {...bundle, name: 'app-linux-amd65.tar.zst'}]})
  const error = await rejectsCode(() => node().then(update), 'upgrade_source_invalid')
  assert.is(error.details?.nearest, 'app-linux-amd65.tar.zst')
})

const limited = [
  ['Retry-After', {'retry-after': '120'}, 403],
  ['the hour', {'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '4102444800'}, 403],
  ['too many', {'retry-after': '60'}, 429],
] as const

for (const [name, headers, status] of limited)
  test(`an allowance that is used up says when to come back: ${name}`, async () => {
    await publish('1.1.0')
    const device = await node()
    const body = {message: 'API rate limit exceeded'}
    fake.fail({path: /releases/, kind: 'answer', answer: {status, headers, body}})
    const error = await rejectsCode(() => offered(device), 'upgrade_source_unreachable')
    assert.is(error.details?.cause_code, 'rate_limited')
    assert.ok(Number(error.details?.retry_at) > Date.now() / 1000)
    assert.is(await offered(device), '1.1.0')
  })

test('trouble at GitHub, and a repository that is not there', async () => {
  await publish('1.1.0')
  const device = await node()
  fake.fail({path: /releases/, kind: '503-before'})
  await rejectsCode(() => offered(device), 'upgrade_source_unreachable')
  fake.fail({path: /releases/, kind: 'reset'})
  await rejectsCode(() => offered(device), 'upgrade_source_unreachable')
  const answer = {status: 404, body: {message: 'Not Found'}}
  fake.fail({path: /releases/, kind: 'answer', answer})
  await rejectsCode(() => offered(device), 'upgrade_source_invalid')
  const unknown = {status: 401, body: {message: 'Bad credentials'}}
  fake.fail({path: /releases/, kind: 'answer', answer: unknown})
  const error = await rejectsCode(() => offered(device), 'upgrade_source_invalid')
  assert.is(error.details?.cause_code, 'http_unauthorised')
})

test('by the built command: checked, staged and applied, and the token is nowhere', async () => {
  await publish('1.1.0')
  const folder = temporaryFolder()
  const at = (name: string) => join(folder, name)
  const role = (name: 'root' | 'manifest' | 'artifact', key: string) =>
    ({role: name, keys: [testKey(key)], threshold: 1}) as const
  const roles = [role('root', 'root'), role('manifest', 'archive'), role('artifact', 'artifact')]
  const anchor = planFirst(roles, Math.floor(Date.now() / 1000) + 86_400)
  writeFileSync(at('trust.json'), await signedAnchor(anchor, 'root'))
  const source = {github: repository, api: fake.url}
  writeFileSync(at('device.json'), JSON.stringify({...configJson, target, source}))
  const before = fake.requests.length
  const rel = async (...args: readonly string[]) => {
    const env = {GH_TOKEN: 'fake-token'}
    const {stdout, stderr, code} = await runRel(['device', ...args, '--json'], {env})
    assert.is(code, 0, stdout)
    assert.not.match(stdout + stderr, 'fake-token')
    return (JSON.parse(stdout) as {result: Record<string, unknown>}).result
  }
  const files = ['--config', at('device.json'), '--trust', at('trust.json')]
  await rel('init', at('node'), ...files, '--bundle', sources.of('1.0.0'))
  const found = await rel('check', at('node'))
  assert.equal([found.versionDifferent, found.updateAvailable], [true, true])
  assert.is((found.offer as {version: string}).version, '1.1.0')
  await rel('stage', at('node'))
  await rel('apply', at('node'))
  assert.is(readlinkSync(at('node/current')), 'versions/1.1.0')
  assert.is((await rel('check', at('node'))).updateAvailable, false)
  const seen = fake.requests.slice(before)
  assert.ok(seen.filter(({kind}) => kind === 'api').every(({isAuthorized}) => isAuthorized))
})

test.run()
