import {createHmac} from 'node:crypto'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {IssuerKeys} from '../../../src/panel/oidc/issuer-keys.ts'
import {checkPublisher} from '../../../src/panel/oidc/run-identity.ts'
import type {Publisher} from '../../../src/panel/store/store.ts'
import {testNow} from '../../support/anchors.ts'
import {
  type Claims,
  type Issuer,
  runClaims,
  startIssuer,
} from '../../support/imitation-oidc-issuer.ts'
import {
  type Answer,
  draft,
  flip,
  makeRelease,
  type StartOptions,
  startPanel,
  type TestPanel,
  wanted,
} from '../../support/panel.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'

const local = {id: 'local'}
const AUDIENCE = 'https://panel.example'

function publisherFor(issuer: Issuer, terms: Partial<Publisher> = {}): Publisher {
  return {
    id: '01KB0000000000000000000001',
    product: 'agent',
    issuer: issuer.url,
    repositoryId: '1001',
    ownerId: '77',
    workflow: '.github/workflows/release.yml',
    refs: ['refs/tags/v*'],
    environment: 'release',
    verbs: ['publish', 'release'],
    removed: false,
    created: testNow,
    ...terms,
  }
}

type Setting = {readonly panel: TestPanel; readonly issuer: Issuer; readonly time: {now: number}}

async function inSetting(
  work: (setting: Setting) => Promise<void>,
  options: StartOptions & {readonly rule?: Partial<Publisher>} = {},
): Promise<void> {
  const {rule, ...start} = options
  const time = {now: testNow}
  const issuer = await startIssuer(() => time.now)
  const panel = await startPanel({
    clock: () => time.now,
    config: {publicUrl: AUDIENCE},
    ...start,
  })
  try {
    await panel.panel.store.addPublisher(publisherFor(issuer, rule), local)
    await work({panel, issuer, time})
  } finally {
    await panel.stop()
    await issuer.stop()
  }
}

function show({panel}: Pick<Setting, 'panel'>, token: string, product = 'agent'): Promise<Answer> {
  return panel.ask('POST', '/v1/oidc/exchange', {token: null, body: {product, token}})
}

async function codeFor(setting: Pick<Setting, 'panel'>, token: string): Promise<unknown> {
  const {status, json} = await show(setting, token)
  return status === 201 ? 'accepted' : json.code
}

test('a run publishes with its identity alone, and may do nothing else', () =>
  inSetting(async (setting) => {
    const {panel, issuer} = setting
    const {json} = await wanted(201, show(setting, await issuer.token()))
    const token = String(json.token)
    const release = await makeRelease({version: '1.4.2'})
    await draft(panel, release, token)
    await wanted(200, flip(panel, release, token))
    const denied = await panel.ask('GET', '/v1/tokens', {token})
    assert.is(denied.json.code, 'token_not_allowed')
    const other = await panel.ask('PUT', '/v1/products/other', {token})
    assert.is(other.json.code, 'token_not_allowed')
    const rows = await panel.panel.store.audit(-1, 100)
    const added = rows.find(({event, subject}) => event === 'token.added' && subject === json.id)
    assert.equal(
      [added?.actor, added?.details?.repository, added?.details?.run_id, added?.details?.sha],
      ['01KB0000000000000000000001', 'acme/agent', '5150', 'a'.repeat(40)],
    )
    assert.is(rows.find(({event}) => event === 'release.published')?.actor, json.id)
  }))

