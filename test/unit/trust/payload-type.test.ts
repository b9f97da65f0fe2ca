import {createHash} from 'node:crypto'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {type PayloadKind, payloadTypes, toBeSigned} from '../../../src/trust/payload-type.ts'

const kinds = Object.keys(payloadTypes) as PayloadKind[]

test('is the PAE of DSSE over the SHA-512 of the canonical form', () => {
  const digest = createHash('sha512').update('{"a":1}').digest()
  const head = 'DSSEv1 38 application/vnd.rel.manifest.v1+sha512 64 '
  assert.is(
    toBeSigned('manifest', '{"a":1}').toString('hex'),
    Buffer.concat([Buffer.from(head), digest]).toString('hex'),
  )
})

test('has a small fixed size that does not depend on the document', () => {
  assert.is(toBeSigned('manifest', '').length, 116)
  assert.is(toBeSigned('manifest', 'x'.repeat(100_000)).length, 116)
})

test('is the same for a text, its pieces and its characters', () => {
  const whole = toBeSigned('trust', 'aé😀b').toString('hex')
  assert.is(toBeSigned('trust', ['aé', '😀', 'b']).toString('hex'), whole)
})

test('differs between kinds, and no type is the beginning of another', () => {
  const types = kinds.map((kind) => payloadTypes[kind])
  assert.is(new Set(types).size, types.length)
  for (const type of types)
    assert.equal(
      types.filter((other) => other.startsWith(type)),
      [type],
    )
})

test.run()
