import {spawnSync} from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {buffer} from 'node:stream/consumers'
import {styleText} from 'node:util'
import {pack} from 'tar-stream'
import {type ErrorCode, exitCodeOf} from '../src/system/codes.ts'
import {installOwnPackage, packOwnPackage} from './own-package.ts'

/**
 * The main job on real input, in seconds: rel's own package with everything it runs on is signed,
 * packed and verified, and then attacked. Every step says what it expects and fails when it is not
 * so. Everything happens in a temporary folder that is removed at the end.
 */
async function main(): Promise<void> {
  const started = performance.now()
  say(heading('rel: sign a tree, let anyone verify it, let nothing hostile through'))
  await makeTree()
  makeTrust()
  signAndVerify()
  packAndUnpack()
  for (const attack of treeAttacks) attackTree(attack)
  await attackArchives()
  say(heading('And after all that'))
  run('verify app --trust trust.json', 0)
  const secs = ((performance.now() - started) / 1000).toFixed(1)
  say('', `${attackCount} attacks, ${attackCount} refusals, each with its own reason. ${secs} s.`)
  say(...whatNext)
}

const root = join(import.meta.dirname, '..')
const {version} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {version: string}
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'rel-demo-')))
const app = join(folder, 'app')
/** The program as it was just built: what is attacked is another copy of it. */
const rel = join(folder, 'packing/source/bin/rel')
const isTerminal = process.stdout.isTTY === true
let attackCount = 0

process.on('exit', () => rmSync(folder, {recursive: true, force: true}))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))

const whatNext = [
  heading('Run next'),
  '  bin/rel --help                        every command',
  '  bin/rel explain file_digest_mismatch  any of the codes above, offline',
  '  bin/rel doctor                        is this machine ready?',
  '  npm test                              the proof',
  '  README.md                             five minutes of rel, step by step',
]

async function makeTree(): Promise<void> {
  say(heading('1. A real tree: this project, built and packed, with its production dependencies'))
  installOwnPackage(await packOwnPackage(join(folder, 'packing')), app)
  symlinkSync(join(root, 'node_modules'), join(folder, 'packing/source/node_modules'))
  const files = readdirSync(app, {recursive: true, withFileTypes: true})
  const count = files.filter((entry) => entry.isFile()).length
  if (count < 1000) fail(`a tree of thousands of files, got ${count}`)
  say(`  app/ has ${count} files`)
}

function makeTrust(): void {
  say(heading('2. A key, and a trust anchor that says what it may sign'))
  // a key of your own gets a passphrase; nobody is here to type one
  run('keys new release --no-passphrase', 0)
  run('trust init --key release --product rel-cli', 0)
}

function signAndVerify(): void {
  say(heading('3. The build server signs, anyone verifies'))
  const facts = `--product rel-cli --version ${version} --channel stable --expires 30d`
  run(`sign app ${facts} --allow-links --key release`, 0)
  run(`verify app --trust trust.json --product rel-cli --version ${version} --explain`, 0)
}

function packAndUnpack(): void {
  say(heading('4. One file to ship, verified while it is read'))
  for (const format of ['tar.gz', 'tar.zst']) {
    run(`pack app --output app.${format}`, 0)
    run(`verify app.${format} --trust trust.json`, 0)
  }
  run('inspect app.tar.zst', 0)
  run('unpack app.tar.zst -C unpacked --trust trust.json', 0)
  run('diff app unpacked --exit-code', 0)
  checkWithOpenssl()
}

/** What rel signs, a stock tool can check: the 116 bytes, the signature, the key. */
function checkWithOpenssl(): void {
  if (spawnSync('openssl', ['version']).status !== 0) return
  run('inspect app --tbs tbs.bin', 0)
  const manifest = JSON.parse(readFileSync(join(app, 'manifest.json'), 'utf8')) as {
    signatures: [{sig: string}]
  }
  writeFileSync(join(folder, 'tbs.sig'), Buffer.from(manifest.signatures[0].sig, 'base64'))
  const words =
    'pkeyutl -verify -pubin -inkey rel.keys/release.pub -rawin -in tbs.bin -sigfile tbs.sig'
  say('', command(`openssl ${words}`))
  const {status, stdout} = spawnSync('openssl', words.split(' '), {cwd: folder, encoding: 'utf8'})
  say(indented(stdout))
  if (status !== 0) fail('openssl to agree')
}

type Attack = {
  readonly story: string
  readonly code: ErrorCode
  readonly words?: string
  readonly act: () => void
  readonly undo: () => void
}

const victim = join(app, 'node_modules/yaml/dist/index.js')
const intruder = join(app, 'node_modules/yaml/dist/postinstall.js')
const manifestPath = join(app, 'manifest.json')
const nothing = (): void => {}

