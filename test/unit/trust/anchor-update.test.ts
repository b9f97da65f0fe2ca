import {readdirSync, readFileSync} from 'node:fs'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {type Anchor, anchorLimits, checkAnchor, checkClock} from '../../../src/trust/anchor.ts'
import {parseAnchor} from '../../../src/trust/anchor-parse.ts'
import {planAdd, planRenew, planRotate} from '../../../src/trust/anchor-plan.ts'
import {isComplete, needsOf, nextAnchor, walkAnchors} from '../../../src/trust/anchor-update.ts'
import {anchorText} from '../../../src/trust/anchor-write.ts'
import {
  anchorFile,
  signedAnchor,
  testAnchor,
  testKey,
  testNow,
  testSigner,
} from '../../support/anchors.ts'
import {throwsCode} from '../../support/rejects.ts'

const later = testNow + 180 * 86_400
const first = testAnchor({role: 'root', keys: ['root-1']}, {role: 'manifest', keys: ['build']})

/** The next version, in which root-`to` replaces root-`from`. */
function rotated(anchor: Anchor, from: string, to: string, expires = later): Anchor {
  const rotation = {from: testSigner(from).publicKey.keyId, to: testKey(to), overlap: false}
  return planRotate(anchor, rotation, expires)
}

test('walks from N to N+3 offline, over root keys that change at each step', async () => {
  const second = rotated(first, 'root-1', 'root-2')
  const third = rotated(second, 'root-2', 'root-3')
  const fourth = planRenew(third, later + 1)
  const steps = [
    await signedAnchor(second, 'root-1', 'root-2'),
    await signedAnchor(third, 'root-2', 'root-3'),
    await signedAnchor(fourth, 'root-3'),
  ]
  const last = walkAnchors(await anchorFile(first, 'root-1'), steps, later)
  assert.is(last.anchor.version, 4)
  assert.equal(
    [...last.anchor.keys.values()].map(({name}) => name),
    ['build', 'root-3'],
  )
})

test('refuses N+2 without N+1', async () => {
  const second = rotated(first, 'root-1', 'root-2')
  const third = await signedAnchor(
    rotated(second, 'root-2', 'root-3'),
    'root-1',
    'root-2',
    'root-3',
  )
  const trusted = await anchorFile(first, 'root-1')
  throwsCode(() => nextAnchor(trusted, third), 'anchor_gap')
})

test('refuses N+1 signed by the new root key alone', async () => {
  const second = await signedAnchor(rotated(first, 'root-1', 'root-2'), 'root-2')
  const trusted = await anchorFile(first, 'root-1')
  throwsCode(() => nextAnchor(trusted, second), 'anchor_old_root')
})

test('refuses N+1 signed by the old root key alone', async () => {
  const second = await signedAnchor(rotated(first, 'root-1', 'root-2'), 'root-1')
  const trusted = await anchorFile(first, 'root-1')
  throwsCode(() => nextAnchor(trusted, second), 'anchor_new_root')
})

test('refuses N+1 without a signature, as lacking the old root keys', async () => {
  const second = await signedAnchor(rotated(first, 'root-1', 'root-2'))
  const trusted = await anchorFile(first, 'root-1')
  throwsCode(() => nextAnchor(trusted, second), 'anchor_old_root')
})

test('refuses the same version and an older one', async () => {
  const second = planRenew(first, later)
  const trusted = await anchorFile(second, 'root-1')
  for (const offered of [second, first]) {
    const bytes = await signedAnchor(offered, 'root-1')
    throwsCode(() => nextAnchor(trusted, bytes), 'anchor_rollback')
  }
})

test('walks over an expired version, and refuses when the last one has expired', async () => {
  const second = planRenew(first, testNow + 1)
  const third = planRenew(second, later)
  const trusted = await anchorFile(first, 'root-1')
  const steps = [await signedAnchor(second, 'root-1'), await signedAnchor(third, 'root-1')]
  assert.is(walkAnchors(trusted, steps, testNow + 2).anchor.version, 3)
  throwsCode(() => walkAnchors(trusted, steps.slice(0, 1), testNow + 2), 'anchor_expired')
  assert.is(walkAnchors(trusted, steps.slice(0, 1), testNow + 1).anchor.version, 2)
})

test('walks a limited number of versions', async () => {
  const trusted = await anchorFile(first, 'root-1')
  const steps: Buffer[] = []
  let anchor: Anchor = first
  for (let at = 0; at <= anchorLimits.steps; at++) {
    anchor = planRenew(anchor, later + at)
    steps.push(await signedAnchor(anchor, 'root-1'))
  }
  const {steps: most} = anchorLimits
  assert.is(walkAnchors(trusted, steps.slice(0, most), testNow).anchor.version, most + 1)
  throwsCode(() => walkAnchors(trusted, steps, testNow), 'anchor_steps')
})

