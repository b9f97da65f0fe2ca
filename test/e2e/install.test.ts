import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import {join} from 'node:path'
import {gzipSync} from 'node:zlib'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {sha256Hex} from '../../src/system/hash.ts'
import {checkout} from '../support/built.ts'
import {needs} from '../support/needs.ts'
import {type Ran, run, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// install.sh against a server on this machine whose "executables" are small shell scripts.

const script = join(checkout, 'install.sh')
const folder = temporaryFolder()
const files = new Map<string, Buffer>()
const name = `rel-linux-${process.arch}`

/** What the server does to one file; undefined cuts the connection. */
let spoil: (file: string, bytes: Buffer) => Buffer | undefined = (_file, bytes) => bytes

/** Another file instead of a cut one. */
let spoilsLength = false

const asked: string[] = []
const server = createServer(({url = ''}, response) => {
  const [, version, file = ''] =
    /^\/r\/(?:latest\/download|download\/v([^/]+))\/(.*)$/.exec(url) ?? []
  asked.push(file)
  const bytes = files.get(`${version ?? '2.0.0'}/${file}`)
  if (bytes === undefined) return void response.writeHead(404).end()
  const sent = spoil(file, bytes)
  if (sent === undefined) return void response.destroy()
  const length = spoilsLength ? sent.length : bytes.length
  response.writeHead(200, {'content-length': length})
  response.write(sent, () => (sent.length < length ? response.destroy() : response.end()))
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/r`
let key = ''

/** Signs and serves a list of digests, and these files. */
async function publish(version: string, served: Readonly<Record<string, Buffer>>): Promise<void> {
  const lines = Object.entries(served).map(([file, bytes]) => `${sha256Hex(bytes)}  ${file}\n`)
  mkdirSync(join(folder, version))
  const sums = join(folder, version, 'SHA256SUMS')
  writeFileSync(sums, lines.join(''))
  const signed = await runRel(['sign', sums, '--key', 'release'], {cwd: folder})
  assert.is(signed.code, 0, signed.stderr)
  for (const [file, bytes] of Object.entries(served)) files.set(`${version}/${file}`, bytes)
  for (const end of ['', '.minisig', '.sig'])
    files.set(`${version}/SHA256SUMS${end}`, readFileSync(sums + end))
}

function release(version: string, says = version): Promise<void> {
  const program = Buffer.from(
    `#!/bin/sh\necho "rel ${says} linux-x64 node-v0"\n${'#'.repeat(5000)}`,
  )
  return publish(version, {[name]: program, [`${name}.gz`]: gzipSync(program)})
}

/** A PATH of these programs alone, and of what every system has. */
function pathOf(...names: readonly string[]): string {
  const path = temporaryFolder()
  const usual = [
    'chmod',
    'cut',
    'grep',
    'mkdir',
    'mktemp',
    'mv',
    'rm',
    'sync',
    'tail',
    'tr',
    'uname',
  ]
  for (const found of [...usual, ...names])
    for (const from of ['/usr/bin', '/bin'])
      if (existsSync(join(from, found)) && !existsSync(join(path, found)))
        symlinkSync(join(from, found), join(path, found))
  return path
}

const everything = pathOf('curl', 'sha256sum', 'gzip', 'minisign', 'openssl', 'cat', 'id')

type Options = {readonly to?: string; readonly path?: string; readonly shell?: string[]}

function install(words: readonly string[], options: Options = {}): Promise<Ran> {
  const {to = temporaryFolder(), path = everything, shell = ['/bin/dash']} = options
  const [file = '', ...first] = shell
  const all = [...first, script, '--base', base, '--key', key, '--to', to, ...words]
  return run(file, all, {env: {PATH: path, HOME: '/nonexistent'}})
}

/** Refused with an exit code, and the folder is as it was before. */
async function refused(exit: number, words: readonly string[] = [], options: Options = {}) {
  const to = options.to ?? temporaryFolder()
  const before = existsSync(to) ? readdirSync(to) : undefined
  const ran = await install(words, {...options, to})
  assert.is(ran.code, exit, `${words.join(' ')}: ${ran.stdout}${ran.stderr}`)
  assert.match(ran.stderr, /^✖ /m)
  assert.equal(existsSync(to) ? readdirSync(to) : undefined, before)
}

test('a key and two releases', async () => {
  const made = await runRel(['keys', 'new', 'release', '--no-passphrase'], {cwd: folder})
  assert.is(made.code, 0, made.stderr)
  const shown = await runRel(['keys', 'show', 'release', '--json'], {cwd: folder})
  key = /RW[A-Za-z0-9+/]{54}/.exec(shown.stdout)?.[0] ?? 'none'
  await release('1.0.0')
  await release('2.0.0')
  await release('3.0.0', '1.0.0') // an old executable under a new number
})

const tools: Record<string, string> = {
  'curl and minisign': pathOf('curl', 'sha256sum', 'gzip', 'minisign'),
  'wget and openssl': pathOf('wget', 'sha256sum', 'gzip', 'openssl'),
  'curl and openssl alone': pathOf('curl', 'openssl'),
}
const shells: Record<string, string[]> = {dash: ['/bin/dash'], busybox: ['/bin/busybox', 'sh']}
for (const [with_, path] of Object.entries(tools))
  for (const [shell, words] of Object.entries(shells))
    test(`${shell} with ${with_}: it installs what was signed, once`, async () => {
      const to = join(temporaryFolder(), 'a b')
      const first = await install([], {to, path, shell: words})
      assert.is(first.code, 0, first.stderr)
      assert.equal(readdirSync(to), ['rel'])
      assert.equal(readFileSync(join(to, 'rel')), files.get(`2.0.0/${name}`))
      assert.is(statSync(join(to, 'rel')).mode & 0o777, 0o755)
      asked.length = 0
      const again = await install([], {to, path, shell: words})
      assert.is(again.code, 0, again.stderr)
      assert.not.ok(
        asked.some((file) => file.startsWith(name)),
        'it was downloaded again',
      )
    })

test('--version takes that one, and moves it over another', async () => {
  const to = temporaryFolder()
  assert.is((await install(['--version', 'v1.0.0'], {to})).code, 0)
  assert.equal(readFileSync(join(to, 'rel')), files.get(`1.0.0/${name}`))
  assert.is((await install([], {to})).code, 0)
  assert.equal(readFileSync(join(to, 'rel')), files.get(`2.0.0/${name}`))
  await refused(75, ['--version', '9.9.9'], {to})
})

test('an old release that is shown again as the latest takes the place of no newer one', async () => {
  const to = temporaryFolder()
  const older: readonly [string, boolean][] = [
    ['1.9.9', true],
    ['2.0.0-rc.1', true],
    ['2.0.1-rc.1', false],
    ['1.10.0', true],
    ['10.0.0', false],
    ['2.0.0+x-y', false],
  ]
  const [dash, busybox] = Object.values(shells)
  for (const [at, [says, isOlder]] of older.entries()) {
    const shell = (at % 2 === 0 ? dash : busybox) ?? []
    const installed = Buffer.from('#!/bin/sh\necho "rel 2.0.0 linux-x64 node-v0"\n')
    writeFileSync(join(to, 'rel'), installed, {mode: 0o755})
    spoil = (file) => files.get(`${says}/${file}`)
    spoilsLength = true
    if (!files.has(`${says}/${name}`)) await release(says)
    try {
      const ran = await install([], {to, shell})
      assert.is(ran.code, isOlder ? 20 : 0, `${says}: ${ran.stderr}`)
      assert.is(readFileSync(join(to, 'rel')).equals(installed), isOlder, says)
    } finally {
      spoil = (_file, bytes) => bytes
      spoilsLength = false
    }
  }
})

test('a signed release of another version is refused, and what was installed stays', async () => {
  const to = temporaryFolder()
  assert.is((await install([], {to})).code, 0)
  await refused(20, ['--version', '3.0.0'], {to})
  assert.equal(readFileSync(join(to, 'rel')), files.get(`2.0.0/${name}`))
})

test('--dry-run verifies and installs nothing', async () => {
  const to = join(temporaryFolder(), 'none')
  const ran = await install(['--dry-run'], {to})
  assert.is(ran.code, 0, ran.stderr)
  assert.not.ok(existsSync(to))
  spoil = (file, bytes) => (file === 'SHA256SUMS' ? flipped(bytes, 3) : bytes)
  await refused(20, ['--dry-run'], {to})
  spoil = (_file, bytes) => bytes
})

function flipped(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes)
  changed[at] = (changed[at] ?? 0) ^ 1
  return changed
}

