import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {GitHubPlan} from '../../src/release/publish/plan.ts'
import type {Slot} from '../../src/release/release.ts'
import {RelError} from '../../src/system/error.ts'
import type {Http} from '../../src/system/http.ts'
import {type FakeGitHub, type Fault, startFakeGitHub} from '../support/github/fake-github.ts'
import {
  isWhole,
  publication,
  REPOSITORY,
  type ReleaseFolder,
  releaseFolder,
} from '../support/publish/publication.ts'
import {rejectsCode} from '../support/rejects.ts'

/** With the manifest, 30 assets. */
const slots: readonly Slot[] = Array.from({length: 29}, (_, at) => ({
  component: `part${String(at).padStart(2, '0')}`,
  os: 'linux',
  arch: 'amd64',
}))
const folder = await releaseFolder({version: '2.0.0', slots, size: 200})
const names = [...folder.release.bytes.keys(), 'release.json']

async function withGitHub(
  work: (fake: FakeGitHub) => Promise<void>,
  tags: readonly string[] = ['v2.0.0'],
): Promise<void> {
  const fake = await startFakeGitHub({repositories: [{name: REPOSITORY, tags}]})
  try {
    await work(fake)
    assert.not(
      fake.releases.deleted.some(({wasDraft}) => !wasDraft),
      'something published was deleted',
    )
  } finally {
    await fake.close()
  }
}

async function run(from: ReleaseFolder, fake: FakeGitHub, github: Partial<GitHubPlan> = {}) {
  return (await publication(from, {github: fake}, {github})).run()
}

const uploads = {method: 'POST', path: /\/releases\/\d+\/assets$/} as const
const at = (name: string) => ({...uploads, query: new RegExp(`name=${name.replaceAll('+', '.')}$`)})

const passing: Readonly<Record<string, (name: string) => Fault>> = {
  starter: (name) => ({...at(name), kind: 'starter'}),
  'lost reply': (name) => ({...at(name), kind: 'lost-reply'}),
  reset: (name) => ({...at(name), kind: 'reset'}),
  '503 before anything was done': (name) => ({...at(name), kind: '503-before'}),
  'secondary limit': (name) => ({...at(name), kind: 'secondary', retryAfter: 7}),
}

for (const [kind, fault] of Object.entries(passing))
  test(`${kind} at every one of 30 assets: published, whole`, () =>
    withGitHub(async (fake) => {
      for (const name of names) fake.fail(fault(name))
      const {changed} = await run(folder, fake)
      assert.ok(changed)
      assert.is(fake.pendingFaults, 0)
      assert.ok(isWhole(folder, fake))
      assert.is(fake.releases.publications.length, 1)
    }))

test('an upload that never works at any one of 30 assets: an error and a draft, then a whole release', async () => {
  const tags = names.map((_, index) => `t${index}`)
  await withGitHub(async (fake) => {
    const kinds = Object.values(passing).slice(0, 4)
    for (const [index, name] of names.entries()) {
      const tag = `t${index}`
      const fault = kinds[index % kinds.length]?.(name)
      assert.ok(fault)
      fake.fail({...fault, times: fault.kind === 'lost-reply' ? 1 : 6})
      const ended = await run(folder, fake, {tag}).then(
        () => 'published',
        (error: RelError) => error.code,
      )
      const [stored] = fake.releases.stored(REPOSITORY, tag)
      // a reply that is lost is looked up: the asset is there
      const isLost = fault.kind === 'lost-reply'
      assert.is(stored?.draft, !isLost, `${name}: ${ended}`)
      if (isLost) assert.is(ended, 'published')
      else assert.ok(['http_server_error', 'http_unreachable'].includes(ended), ended)
      assert.is(fake.pendingFaults, 0)
      if (index % 6 === 0) {
        await run(folder, fake, {tag})
        assert.is(fake.releases.stored(REPOSITORY, tag)[0]?.draft, false)
      }
    }
  }, tags)
})

