import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {suite} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../../src/system/codes.ts'
import {parseClearsign} from '../../../../src/upstream/apt/clearsign.ts'
import {verifyClearsigned, verifyDetached} from '../../../../src/upstream/apt/in-release.ts'
import {askSecondEngines, gpgvSigners} from '../../../../src/upstream/apt/second-engine.ts'
import {
  clearsigned,
  detached,
  expiring,
  type TestKey,
  testKey,
} from '../../../support/apt-archive.ts'
import {needs} from '../../../support/needs.ts'
import {rejectsCode, throwsCode} from '../../../support/rejects.ts'
import {temporaryFolder} from '../../../support/tmp.ts'

const test = suite<{key: TestKey; other: TestKey}>('clearsigned files, by TEST keys')
const text = 'Origin: Debian\n- dash\n\nSuite: x'
const vectors = join(import.meta.dirname, '../../../vectors/upstream/apt')
const signedAt = new Date('2026-01-01')
const now = Date.UTC(2026, 1, 1) / 1000

test.before(async (context) => {
  context.key = await testKey()
  context.other = await testKey()
})

function sign(key: TestKey, date = signedAt): Promise<Buffer> {
  return clearsigned(text, [key], date)
}

function verify(bytes: Uint8Array, key: TestKey, at = now) {
  return verifyClearsigned(bytes, key.publicKey, [key.fingerprint], at)
}

test('the signed text comes back, and nothing else', async ({key}) => {
  const verified = await verify(await sign(key), key)
  assert.is(verified.text, text)
  assert.equal(verified.verdicts, [
    {
      state: 'valid',
      fingerprint: key.fingerprint,
      created: signedAt.getTime() / 1000,
      isCurrent: true,
    },
  ])
})

test('one pinned key of several that signed is enough', async ({key, other}) => {
  const bytes = await clearsigned(text, [other, key], signedAt)
  const states = (await verify(bytes, key)).verdicts.map((verdict) =>
    verdict.state === 'valid' ? 'valid' : verdict.code,
  )
  assert.equal(states.sort(), ['openpgp_signer_unknown', 'valid'])
})

function edited(bytes: Buffer, from: string | RegExp, to: string): Buffer {
  const changed = bytes.toString('utf8').replace(from, to)
  assert.is.not(changed, bytes.toString('utf8'))
  return Buffer.from(changed)
}

const mutations: Readonly<Record<string, [(bytes: Buffer) => Buffer, ErrorCode]>> = {
  'text before': [(bytes) => Buffer.concat([Buffer.from('x\n'), bytes]), 'openpgp_frame_invalid'],
  'an empty line before': [
    (bytes) => Buffer.concat([Buffer.from('\n'), bytes]),
    'openpgp_frame_invalid',
  ],
  'a byte order mark': [
    (bytes) => Buffer.concat([Buffer.from('\ufeff'), bytes]),
    'openpgp_frame_invalid',
  ],
  'text after': [(bytes) => Buffer.concat([bytes, Buffer.from('x\n')]), 'openpgp_frame_invalid'],
  'an empty line after': [
    (bytes) => Buffer.concat([bytes, Buffer.from('\n')]),
    'openpgp_frame_invalid',
  ],
  'two messages': [(bytes) => Buffer.concat([bytes, bytes]), 'openpgp_frame_invalid'],
  'a message inside': [
    (bytes) => edited(bytes, 'Origin', '-----BEGIN PGP SIGNED MESSAGE-----\n\nOrigin'),
    'openpgp_frame_invalid',
  ],
  'an unescaped dash': [
    (bytes) => edited(bytes, '- - dash', '- dash'),
    'openpgp_signature_invalid',
  ],
  'a bare dash': [(bytes) => edited(bytes, '- - dash', '-dash'), 'openpgp_frame_invalid'],
  'no end': [(bytes) => bytes.subarray(0, -20), 'openpgp_frame_invalid'],
  'carriage returns': [(bytes) => edited(bytes, /\n/g, '\r\n'), 'openpgp_frame_invalid'],
  'bytes that are no UTF-8': [
    (bytes) => Buffer.concat([bytes.subarray(0, 60), Buffer.from([0xff]), bytes.subarray(60)]),
    'openpgp_frame_invalid',
  ],
  'another header': [(bytes) => edited(bytes, 'Hash:', 'Comment:'), 'openpgp_frame_invalid'],
  'a line in the head': [
    (bytes) => edited(bytes, '\n\n', '\nOrigin: Evil\n\n'),
    'openpgp_frame_invalid',
  ],
  'a weaker hash in the header': [
    (bytes) => edited(bytes, 'SHA512', 'SHA256'),
    'openpgp_hash_header',
  ],
  'a second hash in the header': [
    (bytes) => edited(bytes, 'SHA512', 'SHA512, SHA256'),
    'openpgp_hash_header',
  ],
  'a changed byte': [
    (bytes) => edited(bytes, 'Origin: Debian', 'Origin: Debiam'),
    'openpgp_signature_invalid',
  ],
  'a line more': [
    (bytes) => edited(bytes, 'Suite: x', 'Suite: x\nA: b'),
    'openpgp_signature_invalid',
  ],
  'a damaged signature': [
    (bytes) => edited(bytes, /(SIGNATURE-----\n\n.{8})(..)/, '$1AA'),
    'openpgp_frame_invalid',
  ],
  'no signature in the armor': [
    (bytes) => edited(bytes, /(SIGNATURE-----\n\n)[^-]*/, '$1\n'),
    'openpgp_frame_invalid',
  ],
  'too many bytes': [() => Buffer.alloc(5 * 1024 * 1024, 0x41), 'openpgp_frame_invalid'],
}

