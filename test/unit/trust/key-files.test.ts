import {execFileSync} from 'node:child_process'
import {generateKeyPairSync, randomBytes} from 'node:crypto'
import {chmodSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {keyPairOf, pkcs8Of, spkiOf} from '../../../src/trust/ed25519.ts'
import {keyFormats} from '../../../src/trust/key-formats/detect.ts'
import {formatPem} from '../../../src/trust/key-formats/pem.ts'
import {deriveMinisignKeyId, showMinisignKeyId} from '../../../src/trust/minisign.ts'
import {formatPublicKey, parsePublicKey, readPublicKey} from '../../../src/trust/public-key.ts'
import {
  formatSecretKey,
  generateSecretKey,
  openSecretKey,
  readSecretKey,
} from '../../../src/trust/secret-key.ts'
import {needs} from '../../support/needs.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex')
const {publicKey} = keyPairOf(seed)
const raw = Buffer.from(publicKey.raw)
const pair = Buffer.concat([seed, raw])
const passphrase = Buffer.from('correct horse')
const texts = formatPublicKey(publicKey)
const minisignId = deriveMinisignKeyId(publicKey)
const secretJwk = JSON.stringify({
  kty: 'OKP',
  crv: 'Ed25519',
  x: raw.toString('base64url'),
  d: seed.toString('base64url'),
})

const never = async (): Promise<Uint8Array> => {
  throw new Error('no passphrase is needed here')
}
const open = (bytes: Uint8Array | string, ask: () => Promise<Uint8Array> = never) =>
  openSecretKey(Buffer.from(bytes), {passphrase: ask})

const rsa = generateKeyPairSync('rsa', {modulusLength: 1024})
const rsaPublic = rsa.publicKey.export({format: 'pem', type: 'spki'})
const rsaPrivate = rsa.privateKey.export({format: 'pem', type: 'pkcs8'})
const x25519 = generateKeyPairSync('x25519')

const PUBLIC: readonly [form: string, bytes: Uint8Array | string][] = [
  ['PEM', texts.pem],
  ['PEM with CRLF', texts.pem.replaceAll('\n', '\r\n')],
  ['SPKI DER', spkiOf(raw)],
  ['raw', raw],
  ['hex', raw.toString('hex')],
  ['upper-case hex with a line end', `${raw.toString('hex').toUpperCase()}\n`],
  ['base64', texts.raw],
  ['minisign', texts.minisign],
  ['the string of minisign -P', texts.minisign.split('\n')[1] ?? ''],
  ['OpenSSH', texts.openssh],
  ['OpenSSH with a comment', texts.openssh.replace('\n', ' me@example.com, build server\n')],
  ['JWK', texts.jwk],
  ['JWK with more members', texts.jwk.replace('}', ',"kid":"a","use":"sig"}')],
]
for (const [form, bytes] of PUBLIC)
  test(`a public key is read as ${form}`, () => {
    assert.is(parsePublicKey(Buffer.from(bytes)).keyId, publicKey.keyId)
  })

test('what a public key file says beside the key is kept', () => {
  assert.is(
    parsePublicKey(Buffer.from(`ssh-ed25519 ${texts.openssh.split(' ')[1]?.trim()} a b`)).comment,
    'a b',
  )
  const {comment, minisignKeyId} = parsePublicKey(Buffer.from(texts.minisign))
  assert.match(comment ?? '', /^minisign public key [0-9A-F]{16}$/)
  assert.equal(minisignKeyId && Buffer.from(minisignKeyId), Buffer.from(minisignId))
})

test('minisign shows the id that rel shows', () => {
  assert.is(showMinisignKeyId(minisignId).toLowerCase(), publicKey.keyId.slice(0, 16))
})

