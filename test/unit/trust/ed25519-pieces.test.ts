import fc from 'fast-check'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {
  checkEd25519Pieces,
  keyPairOf,
  type PublicKey,
  publicKeyFromRaw,
  verifyEd25519,
} from '../../../src/trust/ed25519.ts'
import {signerOfSecretKey} from '../../../src/trust/signers/file.ts'
import {readCases, verdict} from '../../vectors/ed25519/verdicts.ts'

const bytes = (hex: string) => Buffer.from(hex, 'hex')

function inPieces(key: PublicKey, message: Uint8Array, signature: Uint8Array, size = 7): boolean {
  const check = checkEd25519Pieces(key, signature)
  for (let at = 0; at < message.length; at += size) check.update(message.subarray(at, at + size))
  return check.verdict()
}

test('in pieces the verdict is the same, for every vector', () => {
  const cases = ['rfc8032.json', 'wycheproof-ed25519.json', 'speccheck.json'].flatMap(readCases)
  assert.ok(cases.length > 150)
  let valid = 0
  for (const [index, vector] of cases.entries()) {
    let key: PublicKey
    try {
      key = publicKeyFromRaw(bytes(vector.pk))
    } catch {
      continue // no key, no verdict
    }
    const accepted = inPieces(key, bytes(vector.msg), bytes(vector.sig))
    assert.is(accepted, verdict(vector) === 'V', `case ${index}`)
    if (accepted) valid += 1
  }
  assert.ok(valid >= 90, `${valid}`)
})

test('in pieces the verdict is the same, for any message and any flipped bit', async () => {
  const seed = Buffer.alloc(32, 3)
  const {publicKey} = keyPairOf(seed)
  const signer = signerOfSecretKey({seed, publicKey, format: 'raw', encrypted: false}, 'test')
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({maxLength: 300}),
      fc.integer({min: 0, max: 511}),
      fc.integer({min: 1, max: 64}),
      async (message, bit, size) => {
        const signature = Buffer.from(await signer.sign(message))
        assert.ok(inPieces(publicKey, message, signature, size))
        signature[bit >> 3] = (signature[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        assert.is(
          inPieces(publicKey, message, signature, size),
          verifyEd25519(publicKey, message, signature),
        )
        assert.not(inPieces(publicKey, message, signature, size))
      },
    ),
    {numRuns: 100},
  )
})

test('a signature of another length, and S of zero, are no signatures', () => {
  const {publicKey} = keyPairOf(Buffer.alloc(32, 3))
  for (const length of [0, 32, 63, 65])
    assert.not(inPieces(publicKey, bytes('00'), Buffer.alloc(length, 1)), `${length}`)
  const zero = Buffer.concat([publicKey.raw, Buffer.alloc(32)])
  assert.not(inPieces(publicKey, bytes('00'), zero))
})

test.run()