const treeAttacks: readonly Attack[] = [
  {
    story: 'One bit of one file is flipped',
    code: 'file_digest_mismatch',
    act: () => flipBit(victim),
    undo: () => flipBit(victim),
  },
  {
    story: 'A file is added that a program would load',
    code: 'file_unlisted',
    act: () => writeFileSync(intruder, 'steal()\n'),
    undo: () => rmSync(intruder),
  },
  {
    story: 'A file is taken away',
    code: 'file_absent',
    act: () => renameSync(victim, join(folder, 'kept')),
    undo: () => renameSync(join(folder, 'kept'), victim),
  },
  {
    story: 'A file gets the setuid bit',
    code: 'mode_forbidden',
    act: () => chmodSync(victim, 0o4755),
    undo: () => chmodSync(victim, 0o644),
  },
  {
    story: 'A file becomes a symbolic link to another file of the machine',
    code: 'file_not_regular',
    act: () => {
      renameSync(victim, join(folder, 'kept'))
      symlinkSync('/etc/passwd', victim)
    },
    undo: () => renameSync(join(folder, 'kept'), victim),
  },
  {
    story: 'Yesterday’s bundle is sold as version 9.9.9',
    code: 'version_mismatch',
    words: 'verify app --trust trust.json --version 9.9.9',
    act: nothing,
    undo: nothing,
  },
  {
    story: 'Somebody else signs the same files, perfectly, with a key of their own',
    code: 'key_unknown',
    act: () => {
      renameSync(manifestPath, join(folder, 'kept'))
      quietly('keys new mallory --no-passphrase')
      quietly(`sign app --product rel-cli --version ${version} --allow-links --key mallory`)
    },
    undo: () => renameSync(join(folder, 'kept'), manifestPath),
  },
  {
    story: 'The signatures are cut out of the manifest',
    code: 'signature_missing',
    act: () => {
      const {manifest} = JSON.parse(readFileSync(manifestPath, 'utf8')) as {manifest: unknown}
      renameSync(manifestPath, join(folder, 'kept'))
      writeFileSync(manifestPath, JSON.stringify({manifest, signatures: []}))
    },
    undo: () => renameSync(join(folder, 'kept'), manifestPath),
  },
  {
    story: 'An update is held back until long after it expired',
    code: 'manifest_expired',
    words: `verify app --trust trust.json --at ${new Date(Date.now() + 60 * 86_400_000).toISOString().slice(0, 10)}`,
    act: nothing,
    undo: nothing,
  },
]

function attackTree({
  story,
  code,
  words = 'verify app --trust trust.json',
  act,
  undo,
}: Attack): void {
  announce(story)
  act()
  runRefused(words, code)
  undo()
}

async function attackArchives(): Promise<void> {
  announce('An archive writes outside the folder it is unpacked into')
  const archive = pack()
  archive.entry({name: 'manifest.json'}, readFileSync(manifestPath))
  archive.entry({name: '../../escaped.txt'}, 'I was here\n')
  archive.finalize()
  writeFileSync(join(folder, 'evil.tar'), await buffer(archive))
  runRefused('unpack evil.tar -C evil --trust trust.json', 'path_traversal')
  if (existsSync(join(folder, 'evil'))) fail('nothing to be unpacked')

  announce('A download breaks off')
  truncateSync(join(folder, 'app.tar.zst'), 1_000_000)
  runRefused('unpack app.tar.zst -C broken --trust trust.json', 'archive_truncated')
  if (existsSync(join(folder, 'broken'))) fail('nothing to be unpacked')

  announce('Something is appended to an archive')
  appendFileSync(join(folder, 'app.tar.gz'), 'more\n')
  runRefused('verify app.tar.gz --trust trust.json', 'archive_trailing_data')
}

function announce(story: string): void {
  attackCount += 1
  if (attackCount === 1) say(heading('5. Now somebody attacks'))
  say('', `  ${bold(`${story}.`)}`)
}

/** Flips the lowest bit of the tenth byte: the size stays, and twice is as before. */
function flipBit(path: string): void {
  const fd = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(fd, byte, 0, 1, 10)
  byte[0] = (byte[0] ?? 0) ^ 1
  writeSync(fd, byte, 0, 1, 10)
  closeSync(fd)
}

type Ended = {readonly status: number | null; readonly text: string}

function runRel(words: string): Ended {
  const home = join(folder, 'home')
  mkdirSync(home, {recursive: true})
  const {PATH = '/usr/bin:/bin'} = process.env
  const color = isTerminal ? {FORCE_COLOR: '1'} : {NO_COLOR: '1'}
  const {status, stdout, stderr, error} = spawnSync(rel, words.split(' '), {
    cwd: folder,
    encoding: 'utf8',
    env: {PATH, HOME: home, REL_NODE: process.execPath, ...color},
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 << 20,
  })
  if (error !== undefined) throw error
  return {status, text: (stdout + stderr).replaceAll(`${folder}/`, '').trimEnd()}
}

/** Shows a command with its output; it must end as announced. */
function run(words: string, exit: number): string {
  say('', command(`rel ${words}`))
  const {status, text} = runRel(words)
  say(indented(text))
  if (status !== exit) fail(`exit ${exit}, got ${status}`)
  return text
}

/** Shows a command that must refuse with this code, this exit code and a fix. */
function runRefused(words: string, code: ErrorCode): void {
  const text = run(words, exitCodeOf(code))
  if (!text.includes(` ${code}: `) || !text.includes('Fix: ')) fail(`the code ${code} and a fix`)
}

function quietly(words: string): void {
  const {status, text} = runRel(words)
  if (status !== 0) fail(`rel ${words} to work: ${text}`)
}

function fail(wanted: string): never {
  process.stderr.write(`\nThe demo went wrong: it wanted ${wanted}.\n`)
  process.exit(1)
}

function say(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`)
}

function heading(text: string): string {
  return `\n${isTerminal ? styleText(['bold', 'cyan'], text) : `== ${text}`}`
}

function command(text: string): string {
  return `  ${isTerminal ? styleText('dim', '$') : '$'} ${bold(text)}`
}

function bold(text: string): string {
  return isTerminal ? styleText('bold', text) : text
}

function indented(text: string): string {
  return text.trimEnd().replace(/^/gm, '  ')
}

await main()
