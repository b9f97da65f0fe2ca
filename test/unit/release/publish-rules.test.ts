import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {
  assetFrom,
  isLatest,
  olderDraft,
  releaseOfTag,
  textOf,
} from '../../../src/release/publish/github-rules.ts'
import {askPanel, exchangeWithPanel, panelRefusal} from '../../../src/release/publish/panel-api.ts'
import {Patience, persistently} from '../../../src/release/publish/persist.ts'
import {type PlannedAsset, panelAssets, planPublish} from '../../../src/release/publish/plan.ts'
import {receiptOf} from '../../../src/release/publish/receipt.ts'
import {
  differencesOf,
  type GitHubRelease,
  type RemoteAsset,
} from '../../../src/release/publish/state.ts'
import {RelError} from '../../../src/system/error.ts'
import type {Http, HttpResponse} from '../../../src/system/http.ts'
import type {JsonObject} from '../../../src/system/json.ts'
import {makeRelease} from '../../support/panel.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'

const release: GitHubRelease = {
  id: 5,
  tag: 'v1.4.2',
  isDraft: false,
  isPrerelease: false,
  isImmutable: false,
  uploadUrl: 'https://uploads.github.com/x',
  pageUrl: 'https://github.com/x',
}

test('one release of a tag, or a refusal that names them; of drafts the oldest stays', () => {
  const [one, two] = [release, {...release, id: 3}]
  assert.is(releaseOfTag([{...one, tag: 'v1'}], 'v1.4.2'), undefined)
  assert.is(releaseOfTag([one], 'v1.4.2'), one)
  throwsCode(() => releaseOfTag([one, two], 'v1.4.2'), 'github_duplicate_release')
  assert.is(olderDraft([one, two], 'v1.4.2', 5), two)
  assert.is(olderDraft([two, one], 'v1.4.2', 5), two)
  assert.is(olderDraft([one, two], 'v1.4.2', 3), undefined)
  assert.is(olderDraft([{...two, tag: 'v1'}, one], 'v1.4.2', 5), undefined)
})

test('the latest: the highest version of what is published, drafts and pre-releases apart', () => {
  const tagged = (tag: string, change: Partial<GitHubRelease> = {}) => ({
    ...release,
    tag,
    ...change,
  })
  const others = [tagged('v1.0.0'), tagged('v1.4.0'), tagged('nightly')]
  assert.is(isLatest('1.4.2', false, others), true)
  assert.is(isLatest('1.4.2', true, others), false)
  assert.is(isLatest('1.2.0', false, others), false, 'lower than one of them')
  assert.is(isLatest('1.4.2', false, [...others, tagged('v2.0.0')]), false)
  assert.is(isLatest('1.4.2', false, [...others, tagged('v2.0.0', {isDraft: true})]), true)
  assert.is(isLatest('1.4.2', false, [...others, tagged('v2.0.0', {isPrerelease: true})]), true)
})

test('what GitHub says is bounded, printable and has the form it describes', () => {
  assert.is(textOf('v1.4.2', 'a tag'), 'v1.4.2')
  for (const bad of ['a\u001b[31m', 'a\nb', 'a\u007f', 'x'.repeat(2049), 7])
    throwsCode(() => textOf(bad, 'a tag'), 'github_answer_invalid')
  const json = {id: 1, name: 'a', state: 'uploaded', size: 3, browser_download_url: 'https://x'}
  const sha256 = 'a'.repeat(64)
  assert.is(assetFrom({...json, digest: `sha256:${sha256}`}).sha256, sha256)
  for (const digest of [null, `sha512:${sha256}`, `sha256:${sha256}0`, 'sha256:'])
    assert.is(assetFrom({...json, digest}).sha256, undefined)
})

/** A clock that says how long it slept. */
function sleeper() {
  const slept: number[] = []
  const clock = {
    now: () => 1_000_000,
    sleep: async (ms: number) => {
      slept.push(ms)
    },
  }
  return {slept, clock, random: () => 0.5}
}

const lost = new RelError('http_unreachable', 'no answer')

test('six tries without progress, and as many again after some', async () => {
  const {slept, ...world} = sleeper()
  let tries = 0
  await rejectsCode(
    () =>
      persistently(world, async () => {
        tries++
        throw lost
      }),
    'http_unreachable',
  )
  assert.equal([tries, slept.length], [6, 5])
  const patience = new Patience(world)
  for (let round = 0; round < 3; round++) {
    for (let failures = 0; failures < 5; failures++) await patience.after(lost)
    patience.progress()
  }
  for (let failures = 0; failures < 5; failures++) await patience.after(lost)
  await rejectsCode(() => patience.after(lost), 'http_unreachable')
})

test('a refusal is not tried again, and nobody waits for hours', async () => {
  const {slept, ...world} = sleeper()
  let tries = 0
  const refused = new RelError('release_conflict', 'other bytes')
  const failing = (error: RelError) => () => {
    tries++
    return Promise.reject(error)
  }
  await rejectsCode(() => persistently(world, failing(refused)), 'release_conflict')
  const hours = new RelError('rate_limited', 'later', {details: {retry_at: 1000 + 7200}})
  await rejectsCode(() => persistently(world, failing(hours)), 'rate_limited')
  assert.equal([tries, slept], [2, []])
  const soon = new RelError('rate_limited', 'soon', {details: {retry_at: 1000 + 77}})
  await new Patience(world).after(soon)
  assert.equal(slept, [77_000], 'as long as it was asked to')
})

