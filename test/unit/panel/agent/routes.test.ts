import {suite} from 'uvu'
import * as assert from 'uvu/assert'
import {checkGrown} from '../../../../src/device/log-proof.ts'
import {sha256Hex} from '../../../../src/system/hash.ts'
import {type AgentPanel, agentPanel} from '../../../support/agent-panel.ts'
import {testNow} from '../../../support/anchors.ts'
import {signedLicense, testBytes, testRelease, testSlots} from '../../../support/releases.ts'

type World = {agents: AgentPanel; stable: string; prerelease: string; canary: string}

const test = suite<World>('agent routes')
const ids = ['1', '2', '3', '4'].map((digit) => `01JD000000000000000000000${digit}`)

test.before.each(async (world) => {
  const agents = await agentPanel()
  world.agents = agents
  world.stable = await agents.register(await signedLicense({id: ids[0] ?? ''}))
  world.prerelease = await agents.register(
    await signedLicense({id: ids[1] ?? '', track: 'prerelease'}),
  )
  world.canary = await agents.register(
    await signedLicense({id: ids[2] ?? '', entitlements: ['channel:canary', 'component:agent']}),
  )
  for (const version of ['1.4.1', '1.4.2', '1.3.9', '1.5.0-beta.1', '1.5.0-rc.1', '1.6.0-dev.3'])
    await agents.publish(await testRelease({version}))
})
test.after.each(({agents}) => agents.close())

function get(agents: AgentPanel, url: string, authorization?: string, more: object = {}) {
  const headers = {...(authorization === undefined ? {} : {authorization}), ...more}
  return agents.app.inject({url, headers})
}

test('manifest.json has the highest of the track, not the latest', async ({
  agents,
  stable,
  prerelease,
  canary,
}) => {
  for (const [license, version, count] of [
    [stable, '1.4.2', 2],
    [prerelease, '1.5.0-rc.1', 2],
    [canary, '1.6.0-dev.3', 2],
  ] as const) {
    for (const _ of [1, 2]) {
      const answer = await get(agents, '/update/manifest.json', license)
      assert.is(answer.statusCode, 200, answer.body)
      const body = answer.json()
      assert.is(body.release.version, version)
      assert.is(body.artifacts.length, count)
      assert.is(answer.headers['cache-control'], 'private, no-cache')
      assert.is(answer.headers.vary, 'Authorization')
      assert.match(String(answer.headers.etag), /^"[\w-]{43}"$/)
    }
  }
})

test('D0 agent: what is advertised downloads and verifies', async ({agents, stable}) => {
  const {release, artifacts, envelope} = (
    await get(agents, '/update/manifest.json?component=agent&os=linux&arch=arm64', stable)
  ).json()
  assert.is(artifacts.length, 1)
  const [artifact] = artifacts
  assert.equal(artifact.component, 'agent')
  const answer = await get(agents, artifact.url, stable)
  assert.is(answer.statusCode, 200)
  assert.equal(answer.rawPayload, testBytes(artifact.name, release.version))
  assert.is(answer.headers['x-bundle-hash'], artifact.sha256)
  assert.is(envelope.manifest.files[artifact.name], artifact.sha256)
})

test('304 for the same entity tag, also weak and in a list', async ({agents, stable}) => {
  const {headers} = await get(agents, '/update/manifest.json', stable)
  const etag = String(headers.etag)
  for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
    const again = await get(agents, '/update/manifest.json', stable, {'if-none-match': tag})
    assert.is(again.statusCode, 304)
    assert.is(again.body, '')
    assert.is(again.headers.etag, etag)
  }
  const other = await get(agents, '/update/manifest.json', stable, {'if-none-match': '"x"'})
  assert.is(other.statusCode, 200)
})

test('publishing shows at once, to those who may see it', async ({agents, stable, prerelease}) => {
  const before = (await get(agents, '/update/manifest.json', prerelease)).headers.etag
  await agents.publish(await testRelease({version: '1.4.3'}))
  assert.is((await get(agents, '/update/manifest.json', stable)).json().release.version, '1.4.3')
  assert.is(
    (await get(agents, '/update/manifest.json', prerelease)).json().release.version,
    '1.5.0-rc.1',
  )
  assert.ok(before)
})

test('drafts are absent', async ({agents, stable}) => {
  await agents.draft(await testRelease({version: '2.0.0'}))
  assert.is((await get(agents, '/update/manifest.json', stable)).json().release.version, '1.4.2')
  assert.is(
    (await get(agents, '/download/edge-agent/2.0.0/agent-linux-amd64', stable)).statusCode,
    404,
  )
})

