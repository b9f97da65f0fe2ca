import {createServer, type RequestListener} from 'node:http'
import type {AddressInfo} from 'node:net'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {publisherAuthorization} from '../../../src/cli/publish-identity.ts'
import {runPublish} from '../../../src/release/publish/run.ts'
import {ContentCache} from '../../../src/system/content-cache.ts'
import type {Http, HttpRequest} from '../../../src/system/http.ts'
import {makeHttp} from '../../../src/system/http-client.ts'
import {runClaims, startIssuer} from '../../support/imitation-oidc-issuer.ts'
import {startPanel, wanted} from '../../support/panel.ts'
import {publication, releaseFolder} from '../../support/publish/publication.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const place = {url: 'http://127.0.0.1:9', product: 'agent'}
const flags = {} as Parameters<typeof publisherAuthorization>[1]
const http = makeHttp({cache: new ContentCache(temporaryFolder()), userAgent: 'rel-test'})

async function served(listener: RequestListener, work: (url: string) => Promise<void>) {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  } finally {
    server.close()
  }
}

const job = (url: string) => ({
  ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/token?api-version=2.0`,
  ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'of-the-job',
})

const answers: readonly [string, number, string][] = [
  ['the job may not', 403, '{}'],
  ['no identity in the answer', 200, '{}'],
  ['an identity that is no token', 200, '{"value":"two words"}'],
]

for (const [name, status, body] of answers)
  test(`no identity, no publication: ${name}`, () =>
    served(
      (_request, response) => response.writeHead(status).end(body),
      async (url) => {
        const error = await rejectsCode(
          () => publisherAuthorization(http, flags, job(url), place),
          'oidc_request_failed',
        )
        assert.not.match(error.message, 'of-the-job')
      },
    ))

test('a panel that gives no token for the identity', () =>
  served(
    (request, response) =>
      response.writeHead(200).end(request.method === 'GET' ? '{"value":"a.b.c"}' : '{"token":7}'),
    (url) =>
      rejectsCode(
        () => publisherAuthorization(http, flags, job(url), {...place, url}),
        'oidc_request_failed',
      ).then(() => undefined),
  ))

/** A panel with a publisher for the runs of an imitated GitHub, and one clock for both. */
async function withPublisher(
  work: (world: {
    pass(secs: number): void
    /** Everything that was sent. */
    readonly asked: HttpRequest[]
    publish(onStep: (phase: string, step: string) => void): Promise<{readonly changed: boolean}>
  }) => Promise<void>,
): Promise<void> {
  let time = Math.floor(Date.now() / 1000)
  const now = () => time
  const issuer = await startIssuer(now)
  issuer.claims = runClaims(time)
  const config = {publicUrl: 'https://panel.example'}
  const panel = await startPanel({clock: now, config})
  try {
    const {repository_id, repository_owner_id} = issuer.claims as Record<string, string>
    await panel.panel.store.addPublisher(
      {
        id: 'p',
        product: 'agent',
        issuer: issuer.url,
        repositoryId: String(repository_id),
        ownerId: String(repository_owner_id),
        workflow: '.github/workflows/release.yml',
        refs: ['refs/tags/v*'],
        verbs: ['publish', 'release'],
        removed: false,
        created: time,
      },
      {id: 'local'},
    )
    const asked: HttpRequest[] = []
    const seen: Http = {
      ...http,
      // the panel's public address is not the one that it listens on here
      send: (request) => {
        asked.push(request)
        const url = new URL(request.url)
        if (url.pathname === '/job/token') url.searchParams.set('audience', config.publicUrl)
        return http.send({...request, url: url.href})
      },
    }
    const folder = await releaseFolder({version: '1.4.2', size: 200_000})
    await work({
      asked,
      pass: (secs) => {
        time += secs
      },
      async publish(onStep) {
        issuer.claims = runClaims(time)
        const {plan, world} = await publication(folder, {panel})
        const place = {url: panel.url, product: 'agent'}
        const access = await publisherAuthorization(seen, flags, issuer.jobEnv, place)
        const {file, text} = folder.release
        const fresh = (phase: 'begin' | 'end', step: string) => {
          onStep(phase, step)
          issuer.claims = runClaims(time)
        }
        return runPublish(
          plan,
          {bytes: Buffer.from(text), file},
          {...world, http: seen, ...access, onStep: fresh},
        )
      },
    })
    await wanted(200, panel.ask('GET', '/readyz'))
  } finally {
    await panel.stop()
    await issuer.stop()
  }
}

const exchanges = (asked: readonly HttpRequest[]) =>
  asked.filter(({url}) => url.endsWith('/v1/oidc/exchange')).length

test('the token of a run that ends in mid publication is renewed, once each time', () =>
  withPublisher(async ({asked, pass, publish}) => {
    const {changed} = await publish((phase, step) => {
      if (phase === 'begin' && (step.startsWith('panel-upload') || step === 'panel-publish'))
        pass(3601)
    })
    assert.is(changed, true)
    assert.is(exchanges(asked), 3)
  }))

test('a token that lives is not asked for again', () =>
  withPublisher(async ({asked, publish}) => {
    await publish(() => {})
    assert.is(exchanges(asked), 1)
  }))

test('a panel that refuses every token is asked a bounded number of times', async () => {
  let given = 0
  await served(
    (request, response) => {
      const isIdentity = request.method === 'GET'
      response.writeHead(200)
      response.end(
        isIdentity ? '{"value":"a.b.c"}' : `{"token":"relp_${'x'.repeat(40)}${given++}"}`,
      )
    },
    async (url) => {
      const access = await publisherAuthorization(http, flags, job(url), {...place, url})
      let refused = access.panelAuthorization ?? ''
      const seen = new Set([refused])
      for (let at = 0; at < 40; at++) {
        refused = (await access.renewPanelAuthorization?.(refused)) ?? ''
        seen.add(refused)
      }
      assert.is(seen.size, 25)
      const both = await Promise.all([1, 2].map(() => access.renewPanelAuthorization?.(refused)))
      assert.equal(both, [refused, refused])
    },
  )
})

test.run()
