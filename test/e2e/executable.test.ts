import {existsSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {buildExecutables, nodeInside} from '../../scripts/build-sea.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import {arm64Packages} from '../support/arm64.ts'
import {checkout} from '../support/built.ts'
import {configJson} from '../support/device/node.ts'
import {needs} from '../support/needs.ts'
import {type Ran, run} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// The single executables: without a Node.js, a checkout, a home or anything on PATH.

const folder = temporaryFolder('rel executables ')
const empty = temporaryFolder()
const at = (name: string) => join(folder, name)

/** A home that cannot be made: there is no cache, and nothing but the words comes from outside. */
const env = {PATH: '/nonexistent', HOME: '/dev/null', REL_NODE: '', NODE_OPTIONS: '--nonsense'}

const rel = (args: readonly string[], cwd = empty): Promise<Ran> => {
  return run(at('rel-linux-x64'), args, {cwd, env})
}

async function ok(args: readonly string[]): Promise<string> {
  const ran = await rel(args)
  assert.is(ran.code, 0, `${args.join(' ')}: ${ran.stderr}`)
  return ran.stdout
}

test('both are built, with their digests and licences', async () => {
  await buildExecutables(folder, ['x64', 'arm64'], false)
  const lines = readFileSync(at('SHA256SUMS'), 'utf8').trim().split('\n')
  const named = lines.map((line) => line.split('  ') as [string, string])
  assert.equal(
    named.map(([, name]) => name),
    ['LICENSES.txt', 'rel-linux-arm64', 'rel-linux-x64'],
  )
  for (const [digest, name] of named) assert.is(sha256Hex(readFileSync(at(name))), digest, name)
  const licenses = readFileSync(at('LICENSES.txt'), 'utf8')
  for (const name of ['@oclif/core', 'fastify', 'zod', 'yaml', 'openpgp', 'Node.js', 'OpenSSL'])
    assert.ok(licenses.includes(name), name)
})

test('the Node.js inside is the one that the tests run on', () => {
  const facts = readFileSync(join(checkout, 'package.json'), 'utf8')
  assert.is(JSON.parse(facts).devDependencies.node, nodeInside.version)
})

test('a second build gives the same bytes', async () => {
  const first = sha256Hex(readFileSync(at('rel-linux-x64')))
  const again = temporaryFolder()
  await buildExecutables(again, ['x64'], false)
  assert.is(sha256Hex(readFileSync(join(again, 'rel-linux-x64'))), first)
})

test('version, help, refusals', async () => {
  const {version} = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8'))
  assert.is(await ok(['--version']), `rel ${version} linux-x64 node-v${nodeInside.version}\n`)
  assert.match(await ok(['--help']), /USAGE/)
  assert.match(await ok(['verify', '--help']), /--public-key/)
  assert.match(await ok(['explain', 'key_weak']), /^key_weak: /)
  const unknown = await rel(['verify', 'x', '--nope'])
  assert.equal([unknown.code, unknown.stderr.split(':', 1)[0]], [2, '✖ usage_invalid'])
  assert.is((await rel(['autocomplete', 'bash'])).code, 2)
})

test('sign, verify and a node, with keys made here', async () => {
  mkdirSync(join(empty, 'bundle'))
  writeFileSync(join(empty, 'bundle/app.txt'), 'hello', {mode: 0o644})
  await ok(['keys', 'new', 'release', '--no-passphrase'])
  await ok(['trust', 'init', '--key', 'release', '--root', 'release', '--manifest', 'release'])
  await ok(['sign', 'bundle', '--key', 'release', '--product', 'app', '--version', '1.0.0'])
  await ok(['verify', 'bundle', '--trust', 'trust.json', '--paranoid'])
  await ok(['inspect', 'bundle'])
  writeFileSync(join(empty, 'device.json'), JSON.stringify(configJson))
  const first = ['--config', 'device.json', '--trust', 'trust.json', '--bundle', 'bundle']
  await ok(['device', 'init', 'node', ...first])
  await ok(['device', 'verify', 'node'])
  assert.match(await ok(['device', 'status', 'node', '--json']), /"ok": true/)
  writeFileSync(join(empty, 'bundle/app.txt'), 'jello')
  assert.is((await rel(['verify', 'bundle', '--trust', 'trust.json'])).code, 20)
  writeFileSync(join(empty, 'bundle/app.txt'), 'hello')
})

test('packages that commands load when they need them are inside', async () => {
  writeFileSync(join(empty, 'rel.config.yaml'), 'product: from-yaml\n') // yaml and zod
  const shown = await ok(['config', 'show'])
  renameSync(join(empty, 'rel.config.yaml'), join(empty, 'other.yaml'))
  assert.match(shown, /from-yaml/)
  await ok(['pack', 'bundle', '-o', 'bundle.tar.zst']) // tar-stream
  await ok(['verify', 'bundle.tar.zst', '--trust', 'trust.json'])
  const serving = await rel(['panel', 'serve', '--data', 'panel', '--port', 'many'])
  assert.is(serving.code, 2)
})

test('it runs by another name and through a link', async () => {
  symlinkSync(at('rel-linux-x64'), join(empty, 'rel'))
  const ran = await run(join(empty, 'rel'), ['explain', 'key_weak'], {cwd: '/', env})
  assert.is(ran.code, 0, ran.stderr)
})

if (needs('qemu-aarch64-static')) {
  const packages = arm64Packages('libc6', 'libstdc++6', 'libgcc-s1', 'libatomic1')
  if (typeof packages === 'string') throw new Error(packages)

  test('the one for arm64 verifies and reports', async () => {
    const libraries = packages.flatMap((path) =>
      ['lib/aarch64-linux-gnu', 'usr/lib/aarch64-linux-gnu'].map((name) => join(path, name)),
    )
    const [libc = ''] = packages
    const emulated = (args: readonly string[]) => {
      const path = libraries.filter((name) => existsSync(name)).join(':')
      const words = ['-L', libc, '-E', `LD_LIBRARY_PATH=${path}`, at('rel-linux-arm64'), ...args]
      return run('qemu-aarch64-static', words, {
        cwd: empty,
        env: {...env, PATH: process.env.PATH ?? ''},
      })
    }
    const version = await emulated(['--version'])
    assert.match(version.stdout, / linux-arm64 /, version.stderr)
    const verified = await emulated(['verify', 'bundle', '--trust', 'trust.json'])
    assert.is(verified.code, 0, verified.stderr)
    const status = await emulated(['device', 'status', 'node', '--json'])
    assert.is(JSON.parse(status.stdout).ok, true, status.stderr)
  })
}

test.run()
