import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {RelError} from '../../src/system/error.ts'
import type {Http} from '../../src/system/http.ts'
import {type FakeGitHub, startFakeGitHub} from '../support/github/fake-github.ts'
import {runOn, withGitHub} from '../support/publish/github-run.ts'
import {isWhole, publication, REPOSITORY, releaseFolder} from '../support/publish/publication.ts'
import {rejectsCode} from '../support/rejects.ts'

const small = await releaseFolder({version: '2.0.0', size: 100})

test('GitHub says no digest: the bytes are read, in the draft and when it is published', () =>
  withGitHub(async (fake) => {
    fake.releases.withoutDigest = /./
    assert.ok((await runOn(small, fake)).changed)
    const again = await runOn(small, fake)
    assert.is(again.changed, false)
    assert.equal(again.sent.github, [])
    fake.releases.replaceAsset(REPOSITORY, 'v2.0.0', {
      name: 'release.json',
      bytes: Buffer.alloc(small.release.text.length),
    })
    await rejectsCode(() => runOn(small, fake), 'github_asset_conflict')
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
    await runOn(small, fake)
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
    await rejectsCode(() => runOn(small, fake), 'github_asset_conflict')
    fake.releases.removeAsset(REPOSITORY, 'v2.0.0', name)
    await rejectsCode(() => runOn(small, fake), 'github_release_incomplete')
    assert.not(fake.requests.some(({method}) => method !== 'GET'))
  }))

test('a file that nobody planned keeps a draft from being published', () =>
  withGitHub(async (fake) => {
    const foreign = {name: 'notes.txt', bytes: 'of a person'}
    fake.releases.add(REPOSITORY, {tag: 'v2.0.0', draft: true, assets: [foreign]})
    await rejectsCode(() => runOn(small, fake), 'github_asset_conflict')
    assert.is(fake.releases.stored(REPOSITORY, 'v2.0.0')[0]?.assets.length, 1)
    assert.equal(fake.releases.deleted, [])
  }))

test('two drafts of the tag are named, and neither is touched', () =>
  withGitHub(async (fake) => {
    for (const id of [41, 42])
      fake.releases.add(REPOSITORY, {tag: 'v2.0.0', id, draft: true, assets: []})
    const refusal = await runOn(small, fake).catch((error: RelError) => error)
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
      await runOn(small, fake, {mustBeImmutable: true, tag: 'on'})
      assert.is((await runOn(small, fake, {mustBeImmutable: true, tag: 'on'})).changed, false)
      fake.releases.immutable = false
      const demand = () => runOn(small, fake, {mustBeImmutable: true, tag: 'off'})
      await rejectsCode(demand, 'github_not_immutable')
      await rejectsCode(demand, 'github_not_immutable')
    },
    ['on', 'off'],
  ))

test('the tag: missing, elsewhere, annotated, made at the publication', async () => {
  await withGitHub(async (fake) => {
    await rejectsCode(() => runOn(small, fake), 'github_tag_missing')
    assert.equal(fake.releases.stored(REPOSITORY, 'v2.0.0'), [])
    await fake.moveTag(REPOSITORY, 'v2.0.0')
    const commit = 'c'.repeat(40)
    const other = await releaseFolder({version: '2.0.0', terms: {commit}})
    await rejectsCode(() => runOn(other, fake), 'github_tag_conflict')
    assert.equal(fake.releases.stored(REPOSITORY, 'v2.0.0'), [])
  }, [])
  const fake = await startFakeGitHub({
    repositories: [{name: REPOSITORY, tags: [{name: 'v2.0.0', annotated: true}, 'plain']}],
  })
  try {
    const {receipt} = await runOn(small, fake)
    const tagged = (receipt.targets as {github: {tag_commit: string}}).github.tag_commit
    const plain = await runOn(small, fake, {tag: 'plain'})
    const same = (plain.receipt.targets as {github: {tag_commit: string}}).github.tag_commit
    assert.is(tagged, same)
    const known = await releaseFolder({version: '2.1.0', terms: {commit: same}})
    const made = await runOn(known, fake, {createsTag: true, tag: 'v2.1.0'})
    assert.is((made.receipt.targets as {github: {tag_commit: string}}).github.tag_commit, same)
  } finally {
    await fake.close()
  }
})

