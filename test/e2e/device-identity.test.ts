import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {suite} from 'uvu'
import * as assert from 'uvu/assert'
import type {Device} from '../../src/device/device.ts'
import {openSource} from '../../src/device/open-source.ts'
import {look} from '../../src/device/update.ts'
import {parseAnchor} from '../../src/trust/anchor-parse.ts'
import type {AllowedSigner} from '../../src/trust/sigstore/allowed-signer.ts'
import {signWithSigstore} from '../../src/trust/sigstore/sign.ts'
import {signedAnchor} from '../support/anchors.ts'
import {hostilePanel, sendBody} from '../support/device/hostile-panel.ts'
import {
  atTime,
  bundleRelease,
  licenseText,
  nodeAnchor,
  packedBundle,
  panelLicense,
  panelNode,
  publishBundle,
  startAppPanel,
} from '../support/device/panel-node.ts'
import {draft, flip, type TestPanel, wanted} from '../support/panel.ts'
import {rejectsCode} from '../support/rejects.ts'
import {
  type Claims,
  type MockSigstore,
  releaseClaims,
  startMockSigstore,
} from '../support/sigstore-mock.ts'

const workflow = 'https://github.com/acme/app/.github/workflows/release.yml'
const tagSigner: AllowedSigner = {
  issuer: releaseClaims.iss,
  san: `${workflow}@refs/tags/v{version}`,
  repoId: '123456',
  trigger: ['push'],
  notBefore: 0,
}

const test = suite<{mock: MockSigstore; panel: TestPanel}>('identities of releases on a panel')

test.before(async (context) => {
  const mock = await startMockSigstore()
  const panel = await startAppPanel({clock: () => mock.now})
  Object.assign(context, {mock, panel})
  await publishBundle(panel, '1.0.0')
})
test.after(async ({mock, panel}) => {
  await panel.stop()
  await mock.close()
})

type Mode = 'both' | 'sigstore' | 'either'

/** A node that runs 1.0.0, which no identity has signed. */
async function nodeOf(
  {mock, panel}: {mock: MockSigstore; panel: TestPanel},
  identity: Mode,
): Promise<Device> {
  const {anchor} = parseAnchor(await nodeAnchor(panel))
  const trusting = await signedAnchor({...anchor, allowedSigners: [tagSigner]}, 'root')
  const {file: license} = await panelLicense(panel)
  const node = await panelNode({url: panel.url, anchor: trusting, license})
  writeFileSync(join(node.root, 'trusted_root.json'), JSON.stringify(mock.rootJson))
  return atTime({...node, config: {...node.config, identity}}, mock.now)
}

async function found(node: Device, version?: string) {
  const asked = version === undefined ? {} : {version}
  return (await look(node, await openSource(node), {isRetry: false, ...asked})).answer.offer
}

/** Publishes a version; with claims, with the Sigstore bundle of the workflow that they describe. */
async function publish(
  {mock, panel}: {mock: MockSigstore; panel: TestPanel},
  version: string,
  claims?: Claims,
): Promise<void> {
  const release = await bundleRelease(version, await packedBundle({version}))
  await draft(panel, release)
  if (claims !== undefined) {
    const {url, trustedRoot, now} = mock
    const env = {SIGSTORE_ID_TOKEN: mock.token({...releaseClaims, ...claims})}
    const bytes = Buffer.from(release.text)
    const services = {fulcioUrl: url, rekorUrl: url}
    const {bundleBytes} = await signWithSigstore(bytes, {...services, trustedRoot, env, now})
    const path = `/v1/products/app/releases/${version}/manifest.sig.bundle`
    await wanted(200, panel.ask('PUT', path, {body: bundleBytes}))
  }
  await wanted(200, flip(panel, release))
}

function claimsOf(version: string): Claims {
  const ref = `refs/tags/v${version}`
  return {ref, san: `${workflow}@${ref}`}
}

test('what runs needs no identity where keys vouch for it', async (context) => {
  assert.is(await found(await nodeOf(context, 'both')), undefined)
  assert.is(await found(await nodeOf(context, 'either')), undefined)
  const node = await nodeOf(context, 'sigstore')
  await rejectsCode(() => found(node), 'upgrade_identity_not_allowed')
})

test('a release without an identity is refused, and taken by keys where these do', async (context) => {
  await publish(context, '1.1.0')
  for (const mode of ['both', 'sigstore'] as const) {
    const node = await nodeOf(context, mode)
    for (const version of [undefined, '1.1.0']) {
      const error = await rejectsCode(() => found(node, version), 'upgrade_identity_not_allowed')
      assert.is(error.details?.cause_code, 'sigstore_bundle_missing')
    }
  }
  assert.is((await found(await nodeOf(context, 'either')))?.version, '1.1.0')
})

test('a release that its workflow has signed is offered, by poll and by name', async (context) => {
  await publish(context, '1.2.0', claimsOf('1.2.0'))
  for (const mode of ['both', 'sigstore', 'either'] as const) {
    const node = await nodeOf(context, mode)
    assert.is((await found(node))?.version, '1.2.0')
    assert.is((await found(node, '1.2.0'))?.version, '1.2.0')
  }
})

test('the identity of another tag is refused', async (context) => {
  await publish(context, '1.3.0', claimsOf('1.2.0'))
  const node = await nodeOf(context, 'both')
  const error = await rejectsCode(() => found(node), 'upgrade_identity_not_allowed')
  assert.is(error.details?.cause_code, 'identity_version_mismatch')
})

test('a panel cannot show the identity of another release', async () => {
  const [release, other] = await Promise.all(
    ['1.4.0', '1.2.0'].map(async (version) =>
      bundleRelease(version, await packedBundle({version})),
    ),
  )
  if (release === undefined || other === undefined) throw new Error('no releases')
  const hostile = await hostilePanel(release, {
    bundle: (request, response) => sendBody(request, response, other.text),
  })
  try {
    const {anchor} = parseAnchor(await nodeAnchor(undefined, false))
    const trusting = await signedAnchor({...anchor, allowedSigners: [tagSigner]}, 'root')
    const node = await panelNode({url: hostile.url, anchor: trusting, license: await licenseText()})
    const asking = {...node, config: {...node.config, identity: 'both' as const}}
    await rejectsCode(() => found(asking), 'upgrade_source_invalid')
    assert.ok(hostile.seen.some(({path}) => path.startsWith('/bundles/')))
  } finally {
    await hostile.close()
  }
})

test.run()
