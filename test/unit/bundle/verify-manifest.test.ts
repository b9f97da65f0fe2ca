import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {verifyManifestBytes} from '../../../src/bundle/verify-manifest.ts'
import type {VerifyPolicy, VerifyStep} from '../../../src/bundle/verify-policy.ts'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {RelError} from '../../../src/system/error.ts'
import {canonicalJson} from '../../../src/trust/canonical-json.ts'
import {addSignature} from '../../../src/trust/envelope.ts'
import {
  d2Files,
  facts,
  makeTree,
  NOW,
  policyOf,
  signTree,
  testSigner,
} from '../../support/bundles.ts'
import {rejectsCode} from '../../support/rejects.ts'

const root = makeTree(d2Files)
const [a, b, c] = [testSigner(1), testSigner(2), testSigner(3)]

async function signed(more: Parameters<typeof signTree>[1] = {}): Promise<Buffer> {
  await signTree(root, more)
  return readFileSync(join(root, 'manifest.json'))
}

type Wire = {
  manifest: Record<string, unknown> & {rel: Record<string, unknown>}
  signature?: string
  signatures: {keyid: string; sig: string}[]
}

/** The same bytes with a change to the parsed document. */
function edited(bytes: Buffer, change: (wire: Wire) => void): Buffer {
  const wire = JSON.parse(bytes.toString()) as Wire
  change(wire)
  return Buffer.from(JSON.stringify(wire))
}

const good = await signed()
const d2 = await signed({d2: true})
const trustA = policyOf([a.publicKey])

test('accepts what a trusted key signed, and says who and what', async () => {
  const steps: VerifyStep[] = []
  const verified = await verifyManifestBytes(good, trustA, (step) => steps.push(step))
  assert.equal(verified.signedBy, [a.publicKey.keyId])
  assert.is(verified.manifest.rel?.product, 'edge-agent')
  const order = ['json', 'keys', 'signatures', 'revocation', 'format', 'shape', 'expectations']
  assert.equal(
    steps.map(({check}) => check),
    [...order, 'freshness'],
  )
})

test('the second opinion agrees, for both kinds of manifest', async () => {
  await verifyManifestBytes(good, policyOf([a.publicKey], {paranoid: true}))
  await verifyManifestBytes(d2, policyOf([a.publicKey], {paranoid: true, legacy: 'allow'}))
})

test('the digest of the content does not depend on spelling or on signatures', async () => {
  const plain = await verifyManifestBytes(good, trustA)
  const spelled = await verifyManifestBytes(
    edited(good, (wire) => delete wire.signature),
    trustA,
  )
  assert.is(plain.contentSha256, spelled.contentSha256)
  assert.is.not(plain.manifestSha256, spelled.manifestSha256)
})

const refusals: readonly (readonly [string, ErrorCode, Partial<VerifyPolicy>, Buffer])[] = [
  ['another product', 'product_mismatch', {expect: {product: 'other'}}, good],
  ['another version', 'version_mismatch', {expect: {version: '99.0.0'}}, good],
  ['another channel', 'channel_mismatch', {expect: {channel: 'beta'}}, good],
  ['another target', 'target_mismatch', {expect: {target: 'linux-amd64'}}, good],
  ['a clock far behind', 'timestamp_future', {now: facts.timestamp - 301}, good],
  ['a D2 manifest', 'legacy_refused', {}, d2],
  ['a D2 manifest of another product', 'legacy_refused', {legacy: {products: ['other']}}, d2],
  [
    'a channel of a D2 manifest',
    'channel_mismatch',
    {legacy: 'allow', expect: {channel: 'stable'}},
    d2,
  ],
  ['a target of a D2 manifest', 'target_mismatch', {legacy: 'allow', expect: {target: 'x'}}, d2],
  [
    'another product in a D2 name',
    'product_mismatch',
    {legacy: 'allow', expect: {product: 'x'}},
    d2,
  ],
]

