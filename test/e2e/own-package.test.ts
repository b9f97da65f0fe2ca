import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {installOwnPackage, packOwnPackage} from '../../scripts/own-package.ts'
import {needs} from '../support/needs.ts'
import {type Ran, run} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// What a release of rel does: the built package signs its own tarball and its own installed tree,
// and whoever gets them verifies both, with rel and with stock tools.

const folder = temporaryFolder()
const tarball = await packOwnPackage(join(folder, 'packing'))
const {version} = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'),
) as {version: string}
installOwnPackage(tarball, join(folder, 'app'))

async function own(...args: readonly string[]): Promise<Ran> {
  return run(join(folder, 'app/rel'), args, {cwd: folder})
}

async function ok(...args: readonly string[]): Promise<string> {
  const {code, stdout, stderr} = await own(...args)
  assert.is(code, 0, stderr)
  return stdout
}

const facts = ['--product', 'rel-cli', '--version', version, '--key', 'test']
const trust = ['--trust', 'trust.json', '--product', 'rel-cli', '--version', version]

test('the package makes a key and an anchor for its own product', async () => {
  await ok('keys', 'new', 'test', '--no-passphrase')
  await ok('trust', 'init', '--key', 'test', '--product', 'rel-cli')
})

test('the tarball is signed, and verified by rel', async () => {
  await ok('sign', tarball, ...facts)
  await ok('verify', tarball, '--detached', ...trust)
})

test('a tarball with one byte more is refused', async () => {
  const bytes = readFileSync(tarball)
  writeFileSync(tarball, Buffer.concat([bytes, Buffer.from([0])]))
  const {code, stderr} = await own('verify', tarball, '--detached', ...trust)
  writeFileSync(tarball, bytes)
  assert.is(code, 20)
  assert.match(stderr, /signature_invalid/)
})

test('the installed tree is signed, and verified by rel', async () => {
  await ok('sign', 'app', '--allow-links', ...facts)
  await ok('verify', 'app', '--paranoid', ...trust)
})

test('the installed tree with one byte changed is refused', async () => {
  const path = join(folder, 'app/node_modules/rel-cli/dist/rel.cjs')
  const bytes = readFileSync(path)
  const changed = Buffer.from(bytes)
  changed[100] = (changed[100] ?? 0) ^ 1
  writeFileSync(path, changed)
  const {code, stderr} = await run(
    join(import.meta.dirname, '../../bin/rel'),
    ['verify', 'app', ...trust],
    {cwd: folder},
  )
  writeFileSync(path, bytes)
  assert.is(code, 20)
  assert.match(stderr, /file_digest_mismatch/)
})

if (needs('openssl')) {
  const check = async (input: string, signature: string): Promise<void> => {
    const words = ['pkeyutl', '-verify', '-pubin', '-inkey', 'rel.keys/test.pub', '-rawin']
    const {code, stdout} = await run('openssl', [...words, '-in', input, '-sigfile', signature], {
      cwd: folder,
    })
    assert.is(code, 0, stdout)
  }

  test('openssl verifies the signature of the tarball', async () => {
    const text = readFileSync(`${tarball}.sig`, 'utf8')
    writeFileSync(join(folder, 'tarball.sig'), Buffer.from(text, 'base64'))
    await check(tarball, 'tarball.sig')
  })

  test('openssl verifies the signature of the tree', async () => {
    await ok('inspect', 'app', '--tbs', 'tbs.bin')
    const manifest = readFileSync(join(folder, 'app/manifest.json'), 'utf8')
    const {signatures} = JSON.parse(manifest) as {signatures: [{sig: string}]}
    writeFileSync(join(folder, 'tbs.sig'), Buffer.from(signatures[0].sig, 'base64'))
    await check('tbs.bin', 'tbs.sig')
  })
}

if (needs('minisign')) {
  test('minisign verifies the signature of the tarball', async () => {
    const key = await ok('keys', 'show', 'test', '--json')
    const text = JSON.stringify(JSON.parse(key))
    const publicKey = /RW[A-Za-z0-9+/]{54}/.exec(text)?.[0] ?? 'none in keys show'
    const {code, stdout, stderr} = await run('minisign', ['-Vm', tarball, '-P', publicKey])
    assert.is(code, 0, stdout + stderr)
  })
}

test.run()
