import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {LogHead} from '../../../src/device/freshness.ts'
import {checkGrown} from '../../../src/device/log-proof.ts'
import {MerkleTree} from '../../../src/panel/store/merkle.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {throwsCode} from '../../support/rejects.ts'

const MOST = 1300

const roots: string[] = []
const tree = new MerkleTree()
for (let at = 0; at < MOST; at++) {
  roots.push(tree.root())
  tree.append(`leaf ${at}`)
}
roots.push(tree.root())

const headOf = (size: number): LogHead => ({size, root: roots[size] ?? ''})
const bodyOf = (hashes: unknown) => Buffer.from(JSON.stringify({hashes}))

function check(hashes: readonly string[], before: LogHead, now: LogHead): void {
  checkGrown(bodyOf(hashes), before, now)
}

test('every log that has grown proves it, also with more than 1,000 leaves', () => {
  for (let size = 2; size <= 48; size++)
    for (let before = 1; before < size; before++)
      check(tree.consistency(before, size), headOf(before), headOf(size))
  for (const before of [1, 512, 999, 1000, 1024, 1025, MOST - 1])
    check(tree.consistency(before, MOST), headOf(before), headOf(MOST))
})

/** What a panel could send instead of a proof. */
function forged(hashes: readonly string[]): (readonly string[])[] {
  const other = sha256Hex('other')
  const without = hashes.map((_, at) => hashes.toSpliced(at, 1))
  const changed = hashes.map((_, at) => hashes.toSpliced(at, 1, other))
  const swapped = hashes.slice(1).map((hash, at) => hashes.toSpliced(at, 2, hash, hashes[at] ?? ''))
  return [...without, ...changed, ...swapped, [...hashes, other], [other, ...hashes], []]
}

test('no other proof passes, and none for other sizes or roots', () => {
  const refused = (hashes: readonly string[], before: LogHead, now: LogHead) =>
    throwsCode(() => check(hashes, before, now), 'upgrade_source_rewound')
  for (const [first, second] of [
    [1, 2],
    [3, 7],
    [4, 8],
    [6, 11],
    [13, 64],
    [1000, 1300],
  ] as const) {
    const [before, now] = [headOf(first), headOf(second)]
    const hashes = tree.consistency(first, second)
    for (const each of forged(hashes)) refused(each, before, now)
    const root = sha256Hex('another log')
    refused(hashes, {...before, root}, now)
    refused(hashes, before, {...now, root})
    if (first > 1) refused(hashes, headOf(first - 1), now)
    if (first + 1 < second) refused(hashes, headOf(first + 1), now)
    refused(hashes, before, headOf(second + 1 > MOST ? second - 1 : second + 1))
    // a size that no log has
    refused(hashes, before, {...now, size: Number.MAX_SAFE_INTEGER})
  }
})

test('a log with an earlier leaf that was changed has no proof', () => {
  const changed = new MerkleTree()
  for (let at = 0; at < 20; at++) changed.append(`leaf ${at === 2 ? 'of another story' : at}`)
  const now = {size: 20, root: changed.root()}
  throwsCode(() => check(changed.consistency(7, 20), headOf(7), now), 'upgrade_source_rewound')
  throwsCode(() => check(tree.consistency(7, 20), headOf(7), now), 'upgrade_source_rewound')
})

const malformed: readonly [string, Buffer][] = [
  ['no JSON', Buffer.from('{')],
  ['no hashes', Buffer.from('{}')],
  ['hashes that are none', bodyOf(['x'])],
  ['more hashes than a log can have', bodyOf(Array.from({length: 200}, () => sha256Hex('')))],
  ['more bytes than a proof has', Buffer.alloc(20_000, 0x20)],
]

for (const [name, body] of malformed)
  test(`no proof at all: ${name}`, () => {
    throwsCode(() => checkGrown(body, headOf(2), headOf(3)), 'upgrade_source_invalid')
  })

test('the vectors are of different logs', () => {
  assert.is(new Set(roots).size, MOST + 1)
})

test.run()
