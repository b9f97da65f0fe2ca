import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../src/system/codes.ts'
import type {JsonObject, JsonValue} from '../../../src/system/json.ts'
import {type Anchor, checkAnchorFresh, checkDigest, keysFor} from '../../../src/trust/anchor.ts'
import {parseAnchor} from '../../../src/trust/anchor-parse.ts'
import {planAdd, planRevoke, planRevokeDigests} from '../../../src/trust/anchor-plan.ts'
import {anchorJson} from '../../../src/trust/anchor-write.ts'
import {addSignature, checkSignatures} from '../../../src/trust/envelope.ts'
import {signedAnchor, testAnchor, testKey, testNow, testSigner} from '../../support/anchors.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'

const id = (name: string): string => testSigner(name).publicKey.keyId
const question = {product: 'agent', channel: 'stable', now: testNow}
const expires = testNow + 90 * 86_400

const limited = testAnchor(
  {role: 'root', keys: ['root']},
  {role: 'manifest', keys: ['build'], products: ['agent', 'shell'], channels: ['stable']},
  {role: 'artifact', keys: ['packer']},
)
/** As limited, but a further key may sign for canary. */
const withCanary = planAdd(
  limited,
  {key: testKey('canary'), roles: ['manifest'], products: ['agent'], channels: ['canary']},
  expires,
)

function idsFor(anchor: Anchor, asked: Partial<typeof question>): readonly string[] {
  return keysFor(anchor, 'manifest', {...question, ...asked}).keys.map(({keyId}) => keyId)
}

async function signedBy(anchor: Anchor, name: string, asked = {}): Promise<readonly string[]> {
  const signatures = await addSignature('manifest', '{}', [], testSigner(name))
  const keySet = keysFor(anchor, 'manifest', {...question, ...asked})
  return checkSignatures('manifest', '{}', signatures, keySet).signedBy
}

test('picks keys by role, product and channel', () => {
  assert.equal(idsFor(withCanary, {}), [id('build')])
  assert.equal(idsFor(withCanary, {product: 'shell'}), [id('build')])
  assert.equal(idsFor(withCanary, {channel: 'canary'}), [id('canary')])
})

test('says why no key can count', () => {
  const cases: [string, () => unknown, ErrorCode][] = [
    ['another role', () => keysFor(limited, 'license', question), 'role_missing'],
    ['another product', () => idsFor(limited, {product: 'other'}), 'key_not_for_product'],
    ['another channel', () => idsFor(limited, {channel: 'beta'}), 'key_not_for_channel'],
    ['one second late', () => idsFor(limited, {now: expires + 1}), 'anchor_expired'],
  ]
  for (const [, ask, code] of cases) throwsCode(ask, code)
  checkAnchorFresh(limited, expires)
})

const refusals: [string, string, object, ErrorCode][] = [
  ['canary key on stable', 'canary', {}, 'key_not_for_channel'],
  ['canary key for another product', 'canary', {product: 'shell'}, 'key_not_for_product'],
  ['stable key on canary', 'build', {channel: 'canary'}, 'key_not_for_channel'],
  ['key of another role', 'packer', {}, 'key_not_for_role'],
  ['root key', 'root', {}, 'key_not_for_role'],
  ['key that is not there', 'stranger', {}, 'key_unknown'],
]
for (const [title, name, asked, code] of refusals) {
  test(`refuses a signature by a ${title}`, async () => {
    await rejectsCode(() => signedBy(withCanary, name, asked), code)
  })
}

test('a signature by the right key counts', async () => {
  assert.equal(await signedBy(withCanary, 'build'), [id('build')])
  assert.equal(await signedBy(withCanary, 'canary', {channel: 'canary'}), [id('canary')])
})

test('a key past its last second does not count, and says so', async () => {
  const key = {...testKey('old'), notAfter: testNow}
  const anchor = planAdd(withCanary, {key, roles: ['manifest']}, expires)
  assert.equal(await signedBy(anchor, 'old'), [id('old')])
  await rejectsCode(() => signedBy(anchor, 'old', {now: testNow + 1}), 'key_expired')
  assert.equal(await signedBy(anchor, 'build', {now: testNow + 1}), [id('build')])
})