test('takes a D2 manifest of a product that is named', async () => {
  const policy = policyOf([a.publicKey], {legacy: {products: [facts.product]}})
  await verifyManifestBytes(d2, policy)
})

for (const [name, code, more, bytes] of refusals)
  test(`refuses ${name} with ${code}`, async () => {
    await rejectsCode(() => verifyManifestBytes(bytes, policyOf([a.publicKey], more)), code)
  })

test('takes what was asked for when it is as signed', async () => {
  const expect = {product: 'edge-agent', version: '1.4.2', channel: 'stable', target: 'linux-arm64'}
  await verifyManifestBytes(good, policyOf([a.publicKey], {expect}))
  await verifyManifestBytes(good, policyOf([a.publicKey], {now: facts.timestamp - 300}))
})

test('an expired manifest is refused from its last second on', async () => {
  const bytes = await signed({expires: NOW})
  await verifyManifestBytes(bytes, policyOf([a.publicKey], {now: NOW - 1}))
  await rejectsCode(() => verifyManifestBytes(bytes, trustA), 'manifest_expired')
})

const tampered: readonly (readonly [string, ErrorCode, (wire: Wire) => void])[] = [
  ['no signatures', 'signature_missing', (wire) => (wire.signatures = [])],
  ['signatures left out', 'signature_missing', (wire) => delete (wire as Partial<Wire>).signatures],
  ['only a D2 signature', 'signature_missing', (wire) => (wire.signatures = [])],
  ['a garbage signature', 'signature_invalid', (wire) => setSig(wire, Buffer.alloc(64, 7))],
  ['a garbage D2 signature', 'signature_invalid', (wire) => (wire.signature = base64(64))],
  ['a signed field changed', 'signature_invalid', (wire) => (wire.manifest.version = '99.0.0')],
  ['the sequence raised', 'signature_invalid', (wire) => (wire.manifest.rel.sequence = 43)],
  [
    'the rel section stripped',
    'legacy_refused',
    (wire) => delete (wire.manifest as Partial<Wire['manifest']>).rel,
  ],
  ['an unknown key’s id', 'key_unknown', (wire) => (signatureOf(wire).keyid = 'f'.repeat(64))],
]

function base64(length: number): string {
  return Buffer.alloc(length, 7).toString('base64')
}

function signatureOf(wire: Wire): Wire['signatures'][number] {
  const [first] = wire.signatures
  if (first === undefined) throw new Error('the fixture has no signature')
  return first
}

function setSig(wire: Wire, bytes: Buffer): void {
  signatureOf(wire).sig = bytes.toString('base64')
}

for (const [name, code, change] of tampered)
  test(`refuses ${name} with ${code}`, async () => {
    await rejectsCode(() => verifyManifestBytes(edited(good, change), trustA), code)
  })

test('a D2 manifest made of a stripped one does not verify, also where D2 is allowed', async () => {
  const stripped = edited(good, (wire) => delete (wire.manifest as Partial<Wire['manifest']>).rel)
  const policy = policyOf([a.publicKey], {legacy: 'allow'})
  await rejectsCode(() => verifyManifestBytes(stripped, policy), 'signature_invalid')
})

test('a format of the future is signed like any other, and then unsupported', async () => {
  const wire = JSON.parse(good.toString()) as Wire
  wire.manifest.rel = {...wire.manifest.rel, spec: 2, 'new-field': 'x'}
  const signatures = await addSignature('manifest', canonicalJson(wire.manifest as never), [], a)
  const future = Buffer.from(JSON.stringify({manifest: wire.manifest, signatures}))
  await rejectsCode(() => verifyManifestBytes(future, trustA), 'spec_unsupported')
  const changed = edited(future, (value) => (value.manifest.rel['new-field'] = 'y'))
  await rejectsCode(() => verifyManifestBytes(changed, trustA), 'signature_invalid')
})