test('asks for the threshold of the old root, although the new one is lower', async () => {
  const two = testAnchor({role: 'root', keys: ['a', 'b', 'c'], threshold: 2})
  const one = planAdd(two, {key: testKey('d'), roles: ['root'], threshold: 1}, later)
  const trusted = await anchorFile(two, 'a', 'b')
  const byOne = await signedAnchor(one, 'a')
  throwsCode(() => nextAnchor(trusted, byOne), 'anchor_old_root')
  assert.is(nextAnchor(trusted, await signedAnchor(one, 'a', 'c')).anchor.version, 2)
})

test('a false signature by a root key refuses the version, whoever else signed', async () => {
  const two = testAnchor({role: 'root', keys: ['a', 'b', 'c'], threshold: 2})
  const trusted = await anchorFile(two, 'a', 'b')
  const renewed = planRenew(two, later)
  const file = JSON.parse((await signedAnchor(renewed, 'a', 'b', 'c')).toString())
  file.signatures[2].sig = file.signatures[1].sig
  throwsCode(() => nextAnchor(trusted, Buffer.from(JSON.stringify(file))), 'signature_invalid')
})

test('an anchor signed below its own threshold is refused', async () => {
  const two = testAnchor({role: 'root', keys: ['a', 'b'], threshold: 2})
  const file = await anchorFile(two, 'a')
  throwsCode(() => checkAnchor(file), 'threshold_not_met')
  checkAnchor(await anchorFile(two, 'b', 'a'))
})

test('says whose signatures are still needed', async () => {
  const second = rotated(first, 'root-1', 'root-2')
  const id = (name: string): string => testSigner(name).publicKey.keyId
  const previous = await anchorFile(first, 'root-1')
  const pending = needsOf(await anchorFile(second, 'root-2'), previous)
  assert.equal(pending, [
    {version: 1, threshold: 1, signedBy: [], waitingFor: [id('root-1')]},
    {version: 2, threshold: 1, signedBy: [id('root-2')], waitingFor: []},
  ])
  assert.not(isComplete(pending))
  assert.ok(isComplete(needsOf(await anchorFile(second, 'root-2', 'root-1'), previous)))
})

test('flipping any bit of a signed version never gives one that is accepted', async () => {
  const second = planRenew(first, later)
  const trusted = await anchorFile(first, 'root-1')
  const good = await signedAnchor(second, 'root-1')
  const {canonical} = nextAnchor(trusted, good)
  for (let bit = 0; bit < good.length * 8; bit++) {
    const bad = Buffer.from(good)
    bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7))
    const read = accepted(() => nextAnchor(trusted, bad))
    // white space between tokens is not signed: such a flip must leave the meaning as it was
    if (read !== undefined) assert.is(read.canonical, canonical)
  }
})

test('flipping any bit of a refused version never gives one that is accepted', () => {
  const refused = vector('refused/anchor_old_root/one-of-two.json')
  for (let bit = 0; bit < refused.length * 8; bit++) {
    const changed = Buffer.from(refused)
    changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7))
    assert.is(
      accepted(() => nextAnchor(trustedVector, changed)),
      undefined,
    )
  }
})

function accepted<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    assert.is((error as Error).name, 'RelError')
    return undefined
  }
}

const vectors = new URL('../../vectors/anchor/', import.meta.url)
const vector = (path: string): Buffer => readFileSync(new URL(path, vectors))
const trustedVector = parseAnchor(vector('good/1.trust.json'))

test('vectors: the good chain is accepted from any version on, and only in order', () => {
  checkAnchor(trustedVector)
  const chain = [2, 3, 4].map((version) => vector(`good/${version}.trust.json`))
  const last = walkAnchors(trustedVector, chain, testNow)
  assert.is(last.anchor.version, 4)
  throwsCode(() => walkAnchors(last, chain, testNow), 'anchor_rollback')
})

test('vectors: what is written today is what was written then, byte for byte', () => {
  for (const version of [1, 2, 3, 4]) {
    const bytes = vector(`good/${version}.trust.json`)
    assert.is(anchorText(parseAnchor(bytes)), bytes.toString())
  }
})

for (const code of readdirSync(new URL('refused/', vectors))) {
  for (const name of readdirSync(new URL(`refused/${code}/`, vectors))) {
    test(`vectors: refuses ${code}/${name}`, () => {
      const candidate = vector(`refused/${code}/${name}`)
      throwsCode(() => nextAnchor(trustedVector, candidate), code as ErrorCode)
    })
  }
}

test('refuses a clock that is behind a time it has shown', () => {
  checkClock(testNow, testNow)
  throwsCode(() => checkClock(testNow - 1, testNow), 'clock_set_back')
})

test.run()
