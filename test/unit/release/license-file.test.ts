import fc from 'fast-check'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {License} from '../../../src/release/license.ts'
import {
  armouredLicense,
  checkLicense,
  checkLicenseUse,
  issueLicense,
  licenseHeader,
  licenseLimits,
  parseLicense,
} from '../../../src/release/license-file.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {RelError} from '../../../src/system/error.ts'
import {testAnchor, testNow, testSigner} from '../../support/anchors.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {signedLicense, testLicense} from '../../support/releases.ts'

const anchor = testAnchor(
  {role: 'root', keys: ['root']},
  {role: 'manifest', keys: ['manifest']},
  {role: 'license', keys: ['license'], products: ['edge-agent']},
)

test('every form reads back equal, from text and from bytes', async () => {
  const file = await signedLicense({
    entitlements: ['component:cli', 'channel:canary'],
    customer: 'Ünal & Søn ⚙',
  })
  assert.equal(file.license.entitlements, ['channel:canary', 'component:cli'])
  const armoured = armouredLicense(file)
  for (const text of [
    armoured,
    armoured.replaceAll('\n', '\r\n'),
    licenseHeader(file),
    `\n${armoured}\n`,
  ]) {
    assert.equal(parseLicense(text), file)
    assert.equal(parseLicense(Buffer.from(text)), file)
  }
  assert.match(licenseHeader(file), /^rel1\.[A-Za-z0-9_-]+$/)
  assert.equal(checkLicense(file, anchor, testNow).signedBy, [
    testSigner('license').publicKey.keyId,
  ])
  checkLicenseUse(file.license, 'edge-agent', testNow)
})

test('the same licence and key give the same bytes', async () => {
  assert.is(licenseHeader(await signedLicense()), licenseHeader(await signedLicense()))
})

function encoded(json: unknown): string {
  return `rel1.${Buffer.from(JSON.stringify(json)).toString('base64url')}`
}

const fields: readonly [string, Record<string, unknown>, ErrorCode][] = [
  ['an unknown field', {more: 1}, 'license_malformed'],
  ['a newer format', {spec: 2}, 'spec_unsupported'],
  ['an id that is no ULID', {id: 'abc'}, 'license_malformed'],
  ['a product with a slash', {product: '../x'}, 'license_malformed'],
  ['a customer with a control character', {customer: 'a\u001b[2J'}, 'license_malformed'],
  ['a track that is none', {track: 'canary'}, 'license_malformed'],
  ['the track __proto__', {track: 'constructor'}, 'license_malformed'],
  ['entitlements out of order', {entitlements: ['b:b', 'a:a']}, 'license_malformed'],
  ['an entitlement twice', {entitlements: ['a:a', 'a:a']}, 'license_malformed'],
  ['an entitlement without a kind', {entitlements: ['canary']}, 'license_malformed'],
  [
    'too many entitlements',
    {entitlements: Array.from({length: 17}, (_, at) => `a:${String(at).padStart(2, '0')}`)},
    'license_malformed',
  ],
  ['a date as text', {expires: '2027-01-01'}, 'license_malformed'],
  ['an end before the start', {expires: testNow - 90_000}, 'license_malformed'],
  ['a fraction', {serial: 1.5}, 'json_number'],
]
for (const [name, change, code] of fields)
  test(`refuses ${name}`, () => {
    const {issued, expires, serial, ...rest} = testLicense
    const license = {spec: 1, ...rest, issued, expires, serial, ...change}
    throwsCode(() => parseLicense(encoded({license, signatures: []})), code)
  })

test('refuses what is damaged, cut off, or longer than a licence', async () => {
  const file = await signedLicense()
  const armoured = armouredLicense(file)
  const header = licenseHeader(file)
  for (const text of [
    '',
    'rel1.',
    'rel2.abcd',
    header.slice(0, 40),
    `${header}=`,
    `${header} x`,
    header.replace('rel1.', 'rel1.!'),
    armoured.slice(30),
    armoured.slice(0, -10),
    armoured.replace('\n', '\n*'),
    armoured.replace('LICENSE', 'LICENCE'),
    'x'.repeat(licenseLimits.bytes * 4),
    `rel1.${'A'.repeat(licenseLimits.bytes * 4)}`,
  ]) {
    const error = refusalOf(() => parseLicense(text))
    assert.ok(error, `nothing refused ${text.slice(0, 20)}`)
  }
})

