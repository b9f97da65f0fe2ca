import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {licenseHeader, parseLicense} from '../../../src/release/license-file.ts'
import {signedAnchor, testAnchor, testNow} from '../../support/anchors.ts'
import {
  agentSlot,
  draft,
  flip,
  makeRelease,
  panelSigners,
  publish,
  startPanel,
  wanted,
} from '../../support/panel.ts'

test('a release is drafted, uploaded, published, and fetched by a licence', async () => {
  const panel = await startPanel()
  try {
    const release = await makeRelease({version: '1.4.2'})
    const path = '/v1/products/agent/releases'
    const first = await panel.ask('POST', path, {body: release.text})
    assert.is(first.status, 201)
    assert.is(first.json.digest, release.file.digest)
    assert.is((first.json.missing as unknown[]).length, 1)
    assert.is((await panel.ask('POST', path, {body: release.text})).status, 200)
    const refused = await flip(panel, release)
    assert.equal([refused.status, refused.json.code], [409, 'release_incomplete'])
    await draft(panel, release)
    const published = await wanted(200, flip(panel, release))
    assert.equal(
      [published.json.state, published.json.sequence, published.headers.get('rel-changed')],
      ['published', 1, 'true'],
    )
    assert.is((await flip(panel, release)).headers.get('rel-changed'), 'false')

    const issued = await wanted(
      201,
      panel.ask('POST', '/v1/licenses', {
        body: {product: 'agent', customer: 'ACME', track: 'stable', expires: testNow + 86_400},
      }),
    )
    const token = licenseHeader(parseLicense(String(issued.json.file)))
    const manifest = await wanted(
      200,
      panel.ask('GET', '/update/manifest.json?product=agent', {token}),
    )
    const [artifact] = manifest.json.artifacts as {url: string; version: string}[]
    assert.is(artifact?.version, '1.4.2')
    const got = await wanted(200, panel.ask('GET', String(artifact?.url), {token}))
    assert.equal(got.bytes, [...release.bytes.values()][0])
  } finally {
    await panel.stop()
  }
})

test('publishing once more changes nothing, also when the release could no longer be published', async () => {
  const panel = await startPanel()
  try {
    const first = await makeRelease({version: '1.0.0'})
    const late = await makeRelease({version: '1.0.1'})
    await draft(panel, first)
    await draft(panel, late)
    await wanted(200, flip(panel, first))
    const required = [agentSlot, {...agentSlot, arch: 'riscv64'}]
    await wanted(200, panel.ask('PUT', '/v1/products/agent/matrix', {body: {required}}))
    assert.is((await flip(panel, late)).json.code, 'release_incomplete')
    const again = await wanted(200, flip(panel, first))
    assert.equal([again.headers.get('rel-changed'), again.json.sequence], ['false', 1])
  } finally {
    await panel.stop()
  }
})

test('a manifest of another product is no draft of this one', async () => {
  const panel = await startPanel({products: {agent: [agentSlot], other: [agentSlot]}})
  try {
    const {text} = await makeRelease({product: 'other', version: '1.0.0'})
    const refused = await panel.ask('POST', '/v1/products/agent/releases', {body: text})
    assert.equal([refused.status, refused.json.code], [400, 'request_invalid'])
    assert.equal(await panel.panel.store.release('agent', '1.0.0'), undefined)
    assert.is((await panel.ask('POST', '/v1/products/other/releases', {body: text})).status, 201)
  } finally {
    await panel.stop()
  }
})

test('a draft whose manifest key was taken away since is not published', async () => {
  const panel = await startPanel()
  try {
    const release = await makeRelease({version: '1.0.0'})
    await draft(panel, release)
    const {root, artifact, license} = panelSigners
    const next = testAnchor(
      {role: 'root', keys: [root]},
      {role: 'manifest', keys: ['next manifest']},
      {role: 'artifact', keys: [artifact]},
      {role: 'license', keys: [license]},
    )
    const body = await signedAnchor({...next, version: 2, expires: 4_102_444_800}, root)
    await wanted(200, panel.ask('PUT', '/v1/products/agent/keys', {body}))
    assert.is((await flip(panel, release)).json.code, 'key_unknown')
    assert.is((await panel.panel.store.release('agent', '1.0.0'))?.state, 'draft')
  } finally {
    await panel.stop()
  }
})

test('a draft that has expired since is not published', async () => {
  let now = testNow
  const panel = await startPanel({clock: () => now})
  try {
    const release = await makeRelease({version: '1.0.0', terms: {expires: testNow + 3600}})
    await draft(panel, release)
    now = testNow + 3601
    assert.is((await flip(panel, release)).json.code, 'release_expired')
    assert.is((await panel.panel.store.release('agent', '1.0.0'))?.state, 'draft')
  } finally {
    await panel.stop()
  }
})

test('what is published here is offered here at once', async () => {
  const panel = await startPanel()
  const {now} = performance
  try {
    const [first, second] = [
      await makeRelease({version: '1.0.0'}),
      await makeRelease({version: '1.1.0'}),
    ]
    await publish(panel, first)
    await draft(panel, second)
    const body = {product: 'agent', customer: 'ACME', track: 'stable', expires: testNow + 86_400}
    const {json} = await wanted(201, panel.ask('POST', '/v1/licenses', {body}))
    const token = licenseHeader(parseLicense(String(json.file)))
    const offered = async () => {
      const answer = await wanted(200, panel.ask('GET', '/update/manifest.json', {token}))
      return (answer.json.release as {version: string}).version
    }
    // no time passes in which the catalogue would be read anew by itself
    const frozen = performance.now()
    performance.now = () => frozen
    assert.is(await offered(), '1.0.0')
    await wanted(200, flip(panel, second))
    assert.is(await offered(), '1.1.0')
  } finally {
    performance.now = now
    await panel.stop()
  }
})

test.run()