const hour = 3600
const claimCases: readonly (readonly [string, (now: number) => Claims, string])[] = [
  ['another issuer', () => ({iss: 'https://issuer.example'}), 'oidc_token_invalid'],
  ['no issuer', () => ({iss: undefined}), 'oidc_token_invalid'],
  ['another audience', () => ({aud: 'https://other.example'}), 'oidc_token_invalid'],
  ['the audience with a slash', () => ({aud: `${AUDIENCE}/`}), 'oidc_token_invalid'],
  ['no audience', () => ({aud: undefined}), 'oidc_token_invalid'],
  ['expired', (now) => ({iat: now - 400, exp: now - 61}), 'oidc_token_invalid'],
  ['expired within the skew of clocks', (now) => ({iat: now - 400, exp: now - 59}), 'accepted'],
  ['no expiry', () => ({exp: undefined}), 'oidc_token_invalid'],
  ['not yet', (now) => ({nbf: now + 61}), 'oidc_token_invalid'],
  ['not yet within the skew of clocks', (now) => ({nbf: now + 59}), 'accepted'],
  ['no nbf', () => ({nbf: undefined}), 'oidc_token_invalid'],
  ['issued in the future', (now) => ({iat: now + 61, exp: now + 300}), 'oidc_token_invalid'],
  ['kept too long', (now) => ({iat: now - 661, exp: now + hour}), 'oidc_token_invalid'],
  ['no iat', () => ({iat: undefined}), 'oidc_token_invalid'],
  ['ends before it begins', (now) => ({iat: now, exp: now - 1}), 'oidc_token_invalid'],
  ['no jti', () => ({jti: undefined}), 'oidc_token_invalid'],
  ['a number as jti', () => ({jti: 7}), 'oidc_token_invalid'],
  [
    'another repository of the same name',
    () => ({repository_id: '1002'}),
    'oidc_publisher_unknown',
  ],
  ['the name with another owner', () => ({repository_owner_id: '78'}), 'oidc_publisher_unknown'],
  ['a repository number that is none', () => ({repository_id: 1001}), 'oidc_token_invalid'],
  [
    'a renamed repository is the same',
    () => ({
      repository: 'acme/renamed',
      workflow_ref: 'acme/renamed/.github/workflows/release.yml@refs/tags/v1.4.2',
    }),
    'accepted',
  ],
  [
    'another workflow',
    () => ({workflow_ref: 'acme/agent/.github/workflows/test.yml@refs/tags/v1.4.2'}),
    'oidc_publisher_unknown',
  ],
  [
    'the workflow of another repository',
    () => ({workflow_ref: 'evil/agent/.github/workflows/release.yml@refs/tags/v1.4.2'}),
    'oidc_token_invalid',
  ],
  [
    'the workflow of another ref',
    () => ({workflow_ref: 'acme/agent/.github/workflows/release.yml@refs/heads/evil'}),
    'oidc_token_invalid',
  ],
  [
    'a ref that ends like the path',
    () => ({
      ref: 'refs/heads/x',
      workflow_ref: 'acme/agent/.github/workflows/release.yml@refs/tags/v1@refs/heads/x',
    }),
    'oidc_publisher_unknown',
  ],
  [
    'another ref',
    () => ({
      ref: 'refs/heads/main',
      workflow_ref: 'acme/agent/.github/workflows/release.yml@refs/heads/main',
    }),
    'oidc_publisher_unknown',
  ],
  [
    'a pull request',
    () => ({
      ref: 'refs/pull/9/merge',
      workflow_ref: 'acme/agent/.github/workflows/release.yml@refs/pull/9/merge',
    }),
    'oidc_publisher_unknown',
  ],
  ['another environment', () => ({environment: 'test'}), 'oidc_publisher_unknown'],
  ['no environment', () => ({environment: undefined}), 'oidc_publisher_unknown'],
]

test('claims decide, each by itself', () =>
  inSetting(async (setting) => {
    const found: unknown[] = []
    for (const [name, claims] of claimCases) {
      const token = await setting.issuer.token(claims(setting.time.now))
      found.push([name, await codeFor(setting, token)])
    }
    assert.equal(
      found,
      claimCases.map(([name, , code]) => [name, code]),
    )
  }))

test('which claims differ is told, what the publisher has is not', () =>
  inSetting(async (setting) => {
    const {json, status} = await show(
      setting,
      await setting.issuer.token({repository_id: '9', environment: 'x'}),
    )
    assert.is(status, 403)
    assert.equal(json.details, {claims: ['repository_id', 'environment']})
    assert.not.match(JSON.stringify(json), /1001/)
  }))

const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

