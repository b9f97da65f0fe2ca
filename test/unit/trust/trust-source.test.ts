import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {planRevokeDigests} from '../../../src/trust/anchor-plan.ts'
import type {PublicKey} from '../../../src/trust/ed25519.ts'
import {anchorTrust, keyListTrust} from '../../../src/trust/trust-source.ts'
import {anchorFile, testAnchor, testNow, testSigner} from '../../support/anchors.ts'
import {throwsCode} from '../../support/rejects.ts'

const question = {product: 'agent', channel: 'stable', now: testNow}
const [a, b] = ['a', 'b'].map((name) => testSigner(name).publicKey) as [PublicKey, PublicKey]
const digest = 'ab'.repeat(32)

test('an anchor answers for one role, with names and revocations', async () => {
  const anchor = testAnchor({role: 'root', keys: ['a']}, {role: 'artifact', keys: ['b']})
  const file = await anchorFile(planRevokeDigests(anchor, [digest], testNow + 1), 'a')
  const trust = anchorTrust(file, 'artifact')
  assert.equal(
    trust.keysFor(question).keys.map(({keyId}) => keyId),
    [b.keyId],
  )
  assert.is(trust.nameOf(b.keyId), 'b')
  assert.is(trust.nameOf('ab'), undefined)
  throwsCode(() => trust.checkRevoked({manifestSha256: digest}), 'digest_revoked')
  throwsCode(() => anchorTrust(file, 'manifest').keysFor(question), 'role_missing')
  throwsCode(() => trust.keysFor({...question, now: testNow + 2}), 'anchor_expired')
  throwsCode(() => trust.checkFresh(testNow + 2), 'anchor_expired')
  trust.checkFresh(testNow + 1)
})

test('a list of keys answers for everything', () => {
  const trust = keyListTrust(
    new Map([
      ['one', a],
      ['two', b],
    ]),
    2,
  )
  assert.equal(trust.keysFor(question), {keys: [a, b], threshold: 2})
  assert.is(trust.nameOf(a.keyId), 'one')
  trust.checkRevoked({manifestSha256: digest})
  trust.checkFresh(testNow)
})

test('refuses a threshold that different keys of a list cannot meet', () => {
  const twice = new Map([
    ['one', a],
    ['two', a],
  ])
  for (const threshold of [0, 2]) throwsCode(() => keyListTrust(twice, threshold), 'usage_invalid')
  assert.is(keyListTrust(twice, 1).keysFor(question).threshold, 1)
})

test.run()