test('latest is decided by SemVer, and no pre-release is it', async () => {
  const versions = ['1.9.0', '1.10.0', '1.9.1', '2.0.0-rc.1'] as const
  await withGitHub(
    async (fake) => {
      for (const version of versions) await runOn(await releaseFolder({version}), fake)
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

test('a tag that moves while everything is sent: nothing is published', async () => {
  const fake = await startFakeGitHub({repositories: [{name: REPOSITORY, tags: ['v2.0.0']}]})
  try {
    const {commit} = await tagOf(fake)
    const known = await releaseFolder({version: '2.0.0', size: 100, terms: {commit}})
    let moved = false
    const through = (http: Http): Http => ({
      download: (request) => http.download(request),
      send: async (request) => {
        const answer = await http.send(request)
        if (request.method === 'POST' && request.url.includes('name=release.json') && !moved) {
          moved = true
          await fake.moveTag(REPOSITORY, 'v2.0.0')
        }
        return answer
      },
    })
    const {run: publish} = await publication(known, {github: fake}, {through})
    await rejectsCode(publish, 'github_tag_conflict')
    assert.ok(moved)
    assert.is(fake.releases.stored(REPOSITORY, 'v2.0.0')[0]?.draft, true)
    assert.equal(fake.releases.publications, [])
  } finally {
    await fake.close()
  }
})

/** The commit that the tag of a small release is at. */
async function tagOf(fake: FakeGitHub): Promise<{commit: string}> {
  const answer = await fetch(`${fake.url}/repos/${REPOSITORY}/git/ref/tags/v2.0.0`, {
    headers: {authorization: 'Bearer fake-token'},
  })
  const {object} = (await answer.json()) as {object: {sha: string}}
  return {commit: object.sha}
}

test('GitHub calls an asset otherwise: an error, and nothing is published', () =>
  withGitHub(async (fake) => {
    const through = (http: Http): Http => ({
      download: (request) => http.download(request),
      send: async (request) => {
        const answer = await http.send(request)
        if (request.method !== 'POST' || !request.url.includes('name=release.json')) return answer
        const text = String(answer.body).replace('"name":"release.json"', '"name":"release.1.json"')
        return {...answer, body: Buffer.from(text)}
      },
    })
    const {run: publish} = await publication(small, {github: fake}, {through})
    await rejectsCode(publish, 'github_asset_conflict')
    assert.is(fake.releases.stored(REPOSITORY, 'v2.0.0')[0]?.draft, true)
  }))

test('what comes back from GitHub has other bytes: an error, no receipt', () =>
  withGitHub(async (fake) => {
    const receipts: string[] = []
    const through = (http: Http): Http => ({
      send: (request) => http.send(request),
      download: async (request) => ({...(await http.download(request)), sha256: 'e'.repeat(64)}),
    })
    const keepReceipt = (text: string) => receipts.push(text)
    const {run: publish} = await publication(small, {github: fake}, {through, keepReceipt})
    await rejectsCode(publish, 'publish_readback_failed')
    assert.equal(receipts, [])
  }))

test('a release that somebody publishes while its draft is filled loses nothing', () =>
  withGitHub(async (fake) => {
    const [name = ''] = small.release.bytes.keys()
    fake.releases.add(REPOSITORY, {
      tag: 'v2.0.0',
      draft: true,
      assets: [{name, bytes: 'something else'}],
    })
    const publishIt = (text: string): string => text.replace('"draft":true', '"draft":false')
    const through = (http: Http): Http => ({
      download: (request) => http.download(request),
      send: async (request) => {
        const answer = await http.send(request)
        const isOne = (request.method ?? 'GET') === 'GET' && /\/releases\/\d+$/.test(request.url)
        return isOne ? {...answer, body: Buffer.from(publishIt(String(answer.body)))} : answer
      },
    })
    const {run: publish} = await publication(small, {github: fake}, {through})
    await rejectsCode(publish, 'github_asset_conflict')
    assert.equal(fake.releases.deleted, [])
  }))

test('a draft is not taken for the published release, although its tag gives it', () =>
  withGitHub(async (fake) => {
    const through = spoiltJson(/\/releases\/tags\//, (json) => ({...json, draft: true}))
    const {run: publish} = await publication(small, {github: fake}, {through})
    await rejectsCode(publish, 'publish_readback_failed')
  }))

test('a draft that lost something while it was filled is not published', () =>
  withGitHub(async (fake) => {
    let isFilled = false
    const through = (http: Http): Http => ({
      download: (request) => http.download(request),
      send: async (request) => {
        const answer = await http.send(request)
        if (request.url.includes('name=release.json')) isFilled = true
        const isList = /\/releases\/\d+\/assets\?/.test(request.url) && request.method !== 'POST'
        if (!isFilled || !isList) return answer
        const [, ...rest] = JSON.parse(String(answer.body)) as object[]
        return {...answer, body: Buffer.from(JSON.stringify(rest))}
      },
    })
    const {run: publish} = await publication(small, {github: fake}, {through})
    await rejectsCode(publish, 'publish_incomplete')
    assert.ok(isFilled)
    assert.is(fake.releases.stored(REPOSITORY, 'v2.0.0')[0]?.draft, true)
  }))

/** A client that reads some answers otherwise. */
function spoiltJson(
  path: RegExp,
  spoil: (json: Record<string, unknown>) => object,
): (http: Http) => Http {
  return (http) => ({
    download: (request) => http.download(request),
    send: async (request) => {
      const answer = await http.send(request)
      if (!path.test(request.url)) return answer
      const json = JSON.parse(String(answer.body)) as Record<string, unknown>
      return {...answer, body: Buffer.from(JSON.stringify(spoil(json)))}
    },
  })
}

test('a lost reply of the publication is a change; one of the draft makes no second one', () =>
  withGitHub(async (fake) => {
    fake.fail({method: 'POST', path: /\/releases$/, kind: 'lost-reply'})
    fake.fail({method: 'PATCH', path: /\/releases\/\d+$/, kind: 'lost-reply'})
    const {changed} = await runOn(small, fake)
    assert.is(fake.pendingFaults, 0)
    assert.is(changed, true)
    assert.is(fake.releases.publications.length, 1)
    const made = fake.requests.filter(
      ({method, path}) => method === 'POST' && path.endsWith('/releases'),
    )
    assert.equal([made.length, fake.releases.deleted], [1, []])
  }))

test('a private repository is read back with the token', () =>
  withGitHub(async (fake) => {
    const answer = {status: 404, body: 'Not Found'}
    fake.fail({path: /\/releases\/download\//, kind: 'answer', answer})
    const {receipt} = await runOn(small, fake)
    assert.is(fake.pendingFaults, 0)
    const {github_download: readBack} = receipt.checks as {github_download: object}
    assert.equal(readBack, {name: 'release.json', as: 'token'})
  }))

test('our draft is found behind a hundred other releases', () =>
  withGitHub(async (fake) => {
    for (let at = 0; at < 120; at++)
      fake.releases.add(REPOSITORY, {tag: `old-${at}`, id: 1000 + at, assets: []})
    fake.releases.add(REPOSITORY, {tag: 'v2.0.0', id: 1, draft: true, assets: []})
    await runOn(small, fake)
    assert.is(fake.releases.stored(REPOSITORY, 'v2.0.0').length, 1)
    assert.ok(isWhole(small, fake))
  }))

test.run()
