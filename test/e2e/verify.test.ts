import {readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {addFile, makeTree} from '../support/bundles.ts'
import {runRel} from '../support/rel.ts'

const rel = (cwd: string, ...args: readonly string[]) => runRel(args, {cwd})

async function project(): Promise<string> {
  const cwd = makeTree({})
  addFile(cwd, 'app-1.0.0/bin/app.sh', '#!/bin/sh\n')
  addFile(cwd, 'app-1.0.0/etc/app.conf', 'a=b\n')
  assert.is((await rel(cwd, 'keys', 'new', 'release', '--no-passphrase')).code, 0)
  assert.is((await rel(cwd, 'trust', 'init', '--key', 'release', '--product', 'app')).code, 0)
  assert.is((await rel(cwd, 'sign', 'app-1.0.0', '--key', 'release')).code, 0)
  return cwd
}

const codeOf = (run: {stdout: string}) => JSON.parse(run.stdout).error.code as string

test('a trust anchor says who may sign what', async () => {
  const cwd = await project()
  const good = await rel(cwd, 'verify', 'app-1.0.0', '--trust', 'trust.json', '--json')
  assert.is(good.code, 0, good.stderr + good.stdout)
  const {result} = JSON.parse(good.stdout)
  assert.equal(
    [result.source, result.product, result.version, result.files],
    ['tree', 'app', '1.0.0', 2],
  )
  assert.is(result.signed_by.length, 1)
  addFile(cwd, 'other-1.0.0/x', 'x')
  assert.is((await rel(cwd, 'sign', 'other-1.0.0', '--key', 'release')).code, 0)
  const other = await rel(cwd, 'verify', 'other-1.0.0', '--trust', 'trust.json', '--json')
  assert.is(other.code, 20)
  assert.is(codeOf(other), 'key_not_for_product')
})

test('--explain prints each check in its order, on stderr, and the steps with --json', async () => {
  const cwd = await project()
  const run = await rel(
    cwd,
    'verify',
    'app-1.0.0',
    '--public-key',
    'release',
    '--explain',
    '--json',
  )
  const {result} = JSON.parse(run.stdout)
  const checks = result.steps.map(({check}: {check: string}) => check)
  const order = ['json', 'keys', 'signatures', 'revocation', 'format', 'shape', 'expectations']
  assert.equal(checks, [...order, 'freshness', 'files'])
  assert.match(run.stderr, /1\. json: [0-9]+ bytes/)
})

test('what was asked for must be as signed', async () => {
  const cwd = await project()
  const verify = (...more: string[]) =>
    rel(cwd, 'verify', 'app-1.0.0', '--public-key', 'release', '--json', ...more)
  assert.is((await verify('--product', 'app', '--version', '1.0.0', '--channel', 'stable')).code, 0)
  assert.is(codeOf(await verify('--version', '2.0.0')), 'version_mismatch')
  assert.is(codeOf(await verify('--product', 'other')), 'product_mismatch')
  assert.is(codeOf(await verify('--channel', 'beta')), 'channel_mismatch')
  assert.is(codeOf(await verify('--at', '2020-01-01')), 'timestamp_future')
})

test('a refusal says nothing on standard output, nor that anything is well', async () => {
  const cwd = await project()
  const archive = 'app.tar.gz'
  assert.is((await rel(cwd, 'pack', 'app-1.0.0', '--output', archive)).code, 0)
  assert.is((await rel(cwd, 'keys', 'new', 'stranger', '--no-passphrase')).code, 0)
  const key = ['--public-key', 'stranger']
  const alone = 'app-1.0.0/bin/app.sh'
  addFile(cwd, 'bad-1.0.0/x', 'x')
  assert.is((await rel(cwd, 'sign', 'bad-1.0.0', '--key', 'release')).code, 0)
  addFile(cwd, 'bad-1.0.0/x', 'other')
  assert.is((await rel(cwd, 'sign', alone, '--key', 'release')).code, 0)
  for (const args of [
    ['verify', 'bad-1.0.0', '--public-key', 'release'],
    ['verify', archive, ...key],
    ['verify', alone, ...key],
    ['verify', archive, '--explain', ...key],
    ['unpack', archive, '-C', 'out', ...key],
    ['unpack', archive, '-C', 'out', '--dry-run', ...key],
    ['pack', 'bad-1.0.0', '--output', 'bad.tar'],
    ['sign', 'app-1.0.0', '--add', '--key', 'release'], // its tree now holds signatures of a file
  ]) {
    const run = await rel(cwd, ...args)
    const said = `${args.join(' ')}: ${run.stdout}${run.stderr}`
    assert.is.not(run.code, 0, said)
    assert.is(run.stdout, '', said)
    assert.not.match(run.stderr, '✔', said)
    assert.match(run.stderr, '✖', said)
  }
})

test('nothing verifies without a key that has signed', async () => {
  const cwd = await project()
  assert.is((await rel(cwd, 'keys', 'new', 'stranger', '--no-passphrase')).code, 0)
  const run = await rel(cwd, 'verify', 'app-1.0.0', '--public-key', 'stranger', '--json')
  assert.is(run.code, 20)
  assert.is(codeOf(run), 'key_unknown')
  addFile(cwd, 'unsigned/x', 'x')
  assert.is(
    codeOf(await rel(cwd, 'verify', 'unsigned', '--public-key', 'release', '--json')),
    'manifest_missing',
  )
  const bare = await rel(cwd, 'verify', 'unsigned/x', '--public-key', 'release', '--json')
  assert.is(codeOf(bare), 'bundle_unrecognised')
  assert.is((await rel(cwd, 'verify', 'nowhere', '--public-key', 'release')).code, 2)
})

test('names of an attacker move no cursor', async () => {
  const cwd = await project()
  writeFileSync(join(cwd, 'app-1.0.0', 'x\x1b[2Jy'), 'x')
  for (const more of [[], ['--json']]) {
    const run = await rel(cwd, 'verify', 'app-1.0.0', '--public-key', 'release', ...more)
    assert.is(run.code, 20)
    assert.not.match(run.stdout + run.stderr, '\x1b')
  }
})

test('inspect with a trusted key verifies before it shows anything', async () => {
  const cwd = await project()
  const inspect = (path: string, ...more: string[]) => rel(cwd, 'inspect', path, '--json', ...more)
  const good = await inspect('app-1.0.0', '--trust', 'trust.json')
  const {result, warnings} = JSON.parse(good.stdout)
  assert.equal([result.verified, result.signed_by, warnings], [true, result.signatures, []])
  const alone = await inspect('app-1.0.0/manifest.json', '--public-key', 'release')
  const document = JSON.parse(alone.stdout)
  assert.is(document.result.verified, false)
  assert.match(document.warnings[0], 'only the manifest was verified')
  addFile(cwd, 'app-1.0.0/etc/app.conf', 'a=c\n')
  const refused = await inspect('app-1.0.0', '--trust', 'trust.json')
  assert.is(refused.code, 20)
  assert.is(codeOf(refused), 'file_digest_mismatch')
  assert.is((await inspect('app-1.0.0')).code, 0)
})

test('a .sig of 64 bytes in sloppy base64 is malformed, in strict base64 it is valid', async () => {
  const cwd = await project()
  addFile(cwd, 'agent.bin', 'x'.repeat(100))
  assert.is((await rel(cwd, 'sign', 'agent.bin', '--key', 'release')).code, 0)
  rmSync(join(cwd, 'agent.bin.minisig'))
  const path = join(cwd, 'agent.bin.sig')
  const sig = readFileSync(path, 'utf8').trim()
  const verify = () => rel(cwd, 'verify', 'agent.bin', '--public-key', 'release', '--json')
  assert.is((await verify()).code, 0)
  for (const sloppy of [sig.replace('==', ''), `${sig.slice(0, 10)} ${sig.slice(10)}`]) {
    writeFileSync(path, sloppy)
    assert.is(codeOf(await verify()), 'signature_malformed')
  }
})

test('inspect shows an unsigned lie, and says that it verified nothing', async () => {
  const cwd = await project()
  const path = join(cwd, 'app-1.0.0/manifest.json')
  writeFileSync(
    path,
    readFileSync(path, 'utf8').replace('"version": "1.0.0"', '"version": "99.0.0"'),
  )
  const run = await rel(cwd, 'inspect', 'app-1.0.0', '--json')
  assert.is(run.code, 0)
  const {result, warnings} = JSON.parse(run.stdout)
  assert.is(result.version, '99.0.0')
  assert.is(result.verified, false)
  assert.match(warnings[0], 'nothing was verified')
})

test.run()
