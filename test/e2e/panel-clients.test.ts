import {spawn, spawnSync} from 'node:child_process'
import {createHash, createPublicKey, type KeyObject} from 'node:crypto'
import {existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {licenseHeader, parseLicense} from '../../src/release/license-file.ts'
import type {Slot} from '../../src/release/release.ts'
import {releaseText, signRelease} from '../../src/release/release-manifest.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import {spkiOf} from '../../src/trust/ed25519.ts'
import {testNow, testSigner} from '../support/anchors.ts'
import {type D0Agent, tick} from '../support/d0-agent.ts'
import {needs, needsThat} from '../support/needs.ts'
import {
  makeRelease,
  panelSigners,
  publish,
  startPanel,
  type TestPanel,
  type TestRelease,
  wanted,
} from '../support/panel.ts'
import {temporaryFolder} from '../support/tmp.ts'

const slots: readonly Slot[] = [
  {component: 'agent', os: 'linux', arch: 'amd64'},
  {component: 'agent', os: 'linux', arch: 'arm64'},
  {component: 'ctl', os: 'linux', arch: 'amd64'},
]

async function license(
  {ask}: Pick<TestPanel, 'ask'>,
  track = 'stable',
): Promise<{readonly id: string; readonly token: string}> {
  const body = {product: 'agent', customer: 'Acme', track, expires: testNow + 86_400}
  const {json} = await wanted(201, ask('POST', '/v1/licenses', {body}))
  return {id: String(json.id), token: licenseHeader(parseLicense(String(json.file)))}
}

/** The key that was compiled into the agents. */
function publisherKeys(): ReadonlyMap<string, KeyObject> {
  const {raw, keyId} = testSigner(panelSigners.artifact).publicKey
  return new Map([[keyId, createPublicKey({key: spkiOf(raw), format: 'der', type: 'spki'})]])
}

test('D0: polls, updates, is told 304, keeps its floor, freezes and thaws', async () => {
  let now = testNow
  const panel = await startPanel({products: {agent: slots}, clock: () => now})
  try {
    const {id, token} = await license(panel)
    const agent: D0Agent = {
      server: panel.url,
      license: token,
      keys: publisherKeys(),
      component: 'agent',
      arch: 'arm64',
      folder: temporaryFolder('d0 agent '),
    }
    assert.equal(await tick(agent), {did: 'refused', status: 404, code: 'no_release'})
    const first = await makeRelease({version: '1.4.1', slots})
    await publish(panel, first)
    assert.equal(await tick(agent), {did: 'updated', version: '1.4.1'})
    assert.equal(
      readFileSync(join(agent.folder, 'agent')),
      first.bytes.get('agent_1.4.1_linux_arm64.tar.gz'),
    )
    assert.equal(await tick(agent), {did: 'nothing', why: 'not_modified'})

    // a lower version and a pre-release that come later change nothing
    await publish(panel, await makeRelease({version: '1.3.9', slots}))
    await publish(panel, await makeRelease({version: '1.5.0-beta.1', slots}))
    assert.is.not((await tick(agent)).did, 'updated')

    await publish(panel, await makeRelease({version: '1.4.2', slots}))
    assert.equal(await tick(agent), {did: 'updated', version: '1.4.2'})
    const recall = {reason: 'eats disks'}
    await wanted(200, panel.ask('POST', '/v1/products/agent/releases/1.4.2/recall', {body: recall}))
    assert.equal(await tick(agent), {did: 'nothing', why: 'not_newer'}, 'never walks backwards')

    now += 86_400
    assert.equal(await tick(agent), {did: 'refused', status: 403, code: 'license_frozen'})
    assert.ok(existsSync(join(agent.folder, 'agent')))
    const renewal = {expires: now + 86_400}
    await wanted(200, panel.ask('POST', `/v1/licenses/${id}/renew`, {body: renewal}))
    await publish(panel, await makeRelease({version: '1.4.3', slots}))
    assert.equal(await tick(agent), {did: 'updated', version: '1.4.3'}, 'with its old file')
    await wanted(200, panel.ask('POST', `/v1/licenses/${id}/revoke`, {body: recall}))
    assert.equal(await tick(agent), {did: 'refused', status: 403, code: 'license_revoked'})
  } finally {
    await panel.stop()
  }
})

test('D0: a pre-release licence never has stable, a stable one never has a pre-release', async () => {
  const panel = await startPanel({products: {agent: slots}})
  try {
    for (const version of ['1.4.2', '1.5.0-beta.1', '1.5.0-rc.1', '1.6.0'])
      await publish(panel, await makeRelease({version, slots}))
    const keys = publisherKeys()
    for (const [track, version] of [
      ['stable', '1.6.0'],
      ['prerelease', '1.5.0-rc.1'],
    ] as const) {
      const {token} = await license(panel, track)
      const folder = temporaryFolder()
      const agent = {
        server: panel.url,
        license: token,
        keys,
        component: 'ctl',
        arch: 'amd64',
        folder,
      }
      assert.equal(await tick(agent), {did: 'updated', version})
    }
  } finally {
    await panel.stop()
  }
})

test('D1: lists the last ten, takes the SHA-256 from the manifest, then the tarball', async () => {
  const panel = await startPanel()
  try {
    for (let patch = 0; patch < 12; patch++)
      await publish(panel, await makeRelease({version: `1.4.${patch}`}))
    const {token} = await license(panel)
    const headers = {authorization: `Bearer ${token}`}
    const get = async (path: string) => {
      const answer = await fetch(panel.url + path, {headers})
      assert.is(answer.status, 200, path)
      return Buffer.from(await answer.arrayBuffer())
    }
    const list = JSON.parse(String(await get('/v1/products/agent/releases?channel=stable')))
    assert.is(list.releases.length, 10)
    const [{version}] = list.releases
    assert.is(version, '1.4.11')
    const {manifest} = JSON.parse(String(await get(`/bundles/${version}.manifest.json`)))
    const tarball = await get(`/bundles/${version}.tar.gz`)
    const digest = createHash('sha256').update(tarball).digest('hex')
    assert.equal(Object.values(manifest.files), [digest])
    assert.is(String(await get(`/bundles/${version}.sha256`)), `${digest}  ${version}.tar.gz\n`)
  } finally {
    await panel.stop()
  }
})

/** A release whose one artifact is a bundle as D2 has it: a .tar.gz with manifest.json at its root. */
async function bundleRelease(version: string): Promise<TestRelease> {
  const folder = temporaryFolder('d2 bundle ')
  const main = `print("${version}")\n`
  const files = {'main.py': sha256Hex(main), 'adapters/mqtt.py': sha256Hex('mqtt\n')}
  mkdirSync(join(folder, 'adapters'))
  writeFileSync(join(folder, 'main.py'), main)
  writeFileSync(join(folder, 'adapters/mqtt.py'), 'mqtt\n')
  const manifest = {bundle_name: `agent-v${version}`, version, timestamp: testNow, files}
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify({manifest, signature: ''}))
  const packed = spawnSync('tar', ['-czf', '-', '-C', folder, '.'], {maxBuffer: 1e8})
  assert.is(packed.status, 0)
  const made = await makeRelease({version})
  const [artifact] = made.file.release.artifacts
  assert.ok(artifact)
  const signature = await testSigner(panelSigners.artifact).sign(packed.stdout)
  const bundle = {
    ...artifact,
    size: packed.stdout.length,
    sha256: sha256Hex(packed.stdout),
    signature: Buffer.from(signature).toString('base64'),
  }
  const release = {...made.file.release, artifacts: [bundle]}
  const file = await signRelease(release, testSigner(panelSigners.manifest))
  return {file, text: releaseText(file), bytes: new Map([[bundle.name, packed.stdout]])}
}