const verifiers = {
  minisign: {path: everything, signature: 'SHA256SUMS.minisig'},
  openssl: {path: pathOf('curl', 'sha256sum', 'openssl'), signature: 'SHA256SUMS.sig'},
}
for (const [verifier, {path, signature}] of Object.entries(verifiers))
  test(`${verifier}: one changed byte anywhere is refused`, async () => {
    for (const file of ['SHA256SUMS', signature, name, `${name}.gz`])
      for (const part of [0.2, 0.5, 0.8]) {
        spoil = (wanted, bytes) => {
          return wanted === file ? flipped(bytes, Math.floor(bytes.length * part)) : bytes
        }
        const ran = await install([], {path})
        const isUsed = asked.includes(file)
        asked.length = 0
        if (isUsed) assert.is(ran.code, 20, `${file} ${part} ${ran.stderr}`)
      }
    spoil = (_file, bytes) => bytes
  })

test('a signature of another key is refused', async () => {
  const other = 'RWRURVNUVEVTVNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea'
  for (const {path} of Object.values(verifiers)) await refused(20, ['--key', other], {path})
})

test('a download that is cut short, or endless, is refused', async () => {
  const program = files.get(`2.0.0/${name}.gz`) as Buffer
  for (const length of [0, 1, 10, program.length >> 1, program.length - 1]) {
    spoil = (file, bytes) => (file === `${name}.gz` ? bytes.subarray(0, length) : bytes)
    await refused(75)
  }
  for (const length of [0, 40, 100]) {
    spoil = (file, bytes) => (file === 'SHA256SUMS' ? bytes.subarray(0, length) : bytes)
    await refused(75)
  }
  spoil = (file, bytes) => (file === 'SHA256SUMS' ? undefined : bytes)
  await refused(75)
  files.set('4.0.0/SHA256SUMS', Buffer.alloc(1 << 20, 'a'))
  spoil = (_file, bytes) => bytes
  await refused(75, ['--version', '4.0.0'])
})

