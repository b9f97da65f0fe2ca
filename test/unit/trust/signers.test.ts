import {type ChildProcess, execFileSync, spawn} from 'node:child_process'
import {generateKeyPairSync} from 'node:crypto'
import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {createServer, type Server} from 'node:net'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {ErrorCode} from '../../../src/system/codes.ts'
import {keyPairOf, type PublicKey, verifyEd25519} from '../../../src/trust/ed25519.ts'
import {formatPublicKey, parsePublicKey, readPublicKey} from '../../../src/trust/public-key.ts'
import {formatSecretKey, generateSecretKey} from '../../../src/trust/secret-key.ts'
import {openSigner} from '../../../src/trust/signers/open-signer.ts'
import type {SignerOptions} from '../../../src/trust/signers/options.ts'
import {parsePkcs11Uri} from '../../../src/trust/signers/pkcs11-uri.ts'
import {sshFingerprint} from '../../../src/trust/signers/ssh-agent.ts'
import {needs, needsThat} from '../../support/needs.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const folder = temporaryFolder()
const message = Buffer.from('DSSEv1 39 application/vnd.rel.manifest.v1+sha512 64 …')
const {PATH = ''} = process.env
const options: SignerOptions = {
  env: {PATH},
  secret: async () => {
    throw new Error('no secret is needed here')
  },
}
const key = generateSecretKey()
const {publicKey} = key
const seed = Buffer.from(key.seed)
const pemPath = join(folder, 'key.pem')
writeFileSync(pemPath, await formatSecretKey(key, 'pkcs8', undefined), {mode: 0o600})

async function signs(spec: string, given: SignerOptions, wanted: PublicKey): Promise<void> {
  const signer = await openSigner(spec, given)
  assert.is(signer.publicKey.keyId, wanted.keyId)
  assert.ok(verifyEd25519(wanted, message, await signer.sign(message)))
  signer.close?.()
}

/** A program that answers the message on stdin in some way, by a script of Node. */
function program(name: string, body: string): string {
  const path = join(folder, name)
  const head = `const {readFileSync, writeSync} = require('node:fs')\n`
  const make = `const key = require('node:crypto').createPrivateKey(readFileSync(${JSON.stringify(pemPath)}))\n`
  const sign = `const sign = () => require('node:crypto').sign(null, readFileSync(0), key)\n`
  writeFileSync(`${path}.cjs`, `${head}${make}${sign}${body}\n`)
  // a #! line cannot name a Node whose path has a space
  writeFileSync(path, `#!/bin/sh\nexec '${process.execPath}' '${path}.cjs' "$@"\n`, {mode: 0o755})
  return path
}

test('a file signs, and asks for its passphrase once', async () => {
  await signs(`file:${pemPath}`, options, publicKey)
  const sealed = join(folder, 'sealed.key')
  const passphrase = Buffer.from('pass')
  const text = await formatSecretKey({...key, seed}, 'pkcs8', passphrase)
  writeFileSync(sealed, text, {mode: 0o600})
  const questions: string[] = []
  const handed: Buffer[] = []
  const secret = async (question: string) => {
    questions.push(question)
    handed.push(Buffer.from('pass'))
    return handed[0] as Buffer
  }
  await signs(`file:${sealed}`, {...options, secret}, publicKey)
  assert.equal(questions, [`Passphrase for ${sealed}`])
  assert.ok(
    handed[0]?.every((byte) => byte === 0),
    'the passphrase is overwritten',
  )
})

test('a closed signer does not sign', async () => {
  const signer = await openSigner(`file:${pemPath}`, options)
  signer.close?.()
  await rejectsCode(() => signer.sign(message), 'internal_error')
})

test('a file whose public key is another one is refused', async () => {
  const other = generateSecretKey().publicKey
  await rejectsCode(
    () => openSigner(`file:${pemPath}`, {...options, publicKey: other}),
    'key_mismatch',
  )
})

for (const spec of ['', 'key.pem', 'aws:arn', 'FILE:x', 'exec:', 'exec:  '])
  test(`a signer is refused: ${JSON.stringify(spec)}`, async () => {
    await rejectsCode(() => openSigner(spec, options), 'signer_unknown')
  })

