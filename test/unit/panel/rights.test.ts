import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {type VerbName, verbNames} from '../../../src/panel/store/store.ts'
import {testNow} from '../../support/anchors.ts'
import {agentSlot, makeRelease, publish, startPanel, wanted} from '../../support/panel.ts'

const ULID = '01KB0000000000000000000000'
const DIGEST = 'a'.repeat(64)

/** Every route for tokens, and who may call it besides `admin`. */
const rights: readonly [string, string, readonly VerbName[]][] = [
  ['GET', '/v1/products', ['publish', 'release', 'license', 'audit']],
  ['PUT', '/v1/products/:product', []],
  ['GET', '/v1/products/:product', ['publish', 'release', 'license', 'audit']],
  ['PUT', '/v1/products/:product/matrix', []],
  ['PUT', '/v1/products/:product/floor', []],
  ['PUT', '/v1/products/:product/stopovers', []],
  ['PUT', '/v1/products/:product/keys', []],
  ['POST', '/v1/products/:product/releases', ['publish']],
  ['GET', '/v1/products/:product/releases/:version', ['publish', 'release', 'audit']],
  ['GET', '/v1/products/:product/releases/:version/manifest.json', ['publish', 'release', 'audit']],
  ['DELETE', '/v1/products/:product/releases/:version', ['publish']],
  ['POST', '/v1/products/:product/releases/:version/publish', ['release']],
  ['POST', '/v1/products/:product/releases/:version/recall', ['release']],
  ['PUT', '/v1/products/:product/releases/:version/manifest.sig.bundle', ['publish']],
  ['POST', '/v1/products/:product/lease', ['publish', 'release']],
  ['HEAD', '/v1/blobs/:sha256', ['publish', 'release']],
  ['OPTIONS', '/v1/uploads', ['publish']],
  ['POST', '/v1/uploads', ['publish']],
  ['HEAD', '/v1/uploads/:id', ['publish']],
  ['PATCH', '/v1/uploads/:id', ['publish']],
  ['DELETE', '/v1/uploads/:id', ['publish']],
  ['POST', '/v1/licenses', ['license']],
  ['GET', '/v1/licenses', ['license', 'audit']],
  ['GET', '/v1/licenses/:id', ['license', 'audit']],
  ['POST', '/v1/licenses/:id/freeze', ['license']],
  ['POST', '/v1/licenses/:id/revoke', ['license']],
  ['POST', '/v1/licenses/:id/renew', ['license']],
  ['GET', '/v1/licenses/:id/explain', ['license', 'audit']],
  ['POST', '/v1/tokens', []],
  ['GET', '/v1/tokens', []],
  ['DELETE', '/v1/tokens/:id', []],
  ['GET', '/v1/whoami', [...verbNames]],
  ['GET', '/v1/products/:product/reports', ['release', 'license', 'audit']],
  ['GET', '/v1/audit', ['audit']],
  ['GET', '/v1/audit/verify', ['audit']],
]

/** Routes of products that a licence opens too, or that are no business of tokens. */
const others =
  /^\/(?:livez|readyz|metrics|openapi\.json|update|download|check|bundles|v1\/report|v1\/oidc\/exchange|v1\/products\/\{product\}\/(?:checkpoint|log|log\/consistency)$)/

function filled(path: string, product = 'agent'): string {
  return path
    .replace(':product', product)
    .replace(':version', '1.0.0')
    .replace(':sha256', DIGEST)
    .replace(':id', ULID)
}

