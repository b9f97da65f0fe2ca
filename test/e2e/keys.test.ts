import {execFileSync, spawn} from 'node:child_process'
import {generateKeyPairSync} from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {JsonValue} from '../../src/system/json.ts'
import {keyPairOf, pkcs8Of} from '../../src/trust/ed25519.ts'
import {formatPem} from '../../src/trust/key-formats/pem.ts'
import {readPublicKey} from '../../src/trust/public-key.ts'
import {openSecretKey, readSecretKey} from '../../src/trust/secret-key.ts'
import {builtPackage} from '../support/built.ts'
import {needs} from '../support/needs.ts'
import {cleanEnv, inPairs, type Ran, type RunOptions, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

const PASSPHRASE = 'canary-passphrase-7d3f'
const said: string[] = []
const secrets = new Map<string, string>([['the passphrase', PASSPHRASE]])

type Result = Readonly<Record<string, JsonValue>>

/** Runs rel and remembers all that it said, for the canary at the end. */
async function rel(args: readonly string[], options: RunOptions): Promise<Ran> {
  const ran = await runRel(args, options)
  said.push(`${args.join(' ')}\n${ran.stdout}\n${ran.stderr}`)
  return ran
}

async function refused(args: readonly string[], options: RunOptions): Promise<string> {
  const ran = await rel([...args, '--json'], options)
  assert.not.equal(ran.code, 0, `${args.join(' ')} was not refused`)
  return JSON.parse(ran.stdout).error.code
}

/** The `result` of a command that has to succeed. */
async function result(args: readonly string[], options: RunOptions): Promise<Result> {
  const ran = await rel([...args, '--json'], options)
  assert.is(ran.code, 0, ran.stdout + ran.stderr)
  return JSON.parse(ran.stdout).result
}

/** Every way in which a private key could be spelled. */
function remember(name: string, seed: Uint8Array): void {
  const bytes = Buffer.from(seed)
  for (const encoding of ['hex', 'base64', 'base64url'] as const)
    secrets.set(`${name} in ${encoding}`, bytes.toString(encoding).replace(/=+$/, '').slice(0, 40))
  secrets.set(`${name} in PKCS#8`, pkcs8Of(bytes).toString('base64').slice(20, 60))
}

const never = async (): Promise<Uint8Array> => {
  throw new Error('no passphrase is needed here')
}
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)

test('keys new: files, modes, git; the private key opens with the passphrase', async () => {
  const cwd = temporaryFolder()
  const made = await result(['keys', 'new', 'dev'], {cwd, env: {REL_KEY_PASSPHRASE: PASSPHRASE}})
  const secretPath = join(cwd, '.rel/keys/dev.key')
  assert.equal(made.encrypted, true)
  assert.is(mode(secretPath), '600')
  assert.is(mode(join(cwd, '.rel/keys')), '700')
  assert.is(readFileSync(join(cwd, '.rel/.gitignore'), 'utf8'), '*\n')
  const key = await readSecretKey(secretPath, {passphrase: async () => Buffer.from(PASSPHRASE)})
  remember('key dev', key.seed)
  assert.is(key.publicKey.keyId, made.key_id)
  assert.is(readPublicKey(join(cwd, 'rel.keys/dev.pub')).keyId, made.key_id)
  assert.equal(readdirSync(join(cwd, '.rel/keys')), ['dev.key'], 'nothing temporary is left')
})

test('keys new: passphrase by descriptor and by file, PKCS#8, in the clear', async () => {
  const cwd = temporaryFolder()
  const file = join(cwd, 'passphrase')
  writeFileSync(file, `${PASSPHRASE}\n`)
  await result(['keys', 'new', 'a', '--passphrase-file', file, '--format', 'pkcs8'], {cwd})
  await result(['keys', 'new', 'b', '--passphrase-fd', '0'], {cwd, input: `${PASSPHRASE}\r\n`})
  const open = {passphrase: async () => Buffer.from(PASSPHRASE)}
  for (const name of ['a', 'b'])
    remember(`key ${name}`, (await readSecretKey(join(cwd, `.rel/keys/${name}.key`), open)).seed)
  const clear = await rel(['keys', 'new', 'c', '--no-passphrase', '--json'], {cwd})
  assert.is(JSON.parse(clear.stdout).warnings.length, 1)
  const key = await readSecretKey(join(cwd, '.rel/keys/c.key'), {passphrase: never})
  remember('key c', key.seed)
})

