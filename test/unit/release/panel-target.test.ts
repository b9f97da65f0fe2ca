import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {readFrom} from '../../../src/release/publish/files.ts'
import {PanelTarget} from '../../../src/release/publish/panel-target.ts'
import {type PlannedAsset, planPublish} from '../../../src/release/publish/plan.ts'
import type {Http, HttpRequest, HttpResponse} from '../../../src/system/http.ts'
import {makeRelease} from '../../support/panel.ts'
import {rejectsCode} from '../../support/rejects.ts'

const {file} = await makeRelease({version: '1.4.2'})
const asset: PlannedAsset = {
  name: 'agent.tar.gz',
  kind: 'artifact',
  size: 1000,
  sha256: 'a'.repeat(64),
  path: import.meta.filename,
}
const plan = planPublish({file, assets: [asset], panel: {url: 'https://panel.example'}})
const address = `/v1/uploads/${'0'.repeat(26)}`

type Says = {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: object
}

/** A panel that says one thing after the other, and what it was asked. */
function scripted(...answers: readonly Says[]) {
  const asked: HttpRequest[] = []
  const waiting = answers.values()
  const http: Http = {
    send: async (request): Promise<HttpResponse> => {
      asked.push(request)
      const {value} = waiting.next()
      if (value === undefined) throw new Error(`not expected: ${request.method} ${request.url}`)
      const {status, headers = {}, body = {}} = value
      const text = request.method === 'HEAD' ? '' : JSON.stringify(body)
      return {status, headers, url: request.url, body: Buffer.from(text), isRevalidated: false}
    },
    download: () => Promise.reject(new Error('nothing is downloaded')),
  }
  const uploads = new Map<string, string>()
  const target = new PanelTarget(plan, {
    http,
    clock: {now: () => 0, sleep: async () => undefined},
    random: () => 0.5,
    panelAuthorization: 'Bearer relp_x',
    probes: [],
    journal: {
      location: (sha256) => uploads.get(sha256),
      remember: (sha256, location) => uploads.set(sha256, location),
      forget: (sha256) => uploads.delete(sha256),
    },
    readFrom,
    keepReceipt: () => undefined,
  })
  const lines = () =>
    asked.map(({method, url, headers = {}, body}) => {
      const size = body !== undefined && 'size' in body ? ` +${body.size}` : ''
      const from = headers['upload-offset'] === undefined ? '' : ` from ${headers['upload-offset']}`
      return `${method} ${new URL(url).pathname}${from}${size}`
    })
  return {target, asked, uploads, lines}
}

test('bytes are there when their size is, too', async () => {
  for (const [says, want] of [
    [{status: 200, headers: {'rel-size': '1000'}}, true],
    [{status: 200, headers: {'rel-size': '999'}}, false],
    [{status: 200}, false],
    [{status: 404}, false],
  ] as const)
    assert.is(await scripted(says).target.has(asset), want)
  await rejectsCode(() => scripted({status: 401}).target.has(asset), 'token_invalid')
})

test('only a panel that does not know the release has none of it', async () => {
  const absent = scripted({status: 404, body: {code: 'release_unknown'}})
  assert.equal(await absent.target.read(), {state: 'absent'})
  const other = scripted({status: 404, body: {code: 'product_unknown'}})
  await rejectsCode(() => other.target.read(), 'product_unknown')
  const strange = scripted({status: 200, body: {state: 'lost'}})
  await rejectsCode(() => strange.target.read(), 'panel_refused')
})

test('the flip shows the fence and names the manifest', async () => {
  const {target, asked} = scripted({
    ...{status: 200, headers: {'rel-changed': 'true'}},
    body: {sequence: 9},
  })
  assert.equal(await target.publish(41), {changed: true, sequence: 9})
  assert.is(asked[0]?.headers?.['rel-fence'], '41')
  assert.is(asked[0]?.headers?.['if-match'], `"${file.digest}"`)
})

const begun = {status: 201, headers: {location: address}}
const at = (offset: number) => ({status: 200, headers: {'upload-offset': String(offset)}})
const sent = {status: 204}

test('an upload has an address of the panel’s form', async () => {
  for (const location of [
    '',
    'https://evil.example/v1/uploads/0',
    `${address}/../x`,
    `${address}0`,
  ])
    await rejectsCode(
      () => scripted({status: 201, headers: {location}}).target.upload(asset),
      'panel_refused',
    )
  const there = scripted({status: 200})
  await there.target.upload(asset)
  assert.equal(there.lines(), ['POST /v1/uploads'])
})

for (const code of ['upload_busy', 'upload_offset_wrong', 'upload_unknown'])
  test(`${code} is no end: asked where it stands, tried with nothing, then gone on with`, async () => {
    const refused = {status: 409, body: {code}}
    const {target, lines, uploads} = scripted(begun, at(0), refused, at(400), sent, sent)
    await target.upload(asset)
    assert.equal(lines(), [
      'POST /v1/uploads',
      `HEAD ${address}`,
      `PATCH ${address} from 0 +1000`,
      `HEAD ${address}`,
      `PATCH ${address} from 400 +0`,
      `PATCH ${address} from 400 +600`,
    ])
    assert.is(uploads.size, 0)
  })

test('an upload that an earlier run began is gone on with; one that is gone begins anew', async () => {
  const known = scripted(at(700), sent, sent)
  known.uploads.set(asset.sha256, address)
  await known.target.upload(asset)
  assert.equal(known.lines().at(-1), `PATCH ${address} from 700 +300`)
  const gone = scripted({status: 404}, {status: 404}, begun, at(0), sent, sent)
  gone.uploads.set(asset.sha256, address)
  await gone.target.upload(asset)
  assert.is(gone.lines().filter((line) => line === 'POST /v1/uploads').length, 1)
})

test('other refusals end an upload', async () => {
  const refused = {status: 460, body: {code: 'blob_mismatch'}}
  await rejectsCode(() => scripted(begun, at(0), refused).target.upload(asset), 'blob_mismatch')
})

test.run()
