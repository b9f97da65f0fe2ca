import {cpSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {builtPackage, checkout} from '../support/built.ts'
import {run, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// The small program of a topic says what the whole program says, byte for byte.

const folder = temporaryFolder()
const whole = join(folder, 'package')

test('a package without the small programs', async () => {
  cpSync(await builtPackage(), whole, {recursive: true})
  rmSync(join(whole, 'dist/topics'), {recursive: true})
  symlinkSync(join(checkout, 'node_modules'), join(whole, 'node_modules'))
  mkdirSync(join(folder, 'bundle'))
  writeFileSync(join(folder, 'bundle/app.txt'), 'hello', {mode: 0o644})
  const steps = [
    ['keys', 'new', 'release', '--no-passphrase'],
    ['trust', 'init', '--key', 'release', '--root', 'release', '--manifest', 'release'],
    ['sign', 'bundle', '--key', 'release', '--product', 'app', '--version', '1.0.0'],
  ]
  for (const step of steps) assert.is((await runRel(step, {cwd: folder})).code, 0, step.join(' '))
})

const lines = [
  'explain key_weak',
  'explain nothing_known --json',
  'verify bundle --trust trust.json',
  'verify bundle --trust trust.json --json',
  '-q verify bundle --public-key release',
  'verify nowhere --trust trust.json',
  'verify bundle --trust trust.json --product other --json',
  'verify bundle --trust trust.json --nope',
  'verify --json',
  'verify bundle --legacy sometimes',
  'verify bundle extra',
  'verify bundle --help',
  'verify -- bundle',
  'keys',
  'keys list --json',
  'keys show nobody',
  'keys lits',
  'trust show trust.json',
  'config show',
  'inspect bundle',
  'device status nowhere',
  'device status',
  'bump list',
  'panel verify --data nowhere',
  'help verify',
  'autocomplete script bash',
]

for (const line of lines)
  test(`rel ${line}`, async () => {
    const args = line.split(' ')
    const small = await runRel(args, {cwd: folder})
    assert.equal(small, await run(join(whole, 'bin/rel'), args, {cwd: folder}))
  })

test('a small program was used for what is plain, the whole one for the rest', async () => {
  const home = temporaryFolder()
  const made = async (...args: string[]) => {
    rmSync(join(home, '.cache'), {recursive: true, force: true})
    await runRel(args, {cwd: folder, env: {HOME: home}})
    const names = readdirSync(join(home, '.cache/rel/compile'))
    return names.map((name) => name.replace(/^v[0-9.]+-[a-z0-9]+-/, ''))
  }
  assert.equal(await made('keys', 'list'), ['keys-list'])
  assert.equal(await made('verify', 'bundle', '--trust', 'trust.json'), ['verify'])
  assert.equal(await made('verify', '--trust', 'trust.json', '--', 'bundle'), ['verify-whole'])
  assert.equal(await made('verify', '--help'), ['help'])
})

test.run()