test('a passphrase comes from a slow process as well', async () => {
  const cwd = temporaryFolder()
  const rel = join(await builtPackage(), 'bin', 'rel')
  const command = `"$0" keys new slow --passphrase-file <(sleep 0.3; echo "$PASS")`
  execFileSync('bash', ['-c', command, rel], {
    cwd,
    env: cleanEnv({PASS: PASSPHRASE}),
    stdio: 'ignore',
  })
  const open = {passphrase: async () => Buffer.from(PASSPHRASE)}
  remember('key slow', (await readSecretKey(join(cwd, '.rel/keys/slow.key'), open)).seed)
})

test('keys new refuses, and leaves nothing behind', async () => {
  const cwd = temporaryFolder()
  const env = {REL_KEY_PASSPHRASE: PASSPHRASE}
  assert.is(await refused(['keys', 'new', 'x'], {cwd}), 'input_required')
  assert.is(await refused(['keys', 'new', 'x', '--no-input'], {cwd}), 'input_required')
  assert.is(
    await refused(['keys', 'new', 'x', '--passphrase-fd', '0'], {cwd, input: '\n'}),
    'passphrase_empty',
  )
  assert.is(
    await refused(['keys', 'new', 'x'], {cwd, env: {REL_KEY_PASSPHRASE: ''}}),
    'passphrase_empty',
  )
  const two = {cwd, input: `${PASSPHRASE}\nsecond line\n`}
  assert.is(
    await refused(['keys', 'new', 'x', '--passphrase-fd', '0'], two),
    'passphrase_malformed',
  )
  const long = {cwd, input: PASSPHRASE.repeat(60)}
  assert.is(
    await refused(['keys', 'new', 'x', '--passphrase-fd', '0'], long),
    'passphrase_malformed',
  )
  assert.is(await refused(['keys', 'new', 'x', '--passphrase-fd', '77'], {cwd}), 'file_unreadable')
  assert.is(await refused(['keys', 'new', 'x', '--passphrase-file', 'none'], {cwd}), 'file_missing')
  for (const name of ['../x', 'a/b', '.x', 'a b', 'ä', 'x'.repeat(65)])
    assert.is(await refused(['keys', 'new', name], {cwd, env}), 'key_name_invalid', name)
  assert.equal(readdirSync(cwd), [])
})

test('keys new never overwrites either half', async () => {
  const cwd = temporaryFolder()
  await rel(['keys', 'new', 'dev', '--no-passphrase'], {cwd})
  const before = readFileSync(join(cwd, '.rel/keys/dev.key'), 'utf8')
  remember('key dev 2', (await openSecretKey(Buffer.from(before), {passphrase: never})).seed)
  assert.is(await refused(['keys', 'new', 'dev', '--no-passphrase'], {cwd}), 'file_exists')
  assert.is(readFileSync(join(cwd, '.rel/keys/dev.key'), 'utf8'), before)
  writeFileSync(join(cwd, 'rel.keys/other.pub'), 'a file of somebody')
  assert.is(await refused(['keys', 'new', 'other', '--no-passphrase'], {cwd}), 'file_exists')
  assert.not(existsSync(join(cwd, '.rel/keys/other.key')))
})

test('of many at once that make one key, one succeeds and its halves fit', async () => {
  const cwd = temporaryFolder()
  const args = ['keys', 'new', 'dev', '--no-passphrase', '--json']
  const runs = await Promise.all(Array.from({length: 6}, () => rel(args, {cwd})))
  const made = runs.filter(({code}) => code === 0)
  assert.is(made.length, 1)
  for (const {code, stdout} of runs)
    if (code !== 0) assert.is(JSON.parse(stdout).error.code, 'file_exists')
  const key = await readSecretKey(join(cwd, '.rel/keys/dev.key'), {passphrase: never})
  remember('key of many', key.seed)
  assert.is(key.publicKey.keyId, JSON.parse(made[0]?.stdout ?? '').result.key_id)
  assert.is(readPublicKey(join(cwd, 'rel.keys/dev.pub')).keyId, key.publicKey.keyId)
  assert.equal(readdirSync(join(cwd, '.rel/keys')), ['dev.key'])
})

test('--dry-run writes nothing and needs no passphrase', async () => {
  const cwd = temporaryFolder()
  const plan = await result(['keys', 'new', 'dev', '--dry-run'], {cwd})
  assert.equal(plan, {
    name: 'dev',
    dry_run: true,
    public_path: 'rel.keys/dev.pub',
    secret_path: '.rel/keys/dev.key',
  })
  assert.equal(readdirSync(cwd), [])
})

test('the undo that keys new prints takes it back', async () => {
  const cwd = temporaryFolder()
  const ran = await rel(['keys', 'new', 'dev', '--no-passphrase', '--json'], {cwd})
  const {undo} = JSON.parse(ran.stdout)
  execFileSync('sh', ['-c', undo], {cwd})
  assert.equal(readdirSync(join(cwd, '.rel/keys')), [])
  assert.equal(readdirSync(join(cwd, 'rel.keys')), [])
})