test('what is no RS256 by a key of the issuer is refused', () =>
  inSetting(async (setting) => {
    const {issuer} = setting
    const payload = base64url({iss: issuer.url, ...runClaims(testNow)})
    const good = await issuer.token()
    const [head = '', body = '', signature = ''] = good.split('.')
    const pem = issuer.publicKey().export({type: 'spki', format: 'pem'})
    const hs = `${base64url({alg: 'HS256', typ: 'JWT', kid: 'first'})}.${payload}`
    const hmac = createHmac('sha256', pem).update(hs).digest('base64url')
    const none = base64url({alg: 'none', typ: 'JWT', kid: 'first'})
    const stranger = await startIssuer(() => testNow)
    const own = stranger.publicKey().export({format: 'jwk'})
    const foreign = (header: object) => stranger.token({iss: issuer.url}, {...header})
    const cases: readonly (readonly [string, string])[] = [
      ['alg none', `${none}.${payload}.`],
      ['alg none with a signature', `${none}.${payload}.${signature}`],
      ['HS256 with the public key', `${hs}.${hmac}`],
      ['PS256', await issuer.token({}, {alg: 'PS256'})],
      ['RS512', await issuer.token({}, {alg: 'RS512'})],
      ['a key of somebody else under the same id', await foreign({kid: 'first'})],
      ['a key in the header', await foreign({kid: 'first', jwk: own})],
      ['an address of keys in the header', await foreign({kid: 'first', jku: `${stranger.url}/`})],
      ['a key id that nobody has', await issuer.token({}, {kid: 'second'})],
      ['no key id', await issuer.token({}, {kid: undefined})],
      ['a key id that is a path', await issuer.token({}, {kid: '../first'})],
      [
        'a critical header that nobody knows',
        `${base64url({alg: 'RS256', kid: 'first', crit: ['b'], b: 1})}.${body}.${signature}`,
      ],
      ['other claims', `${head}.${payload}.${signature}`],
      ['no signature', `${head}.${body}.`],
      ['two parts', `${head}.${body}`],
      ['no token', 'relp_nothing'],
    ]
    const found: unknown[] = []
    for (const [name, token] of cases) found.push([name, await codeFor(setting, token)])
    assert.equal(
      found,
      cases.map(([name]) => [name, 'oidc_token_invalid']),
    )
    assert.is(stranger.asked(), 0, 'an address in a token is never asked')
    assert.is(await codeFor(setting, good), 'accepted')
    await stranger.stop()
  }))

test('a token is taken once, also by two instances at the same moment', () =>
  inSetting(async (setting) => {
    const token = await setting.issuer.token()
    const answers = await Promise.all([1, 2, 3, 4].map(() => codeFor(setting, token)))
    assert.equal(answers.toSorted(), [
      'accepted',
      'oidc_token_replayed',
      'oidc_token_replayed',
      'oidc_token_replayed',
    ])
    setting.time.now += 500
    assert.is(await codeFor(setting, token), 'oidc_token_invalid', 'and it is too old later')
    const again = await setting.issuer.token({exp: setting.time.now + hour, iat: testNow})
    assert.is(await codeFor(setting, again), 'accepted')
    setting.time.now += 159
    assert.is(await codeFor(setting, again), 'oidc_token_replayed', 'as long as it is good')
  }))

test('a key that is rotated in is found, one that is rotated out ends', async () => {
  const issuer = await startIssuer(() => testNow)
  let ms = 0
  const keys = new IssuerKeys(() => ms)
  try {
    assert.ok(await keys.find(issuer.url, 'first'))
    issuer.rotate('second')
    assert.is(await keys.find(issuer.url, 'second'), undefined, 'not before the pause is over')
    assert.is(issuer.asked(), 1)
    ms += 30_000
    assert.ok(await keys.find(issuer.url, 'second'))
    assert.is(await keys.find(issuer.url, 'first'), undefined)
    for (let at = 0; at < 100; at++) await keys.find(issuer.url, `made up ${at}`)
    assert.is(issuer.asked(), 2, 'made-up ids do not make the issuer be asked')
  } finally {
    await issuer.stop()
  }
})

const badSets: readonly (readonly [string, Issuer['answer']])[] = [
  ['503', (_request, response) => response.writeHead(503).end()],
  ['a redirect', (_request, response) => response.writeHead(302, {location: '/x'}).end()],
  ['no JSON', (_request, response) => response.end('<html>')],
  ['null', (_request, response) => response.end('null')],
  ['no keys', (_request, response) => response.end('{"keys":[]}')],
  [
    'too many keys',
    (_request, response) => response.end(JSON.stringify({keys: Array(33).fill({})})),
  ],
  ['huge by its length', (_request, response) => response.end(Buffer.alloc(65_537, 32))],
  [
    'endless',
    (_request, response) => {
      const more = () => {
        while (response.writable && response.write(Buffer.alloc(16_384, 32)));
      }
      response.on('drain', more)
      more()
    },
  ],
  ['cut off', (_request, response) => response.writeHead(200, {'content-length': 99}).end('{')],
]