for (const [name, [mutate, code]] of Object.entries(mutations))
  test(`refused: ${name}`, async ({key}) => {
    const bytes = await sign(key)
    await rejectsCode(() => verify(mutate(bytes), key), code)
  })

test('refused: a key that is in the keyring and not pinned', async ({key, other}) => {
  const both = Buffer.concat([key.publicKey, other.publicKey])
  const bytes = await sign(other)
  await rejectsCode(
    () => verifyClearsigned(bytes, both, [key.fingerprint], now),
    'openpgp_signer_unknown',
  )
})

test('refused: SHA-1, also by a pinned key', async () => {
  const read = (name: string) => readFileSync(join(vectors, name))
  const bytes = read('synthetic-sha1-InRelease')
  const pinned = ['3DEDB9C068D7805A0F8A53C6869E8309E8C5E286']
  await rejectsCode(
    () => verifyClearsigned(bytes, read('synthetic-sha1-key.gpg'), pinned, now),
    'openpgp_weak_hash',
  )
})

test('refused: a keyring without the pinned key, and one that is none', async ({key, other}) => {
  const bytes = await sign(key)
  for (const keyring of [other.publicKey, Buffer.from('hello'), Buffer.alloc(0)])
    await rejectsCode(
      () => verifyClearsigned(bytes, keyring, [key.fingerprint], now),
      'openpgp_keyring_unusable',
    )
})

test('refused: a key that had expired when it signed', async ({key}) => {
  const expired = await expiring(key, new Date('2024-01-01'), 86_400 * 700)
  const late = await sign(key)
  await rejectsCode(() => verify(late, expired), 'openpgp_key_invalid')
  const early = await sign(key, new Date('2024-06-01'))
  const {verdicts} = await verify(early, expired)
  assert.is(verdicts[0]?.state === 'valid' && !verdicts[0].isCurrent, true)
})

test('refused: a revoked key', async () => {
  const revoked = await testKey({isRevoked: true})
  await rejectsCode(async () => verify(await sign(revoked), revoked), 'openpgp_key_invalid')
})

test('refused: a signature from the future', async ({key}) => {
  const bytes = await sign(key)
  await rejectsCode(() => verify(bytes, key, now - 60 * 86_400), 'openpgp_signature_invalid')
})

test('spaces at the end of a line are not signed, so nobody gets to see them', async ({key}) => {
  const bytes = edited(await sign(key), 'Suite: x', 'Suite: x \t')
  assert.is((await verify(bytes, key)).text, text)
})

test('the frame is taken apart exactly', async ({key}) => {
  const frame = parseClearsign(await sign(key))
  assert.equal([frame.hashes, frame.text], [['SHA512'], text])
  throwsCode(() => parseClearsign(Buffer.alloc(0)), 'openpgp_frame_invalid')
})

const release = Buffer.from('Origin: Debian\n- dash\n\nSuite: x \n')

type Detached = {readonly bytes: Buffer; readonly signature: Buffer}

async function detachedBy(keys: readonly TestKey[], date = signedAt): Promise<Detached> {
  return {bytes: release, signature: await detached(release, keys, date)}
}

function verifyApart({bytes, signature}: Detached, key: TestKey, at = now) {
  return verifyDetached(bytes, signature, key.publicKey, [key.fingerprint], at)
}

test('a file that is signed apart is taken byte for byte, without its last newline', async ({
  key,
  other,
}) => {
  const verified = await verifyApart(await detachedBy([other, key]), key)
  assert.is(verified.text, 'Origin: Debian\n- dash\n\nSuite: x ')
  assert.equal(verified.verdicts.map(({state}) => state).sort(), ['refused', 'valid'])
  const {signature, bytes} = await detachedBy([key])
  const space = Buffer.from(bytes.toString().replace('x \n', 'x\n'))
  await rejectsCode(() => verifyApart({bytes: space, signature}, key), 'openpgp_signature_invalid')
})

