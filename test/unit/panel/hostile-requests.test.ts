import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {licenseHeader, parseLicense} from '../../../src/release/license-file.ts'
import {codes} from '../../../src/system/codes.ts'
import type {JsonObject} from '../../../src/system/json.ts'
import {testNow} from '../../support/anchors.ts'
import {makeRelease, publish, startPanel, wanted} from '../../support/panel.ts'

/** What an attacker puts where a name, a number or a digest is expected. */
const texts = [
  '',
  '.',
  '..',
  '../../etc/passwd',
  '%2e%2e%2f',
  'agent',
  '1.0.0',
  "'; DROP TABLE releases; --",
  '"\\',
  '\u0000',
  'a\r\nset-cookie: x=1',
  '\ud800',
  '💥',
  '-1',
  '1e309',
  '99999999999999999999',
  'a'.repeat(200),
  'f'.repeat(64),
  '01KB0000000000000000000000',
  '__proto__',
]

const bodies: readonly (JsonObject | string | Uint8Array)[] = [
  '',
  'null',
  '[]',
  '{}',
  '"text"',
  '{"__proto__":{}}',
  `${'{"a":'.repeat(40)}1${'}'.repeat(40)}`,
  `[${'0,'.repeat(20_000)}0]`,
  Buffer.from([0xff, 0xfe, 0x00]),
  {version: "1.0.0'--", required: [], seconds: -1, reason: '\u0000'},
  {version: '1.0.0', versions: ['x'], verbs: ['admin'], name: 'x', days: 1e9},
  {required: [{component: '../x', os: 'linux', arch: 'amd64'}]},
  {product: 'agent', customer: 'x', track: 'stable', expires: 9e15, entitlements: ['\r\n']},
  {file: 'rel1.AAAA'},
  {manifest: {}, signatures: []},
]

const headerSets: readonly Record<string, string>[] = [
  {},
  {'if-match': '*', 'rel-fence': '-1', range: 'bytes=-', 'if-range': '"'},
  {'if-none-match': '"'.repeat(3000), range: `bytes=${'0-1,'.repeat(900)}0-1`},
  {'tus-resumable': '1.0.0', 'upload-offset': '99999999999999999', 'upload-length': '0'},
  {'x-forwarded-for': '<script>', forwarded: 'for=x', host: 'a b', 'x-request-id': '\t'},
]

test('nothing that is sent makes the panel fail: every route, every bad value', async () => {
  const panel = await startPanel({
    limits: {perCredential: {perSec: 1e6, burst: 1e6}, perAddress: {perSec: 1e6, burst: 1e6}},
  })
  try {
    const release = await makeRelease({version: '1.0.0'})
    await publish(panel, release)
    const issued = await wanted(
      201,
      panel.ask('POST', '/v1/licenses', {
        body: {product: 'agent', customer: 'A', track: 'stable', expires: testNow + 86_400},
      }),
    )
    const license = licenseHeader(parseLicense(String(issued.json.file)))
    const {json} = await panel.ask('GET', '/openapi.json')
    const paths = Object.entries(json.paths as Record<string, object>)
    let sent = 0
    for (const [pattern, operations] of paths) {
      for (const method of Object.keys(operations).map((name) => name.toUpperCase())) {
        for (const [at, text] of texts.entries()) {
          const value = encodeURIComponent(text.isWellFormed() ? text : 'x')
          const query = at % 3 === 0 ? `?product=${value}&limit=${value}&cursor=${value}` : ''
          const path = pattern.replace(/\{\w+\}/g, value) + query
          const hasBody = !['GET', 'HEAD', 'OPTIONS', 'DELETE'].includes(method)
          const answer = await panel.ask(method, path, {
            token: at % 2 === 0 ? panel.adminToken : license,
            headers: {
              'content-type':
                pattern === '/v1/uploads/{id}'
                  ? 'application/offset+octet-stream'
                  : 'application/json',
              ...headerSets[at % headerSets.length],
            },
            ...(hasBody ? {body: bodies[at % bodies.length] ?? ''} : {}),
          })
          sent += 1
          const said = `${method} ${path}: ${answer.status} ${answer.bytes.subarray(0, 300)}`
          assert.ok(answer.status < 500 || answer.status === 507, said)
          if (answer.status < 400 || method === 'HEAD' || answer.status === 416) continue
          assert.ok(Object.hasOwn(codes, String(answer.json.code)), said)
          assert.is(answer.headers.get('set-cookie'), null, said)
        }
      }
    }
    assert.ok(sent > 700, `${sent}`)
    const served = await panel.ask('GET', '/update/manifest.json', {token: license})
    assert.is(served.status, 200)
    assert.is((await panel.panel.store.verifyAudit()).broken, undefined)
    assert.not(panel.logged.some(({event}) => event === 'request.failed'))
  } finally {
    await panel.stop()
  }
})

test.run()