const identity = Buffer.concat([Buffer.from([1]), Buffer.alloc(31)])
const BAD_PUBLIC: readonly [what: string, bytes: Uint8Array | string, code: ErrorCode][] = [
  ['empty', '', 'key_empty'],
  ['white space', ' \n\t\n', 'key_empty'],
  ['prose', 'this is no key\n', 'key_malformed'],
  ['31 bytes', raw.subarray(1), 'key_truncated'],
  [
    '33 bytes: a line end behind a raw key',
    Buffer.concat([raw, Buffer.from('\n')]),
    'key_malformed',
  ],
  ['PEM without its end', texts.pem.slice(0, -30), 'key_truncated'],
  ['PEM with text behind it', `${texts.pem}more\n`, 'key_malformed'],
  ['two PEM blocks', texts.pem + texts.pem, 'key_malformed'],
  ['PEM that is not base64', texts.pem.replace('MCow', 'M!ow'), 'key_malformed'],
  ['PEM of half a key', formatPem('PUBLIC KEY', spkiOf(raw).subarray(0, 30)), 'key_truncated'],
  ['DER cut short', spkiOf(raw).subarray(0, 40), 'key_truncated'],
  ['DER with a byte behind it', Buffer.concat([spkiOf(raw), Buffer.from([0])]), 'key_malformed'],
  ['RSA PEM', rsaPublic, 'key_algorithm'],
  ['X25519 PEM', x25519.publicKey.export({format: 'pem', type: 'spki'}), 'key_algorithm'],
  ['ssh-rsa', 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 me', 'key_algorithm'],
  ['OpenSSH line cut short', `ssh-ed25519 ${texts.openssh.slice(12, 60)}`, 'key_truncated'],
  ['two OpenSSH lines', texts.openssh + texts.openssh, 'key_malformed'],
  ['minisign cut short', texts.minisign.slice(0, -14), 'key_truncated'],
  ['minisign without its second line', texts.minisign.split('\n')[0] ?? '', 'key_truncated'],
  ['JWK of P-256', '{"kty":"EC","crv":"P-256","x":"","y":""}', 'key_algorithm'],
  ['JWK with a duplicate member', texts.jwk.replace('{', '{"kty":"OKP",'), 'key_malformed'],
  ['JWK cut short', texts.jwk.slice(0, -5), 'key_malformed'],
  ['the identity point, raw', identity, 'key_weak'],
  ['the identity point, PEM', formatPem('PUBLIC KEY', spkiOf(identity)), 'key_weak'],
  ['the identity point, JWK', formatPublicKey({...publicKey, raw: identity}).jwk, 'key_weak'],
  [
    'the identity point, OpenSSH',
    formatPublicKey({...publicKey, raw: identity}).openssh,
    'key_weak',
  ],
  [
    'the identity point, minisign',
    formatPublicKey({...publicKey, raw: identity}).minisign,
    'key_weak',
  ],
  ['private PEM', formatPem('PRIVATE KEY', pkcs8Of(seed)), 'key_private'],
  ['private DER', pkcs8Of(seed), 'key_private'],
  ['private RSA PEM', rsaPrivate, 'key_private'],
  ['private‖public', pair, 'key_private'],
  ['private‖public in hex', pair.toString('hex'), 'key_private'],
  ['private JWK', secretJwk, 'key_private'],
]
for (const [what, bytes, code] of BAD_PUBLIC)
  test(`a public key is refused: ${what} (${code})`, () => {
    const error = throwsCode(() => parsePublicKey(Buffer.from(bytes)), code)
    assert.not(mentionsSecret(`${error.message}${error.hint}${error.cause}`))
  })

function mentionsSecret(text: string): boolean {
  return ['hex', 'base64', 'base64url'].some((encoding) =>
    text.includes(seed.toString(encoding as BufferEncoding).slice(0, 16)),
  )
}

const SECRET: readonly [form: string, bytes: Uint8Array | string][] = [
  ['PKCS#8 PEM', formatPem('PRIVATE KEY', pkcs8Of(seed))],
  ['PKCS#8 DER', pkcs8Of(seed)],
  ['32 raw bytes', seed],
  ['64 raw bytes', pair],
  ['hex', `${seed.toString('hex')}\n`],
  ['base64', seed.toString('base64')],
  ['JWK', secretJwk],
]
for (const [form, bytes] of SECRET)
  test(`a private key is read as ${form}`, async () => {
    const key = await open(bytes)
    assert.is(key.publicKey.keyId, publicKey.keyId)
    assert.ok(key.seed.equals(seed))
  })

for (const format of ['minisign', 'pkcs8'] as const)
  for (const secret of [undefined, passphrase])
    test(`a private key survives ${format} ${secret ? 'with' : 'without'} passphrase`, async () => {
      const key = generateSecretKey()
      const text = await formatSecretKey(key, format, secret)
      const again = await open(text, secret === undefined ? never : async () => secret)
      assert.ok(again.seed.equals(key.seed))
      assert.is(again.encrypted, secret !== undefined)
      assert.not.ok(secret && text.includes(key.seed.toString('base64').slice(0, 20)))
    })

const encrypted = {
  minisign: await formatSecretKey(await open(seed), 'minisign', passphrase),
  pkcs8: await formatSecretKey(await open(seed), 'pkcs8', passphrase),
}
const plainMinisign = await formatSecretKey(await open(seed), 'minisign', undefined)
const flip = (text: string, at: number) =>
  `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`
/** The base64 line of a minisign file with some bytes of it replaced. */
const patch = (text: string, at: number, bytes: Uint8Array) => {
  const [comment, base64 = ''] = text.split('\n')
  const blob = Buffer.from(base64, 'base64')
  blob.set(bytes, at)
  return `${comment}\n${blob.toString('base64')}\n`
}
/** An encrypted PEM with some bytes of its DER replaced where they are found. */
const patchPem = (text: string, was: string, becomes: string) => {
  const der = Buffer.from(text.split('\n').slice(1, -2).join(''), 'base64').toString('hex')
  assert.ok(der.includes(was), was)
  return formatPem('ENCRYPTED PRIVATE KEY', Buffer.from(der.replace(was, becomes), 'hex'))
}
const pbkdf2 = generateKeyPairSync('ed25519').privateKey.export({
  format: 'pem',
  type: 'pkcs8',
  cipher: 'aes-256-cbc',
  passphrase: 'correct horse',
}) as string
const limits = (opslimit: bigint, memlimit: bigint) => {
  const bytes = Buffer.alloc(16)
  bytes.writeBigUInt64LE(opslimit, 0)
  bytes.writeBigUInt64LE(memlimit, 8)
  return bytes
}
const wrong = async () => Buffer.from('wrong horse')
const right = async () => passphrase
const BAD_SECRET: readonly [
  what: string,
  bytes: Uint8Array | string,
  code: ErrorCode,
  ask?: () => Promise<Uint8Array>,
][] = [
  ['empty', '', 'key_empty'],
  ['prose', 'hunter2\n', 'key_malformed'],
  ['31 bytes', Buffer.concat([Buffer.from([0]), seed]).subarray(0, 31), 'key_truncated'],
  ['33 bytes', Buffer.concat([seed, Buffer.from('\n')]), 'key_malformed'],
  ['65 bytes', Buffer.concat([pair, Buffer.from('\n')]), 'key_malformed'],
  ['64 bytes with a foreign half', Buffer.concat([seed, randomBytes(32)]), 'key_mismatch'],
  ['JWK with a foreign half', secretJwk.replace(/"x":"[^"]{5}/, '"x":"AAAAA'), 'key_mismatch'],
  ['PEM cut short', formatPem('PRIVATE KEY', pkcs8Of(seed)).slice(0, -30), 'key_truncated'],
  ['DER cut short', pkcs8Of(seed).subarray(0, 40), 'key_truncated'],
  ['RSA PEM', rsaPrivate, 'key_algorithm'],
  ['X25519 PEM', x25519.privateKey.export({format: 'pem', type: 'pkcs8'}), 'key_algorithm'],
  ['public PEM', texts.pem, 'key_public'],
  ['public DER', spkiOf(raw), 'key_public'],
  ['public minisign', texts.minisign, 'key_public'],
  ['public OpenSSH', texts.openssh, 'key_public'],
  ['public JWK', texts.jwk, 'key_public'],
  ['minisign, wrong passphrase', encrypted.minisign, 'passphrase_wrong', wrong],
  ['PKCS#8, wrong passphrase', encrypted.pkcs8, 'passphrase_wrong', wrong],
  ['minisign, sealed part damaged', flip(encrypted.minisign, 200), 'passphrase_wrong', right],
  ['minisign cut short', encrypted.minisign.slice(0, -20), 'key_truncated', right],
  [
    'PKCS#8, scrypt with 128 MiB',
    patchPem(encrypted.pkcs8, '02024000020108', '02024000020140'),
    'key_kdf_limit',
    right,
  ],
  ['PKCS#8, other rounds', patchPem(pbkdf2, '02020800', '02027d00'), 'passphrase_wrong', right],
  [
    'PKCS#8, PBKDF2 without rounds',
    patchPem(pbkdf2, '02020800', '05020800'),
    'key_malformed',
    right,
  ],
  [
    'PKCS#8 labelled as plain',
    encrypted.pkcs8.replaceAll('ENCRYPTED ', ''),
    'key_malformed',
    right,
  ],
  [
    'minisign, N = 2^22',
    patch(encrypted.minisign, 38, limits(2n ** 27n, 2n ** 32n)),
    'key_kdf_limit',
    right,
  ],
  [
    'minisign, N = 2^63',
    patch(encrypted.minisign, 38, limits(2n ** 63n, 2n ** 63n)),
    'key_kdf_limit',
    right,
  ],
  [
    'minisign, p = 1024',
    patch(encrypted.minisign, 38, limits(2n ** 32n, 2n ** 27n)),
    'key_kdf_limit',
    right,
  ],
  [
    'minisign without passphrase, damaged',
    patch(plainMinisign, 70, randomBytes(4)),
    'key_malformed',
  ],
  [
    'minisign -W with a foreign half',
    patch(patch(plainMinisign, 126, Buffer.alloc(32)), 94, randomBytes(32)),
    'key_mismatch',
  ],
]
for (const [what, bytes, code, ask = never] of BAD_SECRET)
  test(`a private key is refused: ${what} (${code})`, async () => {
    const error = await rejectsCode(() => open(bytes, ask), code)
    assert.not(mentionsSecret(`${error.message}${error.hint}${error.cause}`))
  })

