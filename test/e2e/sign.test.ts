import {spawnSync} from 'node:child_process'
import {chmodSync, existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {addFile, d2Files, makeTree} from '../support/bundles.ts'
import {needs} from '../support/needs.ts'
import {temporaryFolder} from '../support/tmp.ts'

const REL = join(import.meta.dirname, '../../bin/dev.ts')

/** RFC 8410: what precedes the 32 raw bytes of a key. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')

type Run = {readonly status: number | null; readonly stdout: string; readonly stderr: string}

function rel(cwd: string, args: readonly string[], env: Record<string, string> = {}): Run {
  const {PATH = ''} = process.env
  return spawnSync(process.execPath, [REL, ...args], {
    cwd,
    encoding: 'utf8',
    env: {PATH, HOME: cwd, NO_COLOR: '1', ...env},
  })
}

function ok(run: Run): Run {
  assert.is(run.status, 0, run.stderr + run.stdout)
  return run
}

/** The project of a user: a key of each form, and a build. */
function project(): string {
  const cwd = makeTree({})
  for (const [path, text] of Object.entries(d2Files))
    addFile(cwd, `dist/edge-agent-v1.4.2/${path}`, text)
  writeFileSync(join(cwd, 'signing.key'), Buffer.alloc(32, 1), {mode: 0o600})
  ok(rel(cwd, ['keys', 'new', 'release', '--no-passphrase']))
  return cwd
}

const BUNDLE = 'dist/edge-agent-v1.4.2'
const manifestOf = (cwd: string) => readFileSync(join(cwd, BUNDLE, 'manifest.json'))

test('sign, verify, tamper, verify', () => {
  const cwd = project()
  const signed = ok(rel(cwd, ['sign', BUNDLE, '--key', 'release']))
  assert.match(
    signed.stdout,
    'product edge-agent and version 1.4.2 from the name edge-agent-v1.4.2',
  )
  const verified = ok(rel(cwd, ['verify', BUNDLE, '--public-key', 'release']))
  assert.match(verified.stdout, /signed by release \([0-9a-f]{16}\)/)
  assert.match(verified.stdout, '4 files')
  addFile(cwd, `${BUNDLE}/sitecustomize.py`, 'import os')
  const refused = rel(cwd, ['verify', BUNDLE, '--public-key', 'release', '--json'])
  assert.is(refused.status, 20)
  assert.is(JSON.parse(refused.stdout).error.code, 'file_unlisted')
})

test('D2’s own command form signs, with the program’s name changed', () => {
  const cwd = project()
  const output = `${BUNDLE}/manifest.json`
  const form = [
    '--bundle-dir',
    `./${BUNDLE}`,
    '--private-key',
    'signing.key',
    '--output-manifest',
    output,
  ]
  ok(rel(cwd, ['sign', ...form]))
  const {manifest, signature} = JSON.parse(manifestOf(cwd).toString())
  assert.is(manifest.bundle_name, 'edge-agent-v1.4.2')
  assert.is(manifest.version, '1.4.2')
  assert.type(signature, 'string')
  ok(rel(cwd, ['sign', ...form, '--d2']))
  assert.equal(Object.keys(JSON.parse(manifestOf(cwd).toString())), ['manifest', 'signature'])
})

test('the same input and SOURCE_DATE_EPOCH give the same bytes', () => {
  const cwd = project()
  const env = {SOURCE_DATE_EPOCH: '1716979200'}
  ok(rel(cwd, ['sign', BUNDLE, '--key', 'release'], env))
  const first = manifestOf(cwd)
  ok(rel(cwd, ['sign', BUNDLE, '--key', 'release'], env))
  assert.equal(manifestOf(cwd), first)
  assert.is(JSON.parse(first.toString()).manifest.timestamp, 1_716_979_200)
})

test('--dry-run needs no key, writes nothing, and says what the real run then does', () => {
  const cwd = project()
  const dry = ok(rel(cwd, ['sign', BUNDLE, '--dry-run', '--json', '--timestamp', '1716979200']))
  assert.not(existsSync(join(cwd, BUNDLE, 'manifest.json')))
  const real = ok(
    rel(cwd, ['sign', BUNDLE, '--key', 'release', '--json', '--timestamp', '1716979200']),
  )
  const {dry_run, mode_changes, ...planned} = JSON.parse(dry.stdout).result
  const {written, manifest_sha256, signatures, legacy_signature, ...done} = JSON.parse(
    real.stdout,
  ).result
  assert.is(dry_run, true)
  assert.equal(mode_changes, [])
  assert.equal(planned, done)
  assert.equal(written, [done.output])
  assert.is(legacy_signature, true)
  assert.is(signatures.length + manifest_sha256.length, 65)
})

test('what is missing is asked for by name, with exit code 2', () => {
  const cwd = project()
  const noKey = rel(cwd, ['sign', BUNDLE, '--json'])
  assert.is(noKey.status, 2)
  assert.is(JSON.parse(noKey.stdout).error.code, 'input_required')
  const noVersion = rel(cwd, ['sign', 'dist', '--key', 'release', '--json'])
  assert.is(noVersion.status, 2)
  assert.match(JSON.parse(noVersion.stdout).error.message, '--version')
  const nothing = rel(cwd, ['sign', '--key', 'release', '--json'])
  assert.is(JSON.parse(nothing.stdout).error.code, 'input_required')
  const noTrust = rel(cwd, ['verify', BUNDLE, '--json'])
  assert.is(JSON.parse(noTrust.stdout).error.code, 'input_required')
})

test('a loose file mode is refused with the flag that helps, and the flag helps', () => {
  const cwd = project()
  chmodSync(join(cwd, BUNDLE, 'main.py'), 0o664)
  const refused = rel(cwd, ['sign', BUNDLE, '--key', 'release'])
  assert.is(refused.status, 20)
  assert.match(refused.stderr, '--normalise-modes')
  ok(rel(cwd, ['sign', BUNDLE, '--key', 'release', '--normalise-modes']))
  ok(rel(cwd, ['verify', BUNDLE, '--public-key', 'release']))
})

test('two signers, one threshold', () => {
  const cwd = project()
  ok(rel(cwd, ['keys', 'new', 'second', '--no-passphrase']))
  ok(rel(cwd, ['sign', BUNDLE, '--key', 'release']))
  const both = ['--public-key', 'release', '--public-key', 'second', '--threshold', '2']
  const one = rel(cwd, ['verify', BUNDLE, ...both, '--json'])
  assert.is(JSON.parse(one.stdout).error.code, 'threshold_not_met')
  ok(rel(cwd, ['sign', BUNDLE, '--key', 'second', '--add']))
  ok(rel(cwd, ['verify', BUNDLE, ...both]))
})

test('inspect writes an SBOM, diff tells two bundles apart with exit code 10', () => {
  const cwd = project()
  ok(rel(cwd, ['sign', BUNDLE, '--key', 'release']))
  ok(rel(cwd, ['inspect', BUNDLE, '--sbom', 'cyclonedx', '--output', 'bom.json']))
  assert.is(JSON.parse(readFileSync(join(cwd, 'bom.json'), 'utf8')).components.length, 4)
  assert.is(rel(cwd, ['diff', BUNDLE, BUNDLE, '--exit-code']).status, 0)
  addFile(cwd, 'next/main.py', 'x')
  ok(
    rel(cwd, ['sign', 'next', '--product', 'edge-agent', '--version', '1.5.0', '--key', 'release']),
  )
  const diff = rel(cwd, ['diff', BUNDLE, 'next', '--exit-code', '--json'])
  assert.is(diff.status, 10)
  assert.is(JSON.parse(diff.stdout).result.removed.length, 3)
})

test('a file gets a label that is verified with it', () => {
  const cwd = project()
  writeFileSync(join(cwd, 'agent.bin'), Buffer.alloc(5000, 3))
  const label = ['--product', 'agent', '--version', '1.2.0', '--target', 'linux-arm64']
  ok(rel(cwd, ['sign', 'agent.bin', '--key', 'release', ...label, '--also', 'sshsig']))
  ok(rel(cwd, ['verify', 'agent.bin', '--public-key', 'release', '--version', '1.2.0']))
  const relabelled = rel(cwd, [
    'verify',
    'agent.bin',
    '--public-key',
    'release',
    '--version',
    '99.0.0',
    '--json',
  ])
  assert.is(JSON.parse(relabelled.stdout).error.code, 'version_mismatch')
  writeFileSync(join(cwd, 'agent.bin'), Buffer.alloc(5000, 4))
  const changed = rel(cwd, ['verify', 'agent.bin', '--public-key', 'release', '--json'])
  assert.is(JSON.parse(changed.stdout).error.code, 'signature_invalid')
})

test('a file that is a manifest is not signed as a file', () => {
  const cwd = project()
  const inputs = {
    'a.json': '{"manifest": {}}',
    'b.json': ' {"bundle_name": "x"}',
    'c.bin': `DSSEv1 38 ${'x'.repeat(100)}`,
    'd.bin': 'SSHSIG\0\0',
    'e.bin': 'x'.repeat(64),
  }
  for (const [name, text] of Object.entries(inputs)) {
    writeFileSync(join(cwd, name), text)
    const run = rel(cwd, ['sign', name, '--key', 'release', '--json'])
    assert.is(JSON.parse(run.stdout).error.code, 'cross_protocol', name)
    assert.not(existsSync(join(cwd, `${name}.sig`)))
  }
})

if (needs('openssl'))
  test('openssl verifies what rel signs, and signs what rel verifies', () => {
    const cwd = project()
    ok(rel(cwd, ['sign', BUNDLE, '--key', 'signing.key']))
    ok(rel(cwd, ['inspect', BUNDLE, '--tbs', 'tbs.bin', '--canonical', 'canonical.json']))
    const wire = JSON.parse(manifestOf(cwd).toString())
    const pem = join(cwd, 'key.der')
    writeFileSync(pem, Buffer.concat([PKCS8, Buffer.alloc(32, 1)]))
    const openssl = (...args: readonly string[]) => spawnSync('openssl', args, {cwd})
    const key = ['-inkey', 'key.der', '-keyform', 'DER', '-rawin']
    for (const [input, sig] of [
      ['tbs.bin', wire.signatures[0].sig],
      ['canonical.json', wire.signature],
    ]) {
      writeFileSync(join(cwd, 'sig.bin'), Buffer.from(sig, 'base64'))
      const verify = openssl('pkeyutl', '-verify', ...key, '-in', input, '-sigfile', 'sig.bin')
      assert.is(verify.status, 0, `${verify.stderr}`)
      const sign = openssl('pkeyutl', '-sign', ...key, '-in', input)
      assert.is(sign.stdout.toString('base64'), sig)
    }
    assert.is(readFileSync(join(cwd, 'tbs.bin')).length, 116)
  })

test('the public key of the raw D2 key verifies by every form', () => {
  const cwd = project()
  ok(rel(cwd, ['sign', BUNDLE, '--key', 'signing.key', '--d2']))
  const raw = spawnSync(process.execPath, [
    '-e',
    `const {createPrivateKey,createPublicKey}=require('crypto');process.stdout.write(createPublicKey(createPrivateKey({key:Buffer.from('${PKCS8.toString('hex')}'+'01'.repeat(32),'hex'),format:'der',type:'pkcs8'})).export({format:'der',type:'spki'}))`,
  ]).stdout.subarray(SPKI.length)
  writeFileSync(join(cwd, 'raw.pub'), raw)
  const run = rel(cwd, ['verify', BUNDLE, '--public-key', 'raw.pub', '--json'])
  assert.is(JSON.parse(run.stdout).error.code, 'legacy_refused')
  ok(rel(cwd, ['verify', BUNDLE, '--public-key', 'raw.pub', '--legacy', 'allow']))
})

test('a manifest that is kept elsewhere is named', () => {
  const cwd = project()
  const output = join(temporaryFolder(), 'm.json')
  ok(rel(cwd, ['sign', BUNDLE, '--key', 'release', '--output', output]))
  ok(rel(cwd, ['verify', BUNDLE, '--public-key', 'release', '--manifest', output]))
  const run = rel(cwd, ['verify', BUNDLE, '--public-key', 'release', '--json'])
  assert.is(JSON.parse(run.stdout).error.code, 'manifest_missing')
})

test.run()
