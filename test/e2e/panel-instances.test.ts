import {setTimeout} from 'node:timers/promises'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {licenseHeader, parseLicense} from '../../src/release/license-file.ts'
import {testNow} from '../support/anchors.ts'
import {makeRelease, publish, startPanel, type TestPanel, wanted} from '../support/panel.ts'

/** Asks until the answer fits; the runner's limit ends what never does. */
async function until(ask: () => Promise<boolean>): Promise<void> {
  while (!(await ask())) await setTimeout(20)
}

/** One that asks over and over is not what limits are for. */
const limits = {perCredential: {perSec: 1e6, burst: 1e6}}

async function license({ask}: TestPanel): Promise<{readonly id: string; readonly token: string}> {
  const body = {product: 'agent', customer: 'Acme', track: 'stable', expires: testNow + 86_400}
  const {json} = await wanted(201, ask('POST', '/v1/licenses', {body}))
  return {id: String(json.id), token: licenseHeader(parseLicense(String(json.file)))}
}

test('what one instance publishes, recalls, freezes and revokes, the other says too', async () => {
  const one = await startPanel({limits})
  const other = await startPanel({limits, data: one.data, products: {}, open: {lock: false}})
  try {
    const {id, token} = await license(one)
    const manifest = () => other.ask('GET', '/update/manifest.json', {token})
    const version = async () => {
      const {release} = (await manifest()).json as {release?: {version: string}}
      return release?.version
    }
    assert.is((await manifest()).status, 404)
    await publish(one, await makeRelease({version: '1.4.1'}))
    await until(async () => (await version()) === '1.4.1')
    await publish(one, await makeRelease({version: '1.4.2'}))
    await until(async () => (await version()) === '1.4.2')

    const [here, there] = [await one.ask('GET', '/update/manifest.json', {token}), await manifest()]
    assert.is(String(here.bytes), String(there.bytes), 'the same body')
    assert.is(here.headers.get('etag'), there.headers.get('etag'))

    const body = {reason: 'eats disks'}
    await wanted(200, one.ask('POST', '/v1/products/agent/releases/1.4.2/recall', {body}))
    await until(async () => (await version()) === '1.4.1')
    await wanted(200, one.ask('PUT', '/v1/products/agent/floor', {body: {version: '1.4.2'}}))
    await until(async () => (await manifest()).status === 404)
    await publish(one, await makeRelease({version: '1.4.3'}))
    await until(async () => (await version()) === '1.4.3')

    await wanted(200, one.ask('POST', `/v1/licenses/${id}/freeze`, {body}))
    assert.is((await one.ask('GET', '/update/manifest.json', {token})).status, 403, 'here at once')
    await until(async () => (await manifest()).json.code === 'license_frozen')
    const renewal = {expires: testNow + 2 * 86_400}
    await wanted(200, one.ask('POST', `/v1/licenses/${id}/renew`, {body: renewal}))
    await until(async () => (await manifest()).status === 200)
    await wanted(200, one.ask('POST', `/v1/licenses/${id}/revoke`, {body}))
    await until(async () => (await manifest()).json.code === 'license_revoked')
  } finally {
    await other.stop()
    await one.stop()
  }
})

test('every route, every track and channel: served where the table says, one 404 elsewhere', async () => {
  const panel = await startPanel({limits})
  try {
    const versions = {
      stable: '1.4.2',
      rc: '1.5.0-rc.1',
      beta: '1.5.0-beta.1',
      canary: '1.6.0-dev.1',
    } as const
    for (const version of Object.values(versions))
      await publish(panel, await makeRelease({version}))
    const opened: Readonly<Record<string, readonly string[]>> = {
      'stable ': ['stable'],
      'stable channel:canary': ['stable', 'canary'],
      'stable channel:beta': ['stable'],
      'prerelease ': ['rc', 'beta'],
      'prerelease channel:canary': ['rc', 'beta', 'canary'],
      'prerelease channel:stable': ['rc', 'beta'],
    }
    for (const [license, channels] of Object.entries(opened)) {
      const [track, entitlement] = license.split(' ')
      const entitlements = entitlement === '' ? [] : [entitlement]
      const terms = {product: 'agent', customer: 'Acme', expires: testNow + 1000}
      const body = {...terms, track, entitlements} as never
      const {json} = await wanted(201, panel.ask('POST', '/v1/licenses', {body}))
      const token = licenseHeader(parseLicense(String(json.file)))
      const get = async (path: string) => {
        const {status, headers, bytes, json: problem} = await panel.ask('GET', path, {token})
        const id = String(problem.request_id)
        const shown = [...headers].filter(([name]) => name !== 'date')
        return {status, text: `${JSON.stringify(shown)}${bytes}`.replaceAll(id, 'ID')}
      }
      for (const [channel, version] of Object.entries(versions)) {
        const name = `agent_${version}_linux_amd64.tar.gz`
        const routes = (asked: string) => [
          `/download/agent/${asked}/${name}`,
          `/bundles/${asked}.tar.gz`,
          `/bundles/${asked}.sha256`,
          `/bundles/${asked}.manifest.json`,
        ]
        for (const [at, path] of routes(version).entries()) {
          const {status, text} = await get(path)
          assert.is(status, channels.includes(channel) ? 200 : 404, `${license} ${path}`)
          if (status === 404) assert.is(text, (await get(routes('9.9.9')[at] ?? '')).text, path)
        }
        for (const path of [
          `/check?channel=${channel}`,
          `/v1/products/agent/releases?channel=${channel}`,
        ]) {
          const {status, text} = await get(path)
          assert.is(status, channels.includes(channel) ? 200 : 404, `${license} ${path}`)
          const absent = path.replace(/=\w+$/, '=nightly')
          if (status === 404) assert.is(text, (await get(absent)).text, path)
          else assert.ok(text.includes(version))
        }
      }
      for (const path of [
        '/update/manifest.json',
        '/v1/products/agent/releases',
        '/v1/products/agent/log',
        '/v1/products/agent/log/consistency?first=1&second=1',
      ]) {
        const {text} = await get(path)
        for (const [channel, version] of Object.entries(versions))
          if (!channels.includes(channel)) assert.not(text.includes(version), `${license} ${path}`)
      }
    }
  } finally {
    await panel.stop()
  }
})

test.run()
