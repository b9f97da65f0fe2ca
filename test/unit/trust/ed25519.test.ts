import {execFileSync} from 'node:child_process'
import {sign, verify} from 'node:crypto'
import {existsSync} from 'node:fs'
import {fileURLToPath} from 'node:url'
import {hashes, verify as nobleVerify, Point, utils} from '@noble/ed25519'
import {sha512 as nobleSha512} from '@noble/hashes/sha2.js'
import fc from 'fast-check'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {
  isPrimeOrderPoint,
  keyPairOf,
  publicKeyFromRaw,
  verifyEd25519,
} from '../../../src/trust/ed25519.ts'
import {signerOfSecretKey} from '../../../src/trust/signers/file.ts'
import {needsThat} from '../../support/needs.ts'
import {throwsCode} from '../../support/rejects.ts'
import {allVerdicts, readCases, verdict} from '../../vectors/ed25519/verdicts.ts'

hashes.sha512 = nobleSha512

const bytes = (hex: string) => Buffer.from(hex, 'hex')

test('RFC 8032 section 7.1: the same keys, the same signatures', async () => {
  const cases = readCases('rfc8032.json')
  assert.is(cases.length, 5)
  for (const {sk = '', pk, msg, sig, comment} of cases) {
    const seed = bytes(sk)
    const {publicKey} = keyPairOf(seed)
    assert.is(Buffer.from(publicKey.raw).toString('hex'), pk, comment)
    const signer = signerOfSecretKey({seed, publicKey, format: 'raw', encrypted: false}, 'test')
    const signature = await signer.sign(bytes(msg))
    assert.is(Buffer.from(signature).toString('hex'), sig, comment)
    assert.ok(verifyEd25519(publicKey, bytes(msg), bytes(sig)), comment)
    assert.ok(
      seed.every((byte) => byte === 0),
      'the private key is overwritten once a signer has taken it over',
    )
  }
})

test('Wycheproof: 88 valid signatures pass, 63 invalid ones do not', () => {
  const cases = readCases('wycheproof-ed25519.json')
  assert.is(cases.filter(({result}) => result === 'valid').length, 88)
  assert.is(cases.filter(({result}) => result === 'invalid').length, 63)
  for (const [index, vector] of cases.entries()) {
    assert.is(verdict(vector), vector.result === 'valid' ? 'V' : 'X', `tcId ${index + 1}`)
  }
})

test('the 12 edge cases get the row of libsodium', () => {
  const row = readCases('speccheck.json').map(verdict)
  assert.is(row.join(' '), 'X X X V X X X X X X X X')
})

test('the 12 edge cases are those of the paper: noble gives its documented rows', () => {
  const row = (zip215: boolean) =>
    readCases('speccheck.json').map(({sig, msg, pk}) => {
      try {
        return nobleVerify(bytes(sig), bytes(msg), bytes(pk), {zip215}) ? 'V' : 'X'
      } catch {
        return 'X'
      }
    })
  assert.is(row(true).join(' '), 'V V V V V V X X X V V V')
  assert.is(row(false).join(' '), 'X X V V V V X X X X X X')
})

