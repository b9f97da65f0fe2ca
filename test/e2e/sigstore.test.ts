import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {suite} from 'uvu'
import * as assert from 'uvu/assert'
import {type Ran, runRel} from '../support/rel.ts'
import {type MockSigstore, releaseClaims, startMockSigstore} from '../support/sigstore-mock.ts'
import {temporaryFolder} from '../support/tmp.ts'

const test = suite<{mock: MockSigstore; cwd: string}>('rel with Sigstore identities')
const bundle = 'app-v1.4.2'
const signer = {
  issuer: releaseClaims.iss,
  san: 'https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v{version}',
  repo_id: '123456',
  trigger: ['push'],
}

test.before(async (context) => {
  context.mock = await startMockSigstore()
})
test.after(async ({mock}) => mock.close())

/** A folder with a key, a bundle to sign, and what a verifier is told of identities. */
test.before.each(async (context) => {
  const cwd = temporaryFolder()
  context.cwd = cwd
  context.mock.failWith = undefined
  mkdirSync(join(cwd, bundle))
  writeFileSync(join(cwd, bundle, 'main.py'), 'print(1)\n')
  writeFileSync(join(cwd, 'root.json'), JSON.stringify(context.mock.rootJson))
  writeFileSync(join(cwd, 'signers.json'), JSON.stringify([signer]))
  passed(await runRel(['keys', 'new', 'release', '--no-passphrase'], {cwd}))
})

function passed(ran: Ran): Ran {
  assert.is(ran.code, 0, `${ran.stderr}${ran.stdout}`)
  return ran
}

function sign({mock, cwd}: {mock: MockSigstore; cwd: string}, env = {}): Promise<Ran> {
  const services = ['--fulcio-url', mock.url, '--rekor-url', mock.url, '--tsa-url', mock.url]
  return runRel(
    [
      ...['sign', bundle, '--key', 'release', '--also', 'sigstore'],
      ...services,
      ...['--trusted-root', 'root.json', '--json'],
    ],
    {cwd, env: {SIGSTORE_ID_TOKEN: mock.token(), ...env}},
  )
}

function verify(cwd: string, ...flags: readonly string[]): Promise<Ran> {
  const identities = ['--allowed-signers', 'signers.json', '--trusted-root', 'root.json']
  return runRel(['verify', bundle, ...identities, ...flags, '--json'], {cwd})
}

function refused(ran: Ran, code: string, exit: number): void {
  const document = JSON.parse(ran.stdout) as {error?: {code?: string}}
  assert.is(document.error?.code, code, ran.stdout)
  assert.is(ran.code, exit)
}

const withKey = ['--public-key', 'rel.keys/release.pub']

test('signed by a key and an identity, verified by both, either and each', async (context) => {
  const {cwd} = context
  passed(await sign(context))
  const [first, second] = ['manifest.sig.bundle', 'manifest.json.sigstore.json'].map((name) =>
    readFileSync(join(cwd, bundle, name), 'utf8'),
  )
  assert.is(first, second)
  const {result} = JSON.parse(passed(await verify(cwd, ...withKey)).stdout)
  assert.is(result.signed_by.length, 1)
  assert.ok(result.identities[0].startsWith(releaseClaims.san))
  for (const policy of ['both', 'either', 'sigstore'])
    passed(await verify(cwd, ...withKey, '--policy', policy))
  passed(await verify(cwd))
})

test('a manifest without its identity, or with a changed byte, is refused', async (context) => {
  const {cwd} = context
  passed(await runRel(['sign', bundle, '--key', 'release'], {cwd}))
  refused(await verify(cwd, ...withKey), 'sigstore_bundle_missing', 20)
  passed(await sign(context))
  const path = join(cwd, bundle, 'manifest.json')
  writeFileSync(path, `${readFileSync(path, 'utf8')}\n`)
  passed(await verify(cwd, ...withKey, '--policy', 'ed25519'))
  refused(await verify(cwd, ...withKey), 'sigstore_digest_mismatch', 20)
})