test('a revoked key does not count, also for what it signed before', async () => {
  const replacement = testKey('build-2')
  const revocation = {keyId: id('build'), since: testNow + 1000, reason: 'lost', replacement}
  const anchor = planRevoke(withCanary, revocation, expires)
  await rejectsCode(() => signedBy(anchor, 'build'), 'key_revoked')
  assert.equal(await signedBy(anchor, 'build-2'), [id('build-2')])
})

test('a revoked document is refused, others are not', () => {
  const digest = 'ab'.repeat(32)
  const anchor = planRevokeDigests(limited, [digest], expires)
  throwsCode(() => checkDigest(anchor, digest), 'digest_revoked')
  checkDigest(anchor, 'cd'.repeat(32))
})

test('reads back what it wrote', async () => {
  const revocation = {keyId: id('packer'), since: 5, reason: 'lost', replacement: testKey('p2')}
  const revoked = planRevokeDigests(
    planRevoke(withCanary, revocation, expires),
    ['ab'.repeat(32)],
    expires,
  )
  const bytes = await signedAnchor(revoked, 'root')
  const {anchor, signatures} = parseAnchor(bytes)
  assert.is(signatures.length, 1)
  assert.is((await signedAnchor(anchor, 'root')).toString(), bytes.toString())
  assert.is(anchor.version, 4)
  assert.equal(anchor.revoked, [{keyId: id('packer'), since: 5, reason: 'lost'}])
})

const [root, build] = [id('root'), id('build')]
const other = 'ab'.repeat(32)
const good = anchorJson(limited)
const buildKey = (good.keys as JsonObject)[build] as JsonObject
const rootGrant = {keyids: [root], threshold: 1}
const artifactGrant = {keyids: [id('packer')], threshold: 1}