const apart: Readonly<Record<string, [(signed: Detached) => Detached, ErrorCode]>> = {
  'a changed byte': [
    ({bytes, signature}) => ({bytes: edited(bytes, 'Debian', 'Debiam'), signature}),
    'openpgp_signature_invalid',
  ],
  'text after it': [
    ({bytes, signature}) => ({bytes: Buffer.concat([bytes, Buffer.from('A: b\n')]), signature}),
    'openpgp_signature_invalid',
  ],
  'a carriage return': [
    ({bytes, signature}) => ({bytes: edited(bytes, '\n', '\r\n'), signature}),
    'openpgp_frame_invalid',
  ],
  'two blocks of signatures': [
    ({bytes, signature}) => ({bytes, signature: Buffer.concat([signature, signature])}),
    'openpgp_frame_invalid',
  ],
  'text before the signature': [
    ({bytes, signature}) => ({bytes, signature: Buffer.concat([Buffer.from('x\n'), signature])}),
    'openpgp_frame_invalid',
  ],
  'no signature': [({bytes}) => ({bytes, signature: Buffer.alloc(0)}), 'openpgp_frame_invalid'],
  'a web page for a signature': [
    ({bytes}) => ({bytes, signature: Buffer.from('<html>\n')}),
    'openpgp_frame_invalid',
  ],
}
for (const [name, [change, code]] of Object.entries(apart))
  test(`a file that is signed apart is refused: ${name}`, async ({key}) => {
    const changed = change(await detachedBy([key]))
    await rejectsCode(() => verifyApart(changed, key), code)
  })

test('a file that is signed apart: another key, and one that was too late', async ({
  key,
  other,
}) => {
  const signed = await detachedBy([other])
  await rejectsCode(() => verifyApart(signed, key), 'openpgp_signer_unknown')
  const late = await detachedBy([key], new Date('2026-03-01'))
  await rejectsCode(() => verifyApart(late, key), 'openpgp_signature_invalid')
})

test('a signature of the clear form is none of a file', async ({key}) => {
  const plain = Buffer.from('Origin: Debian\n')
  const clear = await clearsigned('Origin: Debian', [key], signedAt)
  const {signature} = parseClearsign(clear)
  const taken = {bytes: plain, signature: Buffer.from(signature)}
  await rejectsCode(() => verifyApart(taken, key), 'openpgp_signature_invalid')
})

if (needs('gpgv'))
  test('gpgv agrees on a file that is signed apart, or everything stops', async ({key, other}) => {
    const scratch = temporaryFolder()
    const verified = await verifyApart(await detachedBy([key]), key)
    assert.ok((await askSecondEngines(verified, scratch)).includes('gpgv'))
    for (const lie of [
      {...verified, verdicts: []},
      {...verified, keyring: other.publicKey},
    ])
      await rejectsCode(() => askSecondEngines(lie, scratch), 'openpgp_engines_disagree')
  })

const VALID = `VALIDSIG ${'A'.repeat(40)} 2026-01-01 1767225600 0 4 0 1 8 01 ${'B'.repeat(40)}`
const status: readonly [string, readonly string[], readonly string[]][] = [
  ['a good signature, by its primary key', ['NEWSIG', 'GOODSIG x y', VALID], ['B'.repeat(40)]],
  ['an expired key', ['NEWSIG', 'EXPKEYSIG x y', VALID], []],
  ['a revoked key', ['NEWSIG', 'REVKEYSIG x y', VALID], []],
  ['an expired signature', ['NEWSIG', 'EXPSIG x y', VALID], []],
  ['a bad one after a good one', ['NEWSIG', 'GOODSIG x y', 'NEWSIG', 'BADSIG x y', VALID], []],
  ['SHA-1', ['NEWSIG', 'GOODSIG x y', VALID.replace(' 8 01', ' 2 01')], []],
  [
    'an unknown key beside a good one',
    ['NEWSIG', 'ERRSIG x', 'NO_PUBKEY x', 'NEWSIG', 'GOODSIG x y', VALID],
    ['B'.repeat(40)],
  ],
]

for (const [name, lines, signers] of status)
  test(`the status of gpgv: ${name}`, () => {
    assert.equal(gpgvSigners(lines.map((line) => `[GNUPG:] ${line}\n`).join('')), signers)
  })

test('a name that looks like a status line is none', () => {
  assert.equal(gpgvSigners(`gpgv: Good\n x [GNUPG:] GOODSIG\n${VALID}\n`), [])
})

if (needs('gpgv'))
  test('gpgv agrees; when it finds other signers or another text, everything stops', async ({
    key,
    other,
  }) => {
    const scratch = temporaryFolder()
    const verified = await verify(await sign(key), key)
    const [verdict] = verified.verdicts
    if (verdict?.state !== 'valid') throw new Error('the signature is not valid')
    assert.ok((await askSecondEngines(verified, scratch)).includes('gpgv'))
    const lies = [
      {...verified, verdicts: [{...verdict, fingerprint: other.fingerprint}]},
      {...verified, verdicts: []},
      {...verified, text: `${text}\nA: b`},
      {...verified, keyring: other.publicKey},
    ]
    for (const lie of lies)
      await rejectsCode(() => askSecondEngines(lie, scratch), 'openpgp_engines_disagree')
  })

test.run()