const {file} = await makeRelease({version: '1.4.2'})
const planned = (name: string, kind: PlannedAsset['kind'], digit: string): PlannedAsset => ({
  name,
  kind,
  size: 10,
  sha256: digit.repeat(64),
  path: name,
})
const assets = [
  planned('agent.tar.gz', 'artifact', 'a'),
  planned('notes.txt', 'attachment', 'b'),
  planned('agent.tar.gz.sig', 'sidecar', 'c'),
  planned('release.json', 'manifest', 'd'),
]
const plan = planPublish({
  file,
  assets,
  panel: {url: 'https://panel.example'},
  github: {
    apiUrl: 'https://api.github.com',
    repository: 'acme/agent',
    tag: 'v1.4.2',
    createsTag: false,
    title: 'v1.4.2',
    notes: '',
    mustBeImmutable: true,
  },
})
const remote = assets.map(
  ({name, size, sha256}, id): RemoteAsset => ({
    ...{id, name, size, sha256},
    state: 'uploaded',
    downloadUrl: 'https://x',
  }),
)
const whole = {
  panel: {state: 'published', digest: plan.digest, sequence: 4, missing: []},
  github: {state: 'published', release: {...release, isImmutable: true}, assets: remote},
} as const

test('the panel is given the artifacts alone', () => {
  assert.equal(
    panelAssets(plan).map(({name}) => name),
    ['agent.tar.gz'],
  )
})

test('each thing that is not as planned is a difference of its own', () => {
  const subjects = (states: Parameters<typeof differencesOf>[1]) =>
    differencesOf(plan, states).map(({target, subject}) => `${target} ${subject}`)
  const {panel, github} = whole
  assert.equal(subjects(whole), [])
  const panels = [
    [{...panel, digest: 'e'.repeat(64)}, 'panel manifest'],
    [{...panel, state: 'draft'}, 'panel release'],
    [{...panel, state: 'recalled'}, 'panel release'],
    [{...panel, missing: ['agent.tar.gz']}, 'panel agent.tar.gz'],
  ] as const
  for (const [have, want] of panels) assert.equal(subjects({panel: have}), [want])
  const first = remote[0] as RemoteAsset
  const {sha256: _, ...undigested} = first
  const changed = (asset: RemoteAsset) => ({...github, assets: [asset, ...remote.slice(1)]})
  const githubs = [
    [{...github, state: 'draft'}, 'github release'],
    [{...github, release: {...github.release, isPrerelease: true}}, 'github pre-release'],
    [{...github, release}, 'github release'],
    [{...github, assets: remote.slice(1)}, 'github agent.tar.gz'],
    [{...github, assets: [...remote, {...first, name: 'other'}]}, 'github other'],
    [changed({...first, state: 'starter'}), 'github agent.tar.gz'],
    [changed({...first, size: 11}), 'github agent.tar.gz'],
    [changed(undigested), 'github agent.tar.gz'],
    [changed({...first, sha256: 'e'.repeat(64)}), 'github agent.tar.gz'],
  ] as const
  for (const [have, want] of githubs) assert.equal(subjects({github: have}), [want])
})

test('the receipt tells where each file is, and how it was looked at', () => {
  const readBack = {name: 'release.json', as: 'token'} as const
  const probes = [{name: 'a.lic', track: 'stable', sees: true, downloaded: 1, asked: 0}]
  const receipt = receiptOf(plan, whole, {probes, readBack, tagCommit: 'f'.repeat(40)})
  const listed = receipt.assets as {name: string; on_panel: boolean; github_asset_id: number}[]
  assert.equal(
    listed.map(({name, on_panel, github_asset_id}) => [name, on_panel, github_asset_id]),
    [
      ['agent.tar.gz', true, 0],
      ['notes.txt', false, 1],
      ['agent.tar.gz.sig', false, 2],
      ['release.json', true, 3],
    ],
  )
  const targets = receipt.targets as {panel: JsonObject; github: JsonObject}
  assert.equal([targets.panel.sequence, targets.github.tag_commit], [4, 'f'.repeat(40)])
  assert.equal(receipt.checks, {probes, github_download: readBack})
})

/** A panel that always says the same. */
function saying(status: number, body: object = {}): Http {
  return {
    send: async ({url}): Promise<HttpResponse> => ({
      ...{status, url, headers: {}, isRevalidated: false},
      body: Buffer.from(JSON.stringify(body)),
    }),
    download: () => Promise.reject(new Error('nothing is downloaded')),
  }
}

test('an answer of a panel is a success, or a refusal under its own code', async () => {
  const access = (http: Http) => ({http, url: 'https://panel.example', authorization: 'Bearer x'})
  const request = {method: 'GET', path: '/'} as const
  assert.is((await askPanel(access(saying(204)), request)).status, 204)
  for (const status of [199, 304, 404])
    await rejectsCode(() => askPanel(access(saying(status)), request), 'panel_refused')
  const conflict = {code: 'release_conflict', detail: 'x'}
  await rejectsCode(() => askPanel(access(saying(409, conflict)), request), 'release_conflict')
  const empty = (status: number) => panelRefusal({status, headers: {}, body: Buffer.alloc(0)}).code
  assert.equal([401, 403, 400].map(empty), ['token_invalid', 'token_not_allowed', 'panel_refused'])

  const failing = (status: number): Http => ({
    ...saying(500),
    send: () => Promise.reject(new RelError('http_server_error', 'x', {details: {status}})),
  })
  await rejectsCode(() => exchangeWithPanel(access(failing(507)), request), 'store_full')
  await rejectsCode(() => exchangeWithPanel(access(failing(503)), request), 'http_server_error')
})

test.run()
