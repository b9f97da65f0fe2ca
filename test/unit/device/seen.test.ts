import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {
  checkNotRewound,
  freshnessKeys,
  type LogHead,
  staleSince,
} from '../../../src/device/freshness.ts'
import {paths} from '../../../src/device/layout.ts'
import {writeSealed} from '../../../src/device/sealed-file.ts'
import {keepSeen, loadSeen, type Seen} from '../../../src/device/seen.ts'
import {parseAnchor} from '../../../src/trust/anchor-parse.ts'
import {testKey, testNow} from '../../support/anchors.ts'
import {licenseText, nodeAnchor, panelNode} from '../../support/device/panel-node.ts'
import {throwsCode} from '../../support/rejects.ts'

const anchor = await nodeAnchor()
const url = 'http://127.0.0.1:9'
const signers = [testKey('online').publicKey.keyId]
const node = async () => panelNode({url, anchor, license: await licenseText()})

const heads: readonly [string, LogHead | undefined, LogHead, boolean][] = [
  ['the first one', undefined, {size: 0, root: 'a'}, true],
  ['the same', {size: 5, root: 'a'}, {size: 5, root: 'a'}, true],
  ['a longer one', {size: 5, root: 'a'}, {size: 6, root: 'b'}, true],
  ['a shorter one', {size: 5, root: 'a'}, {size: 4, root: 'b'}, false],
  ['a shorter one with the same root', {size: 5, root: 'a'}, {size: 4, root: 'a'}, false],
  ['another one of the same size', {size: 5, root: 'a'}, {size: 5, root: 'b'}, false],
]

for (const [name, before, now, isGood] of heads)
  test(`the head of a log ${isGood ? 'is taken' : 'is refused'}: ${name}`, () => {
    if (isGood) checkNotRewound(before, now)
    else throwsCode(() => checkNotRewound(before, now), 'upgrade_source_rewound')
  })

test('a statement ends at the second that it names', () => {
  assert.is(staleSince({expires: testNow}, testNow - 1), undefined)
  assert.is(staleSince({expires: testNow}, testNow), testNow)
  assert.is(staleSince(undefined, testNow), undefined)
})

test('a key that the anchor revokes says nothing of what is fresh', () => {
  const {anchor: trusted} = parseAnchor(anchor)
  assert.equal(freshnessKeys(trusted), signers)
  const revoked = signers.map((keyId) => ({keyId, since: testNow}))
  assert.equal(freshnessKeys({...trusted, revoked}), [])
})

test('what one panel has said is nothing that another one must keep to', async () => {
  const device = await node()
  const seen: Seen = {source: url, log: {size: 7, root: 'a'}, signers, expires: testNow + 1}
  await keepSeen(device, {source: url}, seen, [])
  assert.equal(loadSeen(device.root, url), seen)
  assert.equal(loadSeen(device.root, `${url}1`), {source: `${url}1`})
})

test('what is no memory of this format is refused, not forgotten', async () => {
  const {root, world} = await node()
  const whole = {schema: 1, source: url, etag: '"a"', question: 'q'}
  const bad = [
    {...whole, schema: 2},
    {...whole, question: undefined},
    {...whole, log_size: 5},
    {...whole, expires: 'soon'},
  ]
  for (const json of bad) {
    writeSealed(world.fs, paths.seen, JSON.parse(JSON.stringify(json)))
    throwsCode(() => loadSeen(root, url), 'upgrade_state_corrupt')
  }
  writeSealed(world.fs, paths.seen, whole)
  assert.equal(loadSeen(root, url).nothing, {etag: '"a"', question: 'q'})
})

test('what another process has heard meanwhile is not written over', async () => {
  const device = await node()
  const before: Seen = {source: url}
  const longer: Seen = {source: url, log: {size: 9, root: 'b'}, signers, expires: testNow + 2}
  const shorter: Seen = {source: url, log: {size: 7, root: 'a'}, signers, expires: testNow + 1}
  await keepSeen(device, before, longer, [])
  await keepSeen(device, before, shorter, [])
  assert.equal(loadSeen(device.root, url), longer)
})

test.run()