test('hidden, drafted and absent are one answer', async ({agents, stable, prerelease, canary}) => {
  await agents.draft(await testRelease({version: '2.0.0'}))
  const name = 'agent-linux-amd64'
  const paths = (version: string): string[] => [
    `/download/edge-agent/${version}/${name}`,
    `/bundles/${version}.tar.gz`,
    `/bundles/${version}.sha256`,
    `/bundles/${version}.manifest.json`,
    `/bundles/${version}.manifest.sig.bundle`,
  ]
  const cases: [string, string[]][] = [
    [stable, ['1.5.0-beta.1', '1.5.0-rc.1', '1.6.0-dev.3', '2.0.0', 'x']],
    [prerelease, ['1.4.2', '1.6.0-dev.3', '2.0.0', '..%2f..%2fpanel.db']],
    [canary, ['1.5.0-beta.1', '2.0.0']],
  ]
  for (const [license, versions] of cases) {
    const absent = await get(agents, `/download/edge-agent/9.9.9/${name}`, license)
    assert.is(absent.statusCode, 404)
    assert.is(absent.json().code, 'no_release')
    assert.is(absent.headers['cache-control'], 'no-store')
    for (const version of versions)
      for (const path of paths(version)) {
        const hidden = await get(agents, path, license)
        assert.is(hidden.statusCode, absent.statusCode, path)
        assert.is(hidden.body, absent.body, path)
        assert.equal(withoutDate(hidden.headers), withoutDate(absent.headers), path)
      }
  }
  const uncovered = await get(agents, '/download/edge-agent/1.4.2/cli-linux-amd64', canary)
  assert.is(uncovered.statusCode, 404)
  const foreign = await get(agents, `/download/other/1.4.2/${name}`, stable)
  assert.is(foreign.body, uncovered.body)
})

function withoutDate({date, ...headers}: Record<string, unknown>): object {
  return headers
}

test('refusals: missing, malformed, forged, wrong role, unknown, frozen, revoked', async ({
  agents,
}) => {
  const cases: [string | undefined, number, string][] = [
    [undefined, 401, 'license_missing'],
    ['', 401, 'license_missing'],
    ['Bearer nonsense', 401, 'license_invalid'],
    ['Bearer rel1.AAAA', 401, 'license_invalid'],
    [`Bearer rel1.${'A'.repeat(20_000)}`, 401, 'license_invalid'],
    ['Digest x', 401, 'license_invalid'],
    [
      await agents.register(await signedLicense({id: '01JDA00000000000000000000A'}, 'stranger')),
      401,
      'license_invalid',
    ],
    [
      await agents.register(await signedLicense({id: '01JDA00000000000000000000B'}, 'manifest')),
      401,
      'license_invalid',
    ],
    [
      await agents.register(await signedLicense({id: '01JDA00000000000000000000C'}), {
        state: 'frozen',
      }),
      403,
      'license_frozen',
    ],
    [
      await agents.register(await signedLicense({id: '01JDA00000000000000000000D'}), {
        state: 'revoked',
      }),
      403,
      'license_revoked',
    ],
    [
      await agents.register(await signedLicense({id: '01JDA00000000000000000000E'}), {
        track: 'prerelease',
      }),
      401,
      'license_invalid',
    ],
  ]
  for (const path of [
    '/update/manifest.json',
    '/download/edge-agent/1.4.2/agent-linux-amd64',
    '/check',
    '/bundles/1.4.2.tar.gz',
    '/v1/products/edge-agent/releases',
    '/v1/products/edge-agent/checkpoint',
    '/v1/products/edge-agent/log',
    '/v1/products/edge-agent/log/consistency?first=1&second=2',
  ])
    for (const [authorization, status, code] of cases) {
      const answer = await get(agents, path, authorization)
      assert.is(answer.statusCode, status, `${path} ${code}`)
      assert.is(answer.json().code, code)
      assert.is(answer.headers['cache-control'], 'no-store')
    }
})

test('expiry freezes at the very poll, although remembered; the clock set back does not thaw; renewal does', async ({
  agents,
  stable,
}) => {
  assert.is((await get(agents, '/update/manifest.json', stable)).statusCode, 200)
  const license = await agents.panel.store.license(ids[0] ?? '')
  assert.ok(license)
  agents.time = license.expires - 1
  assert.is((await get(agents, '/update/manifest.json', stable)).statusCode, 200)
  agents.time = license.expires
  for (const path of ['/update/manifest.json', '/download/edge-agent/1.4.2/agent-linux-amd64'])
    assert.is((await get(agents, path, stable)).json().code, 'license_frozen')
  agents.time = testNow
  assert.is((await get(agents, '/update/manifest.json', stable)).json().code, 'license_frozen')
  await agents.panel.store.setLicense(
    license.id,
    {expires: license.expires + 1000, serial: 2},
    {id: 'test'},
  )
  agents.panel.changes.mark('edge-agent')
  assert.is((await get(agents, '/update/manifest.json', stable)).statusCode, 200)
  await agents.panel.store.setLicense(license.id, {state: 'revoked'}, {id: 'test'})
  agents.panel.changes.mark('edge-agent')
  assert.is((await get(agents, '/update/manifest.json', stable)).json().code, 'license_revoked')
})