const updater = join(import.meta.dirname, '../support/d2/ota-updater.py')
const python = spawnSync('python3', ['-c', 'import requests']).status === 0

if (
  needs('python3', 'tar') &&
  needsThat('python3-requests', python, 'apt-get install python3-requests')
)
  test('D2: the updater of the document checks, downloads, verifies and swaps', async () => {
    const panel = await startPanel()
    try {
      const {token} = await license(panel)
      const base = temporaryFolder('d2 node ')
      const server = panel.url.replace('http://', `http://license:${token}@`)
      const run = async (address = server) => {
        const env = {PATH: process.env.PATH ?? '', HOME: base, PYTHONDONTWRITEBYTECODE: '1'}
        const child = spawn('python3', [updater, '--base-dir', base, '--server', address], {env})
        const output: Buffer[] = []
        child.stdout.on('data', (piece: Buffer) => output.push(piece))
        child.stderr.on('data', (piece: Buffer) => output.push(piece))
        const code = await new Promise((resolve, reject) => {
          child.once('error', reject).once('close', resolve)
        })
        return {code, output: Buffer.concat(output).toString()}
      }
      const installed = () =>
        JSON.parse(readFileSync(join(base, 'current/manifest.json'), 'utf8')).manifest.version

      assert.match((await run()).output, /No update available/)
      await publish(panel, await bundleRelease('1.4.1'))
      const first = await run()
      assert.is(first.code, 0, first.output)
      assert.is(installed(), '1.4.1')
      assert.match((await run()).output, /No update available/)

      await publish(panel, await bundleRelease('1.4.2'))
      assert.is((await run()).code, 0)
      assert.is(installed(), '1.4.2')
      assert.match(readlinkSync(join(base, 'previous')), /1\.4\.1$/)

      // what D2's own server would offer: an older version, because it differs
      const body = {reason: 'eats disks'}
      await wanted(200, panel.ask('POST', '/v1/products/agent/releases/1.4.2/recall', {body}))
      assert.match((await run()).output, /No update available/)
      assert.is(installed(), '1.4.2')

      writeFileSync(join(base, 'channel'), 'nightly\n')
      const unknown = await run()
      assert.is(unknown.code, 1)
      assert.match(unknown.output, /404/)
      writeFileSync(join(base, 'channel'), 'stable\n')
      const stranger = await run(panel.url)
      assert.match(stranger.output, /401/)
      assert.is(installed(), '1.4.2')
    } finally {
      await panel.stop()
    }
  })

test.run()
