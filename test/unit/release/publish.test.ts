import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {annotationOf, outputText} from '../../../src/cli/github-actions.ts'
import {assetStep, uploadAddress} from '../../../src/release/publish/github-rules.ts'
import {
  type PlannedAsset,
  type PublishFacts,
  planPublish,
  publishLimits,
} from '../../../src/release/publish/plan.ts'
import {differencesOf, type GitHubRelease} from '../../../src/release/publish/state.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {makeRelease} from '../../support/panel.ts'
import {throwsCode} from '../../support/rejects.ts'

const {file} = await makeRelease({version: '1.4.2'})
const asset: PlannedAsset = {
  name: 'agent.tar.gz',
  kind: 'artifact',
  size: 10,
  sha256: 'a'.repeat(64),
  path: 'agent.tar.gz',
}
const github = {
  apiUrl: 'https://api.github.com',
  repository: 'acme/agent',
  tag: 'v1.4.2',
  createsTag: false,
  title: 'v1.4.2',
  notes: '',
  mustBeImmutable: false,
}
const facts: PublishFacts = {file, assets: [asset], github}

test('the plan: artifacts first, what vouches for them last, whatever the order of the files', () => {
  const kinds = ['manifest', 'sidecar', 'artifact', 'attachment'] as const
  const assets = kinds.map((kind) => ({...asset, kind, name: `a-${kind}`}))
  const plan = planPublish({...facts, assets})
  assert.equal(
    plan.assets.map(({kind}) => kind),
    ['artifact', 'attachment', 'sidecar', 'manifest'],
  )
  assert.equal(planPublish({...facts, assets: assets.toReversed()}), plan)
})

const many = (count: number) =>
  Array.from({length: count}, (_, at) => ({...asset, name: `agent-${at}`}))

const refused: readonly (readonly [string, ErrorCode, Partial<PublishFacts>])[] = [
  ['a blank in a name', 'publish_name_refused', {assets: [{...asset, name: 'my agent'}]}],
  ['a hidden file', 'publish_name_refused', {assets: [{...asset, name: '.agent'}]}],
  ['a letter that GitHub changes', 'publish_name_refused', {assets: [{...asset, name: 'agént'}]}],
  ['a path', 'publish_name_refused', {assets: [{...asset, name: '../agent'}]}],
  [
    'names that differ in case alone',
    'publish_name_refused',
    {assets: [asset, {...asset, name: 'Agent.tar.gz'}]},
  ],
  ['2 GiB', 'publish_asset_too_large', {assets: [{...asset, size: publishLimits.assetBytes + 1}]}],
  ['1001 files', 'publish_too_many_assets', {assets: many(1001)}],
  ['long notes', 'publish_notes_too_long', {github: {...github, notes: 'x'.repeat(125_001)}}],
  ['a new tag on no commit', 'github_tag_missing', {github: {...github, createsTag: true}}],
]

for (const [what, code, change] of refused)
  test(`the plan refuses ${what}`, () => {
    throwsCode(() => planPublish({...facts, ...change}), code)
  })

test('the plan refuses to publish nowhere, and takes what is just within the limits', () => {
  throwsCode(() => planPublish({file, assets: [asset]}), 'input_required')
  planPublish({...facts, assets: [{...asset, size: publishLimits.assetBytes}]})
  planPublish({...facts, assets: many(1000)})
  planPublish({...facts, github: {...github, notes: 'x'.repeat(125_000)}})
})

test('what is done with an asset of a draft', () => {
  const there = {
    id: 7,
    name: asset.name,
    state: 'uploaded',
    size: 10,
    sha256: asset.sha256,
    downloadUrl: '',
  }
  const {sha256: _, ...unknown} = there
  assert.equal(assetStep(asset, undefined), {step: 'upload'})
  assert.equal(assetStep(asset, there), {step: 'keep'})
  assert.equal(assetStep(asset, unknown), {step: 'hash', id: 7})
  assert.equal(assetStep(asset, {...unknown, size: 9}), {step: 'replace', id: 7})
  assert.equal(assetStep(asset, {...there, sha256: 'b'.repeat(64)}), {step: 'replace', id: 7})
  assert.equal(assetStep(asset, {...there, state: 'starter'}), {step: 'replace', id: 7})
})

const release: GitHubRelease = {
  id: 1,
  tag: 'v1.4.2',
  isDraft: true,
  isPrerelease: false,
  isImmutable: false,
  uploadUrl: 'https://uploads.github.com/repos/acme/agent/releases/1/assets{?name,label}',
  pageUrl: '',
}

test('uploads go to the host of the API, or to the one that GitHub has for them', () => {
  const at = (uploadUrl: string, api: string) =>
    uploadAddress({...release, uploadUrl}, api, 'a+b.tar')
  assert.is(
    at(release.uploadUrl, 'https://api.github.com'),
    'https://uploads.github.com/repos/acme/agent/releases/1/assets?name=a%2Bb.tar',
  )
  assert.is(
    at('https://ghe.example/up', 'https://ghe.example/api/v3').split('?')[0],
    'https://ghe.example/up',
  )
  for (const [to, api] of [
    ['https://uploads.github.com/x', 'https://ghe.example/api/v3'],
    ['https://uploads.github.com.evil.example/x', 'https://api.github.com'],
    ['http://uploads.github.com/x', 'https://api.github.com'],
    ['no address', 'https://api.github.com'],
  ] as const)
    throwsCode(() => at(to, api), 'github_answer_invalid')
})

test('differences name the asset, what was planned and what is there', () => {
  const plan = planPublish({...facts, panel: {url: 'https://panel.example'}})
  const published = {...release, isDraft: false}
  const asset10 = {id: 7, name: asset.name, state: 'uploaded', size: 10, downloadUrl: ''}
  const same = differencesOf(plan, {
    panel: {state: 'published', digest: file.digest, missing: []},
    github: {
      state: 'published',
      release: published,
      assets: [{...asset10, sha256: asset.sha256}],
    },
  })
  assert.equal(same, [])
  const apart = differencesOf(plan, {
    panel: {state: 'recalled', digest: 'd', missing: []},
    github: {state: 'draft', release, assets: [{...asset10, name: 'other'}]},
  })
  assert.equal(
    apart.map(({target, subject}) => `${target} ${subject}`),
    ['panel manifest', 'panel release', 'github release', 'github agent.tar.gz', 'github other'],
  )
})

test('annotations and outputs cannot be broken out of', () => {
  const message = 'one\n::set-output name=x::y\r100%'
  assert.is(
    annotationOf({code: 'panel_refused', message}),
    '::error title=panel_refused::one%0A::set-output name=x::y%0D100%25',
  )
  assert.is(outputText({version: '1.4.2', changed: 'true'}), 'version=1.4.2\nchanged=true\n')
  throwsCode(() => outputText({version: '1\nother=2'}), 'internal_error')
})

test.run()