test('a licence in Basic, as clients send it that only know an address', async ({
  agents,
  stable,
}) => {
  const token = stable.slice('Bearer '.length)
  const basic = `Basic ${Buffer.from(`license:${token}`).toString('base64')}`
  assert.is((await get(agents, '/check?version=1.4.1', basic)).statusCode, 200)
})

test('check: available only when strictly newer', async ({agents, stable, prerelease}) => {
  const ask = async (query: string, license: string) =>
    (await get(agents, `/check${query}`, license)).json()
  const newer = await ask('?version=1.4.1&channel=stable', stable)
  assert.is(newer.available, true)
  assert.is(newer.version, '1.4.2')
  assert.is(newer.channel, 'stable')
  assert.is(newer.download_url, '/bundles/1.4.2.tar.gz')
  assert.is(newer.hash_url, '/bundles/1.4.2.sha256')
  assert.ok(newer.poll_after >= 3600 && newer.poll_after <= 3960)
  assert.is((await ask('?version=1.4.2', stable)).available, false)
  assert.is((await ask('?version=1.9.0', stable)).available, false)
  assert.is((await ask('', stable)).version, '1.4.2')
  assert.is((await ask('?version=1.4.2&channel=beta', prerelease)).version, '1.5.0-beta.1')
  assert.is((await ask('?channel=nightly', stable)).code, 'no_release')
  assert.is((await ask('?channel=beta', stable)).code, 'no_release')
  assert.is((await ask('?version=v1', stable)).code, 'version_invalid')
})

test('floors: nothing below is offered, listed or handed out', async ({agents, stable}) => {
  await agents.panel.store.setProduct('edge-agent', {floor: '1.4.2'}, {id: 'test'})
  agents.panel.changes.mark('edge-agent')
  assert.is(
    (await get(agents, '/download/edge-agent/1.4.1/agent-linux-amd64', stable)).statusCode,
    404,
  )
  const {releases} = (await get(agents, '/v1/products/edge-agent/releases', stable)).json()
  assert.equal(
    releases.map(({version}: {version: string}) => version),
    ['1.4.2'],
  )
})

test('stop-overs must be visited; min_from too', async ({agents, stable}) => {
  await agents.panel.store.setProduct('edge-agent', {stopovers: ['1.4.1']}, {id: 'test'})
  await agents.publish(await testRelease({version: '2.0.0', minFrom: '1.4.2'}))
  const offered = async (from: string) =>
    (await get(agents, `/check?version=${from}`, stable)).json()
  assert.is((await offered('1.3.0')).version, '1.4.1')
  assert.is((await offered('1.4.1')).version, '1.4.2')
  assert.is((await offered('1.4.2')).version, '2.0.0')
  assert.is((await offered('1.4.2')).min_from, '1.4.2')
  const manifest = async (query: string) =>
    (await get(agents, `/update/manifest.json${query}`, stable)).json()
  assert.is((await manifest('')).release.version, '2.0.0')
  assert.is((await manifest('?current=1.3.0')).release.version, '1.4.1')
  assert.is((await manifest('?current=3.0.0')).release.version, '2.0.0')
  await agents.recall('1.4.1')
  assert.is((await offered('1.3.9')).available, false)
})

test('recalled: gone from offers, 410 to those who might have had it, 404 to others', async ({
  agents,
  stable,
  prerelease,
}) => {
  await agents.recall('1.4.2', '1.4.3')
  assert.is((await get(agents, '/update/manifest.json', stable)).json().release.version, '1.4.1')
  const gone = await get(agents, '/download/edge-agent/1.4.2/agent-linux-amd64', stable)
  assert.is(gone.statusCode, 410)
  assert.is(gone.json().code, 'release_recalled')
  assert.is(gone.json().details.replacement, '1.4.3')
  const hidden = await get(agents, '/download/edge-agent/1.4.2/agent-linux-amd64', prerelease)
  assert.is(hidden.statusCode, 404)
})