test('2^31 rounds of PBKDF2 are refused before they are counted', async () => {
  const der = Buffer.from(pbkdf2.split('\n').slice(1, -2).join(''), 'base64')
  const at = der.indexOf(Buffer.from('02020800', 'hex'))
  // two bytes longer; only the outermost length is read before the rounds are
  const longer = Buffer.concat([
    der.subarray(0, at),
    Buffer.from('02047fffffff', 'hex'),
    der.subarray(at + 4),
  ])
  assert.is(longer[1], 0x81)
  longer[2] = (longer[2] ?? 0) + 2
  await rejectsCode(() => open(longer, right), 'key_kdf_limit')
})

test('every prefix of a key file is refused, as a public and as a private key', async () => {
  for (const whole of [texts.pem, texts.openssh, texts.jwk, texts.minisign]) {
    const least = whole.trimEnd().length
    for (let length = 0; length < least; length++) {
      const bytes = Buffer.from(whole.slice(0, length))
      assert.throws(() => parsePublicKey(bytes), isRefusal, `${length} of ${whole}`)
    }
  }
  const pem = formatPem('PRIVATE KEY', pkcs8Of(seed))
  for (const whole of [pem, secretJwk, plainMinisign]) {
    for (let length = 0; length < whole.trimEnd().length; length++) {
      const refused = await open(whole.slice(0, length)).then(
        () => undefined,
        (error) => error,
      )
      assert.ok(refused && isRefusal(refused), `${length} of ${whole.split('\n')[0]}`)
    }
  }
})

