import fc from 'fast-check'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {checkOneMeaning, MAX_MANIFEST, OneMeaning} from '../../../src/bundle/cross-protocol.ts'

function refuses(work: () => void): boolean {
  try {
    work()
    return false
  } catch {
    return true
  }
}

function inPieces(bytes: Buffer, sizes: readonly number[]): OneMeaning {
  const meaning = new OneMeaning()
  let at = 0
  for (const size of sizes) {
    meaning.add(bytes.subarray(at, at + size))
    at += size
  }
  meaning.add(bytes.subarray(at))
  return meaning
}

const spaces = fc.string({unit: fc.constantFrom(' ', '\n', '\t', '\uFEFF'), maxLength: 9000})
const text = fc.oneof(
  fc.constant('DSSEv1 28 x'),
  fc.constant('SSHSIG'),
  fc.constant('{"manifest":{}}'),
  fc.constant('{"bundle_name":"x"}'),
  fc.constant('{"other":1}'),
  fc.constant('{"manifest":'),
  fc.string({maxLength: 100}),
)
const filler = fc.constantFrom(0, 1, 8100, 8193, 20_000).map((size) => ' '.repeat(size))
const documents = fc
  .tuple(fc.oneof(spaces, fc.constant('')), text, filler)
  .map((parts) => Buffer.from(parts.join('')))
const bytes = fc.oneof(
  documents,
  fc.uint8Array({maxLength: 200}).map((it) => Buffer.from(it)),
  fc.uint8Array({minLength: 64, maxLength: 64}).map((it) => Buffer.from(it)),
  // a signature and its comment, up to and past the longest
  fc
    .constantFrom(1, 100, 8191, 8192, 8193)
    .map((size) => Buffer.concat([Buffer.alloc(64, 1), Buffer.alloc(size, 0x61)])),
)

test('in pieces or whole, the answer is the same', () => {
  let refused = 0
  fc.assert(
    fc.property(bytes, fc.array(fc.nat(9000), {maxLength: 6}), (content, sizes) => {
      const whole = refuses(() => checkOneMeaning(content))
      if (whole) refused++
      assert.is(
        refuses(() => inPieces(content, sizes).check()),
        whole,
      )
    }),
    {numRuns: 2000},
  )
  assert.ok(refused > 100, `${refused} were refused`)
})

test('what nothing can be as a whole is not held', () => {
  const meaning = new OneMeaning()
  const piece = Buffer.alloc(1024 * 1024, 0x61)
  const before = process.memoryUsage().arrayBuffers
  for (let at = 0; at < 200; at++) meaning.add(piece)
  assert.ok(process.memoryUsage().arrayBuffers - before < 16 * 1024 * 1024)
  meaning.check()
  assert.ok(200 * piece.length > MAX_MANIFEST)
})

test.run()