const withKey = {...options, publicKey}
test('a program signs: raw bytes, base64, arguments', async () => {
  await signs(`exec:${program('raw', 'writeSync(1, sign())')}`, withKey, publicKey)
  await signs(
    `exec:${program('b64', "console.log(sign().toString('base64'))")}`,
    withKey,
    publicKey,
  )
  const picky = program(
    'args',
    "if (process.argv[2] === '$HOME' && process.argv[3] === ';') writeSync(1, sign())",
  )
  await signs(`exec:${picky} $HOME ;`, withKey, publicKey)
})

test('a program gets the environment, but not the passphrase of rel', async () => {
  const path = program(
    'env',
    "if (process.env.TOKEN === 't' && !process.env.REL_KEY_PASSPHRASE) writeSync(1, sign())",
  )
  const env = {PATH, TOKEN: 't', REL_KEY_PASSPHRASE: 'secret'}
  await signs(`exec:${path}`, {...withKey, env}, publicKey)
})

test('a program needs its public key', async () => {
  await rejectsCode(() => openSigner('exec:true', options), 'input_required')
})

const BROKEN: readonly [what: string, body: string, code: ErrorCode][] = [
  ['fails', 'sign(); process.exit(3)', 'signer_failed'],
  ['prints nothing', 'sign()', 'signer_failed'],
  ['prints 63 bytes', 'writeSync(1, sign().subarray(1))', 'signer_failed'],
  ['prints 65 bytes', "writeSync(1, sign()); writeSync(1, ' ')", 'signer_failed'],
  [
    'signs something else',
    "require('node:fs').readFileSync(0); writeSync(1, require('node:crypto').sign(null, Buffer.from('x'), key))",
    'signer_failed',
  ],
  ['prints 64 zero bytes', 'sign(); writeSync(1, Buffer.alloc(64))', 'signer_failed'],
  ['prints too much', 'sign(); writeSync(1, Buffer.alloc(9000))', 'process_failed'],
]
for (const [what, body, code] of BROKEN)
  test(`a program is refused that ${what}`, async () => {
    const signer = await openSigner(`exec:${program('broken', body)}`, withKey)
    await rejectsCode(() => signer.sign(message), code)
  })

test('a program that does not read its input, or is not there', async () => {
  const deaf = await openSigner(`exec:${program('deaf', 'process.exit(0)')}`, withKey)
  await rejectsCode(() => deaf.sign(Buffer.alloc(1_000_000)), 'signer_failed')
  const missing = await openSigner('exec:rel-no-such-program', withKey)
  await rejectsCode(() => missing.sign(message), 'tool_missing')
})

test('a pkcs11 URI is read', () => {
  const uri =
    'pkcs11:token=My%20Token;object=sign;id=%01%ff;type=private?module-path=/m.so&pin-source=file:/run/pin'
  assert.equal(parsePkcs11Uri(uri), {
    token: 'My Token',
    object: 'sign',
    id: '01ff',
    module: '/m.so',
    pinSource: {kind: 'file', name: '/run/pin'},
  })
})

for (const uri of [
  'pkcs11:object=a',
  'pkcs11:?module-path=/m.so',
  'pkcs11:object=a?module-path=/m.so&pin-value=1234',
  'pkcs11:object=a;object=b?module-path=/m.so',
  'pkcs11:object=a;type=public?module-path=/m.so',
  'pkcs11:object=a;manufacturer=x?module-path=/m.so',
  'pkcs11:object=%zz?module-path=/m.so',
  'pkcs11:object=a%00b?module-path=/m.so',
  'pkcs11:object=a?module-path=/m.so%00x',
  'pkcs11:object=a?module-path=/m.so&pin-source=|/bin/sh',
  'pkcs11:object=a?module-path=/m.so?x',
])
  test(`a pkcs11 URI is refused: ${uri}`, () => {
    const error = throwsCode(() => parsePkcs11Uri(uri), 'signer_unknown')
    assert.not.match(error.message, '1234')
  })