function isRefusal(error: unknown): boolean {
  return typeof (error as {code?: string}).code === 'string'
}

test('a format that was asked for is insisted on', async () => {
  throwsCode(() => parsePublicKey(Buffer.from(texts.pem), 'raw'), 'key_malformed')
  throwsCode(() => parsePublicKey(raw, 'pem'), 'key_malformed')
  for (const format of keyFormats)
    throwsCode(() => parsePublicKey(Buffer.alloc(0), format), 'key_empty')
})

const folder = temporaryFolder()
const pemPath = join(folder, 'key.pem')
writeFileSync(pemPath, formatPem('PRIVATE KEY', pkcs8Of(seed)), {mode: 0o600})
for (const mode of [0o644, 0o640, 0o620, 0o604, 0o666])
  test(`a private key file of mode ${mode.toString(8)} is refused`, async () => {
    chmodSync(pemPath, mode)
    await rejectsCode(() => readSecretKey(pemPath, {passphrase: never}), 'key_permissions')
    const key = await readSecretKey(pemPath, {passphrase: never, insecurePermissions: true})
    assert.is(key.publicKey.keyId, publicKey.keyId)
    chmodSync(pemPath, 0o600)
    await readSecretKey(pemPath, {passphrase: never})
  })

test('files that are no key files are refused', async () => {
  const missing = join(folder, 'none')
  await rejectsCode(() => readSecretKey(missing, {passphrase: never}), 'file_missing')
  await rejectsCode(() => readSecretKey(folder, {passphrase: never}), 'file_unreadable')
  const large = join(folder, 'large')
  writeFileSync(large, Buffer.alloc(16_385, 'A'), {mode: 0o600})
  await rejectsCode(() => readSecretKey(large, {passphrase: never}), 'file_too_large')
  throwsCode(() => readPublicKey(large), 'file_too_large')
  throwsCode(() => readPublicKey(missing), 'file_missing')
})

const run = (file: string, ...args: string[]) =>
  execFileSync(file, args, {stdio: ['ignore', 'pipe', 'ignore']})