const verdictsPath = fileURLToPath(new URL('../../vectors/ed25519/verdicts.ts', import.meta.url))
const script = `console.log((await import(${JSON.stringify(verdictsPath)})).allVerdicts())`
for (const version of ['node22', 'node24', 'node']) {
  const binary = fileURLToPath(
    new URL(`../../../node_modules/${version}/bin/node`, import.meta.url),
  )
  if (needsThat(version, existsSync(binary), `the dev dependency ${version} is not installed`))
    test(`${version} gives every vector the verdict of this Node`, () => {
      const printed = execFileSync(binary, ['--input-type=module', '-e', script], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      assert.is(printed.trim(), allVerdicts())
      assert.is(printed.trim().split('\n').join('').length, 5 + 151 + 12)
    })
}

const WEAK: readonly [what: string, hex: string][] = [
  ['identity', `01${'00'.repeat(31)}`],
  ['order 2', `ec${'ff'.repeat(30)}7f`],
  ['order 4', '00'.repeat(32)],
  ['order 4, sign bit', `${'00'.repeat(31)}80`],
  ['order 8', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'],
  ['order 8, other y', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
  ['non-canonical y = p', `ed${'ff'.repeat(30)}7f`],
  ['non-canonical y = p + 1', `ee${'ff'.repeat(30)}7f`],
  ['non-canonical -0', `01${'00'.repeat(30)}80`],
  ['not on the curve', `02${'00'.repeat(31)}`],
]
for (const [what, hex] of WEAK)
  test(`a weak public key is refused: ${what}`, () => {
    throwsCode(() => publicKeyFromRaw(bytes(hex)), 'key_weak')
  })

for (const length of [0, 31, 33, 64])
  test(`a public key of ${length} bytes is refused`, () => {
    throwsCode(() => publicKeyFromRaw(new Uint8Array(length)), 'key_malformed')
  })

test('a key keeps its own copy of the bytes', () => {
  const raw = bytes('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a')
  const key = publicKeyFromRaw(raw)
  raw.fill(1)
  assert.is(Buffer.from(key.raw).toString('hex').slice(0, 8), 'd75a9801')
})

test('noble and rel agree on signatures of random keys, and on each with one bit changed', () => {
  const seeds = fc.uint8Array({minLength: 32, maxLength: 32})
  const messages = fc.uint8Array({maxLength: 200})
  const bits = fc.nat(64 * 8 - 1)
  fc.assert(
    fc.property(seeds, messages, bits, (seed, message, bit) => {
      const {publicKey} = keyPairOf(seed)
      const signature = Buffer.from(signWith(seed, message))
      assert.ok(verifyEd25519(publicKey, message, signature))
      assert.ok(nobleVerify(signature, message, publicKey.raw, {zip215: false}))
      signature[bit >> 3] = (signature[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      assert.not(verifyEd25519(publicKey, message, signature))
      assert.not(nobleVerify(signature, message, publicKey.raw, {zip215: false}))
    }),
    {numRuns: 100},
  )
})

test('keys that were generated are points of prime order', () => {
  const seeds = fc.uint8Array({minLength: 32, maxLength: 32})
  fc.assert(
    fc.property(seeds, (seed) => isPrimeOrderPoint(keyPairOf(seed).publicKey.raw)),
    {numRuns: 30},
  )
  assert.not(isPrimeOrderPoint(bytes(readCases('speccheck.json')[3]?.pk ?? '')), 'mixed order')
})

/** The eight points of small order, as noble computes them from one of order 8. */
function torsionPoints(): Uint8Array[] {
  const generator = Point.fromBytes(bytes(WEAK[4]?.[1] ?? ''), false)
  let point = Point.ZERO
  return Array.from({length: 8}, () => {
    point = point.add(generator)
    return point.toBytes()
  })
}

test('every point of small order is refused as a key and as R, whatever its sign bit', () => {
  const {publicKey} = keyPairOf(Buffer.alloc(32, 7))
  const points = torsionPoints()
  assert.is(new Set(points.map((point) => Buffer.from(point).toString('hex'))).size, 8)
  for (const point of points) {
    throwsCode(() => publicKeyFromRaw(point), 'key_weak')
    assert.not(verifyEd25519(publicKey, bytes(''), Buffer.concat([point, Buffer.alloc(32)])))
  }
})

/** A signature by the holder of the key in which [S]B - [k]A is the identity, and R these bytes. */
function identitySignature(seed: Uint8Array, message: Uint8Array, r: Uint8Array): Buffer {
  const {scalar, pointBytes} = utils.getExtendedPublicKey(seed)
  const digest = nobleSha512(Buffer.concat([r, pointBytes, message]))
  const order = Point.CURVE().n
  const k = BigInt(`0x${Buffer.from(digest).reverse().toString('hex')}`) % order
  const s = ((k * scalar) % order).toString(16).padStart(64, '0')
  return Buffer.concat([r, bytes(s).reverse()])
}

test('R: node:crypto takes no other encoding of the identity, and rel takes none at all', () => {
  const seed = Buffer.alloc(32, 9)
  const message = Buffer.from('message')
  const {publicKey} = keyPairOf(seed)
  const encodings = {
    canonical: WEAK[0]?.[1],
    'y = p + 1': WEAK[7]?.[1],
    'minus 0': WEAK[8]?.[1],
  }
  for (const [name, hex = ''] of Object.entries(encodings)) {
    const signature = identitySignature(seed, message, bytes(hex))
    // this makes a check of the encoding of R superfluous; the canonical one passes on Node 22 and 24
    if (name !== 'canonical') assert.not(verify(null, message, publicKey.object, signature), name)
    assert.not(verifyEd25519(publicKey, message, signature), name)
  }
})

test('R: the verdicts are those of decoding it with noble first', () => {
  const cases = ['rfc8032.json', 'wycheproof-ed25519.json', 'speccheck.json'].flatMap(readCases)
  const decodes = (r: Uint8Array) => {
    try {
      return !Point.fromBytes(Uint8Array.from(r), false).isSmallOrder()
    } catch {
      return false
    }
  }
  const accepted = cases.filter((vector) => verdict(vector) === 'V')
  assert.is(accepted.length, 5 + 88 + 1)
  for (const {sig} of accepted) assert.ok(decodes(bytes(sig).subarray(0, 32)))
  const odd = WEAK.map(([, hex]) => hex)
  for (const {pk, msg, sig} of accepted)
    for (const r of odd) assert.is(verdict({pk, msg, sig: r + sig.slice(64)}), 'X')
})

function signWith(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return sign(null, message, keyPairOf(seed).privateKey)
}

test.run()