for (const [name, answer] of badSets)
  test(`an issuer that answers with ${name}: what was known counts for an hour, then nothing`, async () => {
    const issuer = await startIssuer(() => testNow)
    let ms = 0
    const keys = new IssuerKeys(() => ms)
    try {
      issuer.answer = answer
      await rejectsCode(() => keys.find(issuer.url, 'first'), 'oidc_keys_unavailable')
      await rejectsCode(() => keys.find(issuer.url, 'first'), 'oidc_keys_unavailable')
      assert.is(issuer.asked(), 1, 'it is left alone for a while')
      issuer.answer = undefined
      ms += 30_000
      assert.ok(await keys.find(issuer.url, 'first'))
      issuer.answer = answer
      ms += 3_599_000
      assert.ok(await keys.find(issuer.url, 'first'), 'still known')
      ms += 31_000
      await rejectsCode(() => keys.find(issuer.url, 'first'), 'oidc_keys_unavailable')
    } finally {
      await issuer.stop()
    }
  })

test('an issuer that does not answer in time is given up, for all who wait at once', async () => {
  const issuer = await startIssuer(() => testNow)
  issuer.answer = () => {} // takes the request and is silent
  const keys = new IssuerKeys(undefined, 50)
  try {
    const waiting = [1, 2, 3].map(() =>
      rejectsCode(() => keys.find(issuer.url, 'first'), 'oidc_keys_unavailable'),
    )
    await Promise.all(waiting)
    assert.is(issuer.asked(), 1)
  } finally {
    await issuer.stop()
  }
})

test('an issuer that sends one byte after the other is given up too', async () => {
  const issuer = await startIssuer(() => testNow)
  let timer: NodeJS.Timeout | undefined
  issuer.answer = (_request, response) => {
    response.writeHead(200)
    timer = setInterval(() => response.write(' '), 5)
    response.on('close', () => clearInterval(timer))
  }
  try {
    const keys = new IssuerKeys(undefined, 50)
    await rejectsCode(() => keys.find(issuer.url, 'first'), 'oidc_keys_unavailable')
  } finally {
    clearInterval(timer)
    await issuer.stop()
  }
})

test('a key set with strange keys gives only what is an RSA key for signatures', async () => {
  const issuer = await startIssuer(() => testNow)
  const jwk = issuer.publicKey().export({format: 'jwk'})
  const set = [
    null,
    {...jwk, kid: 'enc', use: 'enc'},
    {...jwk, kid: 'other alg', alg: 'RS512'},
    {kty: 'oct', kid: 'oct', k: 'AAAA'},
    {...jwk, kid: 'twice'},
    {...jwk, kid: 'twice'},
    {...jwk, kid: 7},
    {...jwk, kid: 'good', d: 'never read'},
  ]
  issuer.answer = (_request, response) => response.end(JSON.stringify({keys: set}))
  try {
    const keys = new IssuerKeys()
    for (const kid of ['enc', 'other alg', 'oct', 'twice', '7'])
      assert.is(await keys.find(issuer.url, kid), undefined, kid)
    assert.equal(Object.keys((await keys.find(issuer.url, 'good')) ?? {}).toSorted(), [
      ...['alg', 'e', 'kid', 'kty', 'n'],
    ])
  } finally {
    await issuer.stop()
  }
})

test('the keys of an issuer that nobody named are never asked for', () =>
  inSetting(async (setting) => {
    const stranger = await startIssuer(() => testNow)
    assert.is(await codeFor(setting, await stranger.token()), 'oidc_token_invalid')
    assert.is(stranger.asked(), 0)
    const {json} = await show(setting, await setting.issuer.token(), 'other')
    assert.is(json.code, 'oidc_publisher_unknown')
    assert.is(setting.issuer.asked(), 0, 'nor those of a product without publishers')
    await stranger.stop()
  }))

test('a publisher that is removed ends with the tokens of its runs', () =>
  inSetting(async (setting) => {
    const {panel, issuer} = setting
    const {json} = await wanted(201, show(setting, await issuer.token()))
    const token = String(json.token)
    assert.is((await panel.ask('GET', '/v1/whoami', {token})).status, 200)
    await panel.panel.store.removePublisher('01KB0000000000000000000001', local)
    assert.is((await panel.ask('GET', '/v1/whoami', {token})).json.code, 'token_invalid')
    assert.is(await codeFor(setting, await issuer.token()), 'oidc_publisher_unknown')
    await rejectsCode(() => panel.panel.store.removePublisher('x', local), 'publisher_unknown')
  }))

