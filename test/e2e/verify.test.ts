import {spawnSync} from 'node:child_process'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {addFile, makeTree} from '../support/bundles.ts'

const REL = join(import.meta.dirname, '../../bin/dev.ts')

function rel(cwd: string, ...args: readonly string[]) {
  const {PATH = ''} = process.env
  const env = {PATH, HOME: cwd, NO_COLOR: '1'}
  return spawnSync(process.execPath, [REL, ...args], {cwd, encoding: 'utf8', env})
}

function project(): string {
  const cwd = makeTree({})
  addFile(cwd, 'app-1.0.0/bin/app.sh', '#!/bin/sh\n')
  addFile(cwd, 'app-1.0.0/etc/app.conf', 'a=b\n')
  assert.is(rel(cwd, 'keys', 'new', 'release', '--no-passphrase').status, 0)
  assert.is(rel(cwd, 'trust', 'init', '--key', 'release', '--product', 'app').status, 0)
  assert.is(rel(cwd, 'sign', 'app-1.0.0', '--key', 'release').status, 0)
  return cwd
}

const codeOf = (run: {stdout: string}) => JSON.parse(run.stdout).error.code as string

test('a trust anchor says who may sign what', () => {
  const cwd = project()
  const good = rel(cwd, 'verify', 'app-1.0.0', '--trust', 'trust.json', '--json')
  assert.is(good.status, 0, good.stderr + good.stdout)
  const {result} = JSON.parse(good.stdout)
  assert.equal(
    [result.source, result.product, result.version, result.files],
    ['tree', 'app', '1.0.0', 2],
  )
  assert.is(result.signed_by.length, 1)
  addFile(cwd, 'other-1.0.0/x', 'x')
  assert.is(rel(cwd, 'sign', 'other-1.0.0', '--key', 'release').status, 0)
  const other = rel(cwd, 'verify', 'other-1.0.0', '--trust', 'trust.json', '--json')
  assert.is(other.status, 20)
  assert.is(codeOf(other), 'key_not_for_product')
})

test('--explain prints each check in its order, on stderr, and the steps with --json', () => {
  const cwd = project()
  const run = rel(cwd, 'verify', 'app-1.0.0', '--public-key', 'release', '--explain', '--json')
  const {result} = JSON.parse(run.stdout)
  const checks = result.steps.map(({check}: {check: string}) => check)
  const order = ['json', 'shape', 'keys', 'signatures', 'revocation', 'format', 'expectations']
  assert.equal(checks, [...order, 'freshness', 'files'])
  assert.match(run.stderr, /1\. json: [0-9]+ bytes/)
})

test('what was asked for must be as signed', () => {
  const cwd = project()
  const verify = (...more: string[]) =>
    rel(cwd, 'verify', 'app-1.0.0', '--public-key', 'release', '--json', ...more)
  assert.is(verify('--product', 'app', '--version', '1.0.0', '--channel', 'stable').status, 0)
  assert.is(codeOf(verify('--version', '2.0.0')), 'version_mismatch')
  assert.is(codeOf(verify('--product', 'other')), 'product_mismatch')
  assert.is(codeOf(verify('--channel', 'beta')), 'channel_mismatch')
  assert.is(codeOf(verify('--at', '2020-01-01')), 'timestamp_future')
})

test('nothing verifies without a key that has signed', () => {
  const cwd = project()
  assert.is(rel(cwd, 'keys', 'new', 'stranger', '--no-passphrase').status, 0)
  const run = rel(cwd, 'verify', 'app-1.0.0', '--public-key', 'stranger', '--json')
  assert.is(run.status, 20)
  assert.is(codeOf(run), 'key_unknown')
  addFile(cwd, 'unsigned/x', 'x')
  assert.is(
    codeOf(rel(cwd, 'verify', 'unsigned', '--public-key', 'release', '--json')),
    'manifest_missing',
  )
  const bare = rel(cwd, 'verify', 'unsigned/x', '--public-key', 'release', '--json')
  assert.is(codeOf(bare), 'bundle_unrecognised')
  assert.is(rel(cwd, 'verify', 'nowhere', '--public-key', 'release').status, 2)
})

test('names of an attacker move no cursor', () => {
  const cwd = project()
  writeFileSync(join(cwd, 'app-1.0.0', 'x\x1b[2Jy'), 'x')
  for (const more of [[], ['--json']]) {
    const run = rel(cwd, 'verify', 'app-1.0.0', '--public-key', 'release', ...more)
    assert.is(run.status, 20)
    assert.not.match(run.stdout + run.stderr, '\x1b')
  }
})

test('inspect shows an unsigned lie, and says that it verified nothing', () => {
  const cwd = project()
  const path = join(cwd, 'app-1.0.0/manifest.json')
  writeFileSync(
    path,
    readFileSync(path, 'utf8').replace('"version": "1.0.0"', '"version": "99.0.0"'),
  )
  const run = rel(cwd, 'inspect', 'app-1.0.0', '--json')
  assert.is(run.status, 0)
  const {result, warnings} = JSON.parse(run.stdout)
  assert.is(result.version, '99.0.0')
  assert.is(result.verified, false)
  assert.match(warnings[0], 'nothing was verified')
})

test.run()
