import fc from 'fast-check'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {RelError} from '../../../src/system/error.ts'
import type {JsonValue} from '../../../src/system/json.ts'
import {
  addSignature,
  checkSignatures,
  type EnvelopeSignature,
  parseSignatures,
  signersOf,
} from '../../../src/trust/envelope.ts'
import type {Signer} from '../../../src/trust/signer.ts'
import {testSigner} from '../../support/anchors.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'

const canonical = '{"a":1}'
const [a, b, c] = ['a', 'b', 'c'].map(testSigner) as [Signer, Signer, Signer]
const keySet = {keys: [a.publicKey, b.publicKey], threshold: 2}

async function signed(...names: readonly string[]): Promise<EnvelopeSignature[]> {
  let signatures: readonly EnvelopeSignature[] = []
  for (const name of names)
    signatures = await addSignature('manifest', canonical, signatures, testSigner(name))
  return [...signatures]
}

function check(signatures: readonly EnvelopeSignature[], threshold = 2): readonly string[] {
  return checkSignatures('manifest', canonical, signatures, {...keySet, threshold}).signedBy
}

test('accepts the threshold of trusted keys, in any order, with strangers beside them', async () => {
  assert.equal(check(await signed('c', 'b', 'a')), [b.publicKey.keyId, a.publicKey.keyId])
  assert.equal(check(await signed('b'), 1), [b.publicKey.keyId])
})

test('takes the canonical form in pieces', async () => {
  const signatures = await signed('a')
  const pieces = {keys: [a.publicKey], threshold: 1}
  assert.ok(checkSignatures('manifest', ['{"a"', ':1}'], signatures, pieces))
})

test('refuses by a code what does not meet the threshold', async () => {
  throwsCode(() => check([]), 'signature_missing')
  const [strangers, one] = [await signed('c'), await signed('a', 'c')]
  throwsCode(() => check(strangers), 'key_unknown')
  throwsCode(() => check(one), 'threshold_not_met')
})

test('a signature of one kind does not count for another', async () => {
  const signatures = await signed('a', 'b')
  throwsCode(() => checkSignatures('trust', canonical, signatures, keySet), 'signature_invalid')
})

test('a trusted key whose signature fails refuses everything, above the threshold too', async () => {
  const [first, second] = (await signed('a', 'b')) as [EnvelopeSignature, EnvelopeSignature]
  const copied = {...second, sig: first.sig}
  throwsCode(() => check([first, copied], 1), 'signature_invalid')
  throwsCode(() => check([copied, first], 1), 'signature_invalid')
})

test('one key cannot meet a threshold of two: listed twice, signing twice, or both', async () => {
  const [one] = (await signed('a')) as [EnvelopeSignature]
  const twice = {keys: [a.publicKey, a.publicKey], threshold: 2}
  const count = (signatures: EnvelopeSignature[]): unknown =>
    checkSignatures('manifest', canonical, signatures, twice)
  throwsCode(() => count([one]), 'threshold_not_met')
  throwsCode(() => count([one, one]), 'signature_duplicate')
})

test('one key under two ids counts once', async () => {
  const [one] = (await signed('a')) as [EnvelopeSignature]
  const alias = {...a.publicKey, keyId: 'ab'.repeat(32)}
  const signatures = [one, {...one, keyid: alias.keyId}]
  const aliased = {keys: [a.publicKey, alias], threshold: 2}
  throwsCode(() => checkSignatures('manifest', canonical, signatures, aliased), 'threshold_not_met')
})

test('a threshold that would trust everyone is a bug, not a verdict', async () => {
  const signatures = await signed('a')
  for (const threshold of [0, -1, 0.5, Number.NaN])
    throwsCode(() => check(signatures, threshold), 'internal_error')
})

test('the reason against a key is told only when too few others signed', async () => {
  const refused = new Map([[c.publicKey.keyId, new RelError('key_revoked', 'it was revoked')]])
  const set = {keys: [a.publicKey], threshold: 1, refused}
  const [good, bad] = [await signed('c', 'a'), await signed('c')]
  assert.equal(checkSignatures('manifest', canonical, good, set).signedBy, [a.publicKey.keyId])
  throwsCode(() => checkSignatures('manifest', canonical, bad, set), 'key_revoked')
  const two = {...set, threshold: 2}
  throwsCode(() => checkSignatures('manifest', canonical, good, two), 'key_revoked')
})

