import {mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {suite} from 'uvu'
import * as assert from 'uvu/assert'
import {type FakeGitHub, startFakeGitHub} from '../support/github/fake-github.ts'
import {startPanel, type TestPanel, wanted} from '../support/panel.ts'
import {type Ran, runRel} from '../support/rel.ts'
import {type MockSigstore, releaseClaims, startMockSigstore} from '../support/sigstore-mock.ts'
import {temporaryFolder} from '../support/tmp.ts'

// D1's way as a whole, by commands alone: GitHub is an imitation, Sigstore is @sigstore/mock.

const REPOSITORY = 'acme/app'
const TOKEN = 'ghp_fake-token-of-a-test'
const workflows = 'https://github.com/acme/app/.github/workflows'

type Context = {
  readonly cwd: string
  readonly mock: MockSigstore
  readonly fake: FakeGitHub
  readonly panel: TestPanel
}
type Document = {
  readonly result: Record<string, unknown>
  readonly error?: {readonly code: string; readonly details?: Record<string, unknown>}
  readonly warnings?: readonly string[]
}
type Claimed = {readonly workflow?: string}

const test = suite<Context>('a release by the identity of its workflow')

test.before(async (context) => {
  const tags = ['v1.1.0', 'v1.2.0', 'v1.3.0']
  const cwd = temporaryFolder('rel identity ')
  Object.assign(context, {
    cwd,
    mock: await startMockSigstore(),
    fake: await startFakeGitHub({
      repositories: [{name: REPOSITORY, tags}],
      tokens: {[TOKEN]: 'octo'},
    }),
    panel: await startPanel({clock: () => Math.floor(Date.now() / 1000), products: {}}),
  })
  const {mock, fake, panel} = context
  writeFileSync(join(cwd, 'trusted_root.json'), JSON.stringify(mock.rootJson))
  const signer = {
    issuer: releaseClaims.iss,
    san: `${workflows}/release.yml@refs/tags/v{version}`,
    repo_id: '123456',
    trigger: ['push'],
  }
  writeFileSync(join(cwd, 'signers.json'), JSON.stringify([signer]))
  await passed(rel(context, 'keys', 'new', 'build', '--no-passphrase'))
  await passed(rel(context, 'trust', 'init', '--key', 'build'))
  await passed(rel(context, 'trust', 'set', '--allowed-signers', 'signers.json', '--key', 'build'))
  await passed(rel(context, 'keys', 'new', 'licences', '--no-passphrase'))
  const required = [{component: 'bundle', os: 'linux', arch: 'amd64'}]
  await wanted(200, panel.ask('PUT', '/v1/products/app'))
  const body = readFileSync(join(cwd, 'trust.json'))
  await wanted(200, panel.ask('PUT', '/v1/products/app/keys', {body}))
  await wanted(200, panel.ask('PUT', '/v1/products/app/matrix', {body: {required}}))
  const source = {github: REPOSITORY, api: fake.url, component: 'bundle'}
  const config = {
    spec: 1,
    product: 'app',
    target: 'linux-amd64',
    identity: 'both',
    source,
    upgrade: {enabled: true, allowed_channels: ['stable'], boot_health_window_secs: 30},
    health: {command: ['true']},
  }
  writeFileSync(join(cwd, 'device.json'), JSON.stringify(config))
  await signedBundle(context, '1.0.0')
  const files = ['--config', 'device.json', '--trust', 'trust.json']
  await passed(rel(context, 'device', 'init', 'node', ...files, '--bundle', 'app-v1.0.0'))
})
test.after(async ({mock, fake, panel}) => {
  await panel.stop()
  await fake.close()
  await mock.close()
})

function rel({cwd, panel}: Context, ...args: readonly string[]): Promise<Ran> {
  const env = {GITHUB_TOKEN: TOKEN, REL_PANEL_TOKEN: panel.adminToken}
  return runRel([...args, '--json'], {cwd, env})
}

async function passed(running: Promise<Ran>): Promise<Document> {
  const {code, stdout, stderr} = await running
  assert.is(code, 0, `${stderr}${stdout}`)
  return JSON.parse(stdout) as Document
}

async function refused(running: Promise<Ran>, code: string): Promise<Document> {
  const {stdout} = await running
  const document = JSON.parse(stdout) as Document
  assert.is(document.error?.code, code, stdout)
  return document
}

/** As a job of GitHub Actions signs: with the token of the run of a workflow for a tag. */
function signed(
  {cwd, mock}: Context,
  version: string,
  {workflow = 'release.yml'}: Claimed,
  ...args: readonly string[]
): Promise<Ran> {
  const ref = `refs/tags/v${version}`
  const claims = {...releaseClaims, ref, san: `${workflows}/${workflow}@${ref}`}
  const services = ['--fulcio-url', mock.url, '--rekor-url', mock.url]
  const sigstore = ['--also', 'sigstore', ...services, '--trusted-root', 'trusted_root.json']
  const env = {SIGSTORE_ID_TOKEN: mock.token(claims)}
  return runRel([...args, '--key', 'build', ...sigstore, '--json'], {cwd, env})
}

async function signedBundle(context: Context, version: string): Promise<void> {
  const name = `app-v${version}`
  mkdirSync(join(context.cwd, name))
  writeFileSync(join(context.cwd, name, 'main.py'), `print("${version}")\n`)
  await passed(signed(context, version, {}, 'sign', name))
}

/** Bundle, archive and manifest in dist-VERSION, the manifest signed by a workflow. */
async function releaseOf(context: Context, version: string, claimed: Claimed = {}) {
  const dist = `dist-${version}`
  await signedBundle(context, version)
  mkdirSync(join(context.cwd, dist))
  const archive = `${dist}/app-linux-amd64.tar.gz`
  await passed(rel(context, 'pack', `app-v${version}`, '-o', archive))
  const facts = ['--product', 'app', '--version', version, '--component', 'bundle']
  const manifest = `${dist}/manifest.json`
  const command = ['release', 'manifest', dist, ...facts, '-o', manifest]
  const document = await passed(signed(context, version, claimed, ...command))
  return {dist, manifest, command, document}
}

const targets = ({fake, panel}: Context): readonly string[] => [
  ...['--github', REPOSITORY, '--github-api', fake.url],
  ...['--panel', panel.url],
]

const verify = (context: Context, manifest: string, ...flags: readonly string[]) => {
  const trust = ['--trust', 'trust.json', '--trusted-root', 'trusted_root.json']
  return rel(context, 'release', 'verify', manifest, ...trust, ...flags)
}

test('made, verified, published to both, and taken by a node that wants both', async (context) => {
  const {cwd, fake, panel} = context
  const {dist, manifest, document} = await releaseOf(context, '1.1.0')
  const {sigstore} = document.result as {sigstore: {output: string; identity: string}}
  assert.is(sigstore.output, `${dist}/manifest.sig.bundle`)
  assert.is(sigstore.identity, `${workflows}/release.yml@refs/tags/v1.1.0`)
  const {result} = await passed(verify(context, manifest))
  assert.is((result.identities as string[]).length, 1)

  const published = await passed(rel(context, 'publish', manifest, ...targets(context)))
  const names = ['app-linux-amd64.tar.gz', 'manifest.json', 'manifest.sig.bundle']
  const [stored] = fake.releases.stored(REPOSITORY, 'v1.1.0')
  const onGitHub = (stored?.assets ?? []).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  assert.equal(
    onGitHub.map(({name}) => name),
    names,
  )
  const read = (name: string) => readFileSync(join(cwd, dist, name))
  for (const {name, bytes} of onGitHub) assert.ok(bytes?.equals(read(name)), name)
  assert.equal((published.result.sent as {panel: string[]}).panel.toSorted(), [names[0], names[2]])
  const again = await passed(rel(context, 'publish', manifest, ...targets(context)))
  assert.is(again.result.changed, false)
  const state = await wanted(200, panel.ask('GET', '/v1/products/app/releases/1.1.0'))
  assert.match(String(state.json.sigstore_sha256), /^[0-9a-f]{64}$/)

  const expires = Math.floor(Date.now() / 1000) + 86_400
  const license = {product: 'app', customer: 'Acme', track: 'stable', expires}
  const made = await wanted(201, panel.ask('POST', '/v1/licenses', {body: license}))
  const {header} = made.json as {header?: string}
  const armoured = String(made.json.file)
    .split('\n')
    .filter((line) => /^[\w=+/]+$/.test(line))
  const token = header ?? `rel1.${Buffer.from(armoured.join(''), 'base64').toString('base64url')}`
  for (const [address, name] of [
    ['1.1.0.manifest.json', 'manifest.json'],
    ['1.1.0.manifest.sig.bundle', 'manifest.sig.bundle'],
  ] as const) {
    const {bytes} = await wanted(200, panel.ask('GET', `/bundles/${address}`, {token}))
    assert.ok(bytes.equals(read(name)), address)
  }

  await passed(rel(context, 'device', 'stage', 'node'))
  await passed(rel(context, 'device', 'apply', 'node'))
  assert.is(readlinkSync(join(cwd, 'node/current')), 'versions/1.1.0')
})

test('another workflow is refused by the node, over the same way', async (context) => {
  const {cwd} = context
  const {manifest} = await releaseOf(context, '1.2.0', {workflow: 'nightly.yml'})
  await refused(verify(context, manifest), 'identity_not_allowed')
  await passed(verify(context, manifest, '--policy', 'ed25519'))
  await passed(rel(context, 'publish', manifest, ...targets(context)))
  const {error} = await refused(
    rel(context, 'device', 'stage', 'node'),
    'upgrade_identity_not_allowed',
  )
  assert.is(error?.details?.cause_code, 'identity_not_allowed')
  assert.is(readlinkSync(join(cwd, 'node/current')), 'versions/1.1.0')
})

test('a Sigstore bundle of an earlier manifest is told, and never published', async (context) => {
  const {cwd} = context
  const {dist, manifest, command} = await releaseOf(context, '1.3.0')
  writeFileSync(join(cwd, dist, 'app-linux-arm64.tar.gz'), 'another')
  const {warnings = []} = await passed(rel(context, ...command, '--key', 'build'))
  assert.ok(warnings.some((text) => text.includes('manifest.sig.bundle')))
  await refused(verify(context, manifest), 'sigstore_digest_mismatch')
  const publish = ['publish', manifest, ...targets(context)]
  await refused(rel(context, ...publish, '--dry-run'), 'sigstore_digest_mismatch')
  await passed(rel(context, ...publish, '--no-sidecars', '--dry-run'))
  rmSync(join(cwd, dist, 'manifest.sig.bundle'))
  await refused(verify(context, manifest), 'sigstore_bundle_missing')
  // a published release has the bundle that it was published with, or none
  rmSync(join(cwd, 'dist-1.1.0/manifest.sig.bundle'))
  await passed(
    signed(
      context,
      '1.1.0',
      {},
      ...['release', 'manifest', 'dist-1.1.0', '--product', 'app', '--version', '1.1.0'],
      ...['--component', 'bundle', '-o', 'dist-1.1.0/manifest.json', '--add'],
    ),
  )
  const other = ['publish', 'dist-1.1.0/manifest.json', '--panel', context.panel.url]
  const {error} = await refused(rel(context, ...other), 'publish_incomplete')
  assert.match(JSON.stringify(error?.details), 'manifest.sig.bundle')
})

test.run()