test('another workflow and another version are refused', async (context) => {
  const {cwd, mock} = context
  const san = releaseClaims.san.replace('release.yml', 'test.yml')
  passed(await sign(context, {SIGSTORE_ID_TOKEN: mock.token({...releaseClaims, san})}))
  refused(await verify(cwd, ...withKey), 'identity_not_allowed', 20)
  const old = releaseClaims.san.replace('1.4.2', '1.4.1')
  passed(await sign(context, {SIGSTORE_ID_TOKEN: mock.token({...releaseClaims, san: old})}))
  refused(await verify(cwd, ...withKey), 'identity_version_mismatch', 20)
})

test('the embedded root knows nothing of a private Sigstore', async (context) => {
  passed(await sign(context))
  const flags = ['--allowed-signers', 'signers.json', ...withKey, '--json']
  const ran = await runRel(['verify', bundle, ...flags], {cwd: context.cwd})
  assert.is(ran.code, 20)
  assert.match(JSON.parse(ran.stdout).error.code, /^sigstore_(timestamp|certificate)_invalid$/)
})

test('an archive is held to the identities as its directory is', async (context) => {
  const {cwd} = context
  const identities = ['--allowed-signers', 'signers.json', '--trusted-root', 'root.json']
  const verdict = (archive: string) =>
    runRel(['unpack', archive, '-C', 'out', ...identities, ...withKey, '--json'], {cwd})
  passed(await runRel(['sign', bundle, '--key', 'release'], {cwd}))
  passed(await runRel(['pack', bundle, '-o', 'without.tar.zst'], {cwd}))
  refused(await verdict('without.tar.zst'), 'sigstore_bundle_missing', 20)
  const san = releaseClaims.san.replace('release.yml', 'test.yml')
  const other = context.mock.token({...releaseClaims, san})
  passed(await sign(context, {SIGSTORE_ID_TOKEN: other}))
  passed(await runRel(['pack', bundle, '-o', 'other.tar.zst'], {cwd}))
  refused(await verdict('other.tar.zst'), 'identity_not_allowed', 20)
  assert.not.ok(existsSync(join(cwd, 'out')))
  passed(await sign(context))
  passed(await runRel(['pack', bundle, '-o', 'good.tar.zst'], {cwd}))
  passed(await verdict('good.tar.zst'))
  assert.ok(existsSync(join(cwd, 'out', 'main.py')))
})

test('an identity that is asked of a single file is not passed over', async ({cwd}) => {
  writeFileSync(join(cwd, 'agent.bin'), 'agent')
  passed(await runRel(['sign', 'agent.bin', '--key', 'release'], {cwd}))
  const verifyFile = ['verify', 'agent.bin', ...withKey]
  passed(await runRel(verifyFile, {cwd}))
  for (const flags of [
    ['--policy', 'sigstore'],
    ['--allowed-signers', 'signers.json'],
  ])
    refused(await runRel([...verifyFile, ...flags, '--json'], {cwd}), 'usage_invalid', 2)
})

test('no token and no service are told apart, and leave no sidecar', async (context) => {
  refused(await sign(context, {SIGSTORE_ID_TOKEN: ''}), 'sigstore_token_missing', 21)
  context.mock.failWith = 401
  refused(await sign(context), 'sigstore_refused', 21)
  assert.throws(() => readFileSync(join(context.cwd, bundle, 'manifest.sig.bundle')), /ENOENT/)
})

test('what verifies with keys alone loads nothing of Sigstore', async (context) => {
  const {cwd} = context
  passed(await runRel(['sign', bundle, '--key', 'release'], {cwd}))
  const trace = join(cwd, 'trace.cjs')
  writeFileSync(
    trace,
    `process.on('exit', () => {
      const found = Object.keys(require.cache).filter((name) => name.includes('@sigstore'))
      require('node:fs').writeFileSync(${JSON.stringify(join(cwd, 'found'))}, found.join())
    })`,
  )
  const env = {NODE_OPTIONS: `--require ${trace}`}
  passed(await runRel(['verify', bundle, ...withKey], {cwd, env}))
  assert.is(readFileSync(join(cwd, 'found'), 'utf8'), '')
  passed(await sign(context, env))
  assert.ok(readFileSync(join(cwd, 'found'), 'utf8').includes('@sigstore'))
})

test.run()