const sig = Buffer.alloc(64).toString('base64')
const keyid = 'ab'.repeat(32)
const ids = (count: number): string[] =>
  Array.from({length: count}, (_, at) => at.toString(16).padStart(64, '0'))

const shapes: [string, JsonValue | undefined, ErrorCode][] = [
  ['absent', undefined, 'signature_malformed'],
  ['an object', {}, 'signature_malformed'],
  ['a list of texts', ['x'], 'signature_malformed'],
  ['a list of lists', [[keyid, sig]], 'signature_malformed'],
  ['without sig', [{keyid}], 'signature_malformed'],
  ['without keyid', [{sig}], 'signature_malformed'],
  ['with another field', [{keyid, sig, alg: 'none'}], 'signature_malformed'],
  ['keyid in capitals', [{keyid: 'AB'.repeat(32), sig}], 'signature_malformed'],
  ['keyid too short', [{keyid: 'ab', sig}], 'signature_malformed'],
  ['keyid with a line end', [{keyid: `${keyid}\n`, sig}], 'signature_malformed'],
  ['sig of 63 bytes', [{keyid, sig: Buffer.alloc(63).toString('base64')}], 'signature_malformed'],
  ['sig of 65 bytes', [{keyid, sig: Buffer.alloc(65).toString('base64')}], 'signature_malformed'],
  ['sig without padding', [{keyid, sig: sig.slice(0, 86)}], 'signature_malformed'],
  ['sig with stray bits', [{keyid, sig: `${'A'.repeat(85)}B==`}], 'signature_malformed'],
  ['sig in base64url', [{keyid, sig: `_${sig.slice(1)}`}], 'signature_malformed'],
  ['sig with a line end', [{keyid, sig: `${sig}\n`}], 'signature_malformed'],
  ['seventeen', ids(17).map((id) => ({keyid: id, sig})), 'signature_limit'],
  [
    'twice by one key',
    [
      {keyid, sig},
      {keyid, sig},
    ],
    'signature_duplicate',
  ],
]
for (const [title, json, code] of shapes) {
  test(`refuses signatures: ${title}`, () => {
    throwsCode(() => parseSignatures(json), code)
  })
}

test('reads up to sixteen signatures, and none', () => {
  assert.is(parseSignatures(ids(16).map((id) => ({keyid: id, sig}))).length, 16)
  assert.equal(parseSignatures([]), [])
})

test('signing again with the same key changes nothing', async () => {
  const once = await signed('a')
  assert.is(await addSignature('manifest', canonical, once, a), once)
  assert.equal(signersOf('manifest', canonical, once, [a.publicKey]), [a.publicKey.keyId])
})

test('a signer that signs something else is not believed', async () => {
  const liar: Signer = {...a, sign: () => a.sign(Buffer.from('something else'))}
  await rejectsCode(() => addSignature('manifest', canonical, [], liar), 'signature_invalid')
  const stale = await addSignature('manifest', '{"a":2}', [], a)
  await rejectsCode(() => addSignature('manifest', canonical, stale, a), 'signature_invalid')
})

test('no seventeenth signature is added', async () => {
  const sixteen = ids(16).map((id) => ({keyid: id, sig}))
  await rejectsCode(() => addSignature('manifest', canonical, sixteen, a), 'signature_limit')
})

test('property: no flipped bit in a signature or an id makes a refused envelope accepted', async () => {
  const one = await signed('a', 'c')
  fc.assert(
    fc.property(
      fc.nat(1),
      fc.constantFrom('keyid', 'sig'),
      fc.nat(),
      fc.nat(7),
      (...[at, field, index, bit]) => {
        const signatures = one.map((signature) => ({...signature}))
        const bytes = Buffer.from(signatures[at]?.[field] ?? '')
        bytes[index % bytes.length] = (bytes[index % bytes.length] as number) ^ (1 << bit)
        Object.assign(signatures[at] as object, {[field]: bytes.toString('latin1')})
        assert.throws(
          () => check(signatures),
          (error: unknown) => error instanceof RelError,
        )
      },
    ),
    {numRuns: 1000},
  )
})

test.run()