const seed = Buffer.from('canary private key, 32 bytes ok!')
const {publicKey} = keyPairOf(seed)
remember('the imported key', seed)
secrets.set('the imported key in the clear', 'canary private key')

test('keys import: both halves, forms, passphrases', async () => {
  const cwd = temporaryFolder()
  const env = {REL_KEY_PASSPHRASE: PASSPHRASE}
  writeFileSync(join(cwd, 'raw'), seed, {mode: 0o600})
  writeFileSync(join(cwd, 'signer.pem'), formatPem('PRIVATE KEY', pkcs8Of(seed)), {mode: 0o600})
  const imported = await result(['keys', 'import', 'signer.pem'], {cwd, env})
  assert.is(imported.key_id, publicKey.keyId)
  assert.equal([imported.name, imported.encrypted], ['signer', true])
  await result(['keys', 'import', '.rel/keys/signer.key', '--name', 'again', '--format', 'pkcs8'], {
    cwd,
    env,
  })
  assert.match(readFileSync(join(cwd, '.rel/keys/again.key'), 'utf8'), 'ENCRYPTED PRIVATE KEY')
  const raw = await result(['keys', 'import', 'raw', '--name', 'd2', '--no-passphrase'], {cwd})
  assert.is(raw.key_id, publicKey.keyId)
  const pub = await result(['keys', 'import', 'rel.keys/signer.pub', '--name', 'half'], {cwd})
  assert.equal([pub.key_id, pub.secret_path], [publicKey.keyId, undefined])
  const {keys} = await result(['keys', 'list'], {cwd})
  assert.equal(
    (keys as Result[]).map(({name, secret_path}) => [name, secret_path]),
    [
      ['again', '.rel/keys/again.key'],
      ['d2', '.rel/keys/d2.key'],
      ['half', null],
      ['signer', '.rel/keys/signer.key'],
    ],
  )
})

test('keys import refuses bad files by code, and writes nothing', async () => {
  const cwd = temporaryFolder()
  const env = {REL_KEY_PASSPHRASE: PASSPHRASE}
  const file = (name: string, bytes: Uint8Array | string, permissions = 0o600) => {
    writeFileSync(join(cwd, name), bytes)
    chmodSync(join(cwd, name), permissions)
  }
  const pem = formatPem('PRIVATE KEY', pkcs8Of(seed))
  const {privateKey} = generateKeyPairSync('ed25519')
  const sealed = privateKey.export({
    format: 'pem',
    type: 'pkcs8',
    cipher: 'aes-256-cbc',
    passphrase: 'x',
  })
  file('empty', '')
  file('open', pem, 0o644)
  file('cut', pem.slice(0, 70))
  file('newline', Buffer.concat([seed, Buffer.from('\n')]))
  file('foreign', Buffer.concat([seed, Buffer.alloc(32, 7)]))
  file('sealed', sealed)
  file('weak', `01${'00'.repeat(31)}`, 0o644)
  const cases: readonly [file: string, code: string, ...flags: string[]][] = [
    ['none', 'file_missing'],
    ['empty', 'key_empty'],
    ['open', 'key_permissions'],
    ['cut', 'key_truncated'],
    ['newline', 'key_malformed'],
    ['foreign', 'key_mismatch'],
    ['sealed', 'passphrase_wrong'],
    ['weak', 'key_weak', '--public'],
    ['cut', 'key_malformed', '--key-format', 'jwk'],
    ['open', 'key_private', '--public'],
  ]
  await inPairs(cases, async ([name, code, ...flags]) => {
    assert.is(await refused(['keys', 'import', name, ...flags], {cwd, env}), code, name)
  })
  assert.not(existsSync(join(cwd, '.rel')))
  assert.not(existsSync(join(cwd, 'rel.keys')))
})

test('keys show: one key id in every form; a private file shows its public half', async () => {
  const cwd = temporaryFolder()
  writeFileSync(join(cwd, 'k.pem'), formatPem('PRIVATE KEY', pkcs8Of(seed)), {mode: 0o600})
  writeFileSync(join(cwd, 'k.raw'), seed, {mode: 0o600})
  const shown = await result(['keys', 'show', 'k.pem'], {cwd})
  assert.is(shown.key_id, publicKey.keyId)
  for (const [form, text] of Object.entries(shown.public_key as Record<string, string>)) {
    const path = join(cwd, `k.${form}.pub`)
    writeFileSync(path, text)
    assert.is(readPublicKey(path).keyId, publicKey.keyId, form)
  }
  const raw = await result(['keys', 'show', 'k.raw'], {cwd})
  assert.is(raw.key_id, publicKey.keyId, '32 bytes are taken for a private key')
  const human = await rel(['keys', 'show', 'k.pem'], {cwd})
  assert.match(human.stdout, publicKey.keyId.slice(0, 16))
  assert.is(await refused(['keys', 'show', 'nobody'], {cwd}), 'key_not_found')
  assert.is(await refused(['keys', 'show', 'k.raw', '--public'], {cwd}), 'key_malformed')
})

