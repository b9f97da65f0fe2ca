import fc from 'fast-check'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {allowsRange, matchesNone, parseRange} from '../../../../src/panel/agent/conditions.ts'

const etag = '"sha256:abc"'

const matching: Readonly<Record<string, boolean>> = {
  [etag]: true,
  [`W/${etag}`]: true,
  [`"x", ${etag}`]: true,
  [`"x",W/${etag},"y"`]: true,
  '*': true,
  '"sha256:ab"': false,
  'sha256:abc': false,
  '"a,b"': false,
  '': false,
  [`"x ${'"x",'.repeat(2000)}${etag}`]: false,
}
for (const [header, want] of Object.entries(matching))
  test(`If-None-Match ${header.slice(0, 30)} is ${want}`, () => {
    assert.is(matchesNone(header, etag), want)
  })

test('If-Range is the strong comparison', () => {
  assert.ok(allowsRange(undefined, etag) && allowsRange(etag, etag))
  assert.not(allowsRange(`W/${etag}`, etag) || allowsRange('*', etag) || allowsRange('', etag))
})

test('an empty file has no ranges', () => {
  assert.is(parseRange('bytes=0-', 0).kind, 'unsatisfiable')
  assert.is(parseRange('bytes=-5', 0).kind, 'unsatisfiable')
})

test('the last byte is part of a range, and a range that ends before it begins is none', () => {
  const only = (header: string) => parseRange(header, 10)
  assert.equal(only('bytes=0-4'), {kind: 'ranges', ranges: [{start: 0, end: 5}]})
  assert.equal(only('bytes=4-4'), {kind: 'ranges', ranges: [{start: 4, end: 5}]})
  assert.equal(only('bytes=8-99'), {kind: 'ranges', ranges: [{start: 8, end: 10}]})
  assert.is(only('bytes=5-4').kind, 'whole')
})

test('too many ranges, or more than the whole, are the whole', () => {
  assert.is(parseRange(`bytes=${'0-0,'.repeat(32)}1-1`, 100).kind, 'whole')
  assert.is(parseRange('bytes=0-59,40-99', 100).kind, 'whole')
})

test('whatever is sent, every range lies inside and none is empty', () => {
  const piece = fc.oneof(
    fc.tuple(fc.nat(200), fc.nat(200)).map(([a, b]) => `${a}-${b}`),
    fc.nat(200).map((a) => `${a}-`),
    fc.nat(200).map((a) => `-${a}`),
    fc.string({maxLength: 6}),
  )
  const header = fc.array(piece, {maxLength: 6}).map((pieces) => `bytes=${pieces.join(',')}`)
  fc.assert(
    fc.property(fc.oneof(header, fc.string()), fc.nat(150), (text, size) => {
      const answer = parseRange(text, size)
      if (answer.kind !== 'ranges') return
      assert.ok(answer.ranges.length > 0)
      for (const {start, end} of answer.ranges) assert.ok(0 <= start && start < end && end <= size)
    }),
    {numRuns: 5000, seed: 20261121},
  )
})

test.run()