const MODULES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
]
const module = MODULES.find((path) => existsSync(path)) ?? ''
if (
  needs('pkcs11-tool', 'softhsm2-util') &&
  needsThat('SoftHSM2', module !== '', 'no libsofthsm2.so')
)
  test('a SoftHSM2 token signs; its PIN is no argument', async () => {
    const tokens = join(folder, 'tokens')
    mkdirSync(tokens)
    const SOFTHSM2_CONF = join(folder, 'softhsm2.conf')
    writeFileSync(SOFTHSM2_CONF, `directories.tokendir = ${tokens}\nobjectstore.backend = file\n`)
    const env = {PATH, SOFTHSM2_CONF}
    const run = (file: string, ...args: string[]) =>
      execFileSync(file, args, {env, stdio: ['ignore', 'pipe', 'ignore']})
    run(
      'softhsm2-util',
      '--init-token',
      '--free',
      '--label',
      'rel test',
      '--pin',
      '1234',
      '--so-pin',
      '5678',
    )
    const login = ['--module', module, '--token-label', 'rel test', '--login', '--pin', '1234']
    run(
      'pkcs11-tool',
      ...login,
      '--keypairgen',
      '--key-type',
      'EC:edwards25519',
      '--label',
      'sign',
      '--id',
      '01',
    )
    const exported = run('pkcs11-tool', ...login, '--read-object', '--type', 'pubkey', '--id', '01')
    const pub = parsePublicKey(exported)
    const pin = join(folder, 'pin')
    writeFileSync(pin, '1234\n', {mode: 0o600})
    const uri = `pkcs11:token=rel%20test;object=sign?module-path=${module}`
    await signs(`${uri}&pin-source=file:${pin}`, {...options, env}, pub)
    await signs(`${uri}&pin-source=env:PIN`, {...options, env: {...env, PIN: '1234'}}, pub)
    await signs(uri, {...options, env, secret: async () => Buffer.from('1234')}, pub)
    await signs(
      `pkcs11:id=%01?module-path=${module}`,
      {...options, env, secret: async () => Buffer.from('1234')},
      pub,
    )
    const failing = await openSigner(uri, {
      ...options,
      env,
      secret: async () => Buffer.from('9999'),
    })
    const error = await rejectsCode(() => failing.sign(message), 'signer_failed')
    assert.not.match(error.message, '9999')
    const foreign = await openSigner(uri, {
      ...withKey,
      env,
      secret: async () => Buffer.from('1234'),
    })
    await rejectsCode(() => foreign.sign(message), 'signer_failed')
    const absent = uri.replace('object=sign', 'object=none')
    await rejectsCode(() => openSigner(absent, {...options, env}), 'signer_failed')
  })

if (needs('ssh-agent', 'ssh-add', 'ssh-keygen'))
  test('a real ssh-agent signs, by fingerprint and by comment', async () => {
    const SSH_AUTH_SOCK = join(folder, 'agent')
    const agent = spawn('ssh-agent', ['-D', '-a', SSH_AUTH_SOCK], {stdio: 'ignore'})
    try {
      await until(() => existsSync(SSH_AUTH_SOCK))
      const env = {PATH, SSH_AUTH_SOCK}
      const make = (name: string, comment: string, type = 'ed25519') => {
        const path = join(folder, name)
        execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', comment, '-f', path])
        execFileSync('ssh-add', ['-q', path], {env, stdio: 'ignore'})
        return path
      }
      make('ecdsa', 'another kind', 'ecdsa')
      const pub = readPublicKey(`${make('id1', 'release key')}.pub`)
      make('id2', 'twice')
      make('id3', 'twice')
      await signs('ssh-agent:release key', {...options, env}, pub)
      await signs(`ssh-agent:${sshFingerprint(pub.raw)}`, {...options, env}, pub)
      const listed = execFileSync('ssh-add', ['-l'], {env, encoding: 'utf8'})
      assert.match(listed, sshFingerprint(pub.raw))
      for (const name of ['nobody', 'twice', 'another kind', ''])
        await rejectsCode(() => openSigner(`ssh-agent:${name}`, {...options, env}), 'key_not_found')
      await rejectsCode(
        () => openSigner('ssh-agent:release key', {...withKey, env}),
        'key_mismatch',
      )
      const signer = await openSigner('ssh-agent:release key', {...options, env})
      await rejectsCode(() => signer.sign(Buffer.alloc(300_000)), 'signer_message_limit')
      execFileSync('ssh-add', ['-q', '-D'], {env, stdio: 'ignore'})
      await rejectsCode(() => signer.sign(message), 'signer_failed')
    } finally {
      await ended(agent)
    }
  })

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    if (tries > 500) throw new Error('it never came true')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

function ended(child: ChildProcess): Promise<unknown> {
  const end = new Promise((resolve) => child.once('exit', resolve))
  child.kill()
  return end
}

