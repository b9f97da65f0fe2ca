import {execFileSync} from 'node:child_process'
import {createHash, generateKeyPairSync, randomBytes, sign} from 'node:crypto'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {publicKeyFromRaw} from '../../../src/trust/ed25519.ts'
import {
  checkMinisig,
  checkSignify,
  deriveMinisignKeyId,
  makeMinisig,
  parseMinisignSignature,
} from '../../../src/trust/minisign.ts'
import {formatPublicKey, readPublicKey} from '../../../src/trust/public-key.ts'
import {readSecretKey} from '../../../src/trust/secret-key.ts'
import type {Signer} from '../../../src/trust/signer.ts'
import {signerOfSecretKey} from '../../../src/trust/signers/file.ts'
import {needs} from '../../support/needs.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

function freshSigner(): Signer {
  const {publicKey, privateKey} = generateKeyPairSync('ed25519')
  const spki = publicKey.export({format: 'der', type: 'spki'})
  return {
    publicKey: publicKeyFromRaw(spki.subarray(12)),
    label: 'test',
    sign: async (message) => sign(null, message, privateKey),
  }
}

const signer = freshSigner()
const key = signer.publicKey
const data = Buffer.from('the file\n')
const blake2b512 = createHash('blake2b512').update(data).digest()
const trustedComment = 'timestamp:1716979200\tfile:app.tar\tversion:1.4.2'
const good = await makeMinisig(signer, {blake2b512, trustedComment})

/** The signature file with one of its four lines replaced. */
const withLine = (index: number, line: string) =>
  good
    .split('\n')
    .map((was, at) => (at === index ? line : was))
    .join('\n')
/** A line of it with one bit of its bytes changed. */
const flipped = (index: number, byte: number) => {
  const bytes = Buffer.from(good.split('\n')[index] ?? '', 'base64')
  bytes[byte] = (bytes[byte] ?? 0) ^ 1
  return withLine(index, bytes.toString('base64'))
}

test('a signature made by rel is accepted by rel, with its comment', () => {
  assert.equal(checkMinisig(good, key, blake2b512), {trustedComment})
  assert.equal(checkMinisig(good.replaceAll('\n', '\r\n'), key, blake2b512), {trustedComment})
  assert.equal(checkMinisig(good.trimEnd(), key, blake2b512), {trustedComment})
})

test('the same input gives the same bytes', async () => {
  assert.is(await makeMinisig(signer, {blake2b512, trustedComment}), good)
})

const other = freshSigner().publicKey
const otherDigest = createHash('blake2b512').update('another file').digest()
const blob = good.split('\n')[1] ?? ''
const REFUSED: readonly [what: string, check: () => unknown, code: ErrorCode][] = [
  ['another file', () => checkMinisig(good, key, otherDigest), 'signature_invalid'],
  ['another key', () => checkMinisig(good, other, blake2b512), 'signature_invalid'],
  [
    'another key that has an id',
    () => checkMinisig(good, {...other, minisignKeyId: deriveMinisignKeyId(other)}, blake2b512),
    'key_unknown',
  ],
  [
    'another trusted comment',
    () => checkMinisig(withLine(2, 'trusted comment: version:9.9.9'), key, blake2b512),
    'signature_invalid',
  ],
  ['signature bit', () => checkMinisig(flipped(1, 20), key, blake2b512), 'signature_invalid'],
  [
    'comment signature bit',
    () => checkMinisig(flipped(3, 20), key, blake2b512),
    'signature_invalid',
  ],
  ['algorithm', () => checkMinisig(flipped(1, 1), key, blake2b512), 'signature_malformed'],
  ['no lines', () => checkMinisig('', key, blake2b512), 'signature_malformed'],
  [
    'three lines',
    () => checkMinisig(good.split('\n').slice(0, 3).join('\n'), key, blake2b512),
    'signature_malformed',
  ],
  ['five lines', () => checkMinisig(`${good}more\n`, key, blake2b512), 'signature_malformed'],
  [
    'no untrusted comment',
    () => checkMinisig(withLine(0, 'hello'), key, blake2b512),
    'signature_malformed',
  ],
  [
    'no trusted comment',
    () => checkMinisig(withLine(2, 'hello'), key, blake2b512),
    'signature_malformed',
  ],
  [
    'two lines, as by signify',
    () => checkMinisig(good.split('\n').slice(0, 2).join('\n'), key, blake2b512),
    'signature_malformed',
  ],
  [
    'unpadded base64',
    () => checkMinisig(withLine(1, blob.replace(/=+$/, '')), key, blake2b512),
    'signature_malformed',
  ],
  [
    'base64 with spaces',
    () => checkMinisig(withLine(1, ` ${blob}`), key, blake2b512),
    'signature_malformed',
  ],
  [
    'an escape sequence in the comment',
    () => checkMinisig(withLine(2, 'trusted comment: \u001b[2J'), key, blake2b512),
    'signature_malformed',
  ],
  [
    'too long',
    () => checkMinisig(good + ' '.repeat(20_000), key, blake2b512),
    'signature_malformed',
  ],
  ['prehashed where signify is wanted', () => checkSignify(good, key, data), 'signature_malformed'],
]
for (const [what, check, code] of REFUSED)
  test(`a signature is refused: ${what} (${code})`, () => {
    throwsCode(check, code)
  })