test('keys show names what is wrong with a damaged public key, whatever its mode', async () => {
  const cwd = temporaryFolder()
  writeFileSync(join(cwd, 'cut.pub'), 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL5Qr/Kb', {mode: 0o644})
  assert.is(await refused(['keys', 'show', 'cut.pub'], {cwd}), 'key_truncated')
})

test('keys list: empty, and with a public half that cannot be read', async () => {
  const cwd = temporaryFolder()
  assert.equal(await result(['keys', 'list'], {cwd}), {keys: []})
  mkdirSync(join(cwd, 'rel.keys'))
  writeFileSync(join(cwd, 'rel.keys/bad.pub'), formatPem('PRIVATE KEY', pkcs8Of(seed)))
  const {keys} = await result(['keys', 'list'], {cwd})
  assert.equal(keys, [
    {
      name: 'bad',
      key_id: null,
      public_path: 'rel.keys/bad.pub',
      secret_path: null,
      problem: 'key_private',
    },
  ])
})

test('usage errors say nothing of the environment', async () => {
  const cwd = temporaryFolder()
  const env = {REL_KEY_PASSPHRASE: PASSPHRASE}
  for (const args of [
    ['keys', 'new'],
    ['keys', 'new', 'a', 'b'],
    ['keys', 'new', 'a', '--nope'],
    ['keys', 'import', 'a', '--key-format', 'nope'],
    ['keys', 'show', 'a', '--passphrase-fd', 'x'],
  ]) {
    assert.is(await refused(args, {cwd, env}), 'usage_invalid', args.join(' '))
    await rel(args, {cwd, env: {...env, REL_DEBUG: '1'}})
  }
})

/** Types at a terminal that `script` makes; what the terminal shows is returned. */
async function typed(
  args: readonly string[],
  cwd: string,
  lines: readonly string[],
): Promise<string> {
  const rel = join(await builtPackage(), 'bin', 'rel')
  const command = [rel, ...args].map((word) => `'${word}'`).join(' ')
  const child = spawn('script', ['-qefc', command, '/dev/null'], {cwd, env: cleanEnv()})
  let shown = ''
  let answered = 0
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString('utf8')
    const asked = shown.split(/phrase for [^:]*: /).length - 1
    while (answered < Math.min(asked, lines.length)) child.stdin.write(lines[answered++] ?? '')
  })
  await new Promise((resolve) => child.once('close', resolve))
  said.push(`${args.join(' ')}\n${shown}`)
  return shown
}

if (needs('script'))
  test('at a terminal the passphrase is asked for twice, and never shown', async () => {
    const cwd = temporaryFolder()
    const right = `${PASSPHRASE}\r`
    await typed(['keys', 'new', 'tty'], cwd, [`x\u007f${right}`, `wrong\u0015${right}`])
    const open = {passphrase: async () => Buffer.from(PASSPHRASE)}
    remember('key tty', (await readSecretKey(join(cwd, '.rel/keys/tty.key'), open)).seed)
    const differ = await typed(['keys', 'new', 'two'], cwd, [right, `${PASSPHRASE}2\r`])
    assert.match(differ, 'passphrase_mismatch')
    assert.match(await typed(['keys', 'new', 'stop'], cwd, ['\u0003']), 'interrupted')
    const wrong = await typed(['keys', 'show', '.rel/keys/tty.key'], cwd, ['nope\r'])
    assert.match(wrong, 'passphrase_wrong')
    assert.match(await typed(['keys', 'show', '.rel/keys/tty.key'], cwd, [right]), 'key id')
    assert.match(await typed(['keys', 'new', 'z', '--no-input'], cwd, []), 'input_required')
    assert.equal(readdirSync(join(cwd, '.rel/keys')), ['tty.key'])
  })

test('canary: nothing that rel said above holds a private key or the passphrase', () => {
  assert.ok(said.length > 50, `${said.length} outputs`)
  assert.ok(secrets.size > 20, `${secrets.size} secrets`)
  for (const [name, secret] of secrets)
    for (const text of said) assert.not(text.includes(secret), `${name} in: ${text.split('\n')[0]}`)
})

test.run()