const frame = (...bytes: number[]) => Buffer.from([0, 0, 0, bytes.length, ...bytes])
const HOSTILE: readonly [what: string, answer: Buffer][] = [
  ['hangs up', Buffer.alloc(0)],
  ['announces 4 GiB', Buffer.from([255, 255, 255, 255, 12])],
  ['says failure', frame(5)],
  ['counts more keys than it sends', frame(12, 255, 255, 255, 255)],
  ['sends a key that is cut short', frame(12, 0, 0, 0, 1, 0, 0, 0, 99, 1)],
  ['sends more than it announced', Buffer.concat([frame(12, 0, 0, 0, 0), Buffer.from([1])])],
]
for (const [what, answer] of HOSTILE)
  test(`an ssh-agent is refused that ${what}`, async () => {
    const path = join(folder, `hostile-${HOSTILE.findIndex(([name]) => name === what)}`)
    const server = await listening(path, answer)
    try {
      const env = {SSH_AUTH_SOCK: path}
      await rejectsCode(() => openSigner('ssh-agent:a', {...options, env}), 'signer_failed')
    } finally {
      server.close()
    }
  })

function listening(path: string, answer: Buffer): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(answer))
  })
  return new Promise((resolve) => server.listen(path, () => resolve(server)))
}

test('no ssh-agent: not set, not there', async () => {
  await rejectsCode(() => openSigner('ssh-agent:a', {...options, env: {}}), 'signer_failed')
  const env = {SSH_AUTH_SOCK: join(folder, 'nothing')}
  await rejectsCode(() => openSigner('ssh-agent:a', {...options, env}), 'signer_failed')
})

const hasCryptography =
  needs('python3') &&
  (() => {
    try {
      execFileSync('python3', ['-c', 'import cryptography'], {stdio: 'ignore'})
      return true
    } catch {
      return false
    }
  })()
if (needsThat('python3-cryptography', hasCryptography, 'python3 cannot import cryptography'))
  test('Python cryptography and rel agree, byte for byte and both ways', async () => {
    const script = `
import sys
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
key = load_pem_private_key(open(sys.argv[1], 'rb').read(), None)
message = sys.stdin.buffer.read()
load_pem_public_key(open(sys.argv[2], 'rb').read()).verify(bytes.fromhex(sys.argv[3]), message)
sys.stdout.buffer.write(key.sign(message))`
    const pub = join(folder, 'py.pub')
    writeFileSync(pub, formatPublicKey(publicKey).pem)
    const signer = await openSigner(`file:${pemPath}`, options)
    const ours = Buffer.from(await signer.sign(message))
    const args = ['-c', script, pemPath, pub, ours.toString('hex')]
    assert.ok(execFileSync('python3', args, {input: message}).equals(ours))
  })

if (needs('openssl'))
  test('openssl pkeyutl -rawin and rel agree, byte for byte and both ways', async () => {
    const [file, sig, pub] = [join(folder, 'msg'), join(folder, 'sig'), join(folder, 'o.pub')]
    writeFileSync(file, message)
    writeFileSync(pub, formatPublicKey(publicKey).pem)
    const signer = await openSigner(`file:${pemPath}`, options)
    const ours = Buffer.from(await signer.sign(message))
    execFileSync('openssl', [
      'pkeyutl',
      '-sign',
      '-rawin',
      '-inkey',
      pemPath,
      '-in',
      file,
      '-out',
      sig,
    ])
    assert.ok(readFileSync(sig).equals(ours))
    writeFileSync(sig, ours)
    const verify = [
      'pkeyutl',
      '-verify',
      '-rawin',
      '-pubin',
      '-inkey',
      pub,
      '-in',
      file,
      '-sigfile',
      sig,
    ]
    execFileSync('openssl', verify, {stdio: 'ignore'})
  })

test('a foreign RSA key behind file: is refused', async () => {
  const path = join(folder, 'rsa.pem')
  const {privateKey} = generateKeyPairSync('rsa', {modulusLength: 1024})
  writeFileSync(path, privateKey.export({format: 'pem', type: 'pkcs8'}), {mode: 0o600})
  await rejectsCode(() => openSigner(`file:${path}`, options), 'key_algorithm')
  assert.is(keyPairOf(seed).publicKey.keyId, publicKey.keyId)
})

test.run()