test('a threshold counts keys, not entries', async () => {
  const two = policyOf([a.publicKey, b.publicKey], {threshold: 2})
  await rejectsCode(() => verifyManifestBytes(good, two), 'threshold_not_met')
  const twice = edited(good, (wire) => wire.signatures.push({...signatureOf(wire)}))
  await rejectsCode(() => verifyManifestBytes(twice, two), 'signature_duplicate')
  const relabelled = edited(good, (wire) =>
    wire.signatures.push({...signatureOf(wire), keyid: b.publicKey.keyId}),
  )
  await rejectsCode(() => verifyManifestBytes(relabelled, two), 'signature_invalid')
})

async function cosigned(bytes: Buffer): Promise<Buffer> {
  const wire = JSON.parse(bytes.toString()) as Wire
  const canonical = canonicalJson(wire.manifest as never)
  wire.signatures = [...(await addSignature('manifest', canonical, wire.signatures, b))]
  return Buffer.from(JSON.stringify(wire))
}

test('two signers: either trust accepts, and so does a threshold of two', async () => {
  const bytes = await cosigned(good)
  await verifyManifestBytes(bytes, policyOf([a.publicKey, b.publicKey], {threshold: 2}))
  await verifyManifestBytes(bytes, policyOf([a.publicKey]))
  // the D2 signature is by a key that is unknown to this verifier
  await verifyManifestBytes(bytes, policyOf([b.publicKey]))
  await rejectsCode(() => verifyManifestBytes(bytes, policyOf([c.publicKey])), 'key_unknown')
})

test('a false D2 signature is ignored only beside an entry of a key that is unknown', async () => {
  const falsified = (bytes: Buffer) =>
    edited(bytes, (wire) => (wire.signature = Buffer.alloc(64, 7).toString('base64')))
  const trustBoth = policyOf([a.publicKey, b.publicKey])
  const cosignedBytes = await cosigned(good)
  await rejectsCode(() => verifyManifestBytes(falsified(good), trustA), 'signature_invalid')
  await rejectsCode(
    () => verifyManifestBytes(falsified(cosignedBytes), trustBoth),
    'signature_invalid',
  )
  const {signedBy} = await verifyManifestBytes(falsified(cosignedBytes), trustA)
  assert.equal(signedBy, [a.publicKey.keyId])
  const malformed = edited(cosignedBytes, (wire) => (wire.signature = 'x'))
  await rejectsCode(() => verifyManifestBytes(malformed, trustA), 'signature_malformed')
})

test('a D2 manifest meets a threshold of one only', async () => {
  const allow = {legacy: 'allow'} as const
  await verifyManifestBytes(d2, policyOf([b.publicKey, a.publicKey], allow))
  const two = policyOf([a.publicKey, b.publicKey], {...allow, threshold: 2})
  await rejectsCode(() => verifyManifestBytes(d2, two), 'threshold_not_met')
  await rejectsCode(
    () => verifyManifestBytes(d2, policyOf([b.publicKey], allow)),
    'signature_invalid',
  )
})

test('Python’s default separators count only when asked for', async () => {
  const {manifest} = JSON.parse(d2.toString()) as Wire
  const sorted = canonicalJson(manifest as never)
  // none of the values of this manifest holds a comma or a colon
  const python = sorted.replaceAll(',', ', ').replaceAll(':', ': ')
  const signature = Buffer.from(await a.sign(Buffer.from(python))).toString('base64')
  const bytes = Buffer.from(JSON.stringify({manifest, signature}))
  const allow = policyOf([a.publicKey], {legacy: 'allow'})
  await rejectsCode(() => verifyManifestBytes(bytes, allow), 'signature_invalid')
  await verifyManifestBytes(bytes, {...allow, legacyCanonical: 'python-default'})
})

test('a revoked digest is refused after the signature, however it is spelled', async () => {
  const {contentSha256} = await verifyManifestBytes(good, trustA)
  const trust = {
    ...trustA.trust,
    checkRevoked: ({manifestSha256}: {manifestSha256: string}) => {
      if (manifestSha256 === contentSha256) throw new RelError('digest_revoked', 'revoked')
    },
  }
  await rejectsCode(() => verifyManifestBytes(good, {...trustA, trust}), 'digest_revoked')
  const spelled = edited(good, () => undefined)
  await rejectsCode(() => verifyManifestBytes(spelled, {...trustA, trust}), 'digest_revoked')
})

