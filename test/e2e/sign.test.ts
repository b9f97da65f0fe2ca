import {spawnSync} from 'node:child_process'
import {chmodSync, existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {addFile, d2Files, makeTree} from '../support/bundles.ts'
import {needs} from '../support/needs.ts'
import {type Ran, runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

/** RFC 8410: what precedes the 32 raw bytes of a key. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')

const rel = (cwd: string, args: readonly string[], env: Record<string, string> = {}) =>
  runRel(args, {cwd, env})

function ok(ran: Ran): Ran {
  assert.is(ran.code, 0, ran.stderr + ran.stdout)
  return ran
}

/** The project of a user: a key of each form, and a build. */
async function project(): Promise<string> {
  const cwd = makeTree({})
  for (const [path, text] of Object.entries(d2Files))
    addFile(cwd, `dist/edge-agent-v1.4.2/${path}`, text)
  writeFileSync(join(cwd, 'signing.key'), Buffer.alloc(32, 1), {mode: 0o600})
  ok(await rel(cwd, ['keys', 'new', 'release', '--no-passphrase']))
  return cwd
}

const BUNDLE = 'dist/edge-agent-v1.4.2'
const manifestOf = (cwd: string) => readFileSync(join(cwd, BUNDLE, 'manifest.json'))

test('sign, verify, tamper, verify', async () => {
  const cwd = await project()
  const signed = ok(await rel(cwd, ['sign', BUNDLE, '--key', 'release']))
  assert.match(
    signed.stdout,
    'product edge-agent and version 1.4.2 from the name edge-agent-v1.4.2',
  )
  const verified = ok(await rel(cwd, ['verify', BUNDLE, '--public-key', 'release']))
  assert.match(verified.stdout, /signed by release \([0-9a-f]{16}\)/)
  assert.match(verified.stdout, '4 files')
  addFile(cwd, `${BUNDLE}/sitecustomize.py`, 'import os')
  const refused = await rel(cwd, ['verify', BUNDLE, '--public-key', 'release', '--json'])
  assert.is(refused.code, 20)
  assert.is(JSON.parse(refused.stdout).error.code, 'file_unlisted')
})

test('D2’s own command form signs, with the program’s name changed', async () => {
  const cwd = await project()
  const output = `${BUNDLE}/manifest.json`
  const form = [
    '--bundle-dir',
    `./${BUNDLE}`,
    '--private-key',
    'signing.key',
    '--output-manifest',
    output,
  ]
  ok(await rel(cwd, ['sign', ...form]))
  const {manifest, signature} = JSON.parse(manifestOf(cwd).toString())
  assert.is(manifest.bundle_name, 'edge-agent-v1.4.2')
  assert.is(manifest.version, '1.4.2')
  assert.type(signature, 'string')
  ok(await rel(cwd, ['sign', ...form, '--d2']))
  assert.equal(Object.keys(JSON.parse(manifestOf(cwd).toString())), ['manifest', 'signature'])
})

test('the same input and SOURCE_DATE_EPOCH give the same bytes', async () => {
  const cwd = await project()
  const env = {SOURCE_DATE_EPOCH: '1716979200'}
  ok(await rel(cwd, ['sign', BUNDLE, '--key', 'release'], env))
  const first = manifestOf(cwd)
  ok(await rel(cwd, ['sign', BUNDLE, '--key', 'release'], env))
  assert.equal(manifestOf(cwd), first)
  assert.is(JSON.parse(first.toString()).manifest.timestamp, 1_716_979_200)
})

test('--dry-run needs no key, writes nothing, and says what the real run then does', async () => {
  const cwd = await project()
  const dry = ok(
    await rel(cwd, ['sign', BUNDLE, '--dry-run', '--json', '--timestamp', '1716979200']),
  )
  assert.not(existsSync(join(cwd, BUNDLE, 'manifest.json')))
  const real = ok(
    await rel(cwd, ['sign', BUNDLE, '--key', 'release', '--json', '--timestamp', '1716979200']),
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

test('what is missing is asked for by name, with exit code 2', async () => {
  const cwd = await project()
  const noKey = await rel(cwd, ['sign', BUNDLE, '--json'])
  assert.is(noKey.code, 2)
  assert.is(JSON.parse(noKey.stdout).error.code, 'input_required')
  const noVersion = await rel(cwd, ['sign', 'dist', '--key', 'release', '--json'])
  assert.is(noVersion.code, 2)
  assert.match(JSON.parse(noVersion.stdout).error.message, '--version')
  const nothing = await rel(cwd, ['sign', '--key', 'release', '--json'])
  assert.is(JSON.parse(nothing.stdout).error.code, 'input_required')
  const noTrust = await rel(cwd, ['verify', BUNDLE, '--json'])
  assert.is(JSON.parse(noTrust.stdout).error.code, 'input_required')
})

test('a loose file mode is refused with the flag that helps, and the flag helps', async () => {
  const cwd = await project()
  chmodSync(join(cwd, BUNDLE, 'main.py'), 0o664)
  const refused = await rel(cwd, ['sign', BUNDLE, '--key', 'release'])
  assert.is(refused.code, 20)
  assert.match(refused.stderr, '--normalise-modes')
  ok(await rel(cwd, ['sign', BUNDLE, '--key', 'release', '--normalise-modes']))
  ok(await rel(cwd, ['verify', BUNDLE, '--public-key', 'release']))
})

test('two signers, one threshold', async () => {
  const cwd = await project()
  ok(await rel(cwd, ['keys', 'new', 'second', '--no-passphrase']))
  ok(await rel(cwd, ['sign', BUNDLE, '--key', 'release']))
  const both = ['--public-key', 'release', '--public-key', 'second', '--threshold', '2']
  const one = await rel(cwd, ['verify', BUNDLE, ...both, '--json'])
  assert.is(JSON.parse(one.stdout).error.code, 'threshold_not_met')
  ok(await rel(cwd, ['sign', BUNDLE, '--key', 'second', '--add']))
  ok(await rel(cwd, ['verify', BUNDLE, ...both]))
})

test('inspect writes an SBOM, diff tells two bundles apart with exit code 10', async () => {
  const cwd = await project()
  ok(await rel(cwd, ['sign', BUNDLE, '--key', 'release']))
  ok(await rel(cwd, ['inspect', BUNDLE, '--sbom', 'cyclonedx', '--output', 'bom.json']))
  assert.is(JSON.parse(readFileSync(join(cwd, 'bom.json'), 'utf8')).components.length, 4)
  assert.is((await rel(cwd, ['diff', BUNDLE, BUNDLE, '--exit-code'])).code, 0)
  addFile(cwd, 'next/main.py', 'x')
  ok(
    await rel(cwd, [
      'sign',
      'next',
      '--product',
      'edge-agent',
      '--version',
      '1.5.0',
      '--key',
      'release',
    ]),
  )
  const diff = await rel(cwd, ['diff', BUNDLE, 'next', '--exit-code', '--json'])
  assert.is(diff.code, 10)
  assert.is(JSON.parse(diff.stdout).result.removed.length, 3)
})

test('a file gets a label that is verified with it', async () => {
  const cwd = await project()
  writeFileSync(join(cwd, 'agent.bin'), Buffer.alloc(5000, 3))
  const label = ['--product', 'agent', '--version', '1.2.0', '--target', 'linux-arm64']
  ok(await rel(cwd, ['sign', 'agent.bin', '--key', 'release', ...label, '--also', 'sshsig']))
  ok(await rel(cwd, ['verify', 'agent.bin', '--public-key', 'release', '--version', '1.2.0']))
  const relabelled = await rel(cwd, [
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
  const changed = await rel(cwd, ['verify', 'agent.bin', '--public-key', 'release', '--json'])
  assert.is(JSON.parse(changed.stdout).error.code, 'signature_invalid')
})

test('a file that is a manifest is not signed as a file', async () => {
  const cwd = await project()
  const inputs = {
    'a.json': '{"manifest": {}}',
    'b.json': ' {"bundle_name": "x"}',
    'c.bin': `DSSEv1 38 ${'x'.repeat(100)}`,
    'd.bin': 'SSHSIG\0\0',
    'e.bin': 'x'.repeat(64),
  }
  for (const [name, text] of Object.entries(inputs)) {
    writeFileSync(join(cwd, name), text)
    const run = await rel(cwd, ['sign', name, '--key', 'release', '--json'])
    assert.is(JSON.parse(run.stdout).error.code, 'cross_protocol', name)
    assert.not(existsSync(join(cwd, `${name}.sig`)))
  }
})

if (needs('openssl'))
  test('openssl verifies what rel signs, and signs what rel verifies', async () => {
    const cwd = await project()
    ok(await rel(cwd, ['sign', BUNDLE, '--key', 'signing.key']))
    ok(await rel(cwd, ['inspect', BUNDLE, '--tbs', 'tbs.bin', '--canonical', 'canonical.json']))
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

if (needs('minisign', 'ssh-keygen'))
  test('minisign and ssh-keygen verify what rel signs of a file', async () => {
    const cwd = await project()
    writeFileSync(join(cwd, 'agent.bin'), Buffer.alloc(5000, 3))
    ok(await rel(cwd, ['sign', 'agent.bin', '--key', 'release', '--also', 'sshsig']))
    const {public_key: key} = JSON.parse(
      ok(await rel(cwd, ['keys', 'show', 'release', '--json'])).stdout,
    ).result as {public_key: Record<string, string>}
    writeFileSync(join(cwd, 'release.minisign'), key.minisign ?? '')
    writeFileSync(join(cwd, 'allowed'), `release namespaces="file" ${key.openssh}\n`)
    const minisign = (file: string) => {
      const sidecar = ['-x', 'agent.bin.minisig']
      return spawnSync('minisign', ['-Vm', file, ...sidecar, '-p', 'release.minisign'], {cwd})
        .status
    }
    const sshKeygen = (file: string) => {
      const who = ['-f', 'allowed', '-I', 'release', '-n', 'file', '-s', 'agent.bin.sshsig']
      const input = readFileSync(join(cwd, file))
      return spawnSync('ssh-keygen', ['-Y', 'verify', ...who], {cwd, input}).status
    }
    assert.equal([minisign('agent.bin'), sshKeygen('agent.bin')], [0, 0])
    writeFileSync(join(cwd, 'other.bin'), Buffer.alloc(5000, 4))
    assert.not(minisign('other.bin') === 0 || sshKeygen('other.bin') === 0)
  })

test('what is left of an earlier signing is told, what was made again is not', async () => {
  const cwd = await project()
  const sign = async (...more: string[]) => {
    const ran = ok(await rel(cwd, ['sign', BUNDLE, '--key', 'release', '--json', ...more]))
    return JSON.parse(ran.stdout).warnings as string[]
  }
  assert.equal(await sign('--also', 'minisig', '--also', 'sshsig'), [])
  const [stale, ...none] = await sign('--also', 'minisig')
  assert.match(stale ?? '', /manifest\.json\.sshsig is of an earlier signing/)
  assert.equal(none, [])
  writeFileSync(join(cwd, 'agent.bin'), 'x')
  ok(await rel(cwd, ['sign', 'agent.bin', '--key', 'release', '--also', 'sshsig']))
  const again = ok(await rel(cwd, ['sign', 'agent.bin', '--key', 'release', '--json']))
  assert.match(JSON.parse(again.stdout).warnings[0], /agent\.bin\.sshsig is of an earlier signing/)
})

test('the next line names whoever can be trusted here', async () => {
  const cwd = await project()
  const next = async (key: string) => {
    const ran = ok(await rel(cwd, ['sign', BUNDLE, '--key', key, '--json']))
    return JSON.parse(ran.stdout).next as string
  }
  assert.is(await next('release'), `rel verify ${BUNDLE} --public-key rel.keys/release.pub`)
  assert.is(await next('signing.key'), `rel verify ${BUNDLE} --public-key FILE`)
  ok(await rel(cwd, ['trust', 'init', '--key', 'release']))
  assert.is(await next('release'), `rel verify ${BUNDLE} --trust trust.json`)
  ok(await rel(cwd, (await next('release')).split(' ').slice(1)))
})

test('the public key of the raw D2 key verifies by every form', async () => {
  const cwd = await project()
  ok(await rel(cwd, ['sign', BUNDLE, '--key', 'signing.key', '--d2']))
  const raw = spawnSync(process.execPath, [
    '-e',
    `const {createPrivateKey,createPublicKey}=require('crypto');process.stdout.write(createPublicKey(createPrivateKey({key:Buffer.from('${PKCS8.toString('hex')}'+'01'.repeat(32),'hex'),format:'der',type:'pkcs8'})).export({format:'der',type:'spki'}))`,
  ]).stdout.subarray(SPKI.length)
  writeFileSync(join(cwd, 'raw.pub'), raw)
  const run = await rel(cwd, ['verify', BUNDLE, '--public-key', 'raw.pub', '--json'])
  assert.is(JSON.parse(run.stdout).error.code, 'legacy_refused')
  ok(await rel(cwd, ['verify', BUNDLE, '--public-key', 'raw.pub', '--legacy', 'allow']))
})

test('a manifest that is kept elsewhere is named', async () => {
  const cwd = await project()
  const output = join(temporaryFolder(), 'm.json')
  ok(await rel(cwd, ['sign', BUNDLE, '--key', 'release', '--output', output]))
  ok(await rel(cwd, ['verify', BUNDLE, '--public-key', 'release', '--manifest', output]))
  const run = await rel(cwd, ['verify', BUNDLE, '--public-key', 'release', '--json'])
  assert.is(JSON.parse(run.stdout).error.code, 'manifest_missing')
})

test.run()
