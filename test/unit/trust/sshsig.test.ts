import {execFileSync} from 'node:child_process'
import {createHash, generateKeyPairSync, sign} from 'node:crypto'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {publicKeyFromRaw} from '../../../src/trust/ed25519.ts'
import {formatPublicKey, readPublicKey} from '../../../src/trust/public-key.ts'
import {readSecretKey} from '../../../src/trust/secret-key.ts'
import type {Signer} from '../../../src/trust/signer.ts'
import {signerOfSecretKey} from '../../../src/trust/signers/file.ts'
import {checkSshsig, makeSshsig} from '../../../src/trust/sshsig.ts'
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
const namespace = 'file'
const data = Buffer.from('the file\n')
const sha512 = createHash('sha512').update(data).digest()
const good = await makeSshsig(signer, {namespace, sha512})
const blob = Buffer.from(good.split('\n').slice(1, -2).join(''), 'base64')
const armour = (bytes: Uint8Array) =>
  `-----BEGIN SSH SIGNATURE-----\n${Buffer.from(bytes).toString('base64')}\n-----END SSH SIGNATURE-----\n`
const wanted = {namespace, sha512, key}

test('a signature made by rel is accepted by rel', () => {
  checkSshsig(good, wanted)
  checkSshsig(good.replaceAll('\n', '\r\n'), wanted)
  checkSshsig(armour(blob), wanted)
})

const other = freshSigner().publicKey
const REFUSED: readonly [what: string, check: () => unknown, code: ErrorCode][] = [
  [
    'another file',
    () => checkSshsig(good, {...wanted, sha512: Buffer.alloc(64)}),
    'signature_invalid',
  ],
  ['another key', () => checkSshsig(good, {...wanted, key: other}), 'key_unknown'],
  [
    'another namespace',
    () => checkSshsig(good, {...wanted, namespace: 'git'}),
    'namespace_mismatch',
  ],
  ['no armour', () => checkSshsig(blob.toString('base64'), wanted), 'signature_malformed'],
  ['empty', () => checkSshsig('', wanted), 'signature_malformed'],
  [
    'bytes behind it',
    () => checkSshsig(armour(Buffer.concat([blob, Buffer.from([0])])), wanted),
    'signature_malformed',
  ],
  [
    'another magic',
    () => checkSshsig(armour(Buffer.concat([Buffer.from('X'), blob.subarray(1)])), wanted),
    'signature_malformed',
  ],
  ['not base64', () => checkSshsig(good.replace('U1NI', 'U1N!'), wanted), 'signature_malformed'],
  ['too long', () => checkSshsig(good.padEnd(5000, '\n'), wanted), 'signature_malformed'],
]
for (const [what, check, code] of REFUSED)
  test(`an SSH signature is refused: ${what} (${code})`, () => {
    throwsCode(check, code)
  })

test('no prefix and no changed bit of the blob is accepted', () => {
  for (let length = 0; length < blob.length; length++)
    assert.throws(() => checkSshsig(armour(blob.subarray(0, length)), wanted), `${length} bytes`)
  for (let bit = 0; bit < blob.length * 8; bit++) {
    const changed = Buffer.from(blob)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.throws(() => checkSshsig(armour(changed), wanted), undefined, `bit ${bit}`)
  }
})

for (const bad of ['', 'a b', 'a\n', 'ä', 'x'.repeat(256)])
  test(`a namespace is refused: ${JSON.stringify(bad.slice(0, 8))}`, async () => {
    await rejectsCode(() => makeSshsig(signer, {namespace: bad, sha512}), 'namespace_malformed')
    throwsCode(() => checkSshsig(good, {...wanted, namespace: bad}), 'namespace_malformed')
  })

if (needs('ssh-keygen')) {
  const folder = temporaryFolder()
  const file = join(folder, 'app.tar')
  const signature = join(folder, 'app.tar.sshsig')
  const signers = join(folder, 'allowed_signers')
  writeFileSync(file, data)
  writeFileSync(signature, good)
  writeFileSync(signers, `ci@example.com namespaces="file" ${formatPublicKey(key).openssh}`)
  const keygen = (...args: string[]) =>
    execFileSync('ssh-keygen', args, {
      input: data,
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'pipe'],
    })
  const verify = (space: string) =>
    keygen('-Y', 'verify', '-f', signers, '-I', 'ci@example.com', '-n', space, '-s', signature)

  test('ssh-keygen verifies what rel signs, in its namespace only', () => {
    assert.match(verify('file'), /^Good "file" signature for ci@example.com/)
    keygen('-Y', 'check-novalidate', '-n', 'file', '-s', signature)
    assert.throws(() => verify('git'))
  })

  test('rel verifies what ssh-keygen signs, byte for byte its own', async () => {
    const secret = join(folder, 'id')
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', secret])
    keygen('-Y', 'sign', '-f', secret, '-n', 'file', file)
    const theirs = readFileSync(`${file}.sig`, 'utf8')
    const theirKey = readPublicKey(`${secret}.pub`)
    checkSshsig(theirs, {...wanted, key: theirKey})
    const opened = await readSecretKey(secret, {
      passphrase: async () => {
        throw new Error('no passphrase is needed here')
      },
    })
    assert.is(await makeSshsig(signerOfSecretKey(opened, 'id'), {namespace, sha512}), theirs)
  })

  test('a signature by ssh-keygen over SHA-256 is named as such', () => {
    const secret = join(folder, 'id256')
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', secret])
    const text = keygen('-Y', 'sign', '-O', 'hashalg=sha256', '-f', secret, '-n', 'file', '-')
    throwsCode(
      () => checkSshsig(text, {...wanted, key: readPublicKey(`${secret}.pub`)}),
      'sshsig_hash',
    )
  })

  test('a signature by another kind of key is refused', () => {
    const secret = join(folder, 'rsa')
    execFileSync('ssh-keygen', ['-q', '-t', 'ecdsa', '-N', '', '-f', secret])
    const text = keygen('-Y', 'sign', '-f', secret, '-n', 'file', '-')
    throwsCode(() => checkSshsig(text, wanted), 'signature_malformed')
  })
}

test.run()
