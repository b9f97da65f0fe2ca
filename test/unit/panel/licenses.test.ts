import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {License} from '../../../src/release/license.ts'
import {
  armouredLicense,
  issueLicense,
  licenseHeader,
  parseLicense,
} from '../../../src/release/license-file.ts'
import {testNow, testSigner} from '../../support/anchors.ts'
import {
  makeRelease,
  panelSigners,
  publish,
  startPanel,
  type TestPanel,
  wanted,
} from '../../support/panel.ts'

const DAY = 86_400

const terms = {product: 'agent', customer: 'ACME', track: 'stable', expires: testNow + DAY} as const

const license: License = {
  ...terms,
  id: '01KB0000000000000000000001',
  entitlements: [],
  issued: testNow,
  serial: 1,
}

async function signed(changes: Partial<License>, signer: string): Promise<string> {
  return armouredLicense(await issueLicense({...license, ...changes}, testSigner(signer)))
}

function headerOf(file: unknown): string {
  return licenseHeader(parseLicense(String(file)))
}

async function poll({ask}: TestPanel, token: string): Promise<string> {
  const {status, json} = await ask('GET', '/update/manifest.json', {token})
  return status === 200 ? 'served' : String(json.code)
}

test('issue, freeze, renew, revoke: what the node is told, without a restart', async () => {
  let now = testNow
  const panel = await startPanel({clock: () => now})
  try {
    await publish(panel, await makeRelease({version: '1.0.0'}))
    const issued = await wanted(201, panel.ask('POST', '/v1/licenses', {body: terms}))
    const path = `/v1/licenses/${issued.json.id}`
    const first = headerOf(issued.json.file)
    assert.is(await poll(panel, first), 'served')

    await wanted(200, panel.ask('POST', `${path}/freeze`, {body: {reason: 'unpaid'}}))
    assert.is(await poll(panel, first), 'license_frozen')
    const renewed = await wanted(
      200,
      panel.ask('POST', `${path}/renew`, {body: {expires: testNow + 2 * DAY}}),
    )
    assert.equal([renewed.json.state, renewed.json.serial], ['active', 2])
    assert.is(await poll(panel, headerOf(renewed.json.file)), 'served')

    now = testNow + 2 * DAY
    assert.is(await poll(panel, headerOf(renewed.json.file)), 'license_frozen')
    const explained = await panel.ask('GET', `${path}/explain?version=1.0.0`)
    assert.equal(
      [explained.json.state, explained.json.release],
      ['frozen', {verdict: 'refused', code: 'license_frozen'}],
    )
    const again = await wanted(
      200,
      panel.ask('POST', `${path}/renew`, {body: {expires: testNow + 9 * DAY}}),
    )
    assert.is(await poll(panel, headerOf(again.json.file)), 'served')

    await wanted(200, panel.ask('POST', `${path}/revoke`, {body: {reason: 'stolen'}}))
    assert.is(await poll(panel, headerOf(again.json.file)), 'license_revoked')
    const late = await panel.ask('POST', `${path}/renew`, {body: {expires: testNow + 99 * DAY}})
    assert.is(late.json.code, 'license_revoked')
    const events = (await panel.panel.store.audit(-1, 100)).map(({event}) => event)
    assert.ok(
      ['license.added', 'license.frozen', 'license.revoked'].every((event) =>
        events.includes(event),
      ),
    )
  } finally {
    await panel.stop()
  }
})

test('a licence that was signed elsewhere is registered, when the anchor knows its key', async () => {
  const panel = await startPanel()
  try {
    await publish(panel, await makeRelease({version: '1.0.0'}))
    const file = await signed({}, panelSigners.license)
    assert.is(await poll(panel, headerOf(file)), 'license_unknown')
    await wanted(201, panel.ask('POST', '/v1/licenses', {body: {file}}))
    await wanted(201, panel.ask('POST', '/v1/licenses', {body: {file}}))
    assert.is(await poll(panel, headerOf(file)), 'served')
    const refused: readonly [string, string, string][] = [
      ['a stranger', await signed({id: '01KB0000000000000000000002'}, 'stranger'), 'key_unknown'],
      [
        'the manifest key',
        await signed({id: '01KB0000000000000000000002'}, panelSigners.manifest),
        'key_not_for_role',
      ],
      [
        'the same id for another customer',
        await signed({customer: 'EVIL'}, panelSigners.license),
        'license_exists',
      ],
      [
        'a licence of no product',
        await signed({product: 'none'}, panelSigners.license),
        'product_unknown',
      ],
      ['damage', file.replace(/[A-Z]{4}/, 'AAAA'), ''],
      ['nothing', 'rel1.', 'license_malformed'],
    ]
    for (const [name, text, code] of refused) {
      const {status, json} = await panel.ask('POST', '/v1/licenses', {body: {file: text}})
      assert.ok(status >= 400 && status < 500, `${name}: ${status}`)
      if (code !== '') assert.is(json.code, code, name)
    }
    const path = `/v1/licenses/${license.id}/renew`
    const stale = await panel.ask('POST', path, {body: {file}})
    assert.is(stale.json.code, 'license_stale')
    const other = await signed({track: 'prerelease', serial: 2}, panelSigners.license)
    assert.is((await panel.ask('POST', path, {body: {file: other}})).json.code, 'license_exists')
    const next = await signed({serial: 2, expires: testNow + 5 * DAY}, panelSigners.license)
    await wanted(200, panel.ask('POST', path, {body: {file: next}}))
    assert.is((await panel.ask('GET', '/v1/licenses?product=agent')).bytes.includes('BEGIN'), false)
  } finally {
    await panel.stop()
  }
})

test('an auditor sees a licence, not the file that opens the downloads', async () => {
  const panel = await startPanel()
  try {
    const issued = await wanted(201, panel.ask('POST', '/v1/licenses', {body: terms}))
    const path = `/v1/licenses/${issued.json.id}`
    const auditor = await panel.token(['audit'])
    const seen = await wanted(200, panel.ask('GET', path, {token: auditor}))
    assert.equal([seen.json.customer, seen.json.file], ['ACME', undefined])
    const holder = await panel.token(['license'])
    assert.is((await panel.ask('GET', path, {token: holder})).json.file, issued.json.file)
  } finally {
    await panel.stop()
  }
})

test('a licence is no token, and a token no licence', async () => {
  const panel = await startPanel()
  try {
    const issued = await wanted(201, panel.ask('POST', '/v1/licenses', {body: terms}))
    const token = headerOf(issued.json.file)
    assert.is((await panel.ask('GET', '/v1/products', {token})).json.code, 'token_invalid')
    assert.is((await panel.ask('GET', '/update/manifest.json')).status, 401)
  } finally {
    await panel.stop()
  }
})

test.run()