test('every single bit of both signatures counts', () => {
  for (let byte = 10; byte < 74; byte++)
    throwsCode(() => checkMinisig(flipped(1, byte), key, blake2b512), 'signature_invalid')
  for (let byte = 0; byte < 64; byte++)
    throwsCode(() => checkMinisig(flipped(3, byte), key, blake2b512), 'signature_invalid')
})

for (const [what, comment] of [
  ['line end', 'a\nb'],
  ['carriage return', 'a\rb'],
  ['escape', '\u001b[31m'],
  ['NUL', 'a\0'],
  ['C1 control', 'a\u009b'],
  ['lone surrogate', 'a\ud800'],
  ['too long', 'a'.repeat(8200)],
] as const)
  test(`a comment is refused: ${what}`, async () => {
    const make = () => makeMinisig(signer, {blake2b512, trustedComment: comment})
    await rejectsCode(make, 'comment_malformed')
    const untrusted = {blake2b512, trustedComment: '', untrustedComment: comment}
    await rejectsCode(() => makeMinisig(signer, untrusted), 'comment_malformed')
  })

test('the longest comment fits', async () => {
  const comment = 'a'.repeat(8192 - 'trusted comment: '.length - 2)
  const text = await makeMinisig(signer, {blake2b512, trustedComment: comment})
  assert.is(checkMinisig(text, key, blake2b512).trustedComment, comment)
})

test('a digest of another length is a bug, not a signature', async () => {
  const make = () => makeMinisig(signer, {blake2b512: randomBytes(32), trustedComment: ''})
  await rejectsCode(make, 'internal_error')
})

const folder = temporaryFolder()
const file = join(folder, 'app.tar')
writeFileSync(file, data)
const pub = join(folder, 'rel.pub')
writeFileSync(pub, formatPublicKey(key).minisign)
const run = (program: string, ...args: string[]) =>
  execFileSync(program, args, {encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']})
const ask = async (): Promise<Uint8Array> => {
  throw new Error('no passphrase is needed here')
}

if (needs('minisign')) {
  test('stock minisign verifies what rel signs, and nothing else', () => {
    writeFileSync(`${file}.minisig`, good)
    const quiet = run('minisign', '-Q', '-Vm', file, '-p', pub)
    assert.is(quiet.trimEnd(), trustedComment)
    writeFileSync(`${file}.minisig`, flipped(3, 5))
    assert.throws(() => run('minisign', '-Vm', file, '-p', pub))
  })

  test('rel verifies what stock minisign signs, prehashed and in its old form', async () => {
    const [secret, theirPub] = [join(folder, 'm.key'), join(folder, 'm.pub')]
    run('minisign', '-G', '-W', '-f', '-s', secret, '-p', theirPub)
    const theirs = readPublicKey(theirPub)
    run('minisign', '-Sm', file, '-s', secret, '-t', 'a comment', '-x', `${file}.ED`)
    const hashed = readFileSync(`${file}.ED`, 'utf8')
    assert.is(checkMinisig(hashed, theirs, blake2b512).trustedComment, 'a comment')
    run('minisign', '-Slm', file, '-s', secret, '-t', 'old', '-x', `${file}.Ed`)
    const old = readFileSync(`${file}.Ed`, 'utf8')
    assert.is(parseMinisignSignature(old).algorithm, 'Ed')
    throwsCode(() => checkMinisig(old, theirs, blake2b512), 'minisig_not_prehashed')
    assert.is(checkMinisig(old, theirs, blake2b512, data).trustedComment, 'old')
    throwsCode(() => checkMinisig(old, theirs, blake2b512, blake2b512), 'signature_invalid')
    const opened = await readSecretKey(secret, {passphrase: ask})
    const ours = await makeMinisig(signerOfSecretKey(opened, 'm'), {
      blake2b512,
      trustedComment: 'a comment',
      untrustedComment: 'signature from minisign secret key',
    })
    assert.is(ours, hashed, 'byte for byte what minisign writes')
  })
}

if (needs('signify-openbsd'))
  test('rel verifies what signify signs', () => {
    const [secret, theirPub] = [join(folder, 's.sec'), join(folder, 's.pub')]
    run('signify-openbsd', '-G', '-n', '-s', secret, '-p', theirPub)
    run('signify-openbsd', '-S', '-s', secret, '-m', file, '-x', `${file}.sig`)
    const text = readFileSync(`${file}.sig`, 'utf8')
    checkSignify(text, readPublicKey(theirPub), data)
    throwsCode(
      () => checkSignify(text, readPublicKey(theirPub), Buffer.from('x')),
      'signature_invalid',
    )
    throwsCode(() => checkSignify(text, key, data), 'signature_invalid')
  })

test.run()
