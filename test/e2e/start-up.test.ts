import {mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {configJson} from '../support/device/node.ts'
import {runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// What a command loads before it needs it; docs/decisions/start-up.md says what each costs.

const folder = temporaryFolder()
const hook = join(folder, 'hook.cjs')
const seen = join(folder, 'seen.txt')
writeFileSync(
  hook,
  `const {registerHooks} = require('node:module')
  const {appendFileSync} = require('node:fs')
  const say = (line) => appendFileSync(process.env.SEEN, line + '\\n')
  registerHooks({load: (url, context, next) => (say(url), next(url, context))})
  process.on('exit', () => process.moduleLoadList.forEach(say))`,
)

/** Packages and parts of Node that a run has loaded. */
async function loadedBy(args: readonly string[]): Promise<Set<string>> {
  rmSync(seen, {force: true})
  const env = {NODE_OPTIONS: `--require="${hook}"`, SEEN: seen}
  const ran = await runRel(args, {cwd: folder, env})
  assert.is(ran.code, 0, `${args.join(' ')}: ${ran.stderr}`)
  assert.not.match(ran.stderr, /Warning/)
  const lines = readFileSync(seen, 'utf8').split('\n')
  const packages = lines.map((line) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(line)?.[1])
  const builtins = lines.map((line) => /^NativeModule ([a-z_]+)$/.exec(line)?.[1])
  return new Set([...packages, ...builtins].filter((name) => name !== undefined))
}

const heavyPackages = [
  ...['execa', '@octokit/rest', 'listr2', 'yaml', 'zod', 'tar-stream'],
  ...['@sigstore/bundle', '@sigstore/sign', '@sigstore/verify'],
  ...['fastify', 'kysely', 'pg', 'typebox', 'aws4fetch', '@fastify/swagger'],
]
const heavyParts = ['child_process', 'worker_threads', 'http', 'https', 'http2', 'inspector']
// what a node does without: they take 2 to 15 ms each
const deviceParts = [...heavyParts, 'zlib', 'tls', 'sqlite', 'readline']

test('a key, a bundle and an anchor', async () => {
  mkdirSync(join(folder, 'bundle'))
  writeFileSync(join(folder, 'bundle/app.txt'), 'hello', {mode: 0o644})
  const steps = [
    ['keys', 'new', 'release', '--no-passphrase'],
    ['trust', 'init', '--key', 'release', '--root', 'release', '--manifest', 'release'],
  ]
  for (const step of steps) assert.is((await runRel(step, {cwd: folder})).code, 0, step.join(' '))
})

const sign = ['sign', 'bundle', '--key', 'release', '--product', 'app', '--version', '1.0.0']
const commands = [
  ['--version'],
  ['--help'],
  ['verify', '--help'],
  ['explain', 'key_weak'],
  ['keys', 'list'],
  sign,
  ['verify', 'bundle', '--public-key', 'release'],
  ['verify', 'bundle', '--trust', 'trust.json'],
]
for (const args of commands)
  test(`rel ${args.join(' ')} loads nothing heavy`, async () => {
    const loaded = await loadedBy(args)
    assert.ok(loaded.has('events'), 'the hook has seen nothing')
    const heavy = [...heavyPackages, ...heavyParts].filter((name) => loaded.has(name))
    assert.equal(heavy, [])
  })

test('a node that is asked for its status loads the work and nothing else', async () => {
  const signed = await runRel(sign, {cwd: folder})
  assert.is(signed.code, 0, signed.stderr)
  writeFileSync(join(folder, 'device.json'), JSON.stringify(configJson))
  const first = ['--config', 'device.json', '--trust', 'trust.json', '--bundle', 'bundle']
  const made = await runRel(['device', 'init', 'node', ...first], {cwd: folder})
  assert.is(made.code, 0, made.stderr)
  const loaded = await loadedBy(['device', 'status', 'node'])
  assert.ok(loaded.has('crypto'), 'the hook has seen nothing')
  const heavy = [...heavyPackages, ...deviceParts].filter((name) => loaded.has(name))
  assert.equal(heavy, [])
})

test('--version and explain do without node:crypto', async () => {
  assert.not((await loadedBy(['--version'])).has('crypto'))
  assert.not((await loadedBy(['explain', 'key_weak'])).has('crypto'))
  assert.ok((await loadedBy(['keys', 'list'])).has('crypto'), 'the hook sees node:crypto')
})

test('the hook sees what a configuration file needs', async () => {
  writeFileSync(join(folder, 'rel.config.yaml'), 'product: app\n')
  const loaded = await loadedBy(['config', 'show'])
  rmSync(join(folder, 'rel.config.yaml'))
  assert.ok(loaded.has('yaml'))
  assert.ok(loaded.has('zod'))
})

test('help and --version say the same version', async () => {
  const help = await runRel(['--help'])
  const version = await runRel(['--version'])
  assert.ok(help.stdout.includes(`VERSION\n  ${version.stdout}`))
})

test.run()
