import {chmodSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {licenseHeader, parseLicense} from '../../../src/release/license-file.ts'
import type {Slot} from '../../../src/release/release.ts'
import {releaseText, signRelease} from '../../../src/release/release-manifest.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {testNow, testSigner} from '../../support/anchors.ts'
import {
  agentSlot,
  draft,
  flip,
  makeRelease,
  panelSigners,
  publish,
  startPanel,
  type TestPanel,
  type TestRelease,
  upload,
  wanted,
} from '../../support/panel.ts'
import {testArtifact} from '../../support/releases.ts'

const matrix: readonly Slot[] = ['agent', 'helper'].flatMap((component) =>
  ['amd64', 'arm64', 'armhf', 'riscv64'].map((arch) => ({component, os: 'linux', arch})),
)

const releases = '/v1/products/agent/releases'

async function licensed(panel: TestPanel): Promise<string> {
  const body = {product: 'agent', customer: 'A', track: 'stable', expires: testNow + 86_400}
  const {json} = await wanted(201, panel.ask('POST', '/v1/licenses', {body}))
  return licenseHeader(parseLicense(String(json.file)))
}

function namesOf(json: Record<string, unknown>): string[] {
  const {missing} = json.details as {missing: {name: string; reason: string}[]}
  return missing.map(({name, reason}) => `${name} ${reason}`)
}

test('no subset of the artifacts is enough, and nobody sees the version meanwhile', async () => {
  const panel = await startPanel({
    products: {agent: matrix},
    limits: {perCredential: {perSec: 1e6, burst: 1e6}},
  })
  try {
    const token = await licensed(panel)
    const release = await makeRelease({version: '1.0.0', slots: matrix})
    await wanted(201, panel.ask('POST', releases, {body: release.text}))
    const {artifacts} = release.file.release
    const contents = artifacts.map(({name}) => release.bytes.get(name) ?? Buffer.alloc(0))
    assert.is(artifacts.length, 8)
    let present = new Set<number>()
    // Gray code: each of the 255 incomplete sets differs from the one before by one artifact
    for (let step = 0; step < 256; step++) {
      const bits = step ^ (step >> 1)
      const next = new Set([...artifacts.keys()].filter((at) => ((bits >> at) & 1) === 1))
      for (const at of next) if (!present.has(at)) await upload(panel, contents[at] as Buffer)
      for (const at of present)
        if (!next.has(at)) await panel.panel.blobs.remove(artifacts[at]?.sha256 ?? '')
      present = next
      if (present.size === artifacts.length) continue
      const refused = await flip(panel, release)
      assert.is(refused.status, 409)
      assert.is(refused.json.code, 'release_incomplete')
      assert.equal(
        namesOf(refused.json),
        artifacts.filter((_, at) => !present.has(at)).map(({name}) => `${name} not_uploaded`),
      )
      for (let poll = 0; poll < 4; poll++)
        assert.is((await panel.ask('GET', '/update/manifest.json', {token})).status, 404)
    }
    await draft(panel, release)
    await wanted(200, flip(panel, release))
    assert.is((await panel.ask('GET', '/update/manifest.json', {token})).status, 200)
  } finally {
    await panel.stop()
  }
})

test('a manifest that does not fill the matrix is no draft', async () => {
  const panel = await startPanel({products: {agent: matrix}})
  try {
    for (let at = 0; at < matrix.length; at++) {
      const slots = matrix.filter((_, index) => index !== at)
      const release = await makeRelease({version: '1.0.0', slots})
      const {status, json} = await panel.ask('POST', releases, {body: release.text})
      assert.equal([status, json.code], [422, 'matrix_unmet'])
      assert.equal((json.details as {missing: unknown}).missing, [
        {...matrix[at], reason: 'no_artifact'},
      ])
    }
    assert.is((await panel.ask('GET', `${releases}/1.0.0`)).json.code, 'release_unknown')
  } finally {
    await panel.stop()
  }
})

test('who may not sign is refused when the release is drafted', async () => {
  const panel = await startPanel()
  try {
    const cases: readonly [string, Partial<Record<'manifest' | 'artifact', string>>, string][] = [
      ['a stranger', {manifest: 'stranger'}, 'key_unknown'],
      ['the artifact key for the manifest', {manifest: panelSigners.artifact}, 'key_not_for_role'],
      ['the manifest key for artifacts', {artifact: panelSigners.manifest}, 'key_not_for_role'],
      ['a stranger for artifacts', {artifact: 'stranger'}, 'key_unknown'],
    ]
    for (const [name, signers, code] of cases) {
      const {text} = await makeRelease({version: '1.0.0', signers})
      const {status, json} = await panel.ask('POST', releases, {body: text})
      assert.equal([name, status, json.code], [name, 422, code])
    }
    const good = await makeRelease({version: '1.0.0'})
    const changed = good.text.replace('"timestamp": ', '"timestamp": 1')
    assert.is((await panel.ask('POST', releases, {body: changed})).json.code, 'signature_invalid')
    const chosen = good.text.replace('"channel": "stable"', '"channel": "beta"')
    assert.equal(
      [(await panel.ask('POST', releases, {body: chosen})).json.code],
      ['channel_not_of_version'],
    )
    assert.is(
      (await panel.ask('POST', '/v1/products/none/releases', {body: good.text})).json.code,
      'product_unknown',
    )
  } finally {
    await panel.stop()
  }
})

test('bytes are read again when they are published', async () => {
  const panel = await startPanel()
  try {
    const release = await makeRelease({version: '1.0.0', size: 300_000})
    await draft(panel, release)
    const [artifact] = release.file.release.artifacts
    const path = join(
      panel.data,
      'blobs',
      panel.panel.blobs.localPath?.(artifact?.sha256 ?? '') ?? '',
    )
    const good = [...release.bytes.values()][0] ?? Buffer.alloc(0)
    const swapped: readonly [string, Buffer, string][] = [
      [
        'one bit',
        Buffer.from(good.map((byte, at) => (at === 200_000 ? byte ^ 1 : byte))),
        'bytes_differ',
      ],
      ['one byte less', good.subarray(1), 'size_differs'],
      ['one byte more', Buffer.concat([good, Buffer.from('x')]), 'size_differs'],
      ['nothing', Buffer.alloc(0), 'size_differs'],
    ]
    for (const [name, bytes, reason] of swapped) {
      chmodSync(path, 0o600)
      writeFileSync(path, bytes)
      const {status, json} = await flip(panel, release)
      assert.equal([name, status, namesOf(json)], [name, 409, [`${artifact?.name} ${reason}`]])
    }
    rmSync(path)
    assert.equal(namesOf((await flip(panel, release)).json), [`${artifact?.name} not_uploaded`])
    await upload(panel, good)
    await wanted(200, flip(panel, release))
  } finally {
    await panel.stop()
  }
})

test('an artifact whose bare signature would count for something else is named', async () => {
  const panel = await startPanel({products: {agent: [agentSlot]}})
  try {
    const plain = await makeRelease({version: '1.0.0'})
    const [artifact] = plain.file.release.artifacts
    assert.ok(artifact)
    for (const [name, text] of [
      ['a manifest', '{"bundle_name": "x", "version": "1.0.0", "files": {}}'],
      ['the input of another signature', 'DSSEv1 1 x 1 y'],
    ] as const) {
      const bytes = Buffer.from(text)
      const made = await testArtifact(artifact, artifact.name, bytes, panelSigners.artifact)
      const version = `1.0.${bytes.length}`
      const terms = {...plain.file.release, version, artifacts: [{...artifact, ...made}]}
      const file = await signRelease(terms, testSigner(panelSigners.manifest))
      const release = {file, text: releaseText(file), bytes: new Map([[artifact.name, bytes]])}
      await draft(panel, release)
      const {status, json} = await flip(panel, release)
      assert.equal([name, status, namesOf(json)], [name, 409, [`${artifact.name} cross_protocol`]])
    }
  } finally {
    await panel.stop()
  }
})

test('a signature over other bytes than the stored ones is named', async () => {
  const panel = await startPanel({products: {agent: [agentSlot]}})
  try {
    const [one, two] = [
      await makeRelease({version: '1.0.0', seed: 'one'}),
      await makeRelease({version: '1.0.0', seed: 'two'}),
    ]
    const [artifact] = one.file.release.artifacts
    const [other] = two.file.release.artifacts
    if (artifact === undefined || other === undefined) throw new Error('no artifact')
    const crossed = {...one.file.release, artifacts: [{...artifact, signature: other.signature}]}
    const file = await signRelease(crossed, testSigner(panelSigners.manifest))
    const release: TestRelease = {file, text: releaseText(file), bytes: one.bytes}
    await draft(panel, release)
    const {status, json} = await flip(panel, release)
    assert.equal([status, namesOf(json)], [409, [`${artifact.name} signature_wrong`]])
  } finally {
    await panel.stop()
  }
})

test('If-Match says which manifest is meant, and a lower fence is refused', async () => {
  const panel = await startPanel()
  try {
    const release = await makeRelease({version: '1.0.0'})
    await draft(panel, release)
    const path = `${releases}/1.0.0/publish`
    const match = {'if-match': `"${release.file.digest}"`}
    assert.is((await panel.ask('POST', path)).json.code, 'precondition_missing')
    assert.is((await panel.ask('POST', path, {headers: {'if-match': '*'}})).status, 400)
    const wrong = {'if-match': `"${sha256Hex('other')}"`}
    assert.is((await panel.ask('POST', path, {headers: wrong})).status, 412)
    const lease = () => panel.ask('POST', '/v1/products/agent/lease', {body: {}})
    const [first, second] = [(await lease()).json.fence, (await lease()).json.fence]
    assert.ok(Number(second) > Number(first))
    const fenced = await panel.ask('POST', path, {headers: {...match, 'rel-fence': String(first)}})
    assert.equal([fenced.status, fenced.json.code], [409, 'publisher_fenced'])
    const fenced2 = {...match, 'rel-fence': String(second)}
    assert.is((await panel.ask('POST', path, {headers: fenced2})).status, 200)
  } finally {
    await panel.stop()
  }
})

test('other content under a version that exists is a conflict that names what differs', async () => {
  const panel = await startPanel()
  try {
    const one = await makeRelease({version: '1.0.0', seed: 'one'})
    const two = await makeRelease({version: '1.0.0', seed: 'two'})
    await publish(panel, one)
    const {status, json} = await panel.ask('POST', releases, {body: two.text})
    assert.equal([status, json.code], [409, 'release_conflict'])
    assert.match(JSON.stringify(json.details), /sha256/)
    assert.is((await panel.ask('DELETE', `${releases}/1.0.0`)).json.code, 'release_immutable')
    await wanted(200, panel.ask('POST', `${releases}/1.0.0/recall`, {body: {reason: 'bad'}}))
    assert.is((await panel.ask('POST', releases, {body: one.text})).json.code, 'version_burnt')
    assert.equal((await flip(panel, one)).json.code, 'release_immutable')
  } finally {
    await panel.stop()
  }
})

test('what is published stays as it is through 500 random calls', async () => {
  const panel = await startPanel({limits: {perCredential: {perSec: 1e6, burst: 1e6}}})
  try {
    const fixed = await makeRelease({version: '1.0.0', seed: 'fixed'})
    await publish(panel, fixed)
    const token = await licensed(panel)
    const before = await served(panel, token)
    const next = random(20_260_101)
    const versions = ['1.0.0', '0.9.0', '0.9.1', '1.0.0-beta.1']
    const made = new Map<string, TestRelease>()
    for (const version of versions)
      for (const seed of ['a', 'b'])
        made.set(`${version} ${seed}`, await makeRelease({version, seed}))
    const pick = <T>(items: readonly T[]): T => items[next(items.length)] as T
    for (let call = 0; call < 500; call++) {
      const version = pick(versions)
      const release = made.get(`${version} ${pick(['a', 'b'])}`) as TestRelease
      const bytes = [...release.bytes.values()][0] as Buffer
      const path = `${releases}/${version}`
      const calls: readonly (() => Promise<unknown>)[] = [
        () => panel.ask('POST', releases, {body: release.text}),
        () => upload(panel, bytes),
        () => upload(panel, bytes, undefined, fixed.file.release.artifacts[0]?.sha256 ?? ''),
        () => flip(panel, release),
        () => flip(panel, {...release, file: {...release.file, digest: fixed.file.digest}}),
        () => panel.ask('DELETE', path),
        () => panel.ask('PUT', path, {body: release.text}),
        () => panel.ask('PATCH', path, {body: {state: 'draft'}}),
        () => panel.ask('DELETE', `/v1/blobs/${fixed.file.release.artifacts[0]?.sha256}`),
        () => panel.ask('POST', '/v1/products/agent/lease', {body: {}}),
        () => panel.ask('PUT', '/v1/products/agent/matrix', {body: {required: [agentSlot]}}),
        () => panel.ask('PUT', '/v1/products/agent/floor', {body: {version: '0.9.0'}}),
        () => panel.ask('PUT', '/v1/products/agent'),
        () =>
          version === '1.0.0'
            ? Promise.resolve()
            : panel.ask('POST', `${path}/recall`, {body: {reason: 'because'}}),
      ]
      await pick(calls)()
      if (call % 25 === 0) assert.equal(await served(panel, token), before)
    }
    assert.equal(await served(panel, token), before)
    assert.is((await panel.panel.store.verifyAudit()).broken, undefined)
  } finally {
    await panel.stop()
  }
})

/** The release and its bytes as a customer gets them. */
async function served(panel: TestPanel, token: string): Promise<readonly string[]> {
  const manifest = await wanted(200, panel.ask('GET', '/update/manifest.json', {token}))
  const {envelope, artifacts} = manifest.json as {
    envelope: unknown
    artifacts: {url: string; version: string}[]
  }
  const bytes = await Promise.all(
    artifacts.map(({url}) => wanted(200, panel.ask('GET', url, {token}))),
  )
  return [
    JSON.stringify(envelope),
    JSON.stringify(artifacts),
    ...bytes.map((answer) => sha256Hex(answer.bytes)),
  ]
}

/** Numbers below a bound that follow from a seed (mulberry32). */
function random(seed: number): (bound: number) => number {
  let state = seed
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound
  }
}

test.run()