test('the token of a run ends after an hour', () =>
  inSetting(async (setting) => {
    const {panel, issuer, time} = setting
    const {json} = await wanted(201, show(setting, await issuer.token()))
    const token = String(json.token)
    time.now += hour - 1
    assert.is((await panel.ask('GET', '/v1/whoami', {token})).status, 200)
    time.now += 1
    assert.is((await panel.ask('GET', '/v1/whoami', {token})).json.code, 'token_invalid')
  }))

test('an upload goes on in the next run; two persons are not two runs', () =>
  inSetting(
    async (setting) => {
      const {panel, issuer} = setting
      const runToken = async () =>
        String((await wanted(201, show(setting, await issuer.token()))).json.token)
      const [first, second] = [await runToken(), await runToken()]
      const begun = await panel.ask('POST', '/v1/uploads', {
        token: first,
        headers: {
          'tus-resumable': '1.0.0',
          'upload-length': '5',
          'upload-metadata': `sha256 ${Buffer.from('0'.repeat(64)).toString('base64')}`,
        },
      })
      const where = begun.headers.get('location') ?? ''
      const tus = {'tus-resumable': '1.0.0'}
      assert.is((await panel.ask('HEAD', where, {token: second, headers: tus})).status, 200)
      const admin = await panel.ask('HEAD', where, {headers: tus})
      assert.is(admin.status, 404, 'of nobody else')

      const release = await makeRelease({version: '1.4.2'})
      await draft(panel, release, first)
      assert.is((await flip(panel, release, second)).json.code, 'same_person')
      await wanted(200, flip(panel, release))
    },
    {config: {publicUrl: AUDIENCE, twoPersons: true}},
  ))

test('a panel that was not told its address takes no identity', () =>
  inSetting(
    async (setting) => {
      assert.is(await codeFor(setting, await setting.issuer.token()), 'oidc_unavailable')
    },
    {config: {}},
  ))

test('requests from one address are limited', () =>
  inSetting(async (setting) => {
    const codes: unknown[] = []
    for (let at = 0; at < 60; at++) codes.push(await codeFor(setting, 'x.y.z'))
    assert.is(codes[0], 'oidc_token_invalid')
    assert.is(codes.at(-1), 'rate_limited')
  }))

test('no token is in a log, an audit row or an answer', () =>
  inSetting(async (setting) => {
    const {panel, issuer} = setting
    const good = await issuer.token()
    const bad = await issuer.token({aud: 'x'})
    const {json} = await wanted(201, show(setting, good))
    const refused = await show(setting, bad)
    const replayed = await show(setting, good)
    const logged = JSON.stringify([
      panel.logged,
      await panel.panel.store.audit(-1, 1000),
      refused.json,
      replayed.json,
      (await panel.ask('GET', '/v1/tokens')).json,
    ])
    for (const secret of [good, bad, String(json.token)])
      for (const part of secret.split('.').slice(1).concat(secret))
        assert.not.ok(part !== '' && logged.includes(part))
    assert.ok(logged.includes('identity.exchanged'))
  }))

const rule = {
  repositoryId: '1001',
  ownerId: '77',
  workflow: '.github/workflows/release.yml',
  refs: ['refs/tags/v*'],
}
const badRules: readonly (readonly [string, Parameters<typeof checkPublisher>[0]])[] = [
  ['a name as a number', {...rule, repositoryId: 'acme/agent'}],
  ['no owner', {...rule, ownerId: ''}],
  ['a workflow elsewhere', {...rule, workflow: 'release.yml'}],
  ['a workflow with a ref', {...rule, workflow: '.github/workflows/release.yml@refs/heads/main'}],
  ['a workflow pattern', {...rule, workflow: '.github/workflows/*.yml'}],
  ['any ref', {...rule, refs: ['*']}],
  ['refs of pull requests', {...rule, refs: ['refs/pull/*']}],
  ['a ref without a name', {...rule, refs: ['refs/heads/']}],
  ['a star in the middle', {...rule, refs: ['refs/*/v1']}],
  ['no ref', {...rule, refs: []}],
  ['an environment with a line end', {...rule, environment: 'a\nb'}],
]

test('a rule that could fit more than was meant is refused', () => {
  checkPublisher(rule)
  for (const [name, bad] of badRules) {
    const refusal = throwsCode(() => checkPublisher(bad), 'usage_invalid')
    assert.ok(refusal, name)
  }
})

test.run()