test('a script that was cut short does nothing', async () => {
  const text = readFileSync(script)
  const path = join(folder, 'cut.sh')
  const home = temporaryFolder()
  asked.length = 0
  const ends = Array.from({length: Math.floor(text.length / 100)}, (_, at) => (at + 1) * 100)
  const last = Array.from({length: 24}, (_, at) => text.length - 2 - at)
  for (const end of [...ends, ...last]) {
    writeFileSync(path, text.subarray(0, end))
    const ran = await run('/bin/dash', [path, '--base', base, '--key', key, '--to', home])
    assert.not.match(ran.stdout + ran.stderr, /✔|✖/, `${end}`) // it has not even begun
  }
  assert.equal([asked, readdirSync(home)], [[], []])
})

test('a tool that is missing is named', async () => {
  await refused(28, [], {path: pathOf('sha256sum', 'minisign')})
  await refused(28, [], {path: pathOf('curl', 'sha256sum')})
  await refused(28, [], {path: pathOf('curl', 'minisign')})
  const old = pathOf('curl', 'sha256sum') // an openssl without -rawin
  writeFileSync(join(old, 'openssl'), '#!/bin/sh\necho usage >&2\n', {mode: 0o755})
  await refused(28, [], {path: old})
})

test('an executable that does not run here is not installed', async () => {
  await publish('5.0.0', {[name]: Buffer.from('\x7fELF nothing')})
  await refused(28, ['--version', '5.0.0'])
})

test('a folder that cannot be written is refused', async () => {
  await refused(28, [], {to: '/proc/none'})
  const to = temporaryFolder()
  mkdirSync(join(to, 'rel'))
  await refused(28, [], {to})
  if (process.geteuid?.() === 0) return
  chmodSync(to, 0o500)
  await refused(28, [], {to})
})

test('wrong words, another system and the test key are refused', async () => {
  const uname = temporaryFolder()
  const says = (text: string) => {
    writeFileSync(join(uname, 'uname'), `#!/bin/sh\necho ${text}\n`, {mode: 0o755})
    return `${uname}:${everything}`
  }
  await refused(28, [], {path: says('Darwin')})
  await refused(28, [], {path: says('Linux')}) // also the machine then
  await refused(2, ['--nope'])
  await refused(2, ['--version'])
  await refused(2, ['--version', '../../x'])
  await refused(2, ['--key', 'RWshort'])
  await refused(2, ['--base', 'file:///tmp'])
  await refused(20, ['--key', ''])
  await refused(20, ['--key', '', '--allow-test-key'])
})

if (needs('shellcheck'))
  test('shellcheck finds nothing in the shell scripts', async () => {
    for (const file of [script, join(checkout, 'bin/rel')]) {
      const {code, stdout} = await run('shellcheck', ['-s', 'sh', file])
      assert.is(code, 0, stdout)
    }
  })

test('the server is closed', () => {
  server.close()
})

test.run()
