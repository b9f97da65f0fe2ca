import {spawnSync} from 'node:child_process'
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {parseRelease} from '../../src/release/release-manifest.ts'
import {needs} from '../support/needs.ts'
import {runRel} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

/** The prefix of RFC 8410 in front of the 32 bytes of a public key. */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')

if (needs('openssl'))
  test('openssl verifies every artifact, and refuses a changed one', async () => {
    const cwd = temporaryFolder('rel release ')
    const rel = async (...args: string[]) => {
      const ran = await runRel([...args, '--json'], {cwd})
      assert.is(ran.code, 0, `${ran.stdout}${ran.stderr}`)
      return JSON.parse(ran.stdout).result
    }
    await rel('keys', 'new', 'build', '--no-passphrase')
    await rel('keys', 'new', 'parts', '--no-passphrase')
    mkdirSync(join(cwd, 'dist'))
    writeFileSync(join(cwd, 'dist/agent-linux-amd64'), Buffer.alloc(300_000, 7))
    writeFileSync(join(cwd, 'dist/agent-linux-arm64'), 'arm\n')
    const facts = ['--product', 'edge-agent', '--version', '1.4.2']
    await rel('release', 'manifest', 'dist', ...facts, '--key', 'build', '--artifact-key', 'parts')
    await rel('trust', 'init', '--key', 'build', '--artifact', 'parts')
    const {trust} = JSON.parse(readFileSync(join(cwd, 'trust.json'), 'utf8'))
    const {release} = parseRelease(readFileSync(join(cwd, 'dist/release.json')))
    assert.is(release.artifacts.length, 2)
    for (const {name, signature, keyId} of release.artifacts) {
      const raw = Buffer.from(trust.keys[keyId].public, 'base64')
      writeFileSync(join(cwd, 'key.der'), Buffer.concat([SPKI, raw]))
      writeFileSync(join(cwd, 'signature'), Buffer.from(signature, 'base64'))
      const openssl = (file: string) =>
        spawnSync(
          'openssl',
          ['pkeyutl', '-verify', '-pubin', '-keyform', 'DER', '-inkey', 'key.der', '-rawin'].concat(
            ['-in', file, '-sigfile', 'signature'],
          ),
          {cwd, encoding: 'utf8'},
        )
      assert.match(openssl(`dist/${name}`).stdout, /Signature Verified Successfully/)
      writeFileSync(join(cwd, 'changed'), Buffer.alloc(300_000, 8))
      assert.is.not(openssl('changed').status, 0)
    }
  })

test('a release is verified offline, from its folder or from another one', async () => {
  const cwd = temporaryFolder('rel release ')
  const ran = async (...args: string[]) => runRel([...args, '--json'], {cwd})
  const codeOf = async (...args: string[]) => JSON.parse((await ran(...args)).stdout).error?.code
  await ran('keys', 'new', 'build', '--no-passphrase')
  mkdirSync(join(cwd, 'dist'))
  writeFileSync(join(cwd, 'dist/agent-linux-arm64'), 'arm\n')
  const facts = ['--product', 'edge-agent', '--version', '1.5.0-beta.1', '--key', 'build']
  const made = await ran('release', 'manifest', 'dist', ...facts, '-o', 'beta.json')
  assert.is(
    JSON.parse(made.stdout).next,
    'rel release verify beta.json --artifacts dist --trust FILE',
  )
  await ran('trust', 'init', '--key', 'build')
  const verify = ['release', 'verify', 'beta.json', '--artifacts', 'dist', '--trust', 'trust.json']
  const passed = await ran(...verify, '--product', 'edge-agent', '--channel', 'beta')
  assert.is(passed.code, 0, passed.stdout)
  const {result} = JSON.parse(passed.stdout)
  assert.equal(
    [result.version, result.artifacts_verified, result.artifacts.length],
    ['1.5.0-beta.1', true, 1],
  )
  assert.is(await codeOf(...verify, '--version', '1.5.0'), 'version_mismatch')
  assert.is(await codeOf('release', 'verify', 'beta.json', '--trust', 'trust.json'), 'file_missing')
  assert.is(await codeOf('release', 'verify', 'beta.json'), 'input_required')
  writeFileSync(join(cwd, 'dist/agent-linux-arm64'), 'ARM\n')
  const refused = await ran(...verify)
  assert.is(refused.code, 20)
  assert.is(JSON.parse(refused.stdout).error.code, 'artifact_mismatch')
  const alone = await ran(
    'release',
    'verify',
    'beta.json',
    '--manifest-only',
    '--trust',
    'trust.json',
  )
  assert.is(alone.code, 0)
  assert.is(JSON.parse(alone.stdout).result.artifacts_verified, false)
  assert.is(JSON.parse(alone.stdout).warnings.length, 1)
})

test('a file whose signature would count for something else is refused', async () => {
  const cwd = temporaryFolder()
  const ran = async (...args: string[]) => (await runRel([...args, '--json'], {cwd})).stdout
  await ran('keys', 'new', 'build', '--no-passphrase')
  writeFileSync(join(cwd, 'agent-linux-amd64'), '{"manifest": {}}')
  const facts = ['--product', 'edge-agent', '--version', '1.4.2', '--key', 'build']
  const refused = await ran('release', 'manifest', 'agent-linux-amd64', ...facts)
  assert.is(JSON.parse(refused).error.code, 'cross_protocol')
})

test.run()