const small = await releaseFolder({version: '2.0.0', size: 100})

const otherCalls: readonly (readonly [string, Omit<Fault, 'kind'>])[] = [
  ['reading the tag', {method: 'GET', path: /\/git\/ref\//}],
  ['listing releases', {method: 'GET', path: /\/releases$/}],
  ['making the draft', {method: 'POST', path: /\/releases$/}],
  ['listing assets', {method: 'GET', path: /\/releases\/\d+\/assets$/}],
  ['the publication', {method: 'PATCH', path: /\/releases\/\d+$/}],
  ['reading it back by its tag', {method: 'GET', path: /\/releases\/tags\//}],
  ['downloading as anyone', {method: 'GET', path: /\/releases\/download\//}],
]

test('a failure of every kind at every other call: published once, whole', async () => {
  const kinds = ['lost-reply', 'reset', '503-before'] as const
  const tags = otherCalls.flatMap((_, index) => kinds.map((kind) => `${kind}-${index}`))
  await withGitHub(async (fake) => {
    for (const [index, [what, where]] of otherCalls.entries())
      for (const kind of kinds) {
        const tag = `${kind}-${index}`
        const before = fake.releases.publications.length
        fake.fail({...where, kind} as Fault)
        await run(small, fake, {tag})
        const stored = fake.releases.stored(REPOSITORY, tag)
        assert.is(stored.length, 1, `${kind} at ${what}`)
        assert.is(stored[0]?.draft, false, `${kind} at ${what}`)
        assert.is(stored[0]?.assets.length, 2)
        assert.is(fake.releases.publications.length, before + 1, `${kind} at ${what}`)
      }
  }, tags)
})

test('GitHub says no digest: the bytes are read, in the draft and when it is published', () =>
  withGitHub(async (fake) => {
    fake.releases.withoutDigest = /./
    assert.ok((await run(small, fake)).changed)
    const again = await run(small, fake)
    assert.is(again.changed, false)
    assert.equal(again.sent.github, [])
    fake.releases.replaceAsset(REPOSITORY, 'v2.0.0', {
      name: 'release.json',
      bytes: Buffer.alloc(small.release.text.length),
    })
    await rejectsCode(() => run(small, fake), 'github_asset_conflict')
  }))

test('a draft with other bytes, half an upload and no digest is put right', () =>
  withGitHub(async (fake) => {
    const [name = ''] = small.release.bytes.keys()
    fake.releases.add(REPOSITORY, {
      tag: 'v2.0.0',
      draft: true,
      assets: [
        {name, bytes: 'something else'},
        {name: 'release.json', state: 'starter'},
      ],
    })
    await run(small, fake)
    assert.ok(isWhole(small, fake))
    assert.equal(
      fake.releases.deleted.map(({wasDraft}) => wasDraft),
      [true, true],
    )
  }))

test('what is published with other bytes, or without some, is a conflict and stays', () =>
  withGitHub(async (fake) => {
    const [name = ''] = small.release.bytes.keys()
    fake.releases.add(REPOSITORY, {tag: 'v2.0.0', assets: [{name, bytes: 'something else'}]})
    await rejectsCode(() => run(small, fake), 'github_asset_conflict')
    fake.releases.removeAsset(REPOSITORY, 'v2.0.0', name)
    await rejectsCode(() => run(small, fake), 'github_release_incomplete')
    assert.not(fake.requests.some(({method}) => method !== 'GET'))
  }))

test('a file that nobody planned keeps a draft from being published', () =>
  withGitHub(async (fake) => {
    const foreign = {name: 'notes.txt', bytes: 'of a person'}
    fake.releases.add(REPOSITORY, {tag: 'v2.0.0', draft: true, assets: [foreign]})
    await rejectsCode(() => run(small, fake), 'github_asset_conflict')
    assert.is(fake.releases.stored(REPOSITORY, 'v2.0.0')[0]?.assets.length, 1)
    assert.equal(fake.releases.deleted, [])
  }))

test('two drafts of the tag are named, and neither is touched', () =>
  withGitHub(async (fake) => {
    for (const id of [41, 42])
      fake.releases.add(REPOSITORY, {tag: 'v2.0.0', id, draft: true, assets: []})
    const refusal = await run(small, fake).catch((error: RelError) => error)
    assert.instance(refusal, RelError)
    assert.is((refusal as RelError).code, 'github_duplicate_release')
    assert.equal((refusal as RelError).details?.ids, [41, 42])
    assert.is(fake.releases.stored(REPOSITORY, 'v2.0.0').length, 2)
    assert.not(fake.requests.some(({method}) => method !== 'GET'))
  }))

test('immutable: on is kept, off is refused when it was demanded, and nothing is deleted', () =>
  withGitHub(
    async (fake) => {
      fake.releases.immutable = true
      await run(small, fake, {mustBeImmutable: true, tag: 'on'})
      assert.is((await run(small, fake, {mustBeImmutable: true, tag: 'on'})).changed, false)
      fake.releases.immutable = false
      const demand = () => run(small, fake, {mustBeImmutable: true, tag: 'off'})
      await rejectsCode(demand, 'github_not_immutable')
      await rejectsCode(demand, 'github_not_immutable')
    },
    ['on', 'off'],
  ))

test('the tag: missing, elsewhere, annotated, made at the publication', async () => {
  await withGitHub(async (fake) => {
    await rejectsCode(() => run(small, fake), 'github_tag_missing')
    assert.equal(fake.releases.stored(REPOSITORY, 'v2.0.0'), [])
    await fake.moveTag(REPOSITORY, 'v2.0.0')
    const commit = 'c'.repeat(40)
    const other = await releaseFolder({version: '2.0.0', terms: {commit}})
    await rejectsCode(() => run(other, fake), 'github_tag_conflict')
    assert.equal(fake.releases.stored(REPOSITORY, 'v2.0.0'), [])
  }, [])
  const fake = await startFakeGitHub({
    repositories: [{name: REPOSITORY, tags: [{name: 'v2.0.0', annotated: true}, 'plain']}],
  })
  try {
    const {receipt} = await run(small, fake)
    const tagged = (receipt.targets as {github: {tag_commit: string}}).github.tag_commit
    const plain = await run(small, fake, {tag: 'plain'})
    const same = (plain.receipt.targets as {github: {tag_commit: string}}).github.tag_commit
    assert.is(tagged, same)
    const known = await releaseFolder({version: '2.1.0', terms: {commit: same}})
    const made = await run(known, fake, {createsTag: true, tag: 'v2.1.0'})
    assert.is((made.receipt.targets as {github: {tag_commit: string}}).github.tag_commit, same)
  } finally {
    await fake.close()
  }
})

test('latest is decided by SemVer, and no pre-release is it', async () => {
  const versions = ['1.9.0', '1.10.0', '1.9.1', '2.0.0-rc.1'] as const
  await withGitHub(
    async (fake) => {
      for (const version of versions) await run(await releaseFolder({version}), fake)
      assert.equal(
        fake.releases.publications.map(({make_latest: latest, prerelease}) => [latest, prerelease]),
        [
          ['true', false],
          ['true', false],
          ['false', false],
          ['false', true],
        ],
      )
    },
    versions.map((version) => `v${version}`),
  )
})

test('uploads never go to a host that is not the one of the API', () =>
  withGitHub(async (fake) => {
    const through = (http: Http): Http => ({
      ...http,
      download: (request) => http.download(request),
      send: async (request) => {
        const answer = await http.send(request)
        const text = answer.body.toString('utf8')
        const body = text.replace(/"upload_url":"[^"]*"/g, '"upload_url":"http://evil.example/x"')
        return {...answer, body: Buffer.from(body)}
      },
    })
    const {run: publish} = await publication(small, {github: fake}, {through})
    await rejectsCode(publish, 'github_answer_invalid')
  }))

test.run()
