import {existsSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {builtPackage, checkout} from '../support/built.ts'
import {needs} from '../support/needs.ts'
import {run} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// The package as it is published, installed without development dependencies in an empty folder.

const npmEnv = {
  HOME: process.env.HOME ?? '/',
  PATH: process.env.PATH ?? '',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
  npm_config_prefer_offline: 'true',
  ...(process.env.npm_config_userconfig === undefined
    ? {}
    : {npm_config_userconfig: process.env.npm_config_userconfig}),
}

const folder = temporaryFolder('rel package ')
const rel = join(folder, 'node_modules', '.bin', 'rel')

test('npm pack and npm install of the tarball succeed', async () => {
  const source = await builtPackage()
  const packing = ['pack', '--ignore-scripts', '--pack-destination', folder]
  const packed = await run('npm', packing, {cwd: source, env: npmEnv})
  assert.is(packed.code, 0, packed.stderr)
  writeFileSync(join(folder, 'package.json'), '{"private": true}')
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? 'none'
  const installing = ['install', '--omit=dev', '--ignore-scripts', join(folder, tarball)]
  const installed = await run('npm', installing, {cwd: folder, env: npmEnv})
  assert.is(installed.code, 0, installed.stderr)
  assert.ok(existsSync(rel))
})

test('the package holds the program, its documents and licences, and no sources', () => {
  const root = join(folder, 'node_modules', 'rel-cli')
  for (const path of [
    'bin/rel',
    'bin/run.cjs',
    'dist/rel.cjs',
    'dist/topics/verify.cjs',
    'dist/LICENSES.txt',
    'docs/error-codes.md',
    'schemas/rel.config.schema.json',
  ])
    assert.ok(existsSync(join(root, path)), path)
  for (const path of ['src', 'test', 'bin/dev.ts', 'scripts'])
    assert.not.ok(existsSync(join(root, path)), path)
  assert.match(readFileSync(join(root, 'dist/LICENSES.txt'), 'utf8'), /@oclif\/core/)
})

const nodes = {
  'the Node.js that runs the tests': process.execPath,
  'Node.js 22.22.2': join(checkout, 'node_modules/node22/bin/node'),
  'Node.js 24.15.0': join(checkout, 'node_modules/node24/bin/node'),
}

for (const [name, node] of Object.entries(nodes)) {
  test(`${name}: the installed commands work`, async () => {
    const env = {REL_NODE: node}
    const cwd = temporaryFolder()
    const version = await run(rel, ['--version'], {env})
    assert.equal([version.code, version.stderr], [0, ''])
    assert.match(version.stdout, /^rel \d+\.\d+\.\d+ /)
    const explained = await run(rel, ['explain', 'signature_invalid', '--json'], {env})
    assert.is(JSON.parse(explained.stdout).result.exit, 20)
    const made = await run(rel, ['init', '--yes', '--json'], {cwd, env})
    assert.is(made.code, 0, made.stdout + made.stderr)
    const shown = await run(rel, ['config', 'show', '--json'], {cwd, env})
    assert.is(JSON.parse(shown.stdout).result.settings[1].value, 'stable')
    const doctor = await run(rel, ['doctor', '--json'], {cwd, env})
    assert.is(doctor.code, 0, doctor.stdout)
    const help = await run(rel, ['--help'], {env})
    assert.match(help.stdout, /explain/)
  })
}

test('completion for bash is written and completes a command and a flag', async () => {
  const home = temporaryFolder()
  const env = {HOME: home, SHELL: '/bin/bash'}
  const setUp = await run(rel, ['autocomplete', 'bash', '--refresh-cache'], {env})
  assert.is(setUp.code, 0, setUp.stderr)
  const line = await run(rel, ['autocomplete', 'script', 'bash'], {env})
  const asking = `${line.stdout}
COMP_WORDS=(rel expl); COMP_CWORD=1; _rel_autocomplete; echo "\${COMPREPLY[@]}"
COMP_WORDS=(rel init --pro); COMP_CWORD=2; _rel_autocomplete; echo "\${COMPREPLY[@]}"`
  const completed = await run('bash', ['-c', asking], {env})
  assert.is(completed.stdout.trim(), 'explain\n--product')
})

if (needs('zsh'))
  test('completion for zsh is written, loads, and is bound to rel', async () => {
    const home = temporaryFolder()
    const env = {HOME: home, SHELL: '/bin/zsh'}
    const setUp = await run(rel, ['autocomplete', 'zsh', '--refresh-cache'], {env})
    assert.is(setUp.code, 0, setUp.stderr)
    const line = await run(rel, ['autocomplete', 'script', 'zsh'], {env})
    const asking = `autoload -U compinit; compinit -u -d $HOME/dump
${line.stdout}
autoload +X _rel && print -r -- "$_comps[rel] \${functions[_rel]}"`
    const loaded = await run('zsh', ['-f', '-c', asking], {env})
    assert.match(loaded.stdout, /^_rel /, loaded.stderr)
    for (const word of ['explain', 'verify', '--public-key'])
      assert.ok(loaded.stdout.includes(word))
  })

test.run()