test('no flip of a single bit turns refuse into accept or changes what is signed', async () => {
  const {contentSha256} = await verifyManifestBytes(good, trustA)
  let accepted = 0
  for (let bit = 0; bit < good.length * 8; bit++) {
    const flipped = Buffer.from(good)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    const verdict = await verifyManifestBytes(flipped, trustA).catch((error: unknown) => {
      if (!(error instanceof RelError) || error.code === 'internal_error') throw error
      return undefined
    })
    if (verdict === undefined) continue
    accepted++
    // only white space outside of strings may differ
    assert.is(verdict.contentSha256, contentSha256, `bit ${bit}`)
    assert.equal(JSON.parse(flipped.toString()), JSON.parse(good.toString()), `bit ${bit}`)
  }
  assert.ok(accepted < good.length, `${accepted} flips were accepted`)
})

test('no flip of a single bit of a refused manifest makes it acceptable', async () => {
  const bytes = edited(good, (wire) => (wire.manifest.version = '1.4.3'))
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    const accepted = await verifyManifestBytes(flipped, trustA).then(
      ({manifest}) => manifest.version,
      () => undefined,
    )
    // the one flip that undoes the change gives back what was signed
    assert.ok(accepted === undefined || accepted === '1.4.2', `bit ${bit}`)
  }
})

const identity = (mode: 'sigstore' | 'both' | 'either', verdict: 'good' | 'bad') => ({
  mode,
  check: async () => {
    if (verdict === 'bad') throw new RelError('signature_missing', 'no identity')
    return ['ci@example']
  },
})

const unsigned = edited(good, (wire) => {
  wire.signatures = []
  delete wire.signature
})

const policies: readonly (readonly [
  'sigstore' | 'both' | 'either',
  'good' | 'bad',
  Buffer,
  ErrorCode | undefined,
])[] = [
  ['sigstore', 'good', unsigned, undefined],
  ['sigstore', 'bad', good, 'signature_missing'],
  ['both', 'good', good, undefined],
  ['both', 'good', unsigned, 'signature_missing'],
  ['both', 'bad', good, 'signature_missing'],
  ['either', 'good', good, undefined],
  ['either', 'bad', good, undefined],
  ['either', 'good', unsigned, undefined],
  ['either', 'bad', unsigned, 'signature_missing'],
  [
    'either',
    'good',
    edited(good, (wire) => setSig(wire, Buffer.alloc(64, 7))),
    'signature_invalid',
  ],
]

policies.forEach(([mode, verdict, bytes, code], at) => {
  test(`policy ${mode}, identity ${verdict}, case ${at}: ${code ?? 'accepted'}`, async () => {
    const policy = policyOf([a.publicKey], {identity: identity(mode, verdict)})
    if (code === undefined) await verifyManifestBytes(bytes, policy)
    else await rejectsCode(() => verifyManifestBytes(bytes, policy), code)
  })
})

for (const mode of ['sigstore', 'both', 'either'] as const)
  test(`policy ${mode}: identities end with the anchor that names them`, async () => {
    const policy = policyOf([a.publicKey], {identity: identity(mode, 'good')})
    const checkFresh = (now: number) => {
      assert.is(now, policy.now)
      throw new RelError('anchor_expired', 'it is over')
    }
    const expired = {...policy, trust: {...policy.trust, checkFresh}}
    await rejectsCode(() => verifyManifestBytes(good, expired), 'anchor_expired')
  })

test('an identity check that names nobody is a bug, not a pass', async () => {
  const silent = {mode: 'sigstore' as const, check: async () => []}
  const policy = policyOf([a.publicKey], {identity: silent})
  await rejectsCode(() => verifyManifestBytes(good, policy), 'internal_error')
})

test.run()
