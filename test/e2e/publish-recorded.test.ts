import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {githubRequest} from '../../src/cli/publish-world.ts'
import {assetFrom, releaseFrom} from '../../src/release/publish/github-rules.ts'
import {ContentCache} from '../../src/system/content-cache.ts'
import {makeHttp} from '../../src/system/http-client.ts'
import {checkout} from '../support/built.ts'
import {startFakeGitHub} from '../support/github/fake-github.ts'
import {loopbackServer} from '../support/http/loopback-server.ts'
import {rejectsCode} from '../support/rejects.ts'
import {temporaryFolder} from '../support/tmp.ts'

/** One exchange with GitHub as @octokit/fixtures recorded it. */
type Recorded = {
  readonly method: string
  readonly path: string
  readonly body: string
  readonly status: number
  readonly response: unknown
  readonly headers: Readonly<Record<string, string | number>>
}

function scenario(name: string): readonly Recorded[] {
  const folder = join(checkout, 'node_modules/@octokit/fixtures/scenarios/api.github.com', name)
  return JSON.parse(readFileSync(join(folder, 'normalized-fixture.json'), 'utf8')) as Recorded[]
}

/** Answers what was recorded, in its order; anything else is 599. */
function replay(exchanges: readonly Recorded[]) {
  return loopbackServer((request, response, count) => {
    const wanted = exchanges[count]
    let body = ''
    request.on('data', (piece: Buffer) => {
      body += piece
    })
    request.on('end', () => {
      const isNext =
        wanted?.method.toUpperCase() === request.method &&
        wanted?.path === request.url &&
        wanted?.body === body
      if (wanted === undefined || !isNext) {
        response.writeHead(599).end()
        return
      }
      const text = wanted.status === 204 ? '' : JSON.stringify(wanted.response)
      response.writeHead(wanted.status, {
        'content-type': 'application/json; charset=utf-8',
        'x-ratelimit-remaining': String(wanted.headers['x-ratelimit-remaining'] ?? '4999'),
      })
      response.end(text)
    })
  })
}

type Place = {
  readonly url: string
  readonly repository: string
  readonly tag: string
  readonly assetName: string
}

/** A name that is taken: looked up, refused, its asset found and deleted, sent again. */
async function conflict({url, repository, tag, assetName}: Place) {
  const http = makeHttp({cache: new ContentCache(temporaryFolder()), userAgent: 'rel-test'})
  const ask = githubRequest(http, url, 'fake-token')
  const [owner = '', repo = ''] = repository.split('/')
  const place = {owner, repo}
  const release = releaseFrom(
    await ask('GET /repos/{owner}/{repo}/releases/tags/{tag}', {...place, tag}),
  )
  const send = () =>
    http.send({
      method: 'POST',
      url: `${url}/repos/${repository}/releases/${release.id}/assets?name=${assetName}&label=test`,
      authorization: 'Bearer fake-token',
      headers: {'content-type': 'text/plain'},
      body: Buffer.from('Hello, world!\n'),
      redirects: 'return',
      isKept: false,
    })
  const refused = await send()
  const listed = await ask('GET /repos/{owner}/{repo}/releases/{release_id}/assets', {
    ...place,
    release_id: release.id,
  })
  const [there] = (listed as unknown[]).map(assetFrom)
  assert.ok(there)
  await ask('DELETE /repos/{owner}/{repo}/releases/assets/{asset_id}', {
    ...place,
    asset_id: there.id,
  })
  const sent = await send()
  const {errors, message} = JSON.parse(refused.body.toString('utf8')) as {
    errors: unknown
    message: string
  }
  const made = assetFrom(JSON.parse(sent.body.toString('utf8')))
  return {
    refused: {status: refused.status, errors, message},
    there: {name: there.name, state: there.state, size: there.size},
    sent: {status: sent.status, name: made.name, state: made.state, size: made.size},
  }
}

const recordedPlace = {
  repository: 'octokit-fixture-org/release-assets-conflict',
  tag: 'v1.0.0',
  assetName: 'test-upload.txt',
}

test('release-assets-conflict as GitHub answered it goes through, exchange by exchange', async () => {
  const exchanges = scenario('release-assets-conflict')
  const server = await replay(exchanges)
  try {
    const seen = await conflict({...recordedPlace, url: server.url})
    assert.equal(seen, {
      refused: {
        status: 422,
        message: 'Validation Failed',
        errors: [{resource: 'ReleaseAsset', code: 'already_exists', field: 'name'}],
      },
      there: {name: 'test-upload.txt', state: 'uploaded', size: 14},
      sent: {status: 201, name: 'test-upload.txt', state: 'uploaded', size: 14},
    })
    assert.is(server.seen.length, exchanges.length)
    assert.ok(exchanges.length >= 5)
  } finally {
    await server.close()
  }
})

test('a request that was not recorded is no answer', async () => {
  const server = await replay(scenario('release-assets-conflict'))
  try {
    const http = makeHttp({
      cache: new ContentCache(temporaryFolder()),
      userAgent: 'rel-test',
      clock: {now: Date.now, sleep: async () => {}},
    })
    const ask = githubRequest(http, server.url, 'fake-token')
    const place = {owner: 'octokit-fixture-org', repo: 'release-assets-conflict'}
    await rejectsCode(() => ask('GET /repos/{owner}/{repo}/releases', place), 'http_server_error')
  } finally {
    await server.close()
  }
})

test('the imitation of GitHub answers a name that is taken as GitHub did', async () => {
  const server = await replay(scenario('release-assets-conflict'))
  const fake = await startFakeGitHub({
    repositories: [{name: 'acme/agent', tags: ['v1.0.0']}],
  })
  try {
    const http = makeHttp({cache: new ContentCache(temporaryFolder()), userAgent: 'rel-test'})
    const ask = githubRequest(http, fake.url, 'fake-token')
    const made = releaseFrom(
      await ask('POST /repos/{owner}/{repo}/releases', {
        ...{owner: 'acme', repo: 'agent', tag_name: 'v1.0.0'},
      }),
    )
    await http.send({
      method: 'POST',
      url: `${fake.url}/repos/acme/agent/releases/${made.id}/assets?name=test-upload.txt`,
      authorization: 'Bearer fake-token',
      headers: {'content-type': 'text/plain'},
      body: Buffer.from('Hello, world!\n'),
    })
    const place = {...recordedPlace, repository: 'acme/agent', url: fake.url}
    assert.equal(await conflict(place), await conflict({...recordedPlace, url: server.url}))
  } finally {
    await fake.close()
    await server.close()
  }
})

test.run()