function refusalOf(call: () => unknown): RelError | undefined {
  try {
    call()
    return undefined
  } catch (error) {
    if (error instanceof RelError) return error
    throw error
  }
}

test('a changed byte anywhere is refused by reading or by the signature', async () => {
  const header = licenseHeader(await signedLicense())
  const refused = new Set<string>()
  for (let at = 5; at < header.length; at++) {
    const other = header[at] === 'A' ? 'B' : 'A'
    const text = `${header.slice(0, at)}${other}${header.slice(at + 1)}`
    const error = refusalOf(() => checkLicense(parseLicense(text), anchor, testNow))
    assert.ok(error, `a change at ${at} passed`)
    refused.add(error.code)
  }
  assert.ok(refused.has('signature_invalid'))
})

test('any bytes give a licence or a refusal with a code, and a licence writes back as it was', async () => {
  const valid = licenseHeader(await signedLicense())
  const json = Buffer.from(valid.slice(5), 'base64url').toString()
  const mutated = fc
    .tuple(fc.nat(json.length), fc.nat(8), fc.string({maxLength: 8}))
    .map(([at, cut, text]) => `${json.slice(0, at)}${text}${json.slice(at + cut)}`)
  const anything = fc.oneof(
    fc.string(),
    fc.uint8Array({maxLength: 600}).map((bytes) => Buffer.from(bytes)),
    fc.json().map((text) => `rel1.${Buffer.from(text).toString('base64url')}`),
    mutated,
    mutated.map((text) => `rel1.${Buffer.from(text).toString('base64url')}`),
  )
  fc.assert(
    fc.property(anything, (input) => {
      let file: ReturnType<typeof parseLicense>
      try {
        file = parseLicense(input)
      } catch (error) {
        assert.ok(error instanceof RelError, `${error}`)
        assert.is.not(error.code, 'internal_error')
        return
      }
      assert.equal(parseLicense(licenseHeader(file)), file)
    }),
    {numRuns: 3000, seed: 20261121},
  )
})

const refusals: readonly [string, Partial<License>, string, ErrorCode][] = [
  ['a stranger signed', {}, 'stranger', 'key_unknown'],
  ['a manifest key signed', {}, 'manifest', 'key_not_for_role'],
  ['it is for a product of nobody', {product: 'other'}, 'license', 'key_not_for_product'],
]
for (const [name, change, by, code] of refusals)
  test(`is refused when ${name}`, async () => {
    const file = await signedLicense(change, by)
    throwsCode(() => checkLicense(file, anchor, testNow), code)
  })

test('is refused when nobody signed, or it was changed afterwards', async () => {
  const file = await signedLicense()
  throwsCode(() => checkLicense({...file, signatures: []}, anchor, testNow), 'signature_missing')
  const text = Buffer.from(licenseHeader(file).slice(5), 'base64url').toString()
  const forged = parseLicense(text.replace('"track":"stable"', '"track":"prerelease"'))
  assert.is(forged.license.track, 'prerelease')
  throwsCode(() => checkLicense(forged, anchor, testNow), 'signature_invalid')
})

test('a key limited to stable issues neither pre-release nor canary licences', async () => {
  const limited = testAnchor(
    {role: 'root', keys: ['root']},
    {role: 'license', keys: ['license'], channels: ['stable']},
  )
  checkLicense(await signedLicense(), limited, testNow)
  for (const change of [{track: 'prerelease'}, {entitlements: ['channel:canary']}] as const) {
    const file = await signedLicense(change)
    throwsCode(() => checkLicense(file, limited, testNow), 'key_not_for_channel')
  }
})

test('use: the product, and not from its expiry on', () => {
  const {expires} = testLicense
  checkLicenseUse(testLicense, undefined, expires - 1)
  throwsCode(() => checkLicenseUse(testLicense, 'other', testNow), 'license_wrong_product')
  throwsCode(() => checkLicenseUse(testLicense, 'edge-agent', expires), 'license_expired')
})

test('nothing is issued that could not be read back', async () => {
  const signer = testSigner('license')
  await rejectsCode(() => issueLicense({...testLicense, id: 'x'}, signer), 'license_malformed')
  await rejectsCode(
    () => issueLicense({...testLicense, customer: ' '}, signer),
    'license_malformed',
  )
})

test.run()