if (needs('openssl'))
  test('openssl and rel read each other’s keys', async () => {
    const plain = join(folder, 'openssl.pem')
    run('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', plain)
    const key = await open(readFileSync(plain))
    const exported = run('openssl', 'pkey', '-in', plain, '-pubout')
    assert.is(parsePublicKey(exported).keyId, key.publicKey.keyId)
    for (const options of [
      ['-scrypt'],
      ['-v2', 'aes-256-cbc'],
      ['-v2', 'aes-128-cbc', '-iter', '9999'],
    ]) {
      const pem = run(
        'openssl',
        'pkcs8',
        '-topk8',
        '-in',
        plain,
        '-passout',
        'pass:abc',
        ...options,
      )
      const opened = await open(pem, async () => Buffer.from('abc'))
      assert.ok(opened.seed.equals(key.seed), options.join(' '))
    }
    const ours = join(folder, 'ours.pem')
    writeFileSync(ours, encrypted.pkcs8)
    const shown = run('openssl', 'pkey', '-in', ours, '-passin', 'pass:correct horse', '-pubout')
    assert.is(parsePublicKey(shown).keyId, publicKey.keyId)
    const der = run(
      'openssl',
      'pkey',
      '-in',
      ours,
      '-passin',
      'pass:correct horse',
      '-pubout',
      '-outform',
      'DER',
    )
    assert.is(parsePublicKey(der).keyId, publicKey.keyId)
  })

if (needs('minisign'))
  test('minisign and rel read each other’s keys', async () => {
    const [secret, pub] = [join(folder, 'w.key'), join(folder, 'w.pub')]
    run('minisign', '-G', '-W', '-f', '-s', secret, '-p', pub)
    const theirs = await open(readFileSync(secret))
    const named = readPublicKey(pub)
    assert.is(theirs.publicKey.keyId, named.keyId)
    assert.equal(theirs.minisignKeyId, Uint8Array.from(named.minisignKeyId ?? []))
    for (const [name, text, input] of [
      ['plain', plainMinisign, ''],
      ['sealed', encrypted.minisign, 'correct horse\n'],
    ] as const) {
      const [ours, out] = [join(folder, `${name}.key`), join(folder, `${name}.pub`)]
      writeFileSync(ours, text)
      execFileSync('minisign', ['-R', '-s', ours, '-p', out], {
        input,
        stdio: ['pipe', 'ignore', 'ignore'],
      })
      assert.is(readPublicKey(out).keyId, publicKey.keyId, name)
    }
  })

if (needs('minisign'))
  test('a key that minisign encrypted at its own cost (1 GiB) is opened', async () => {
    const [secret, pub] = [join(folder, 'e.key'), join(folder, 'e.pub')]
    execFileSync('minisign', ['-G', '-f', '-s', secret, '-p', pub], {
      input: 'pass\npass\n',
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    const key = await open(readFileSync(secret), async () => Buffer.from('pass'))
    assert.is(key.publicKey.keyId, readPublicKey(pub).keyId)
  })

if (needs('signify-openbsd'))
  test('keys of signify are read, but for those with a passphrase', async () => {
    const [secret, pub] = [join(folder, 's.sec'), join(folder, 's.pub')]
    run('signify-openbsd', '-G', '-n', '-s', secret, '-p', pub)
    const text = readFileSync(secret, 'utf8')
    const key = await open(text)
    assert.is(key.publicKey.keyId, readPublicKey(pub).keyId)
    await rejectsCode(() => open(patch(text, 50, randomBytes(4))), 'key_malformed')
    await rejectsCode(() => open(patch(text, 4, Buffer.from([0, 0, 0, 42]))), 'key_encrypted')
    throwsCode(() => parsePublicKey(Buffer.from(text)), 'key_private')
  })

if (needs('ssh-keygen'))
  test('keys of ssh-keygen are read, but for those with a passphrase', async () => {
    const [plain, sealed] = [join(folder, 'ssh'), join(folder, 'ssh-sealed')]
    run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'build server', '-f', plain)
    run('ssh-keygen', '-q', '-t', 'ed25519', '-N', 'secret', '-f', sealed)
    const pub = readPublicKey(`${plain}.pub`)
    assert.is(pub.comment, 'build server')
    assert.is((await open(readFileSync(plain))).publicKey.keyId, pub.keyId)
    throwsCode(() => readPublicKey(plain), 'key_private')
    await rejectsCode(() => open(readFileSync(sealed)), 'key_encrypted')
    await rejectsCode(() => open(readFileSync(`${plain}.pub`)), 'key_public')
  })

test.run()