test('every route for tokens is in the table', async () => {
  const panel = await startPanel({products: {}})
  try {
    const {json} = await panel.ask('GET', '/openapi.json')
    const known = new Set(
      rights.map(([method, path]) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`),
    )
    const documented = Object.entries(json.paths as Record<string, object>).flatMap(
      ([path, operations]) =>
        others.test(path)
          ? []
          : Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    )
    // the listing of releases is for licences as well (agent routes)
    const missing = documented.filter(
      (route) =>
        !known.has(route) && !/^(?:GET|HEAD) \/v1\/products\/\{product\}\/releases$/.test(route),
    )
    assert.equal(missing, [])
    assert.ok(documented.length >= rights.length)
  } finally {
    await panel.stop()
  }
})

test('every route with every kind of token', async () => {
  const panel = await startPanel({products: {agent: [agentSlot], other: [agentSlot]}})
  try {
    const tokens = new Map<string, string>()
    for (const verb of verbNames) tokens.set(verb, await panel.token([verb], ['agent']))
    for (const [method, path, verbs] of rights) {
      const route = `${method} ${path}`
      const headers = {'content-type': 'application/json'}
      const nobody = await panel.ask(method, filled(path), {token: null, headers})
      assert.is(nobody.status, 401, route)
      for (const verb of verbNames) {
        const token = tokens.get(verb) ?? ''
        // an administrator of one product is asked about another one: nothing is changed by asking
        const isProduct = path.includes(':product')
        const may = verb === 'admin' ? !isProduct : verbs.includes(verb)
        const asked = verb === 'admin' && isProduct ? filled(path, 'other') : filled(path)
        const {status, json} = await panel.ask(method, asked, {
          token,
          ...(method === 'GET' || method === 'HEAD' ? {} : {body: {nonsense: true}, headers}),
        })
        const refused = method === 'HEAD' ? status === 403 : json.code === 'token_not_allowed'
        const needsAll = /\/v1\/(?:tokens|audit)/.test(path)
        // a body is read first; what a good one does is tested below
        const wantsRefusal = !may || (needsAll && method !== 'POST')
        assert.is(refused, wantsRefusal, `${route} by ${verb}: ${status} ${json.code}`)
        if (isProduct && may) {
          const elsewhere = await panel.ask(method, filled(path, 'other'), {
            token,
            ...(method === 'GET' || method === 'HEAD' ? {} : {body: {nonsense: true}, headers}),
          })
          assert.is(elsewhere.json.code, 'token_not_allowed', `${route} by ${verb} of agent`)
        }
      }
    }
  } finally {
    await panel.stop()
  }
})

test('a token of one product sees nothing of another', async () => {
  const panel = await startPanel({products: {agent: [agentSlot], other: [agentSlot]}})
  try {
    const license = await wanted(
      201,
      panel.ask('POST', '/v1/licenses', {
        body: {product: 'other', customer: 'B', track: 'stable', expires: testNow + 9},
      }),
    )
    const token = await panel.token(['license'], ['agent'])
    const path = `/v1/licenses/${license.json.id}`
    assert.is((await panel.ask('GET', path, {token})).json.code, 'license_not_here')
    assert.is(
      (await panel.ask('POST', `${path}/revoke`, {token, body: {reason: 'x'}})).json.code,
      'license_not_here',
    )
    assert.is(
      (await panel.ask('GET', '/v1/licenses?product=other', {token})).json.code,
      'token_not_allowed',
    )
    const {json} = await panel.ask('GET', '/v1/products', {token})
    assert.equal(
      (json.products as {name: string}[]).map(({name}) => name),
      ['agent'],
    )
    const local = await panel.token(['admin'], ['agent'])
    const wider = {body: {name: 'wider', verbs: ['admin'], days: 1}, token: local}
    assert.is((await panel.ask('POST', '/v1/tokens', wider)).json.code, 'token_not_allowed')
    for (const audited of ['/v1/audit', '/v1/tokens'])
      assert.is((await panel.ask('GET', audited, {token: local})).json.code, 'token_not_allowed')
  } finally {
    await panel.stop()
  }
})

test('where two persons are wanted, the drafting token cannot publish', async () => {
  const panel = await startPanel({config: {twoPersons: true}})
  try {
    const [one, two] = [await panel.token(['publish', 'release']), await panel.token(['release'])]
    const release = await makeRelease({version: '1.0.0'})
    const as = (token: string) => ({
      ask: (method: string, path: string, options = {}) =>
        panel.ask(method, path, {token, ...options}),
    })
    const refused = await publish(as(one), release).then(
      () => '',
      (error: Error) => error.message,
    )
    assert.match(refused, /"code":"same_person"/)
    await publish(
      {
        ask: (method, path, options) =>
          as(path.endsWith('/publish') ? two : one).ask(method, path, options),
      },
      release,
    )
  } finally {
    await panel.stop()
  }
})

test.run()
