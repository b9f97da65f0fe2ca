import {spawnSync} from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import {join} from 'node:path'
import {buffer} from 'node:stream/consumers'
import {pack} from 'tar-stream'
import type {ErrorCode} from '../../src/system/codes.ts'
import {installOwnPackage, packOwnPackage} from '../own-package.ts'
import {
  announce,
  begin,
  command,
  discard,
  fail,
  folder,
  heading,
  indented,
  quietly,
  root,
  run,
  runRefused,
  say,
  show,
} from './stage.ts'

const {version} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {version: string}
const app = join(folder, 'app')

/** rel's own package with everything it runs on is signed, packed and verified, then attacked. */
export async function showBundle(): Promise<void> {
  await makeTree()
  await makeTrust()
  await signAndVerify()
  await packAndUnpack()
  say(heading('5. Now somebody attacks'))
  for (const attack of treeAttacks) await attackTree(attack)
  await attackArchives()
  say('', '  And after all that, what was signed is as it was:')
  await run('verify app --trust trust.json', 0)
}

async function makeTree(): Promise<void> {
  say(heading('1. A real tree: this project, built and packed, with all it runs on'))
  installOwnPackage(await packOwnPackage(join(folder, 'packing')), app, runs)
  symlinkSync(join(root, 'node_modules'), join(folder, 'packing/source/node_modules'))
  const files = readdirSync(app, {recursive: true, withFileTypes: true})
  const count = files.filter((entry) => entry.isFile()).length
  if (count < 1000) fail(`a tree of thousands of files, got ${count}`)
  say(`  app/ has ${count} files`)
}

/** False for what a dependency ships and no program loads: types, source maps, documents. */
function runs(path: string): boolean {
  return !/\.(?:map|ts|mts|cts|md)$/.test(path)
}

async function makeTrust(): Promise<void> {
  say(heading('2. A key, and a trust anchor that says what it may sign'))
  // a key of your own gets a passphrase; nobody is here to type one
  await run('keys new release --no-passphrase', 0)
  await run('trust init --key release --product rel-cli', 0)
}

async function signAndVerify(): Promise<void> {
  say(heading('3. The build server signs, anyone verifies'))
  const facts = `--product rel-cli --version ${version} --channel stable --expires 30d`
  await run(`sign app ${facts} --allow-links --key release`, 0)
  await run(`verify app --trust trust.json --product rel-cli --version ${version} --explain`, 0)
}

async function packAndUnpack(): Promise<void> {
  say(heading('4. One file to ship, verified while it is read'))
  await together(['pack app --output app.tar.gz', 'pack app --output app.tar.zst'])
  await together([
    'verify app.tar.gz --trust trust.json',
    'inspect app.tar.zst',
    'unpack app.tar.zst -C unpacked --trust trust.json',
  ])
  await run('diff app unpacked --exit-code', 0)
  discard('unpacked')
  await checkWithOpenssl()
}

/** Commands that do not wait for each other, shown in their order. */
async function together(lines: readonly string[]): Promise<void> {
  for (const begun of lines.map((words) => begin(words))) await show(begun, 0)
}

/** What rel signs, a stock tool can check: the 116 bytes, the signature, the key. */
async function checkWithOpenssl(): Promise<void> {
  if (spawnSync('openssl', ['version']).status !== 0) return
  await run('inspect app --tbs tbs.bin', 0)
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
  readonly act: () => void | Promise<void>
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
    act: async () => {
      renameSync(manifestPath, join(folder, 'kept'))
      await quietly('keys new mallory --no-passphrase')
      await quietly(`sign app --product rel-cli --version ${version} --allow-links --key mallory`)
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

async function attackTree({
  story,
  code,
  words = 'verify app --trust trust.json',
  act,
  undo,
}: Attack): Promise<void> {
  announce(story)
  await act()
  await runRefused(words, code)
  undo()
}

async function attackArchives(): Promise<void> {
  announce('An archive writes outside the folder it is unpacked into')
  const archive = pack()
  archive.entry({name: 'manifest.json'}, readFileSync(manifestPath))
  archive.entry({name: '../../escaped.txt'}, 'I was here\n')
  archive.finalize()
  writeFileSync(join(folder, 'evil.tar'), await buffer(archive))
  await runRefused('unpack evil.tar -C evil --trust trust.json', 'path_traversal')
  if (existsSync(join(folder, 'evil'))) fail('nothing to be unpacked')

  announce('A download breaks off')
  truncateSync(join(folder, 'app.tar.zst'), 1_000_000)
  await runRefused('unpack app.tar.zst -C broken --trust trust.json', 'archive_truncated')
  if (existsSync(join(folder, 'broken'))) fail('nothing to be unpacked')

  announce('Something is appended to an archive')
  appendFileSync(join(folder, 'app.tar.gz'), 'more\n')
  await runRefused('verify app.tar.gz --trust trust.json', 'archive_trailing_data')
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
