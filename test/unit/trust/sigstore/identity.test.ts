import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {derContent} from '../../../../src/trust/sigstore/der.ts'
import {type Extension, readIdentity} from '../../../../src/trust/sigstore/identity.ts'
import {decidePolicy} from '../../../../src/trust/sigstore/identity-policy.ts'
import {throwsCode} from '../../../support/rejects.ts'

const fulcio = '1.3.6.1.4.1.57264.1'
const uri = 'https://github.com/acme/app'

function tlv(tag: number, content: string | Uint8Array): Buffer {
  const bytes = Buffer.from(content)
  return Buffer.concat([Buffer.from([tag, bytes.length]), bytes])
}

const issuer: Extension = {oid: `${fulcio}.8`, value: tlv(0x0c, 'https://issuer.example')}
const san: Extension = {oid: '2.5.29.17', value: tlv(0x30, tlv(0x86, uri))}

test('an identity is read from certificate extensions', () => {
  const repository = {oid: `${fulcio}.15`, value: tlv(0x0c, '42')}
  const identity = readIdentity([issuer, san, repository], [7])
  assert.equal(identity, {
    issuer: 'https://issuer.example',
    san: uri,
    repoId: '42',
    trigger: undefined,
    runner: undefined,
    signedAt: [7],
  })
  const person = {oid: san.oid, value: tlv(0x30, tlv(0x81, 'a@example.org'))}
  assert.is(readIdentity([issuer, person], [7]).san, 'a@example.org')
})

const masked = Buffer.from(uri, 'latin1').map((byte) => byte | 0x80)
const refused: Record<string, readonly Extension[]> = {
  'no issuer': [san],
  'no name': [issuer],
  'two issuers': [issuer, issuer, san],
  'two names': [issuer, {oid: san.oid, value: tlv(0x30, Buffer.concat([san.value, san.value]))}],
  'a name that only becomes the listed one by masking bytes to seven bits': [
    issuer,
    {oid: san.oid, value: tlv(0x30, tlv(0x86, masked))},
  ],
  'a name with NUL': [issuer, {oid: san.oid, value: tlv(0x30, tlv(0x86, `${uri}\0.evil.test`))}],
  'a name with trailing bytes': [
    issuer,
    {oid: san.oid, value: Buffer.concat([san.value, Buffer.from('x')])},
  ],
  'a name of another kind': [issuer, {oid: san.oid, value: tlv(0x30, tlv(0x82, 'github.com'))}],
  'an issuer that is no text': [{oid: issuer.oid, value: tlv(0x04, 'https://x')}, san],
  'an issuer without DER': [{oid: issuer.oid, value: Buffer.from('https://issuer.example')}, san],
}
for (const [name, extensions] of Object.entries(refused)) {
  test(`an identity is refused: ${name}`, () => {
    throwsCode(() => readIdentity(extensions, [7]), 'sigstore_certificate_invalid')
  })
}

test('DER lengths have one spelling', () => {
  const content = Buffer.alloc(200, 1)
  const long = Buffer.concat([Buffer.from([4, 0x81, 200]), content])
  assert.is(derContent(long, 4)?.length, 200)
  const larger = Buffer.concat([Buffer.from([4, 0x82, 1, 44]), Buffer.alloc(300)])
  assert.is(derContent(larger, 4)?.length, 300)
  for (const bad of [
    [],
    [4],
    [4, 2, 1],
    [4, 1, 1, 1],
    [4, 0x80],
    [4, 0x81],
    [4, 0x81, 1, 1],
    [4, 0x82, 0, 1, 1],
    [4, 0x83, 0, 0, 1, 1],
    [4, 0xff],
    [5, 0],
    // 0x83 announces three length bytes: not a length of 131
    [4, 0x83, ...Buffer.alloc(131)],
  ])
    assert.is(derContent(Uint8Array.from(bad), 4), undefined)
})

test('what is configured must be checked unless another policy is asked for', () => {
  const both = {keys: true, identities: true}
  assert.is(decidePolicy(undefined, both), 'both')
  assert.is(decidePolicy(undefined, {keys: false, identities: true}), 'sigstore')
  assert.is(decidePolicy(undefined, {keys: true, identities: false}), 'ed25519')
  assert.is(decidePolicy(undefined, {keys: false, identities: false}), 'ed25519')
  assert.is(decidePolicy('either', both), 'either')
  assert.is(decidePolicy('sigstore', {keys: true, identities: false}), 'sigstore')
})

test.run()