test('the listing: descending, by pages, per channel, with an entity tag', async ({
  agents,
  stable,
  prerelease,
}) => {
  const versions = async (query: string, license: string) => {
    const body = (await get(agents, `/v1/products/edge-agent/releases${query}`, license)).json()
    return [body.releases?.map(({version}: {version: string}) => version), body.next] as const
  }
  assert.equal(await versions('', stable), [['1.4.2', '1.4.1', '1.3.9'], undefined])
  const [first, next] = await versions('?limit=2', stable)
  assert.equal(first, ['1.4.2', '1.4.1'])
  assert.equal(await versions(`?limit=2&cursor=${next}`, stable), [['1.3.9'], undefined])
  assert.equal(await versions('?channel=beta', prerelease), [['1.5.0-beta.1'], undefined])
  assert.is(
    (await get(agents, '/v1/products/edge-agent/releases?channel=beta', stable)).statusCode,
    404,
  )
  assert.is((await get(agents, '/v1/products/other/releases', stable)).statusCode, 404)
})

test('freshness and checkpoint are signed by the online key and name the log', async ({
  agents,
  stable,
  prerelease,
}) => {
  const {freshness, release} = (await get(agents, '/update/manifest.json', stable)).json()
  const head = await agents.panel.store.logHead('edge-agent')
  assert.is(freshness.freshness.manifest_sha256, release.manifest_sha256)
  assert.is(freshness.freshness.log_size, head.size)
  assert.is(freshness.freshness.log_root, head.root)
  assert.ok(
    freshness.freshness.issued <= testNow && freshness.freshness.expires > testNow + 6 * 86_400 - 1,
  )
  const checkpoint = (await get(agents, '/v1/products/edge-agent/checkpoint', prerelease)).json()
  assert.is(checkpoint.checkpoint.log_root, head.root)
  assert.is(checkpoint.signatures[0].keyid, agents.panel.keys.freshness.publicKey.keyId)
  // a day later it is signed anew
  const before = (await get(agents, '/update/manifest.json', stable)).headers.etag
  agents.time = testNow + 86_400
  assert.is.not((await get(agents, '/update/manifest.json', stable)).headers.etag, before)
})

test('the log tells texts of what the licence may see, and hashes of the rest', async ({
  agents,
  stable,
}) => {
  const {leaves, size} = (await get(agents, '/v1/products/edge-agent/log?from=1', stable)).json()
  assert.is(size, 6)
  assert.equal(
    leaves.map(({index}: {index: number}) => index),
    [1, 2, 3, 4, 5],
  )
  const text = JSON.stringify(leaves)
  assert.ok(text.includes('1.4.2'))
  assert.not(text.includes('beta') || text.includes('dev'))
  assert.match(leaves[4].hash, /^[0-9a-f]{64}$/)
})

test('the log proves that it has grown, to a node that saw its beginning', async ({
  agents,
  stable,
}) => {
  const url = '/v1/products/edge-agent/log/consistency'
  const {leaves} = (await get(agents, '/v1/products/edge-agent/log?limit=2', stable)).json()
  const [first, second] = leaves.map(({text = '', hash = sha256Hex(`\0${text}`)}) =>
    Buffer.from(hash, 'hex'),
  )
  const root = sha256Hex(Buffer.concat([Buffer.from([1]), first, second]))
  const head = await agents.panel.store.logHead('edge-agent')
  const proof = await get(agents, `${url}?first=2&second=${head.size}`, stable)
  checkGrown(proof.rawPayload, {size: 2, root}, head)
  for (const query of [`first=2&second=${head.size + 1}`, 'first=3&second=2'])
    assert.is((await get(agents, `${url}?${query}`, stable)).statusCode, 404, query)
  for (const query of ['first=0&second=2', 'first=1', 'first=1&second=x', 'first=1&second=1e99'])
    assert.is((await get(agents, `${url}?${query}`, stable)).statusCode, 400, query)
})

test('bundles: digest, manifest, and the archive when it is one', async ({agents, stable}) => {
  const [slot] = testSlots
  assert.ok(slot)
  const file = await testRelease({version: '1.7.0', slots: []}).catch(() => undefined)
  assert.is(file, undefined)
  assert.is((await get(agents, '/bundles/1.4.2.tar.gz', stable)).statusCode, 404)
  const manifest = await get(agents, '/bundles/1.4.2.manifest.json', stable)
  assert.is(manifest.statusCode, 200)
  assert.is(manifest.json().manifest.version, '1.4.2')
})

test('a report is kept', async ({agents, stable}) => {
  const answer = await agents.app.inject({
    method: 'POST',
    url: '/v1/report',
    headers: {authorization: stable},
    payload: {code: 'upgrade_rolled_back', version: '1.4.2', phase: 'health'},
  })
  assert.is(answer.statusCode, 202, answer.body)
})

test.run()
