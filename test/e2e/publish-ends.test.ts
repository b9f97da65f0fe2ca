import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {licenseHeader, parseLicense} from '../../src/release/license-file.ts'
import type {Http, HttpRequest, HttpResponse} from '../../src/system/http.ts'
import {testNow} from '../support/anchors.ts'
import {startFakeGitHub} from '../support/github/fake-github.ts'
import {startPanel, type TestPanel, wanted} from '../support/panel.ts'
import {publication, REPOSITORY, releaseFolder} from '../support/publish/publication.ts'
import {rejectsCode} from '../support/rejects.ts'

const folder = await releaseFolder({version: '2.0.0', size: 100})
const path = '/v1/products/agent/releases/2.0.0'

/** A client whose answers are spoilt once the flip on the panel was asked for. */
function spoilt(
  spoil: (request: HttpRequest, answer: HttpResponse) => HttpResponse,
  from: 'begin' | 'flip' = 'flip',
): (http: Http) => Http {
  let isOn = from === 'begin'
  return (http) => ({
    download: (request) => http.download(request),
    send: async (request) => {
      const answer = await http.send(request)
      if (request.url.endsWith('/publish')) isOn = true
      else if (isOn) return spoil(request, answer)
      return answer
    },
  })
}

const withBody = (answer: HttpResponse, body: object): HttpResponse => ({
  ...answer,
  body: Buffer.from(JSON.stringify(body)),
})

const ends: Readonly<Record<string, object>> = {
  'still a draft': {state: 'draft'},
  'recalled in the meantime': {state: 'recalled'},
  'with another manifest': {digest: 'e'.repeat(64)},
  'with something missing': {missing: [{name: 'agent', reason: 'bytes_differ'}]},
}

for (const [what, change] of Object.entries(ends))
  test(`the panel says that all went well, and has the release ${what}: no success, no receipt`, async () => {
    const panel = await startPanel()
    const receipts: string[] = []
    try {
      const through = spoilt((request, answer) =>
        request.url.endsWith(path)
          ? withBody(answer, {...(JSON.parse(String(answer.body)) as object), ...change})
          : answer,
      )
      const keepReceipt = (text: string) => receipts.push(text)
      const {run} = await publication(folder, {panel}, {through, keepReceipt})
      await rejectsCode(run, 'publish_incomplete')
      assert.equal(receipts, [])
    } finally {
      await panel.stop()
    }
  })

test('a release that can be changed and is not whole is called incomplete', async () => {
  const panel = await startPanel()
  const fake = await startFakeGitHub({repositories: [{name: REPOSITORY, tags: ['v2.0.0']}]})
  try {
    const through = spoilt((request, answer) =>
      request.url.endsWith(path)
        ? withBody(answer, {...(JSON.parse(String(answer.body)) as object), state: 'recalled'})
        : answer,
    )
    const github = {mustBeImmutable: true}
    const {run} = await publication(folder, {panel, github: fake}, {through, github})
    await rejectsCode(run, 'publish_incomplete')
  } finally {
    await panel.stop()
    await fake.close()
  }
})

test('one target was published before: the run that publishes the other has changed something', async () => {
  const panel = await startPanel()
  const fake = await startFakeGitHub({repositories: [{name: REPOSITORY, tags: ['v2.0.0']}]})
  try {
    assert.is((await (await publication(folder, {panel})).run()).changed, true)
    const both = {panel, github: fake}
    assert.is((await (await publication(folder, both)).run()).changed, true)
    assert.is((await (await publication(folder, both)).run()).changed, false)
  } finally {
    await panel.stop()
    await fake.close()
  }
})

async function probeOf({ask}: TestPanel) {
  const body = {product: 'agent', customer: 'A', track: 'stable', expires: testNow + 86_400}
  const {json} = await wanted(201, ask('POST', '/v1/licenses', {body}))
  const file = parseLicense(String(json.file))
  return {name: 'a.lic', token: licenseHeader(file), license: file.license}
}

test('a draft that a customer sees already is not published', async () => {
  const panel = await startPanel()
  try {
    const probes = [await probeOf(panel)]
    const [bytes = Buffer.alloc(0)] = folder.release.bytes.values()
    const through = spoilt(
      (request, answer) =>
        request.url.includes('/download/') ? {...answer, status: 200, body: bytes} : answer,
      'begin',
    )
    const clock = () => testNow
    const {run} = await publication(folder, {panel}, {through, probes, clock})
    await rejectsCode(run, 'publish_probe_failed')
    assert.is((await panel.ask('GET', path)).json.state, 'draft')
    const {receipt} = await (await publication(folder, {panel}, {probes, clock})).run()
    assert.equal((receipt.checks as {probes: object[]}).probes, [
      {name: 'a.lic', track: 'stable', sees: true, downloaded: 1, asked: 0},
    ])
  } finally {
    await panel.stop()
  }
})

test.run()