/** What is wrong, where, the value there (undefined: left out), the code. */
const malformed: [string, string, JsonValue | undefined, ErrorCode][] = [
  ['no trust', 'trust', undefined, 'anchor_malformed'],
  ['unknown field outside', 'x', 1, 'anchor_malformed'],
  ['unknown field inside', 'trust.x', 1, 'anchor_malformed'],
  ['no signatures', 'signatures', undefined, 'anchor_malformed'],
  ['signatures as an object', 'signatures', {}, 'signature_malformed'],
  ['newer spec', 'trust.spec', 2, 'anchor_spec_unsupported'],
  ['newer spec with unknown fields', 'trust', {spec: 2, y: 1}, 'anchor_spec_unsupported'],
  ['spec as text', 'trust.spec', '1', 'anchor_malformed'],
  ['version 0', 'trust.version', 0, 'anchor_inconsistent'],
  ['no version', 'trust.version', undefined, 'anchor_malformed'],
  ['no expiry', 'trust.expires', undefined, 'anchor_malformed'],
  ['expiry after all dates', 'trust.expires', 253_402_300_800, 'anchor_inconsistent'],
  [
    'revocation after all dates',
    'trust.revoked',
    [{keyid: other, since: Number.MAX_SAFE_INTEGER}],
    'anchor_inconsistent',
  ],
  [
    'key that ends after all dates',
    `trust.keys.${build}`,
    {...buildKey, not_after: Number.MAX_SAFE_INTEGER},
    'anchor_inconsistent',
  ],
  ['expiry null', 'trust.expires', null, 'json_null'],
  ['legacy maybe', 'trust.legacy', 'maybe', 'anchor_malformed'],
  ['legacy of no product', 'trust.legacy', {products: []}, 'anchor_malformed'],
  ['legacy of no name', 'trust.legacy', {products: ['a/b']}, 'anchor_malformed'],
  ['legacy by channel', 'trust.legacy', {products: ['a'], channels: ['b']}, 'anchor_malformed'],
  ['keys as a list', 'trust.keys', [], 'anchor_malformed'],
  ['other algorithm', `trust.keys.${root}.alg`, 'rsa', 'anchor_malformed'],
  ['short key', `trust.keys.${root}.public`, 'AAAA', 'anchor_malformed'],
  ['key with stray bits', `trust.keys.${root}.public`, `${'A'.repeat(42)}B=`, 'anchor_malformed'],
  ['small-order key', `trust.keys.${root}.public`, `AQ${'A'.repeat(41)}=`, 'key_weak'],
  ['control character in a name', `trust.keys.${root}.name`, '\u001b[31m', 'anchor_malformed'],
  ['key under the id of another', `trust.keys.${root}`, buildKey, 'anchor_inconsistent'],
  ['one key under two ids', `trust.keys.${other}`, buildKey, 'anchor_inconsistent'],
  ['no root role', 'trust.roles.root', undefined, 'anchor_malformed'],
  ['unknown role', 'trust.roles.admin', [rootGrant], 'anchor_malformed'],
  ['empty role', 'trust.roles.artifact', [], 'anchor_inconsistent'],
  ['role as an object', 'trust.roles.root', rootGrant, 'anchor_malformed'],
  [
    'two root entries',
    'trust.roles.root',
    [{...rootGrant, channels: ['a']}, rootGrant],
    'anchor_inconsistent',
  ],
  ['root limited to a product', 'trust.roles.root.0.products', ['agent'], 'anchor_inconsistent'],
  [
    'key listed twice',
    'trust.roles.root.0',
    {keyids: [root, root], threshold: 2},
    'anchor_malformed',
  ],
  ['key that is not there', 'trust.roles.root.0.keyids', [other], 'anchor_inconsistent'],
  ['threshold 0', 'trust.roles.root.0.threshold', 0, 'anchor_inconsistent'],
  ['threshold beyond the keys', 'trust.roles.root.0.threshold', 2, 'anchor_inconsistent'],
  ['threshold below zero', 'trust.roles.root.0.threshold', -1, 'json_number'],
  ['empty products', 'trust.roles.manifest.0.products', [], 'anchor_malformed'],
  ['product with a slash', 'trust.roles.manifest.0.products', ['a/b'], 'anchor_malformed'],
  [
    'entry that can never decide',
    'trust.roles.artifact.1',
    {...artifactGrant, channels: ['beta']},
    'anchor_inconsistent',
  ],
  ['revoked key in a role', 'trust.revoked', [{keyid: root, since: 1}], 'anchor_inconsistent'],
  ['revoked key without a time', 'trust.revoked', [{keyid: root}], 'anchor_malformed'],
  ['revoked digest in capitals', 'trust.revoked_digests', ['AB'.repeat(32)], 'anchor_malformed'],
  ['too many revoked digests', 'trust.revoked_digests', Array(4097).fill(other), 'anchor_limit'],
  [
    'inexact allowed signer',
    'trust.allowed_signers',
    [{issuer: 'https://a.test', san: '*'}],
    'identity_policy_malformed',
  ],
]

for (const [title, path, value, code] of malformed) {
  test(`refuses an anchor with: ${title}`, async () => {
    const file = JSON.parse((await signedAnchor(limited, 'root')).toString())
    const steps = path.split('.')
    const last = steps.pop() as string
    let parent = file
    for (const step of steps) parent = parent[step]
    parent[last] = value
    throwsCode(() => parseAnchor(Buffer.from(JSON.stringify(file))), code)
  })
}

test('refuses an anchor in which a key is written twice', async () => {
  const text = (await signedAnchor(limited, 'root')).toString()
  const twice = text.replace('"version": 1,', '"version": 1, "version": 2,')
  throwsCode(() => parseAnchor(Buffer.from(twice)), 'json_duplicate_key')
})

test('refuses an anchor beyond its size before it reads any of it', () => {
  throwsCode(() => parseAnchor(Buffer.alloc(1024 * 1024 + 1)), 'json_too_large')
})

test.run()
