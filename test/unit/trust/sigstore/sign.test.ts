import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import {bundleFromJSON} from '@sigstore/bundle'
import {TrustedRoot} from '@sigstore/protobuf-specs'
import {toSignedEntity, toTrustMaterial, Verifier} from '@sigstore/verify'
import {suite} from 'uvu'
import * as assert from 'uvu/assert'
import {checkSigstoreBundle} from '../../../../src/trust/sigstore/check-bundle.ts'
import {type KeylessOptions, signWithSigstore} from '../../../../src/trust/sigstore/sign.ts'
import '../../../support/no-network.ts'
import {rejectsCode} from '../../../support/rejects.ts'
import {
  type MockSigstore,
  releaseClaims,
  startMockSigstore,
} from '../../../support/sigstore-mock.ts'

const manifest = Buffer.from('{"manifest":{"version":"1.4.2"}}\n')
const allowed = [
  {
    issuer: releaseClaims.iss,
    san: 'https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v{version}',
    repoId: '123456',
    trigger: ['push'],
    notBefore: 0,
  },
]

const test = suite<{mock: MockSigstore}>('keyless signing')

test.before(async (context) => {
  context.mock = await startMockSigstore()
})
test.after(async ({mock}) => mock.close())
test.before.each(({mock}) => {
  mock.failWith = undefined
})

function options(mock: MockSigstore, more: Partial<KeylessOptions> = {}): KeylessOptions {
  return {
    fulcioUrl: mock.url,
    rekorUrl: mock.url,
    trustedRoot: mock.trustedRoot,
    env: {SIGSTORE_ID_TOKEN: mock.token()},
    now: mock.now,
    retries: 0,
    ...more,
  }
}

test('what is signed on loopback, rel and @sigstore/verify both verify', async ({mock}) => {
  const {bundleBytes} = await signWithSigstore(manifest, options(mock))
  const {trustedRoot, now} = mock
  const question = {bundleBytes, artifact: manifest, allowed, version: '1.4.2', trustedRoot, now}
  const identity = await checkSigstoreBundle(question)
  assert.is(identity.san, releaseClaims.san)
  assert.is(identity.repoId, '123456')
  assert.is(identity.trigger, 'push')
  assert.is(identity.runner, 'github-hosted')
  assert.equal(identity.signedAt, [now])

  const bundle = bundleFromJSON(JSON.parse(bundleBytes.toString('utf8')))
  assert.is(bundle.mediaType, 'application/vnd.dev.sigstore.bundle.v0.3+json')
  const material = toTrustMaterial(TrustedRoot.fromJSON(mock.rootJson))
  const signer = new Verifier(material).verify(toSignedEntity(bundle, manifest))
  assert.is(signer.identity?.subjectAlternativeName, releaseClaims.san)
})

test('a timestamp authority proves the time as well', async ({mock}) => {
  const signed = await signWithSigstore(manifest, options(mock, {tsaUrl: `${mock.url}/`}))
  assert.equal(signed.identity.signedAt, [mock.now, mock.now])
})

test('the token of a GitHub Actions job is asked for the audience sigstore', async ({mock}) => {
  const seen: (string | undefined)[] = []
  const service = createServer((request, response) => {
    seen.push(request.url, request.headers.authorization)
    response.end(JSON.stringify({count: 1, value: mock.token()}))
  })
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
  const {port} = service.address() as AddressInfo
  const env = {
    ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${port}/token?api-version=2.0`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'bearer-canary',
  }
  try {
    const signed = await signWithSigstore(manifest, options(mock, {env}))
    assert.is(signed.identity.san, releaseClaims.san)
  } finally {
    service.close()
  }
  assert.equal(seen, ['/token?api-version=2.0&audience=sigstore', 'Bearer bearer-canary'])
})

test('a job without permission for a token is told what is missing', async ({mock}) => {
  await rejectsCode(
    () => signWithSigstore(manifest, options(mock, {env: {}})),
    'sigstore_token_missing',
  )
})

test('a token service that redirects, fails or refuses gets nothing more', async ({mock}) => {
  for (const [status, code] of [
    [302, 'sigstore_unavailable'],
    [503, 'sigstore_unavailable'],
    [403, 'sigstore_refused'],
  ] as const) {
    const service = createServer((_, response) => {
      response.writeHead(status, {location: `${mock.url}/elsewhere`}).end()
    })
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
    const {port} = service.address() as AddressInfo
    const env = {
      ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${port}/`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'bearer-canary',
    }
    const before = mock.requests.length
    await rejectsCode(() => signWithSigstore(manifest, options(mock, {env})), code)
    assert.is(mock.requests.length, before)
    service.close()
  }
})

const badTokens: Record<string, unknown> = {
  'no subject': {iss: releaseClaims.iss},
  'an unverified mail address': {sub: 'x', email: 'a@example.org'},
  expired: {...releaseClaims, exp: 1},
}
for (const [name, claims] of Object.entries(badTokens)) {
  test(`a token is not sent when it is no good: ${name}`, async ({mock}) => {
    const before = mock.requests.length
    const env = {SIGSTORE_ID_TOKEN: mock.token(claims as Record<string, unknown>)}
    await rejectsCode(
      () => signWithSigstore(manifest, options(mock, {env})),
      'sigstore_token_invalid',
    )
    assert.is(mock.requests.length, before)
  })
}

test('a token is in no message, detail or cause of a refusal', async ({mock}) => {
  for (const token of ['canary', 'canary.canary.canary', mock.token()]) {
    mock.failWith = token.startsWith('canary') ? undefined : 400
    const env = {SIGSTORE_ID_TOKEN: token}
    try {
      await signWithSigstore(manifest, options(mock, {env}))
      assert.unreachable('a bad token was taken')
    } catch (error) {
      const {message, details, cause} = error as Error & {details?: unknown}
      assert.not.ok(`${message}${JSON.stringify(details ?? '')}`.includes(token.slice(0, 20)))
      assert.is(cause, undefined)
    }
  }
})

const answers = [
  [503, 'sigstore_unavailable'],
  [429, 'sigstore_unavailable'],
  [408, 'sigstore_unavailable'],
  [401, 'sigstore_refused'],
  [200, 'sigstore_unavailable'],
] as const
for (const [status, code] of answers) {
  test(`services that answer ${status} with nothing: ${code}`, async ({mock}) => {
    mock.failWith = status
    await rejectsCode(() => signWithSigstore(manifest, options(mock)), code)
  })
}

test('a service that nobody runs is unavailable', async ({mock}) => {
  for (const down of [
    {fulcioUrl: 'http://127.0.0.1:1'},
    {rekorUrl: 'http://127.0.0.1:1'},
    {tsaUrl: 'http://127.0.0.1:1'},
  ])
    await rejectsCode(() => signWithSigstore(manifest, options(mock, down)), 'sigstore_unavailable')
})

test('a bundle that the trusted root does not verify is not handed out', async ({mock}) => {
  const other = await startMockSigstore()
  try {
    const {trustedRoot} = other
    await rejectsCode(
      () => signWithSigstore(manifest, options(mock, {trustedRoot})),
      'sigstore_certificate_invalid',
    )
  } finally {
    await other.close()
  }
})

test('services get tokens over https only, but for this machine', async ({mock}) => {
  for (const fulcioUrl of [
    'http://fulcio.example.org',
    'ftp://127.0.0.1',
    'https://user:word@fulcio.example.org',
    'http://127.0.0.1.example.org',
    'fulcio',
  ])
    await rejectsCode(() => signWithSigstore(manifest, options(mock, {fulcioUrl})), 'usage_invalid')
})

test.run()
