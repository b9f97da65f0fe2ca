import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {License} from '../../../src/release/license.ts'
import {probeRelease} from '../../../src/release/publish/probe.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import type {Http, HttpRequest} from '../../../src/system/http.ts'
import {testNow} from '../../support/anchors.ts'
import {makeRelease} from '../../support/panel.ts'
import {rejectsCode} from '../../support/rejects.ts'

const slots = ['agent', 'gateway'].map((component) => ({component, os: 'linux', arch: 'amd64'}))
const {file, bytes} = await makeRelease({version: '1.4.2', slots})
const [small = '', other = ''] = bytes.keys()
const {artifacts} = file.release

/** The second artifact is larger than what is downloaded. */
const large = {
  ...file,
  release: {
    ...file.release,
    artifacts: artifacts.map((artifact) =>
      artifact.name === other ? {...artifact, size: 17 * 1024 * 1024} : artifact,
    ),
  },
}

type Says = {
  readonly status?: number
  readonly body?: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

type Panel = {
  /** What is said instead, by the name of an artifact, or `manifest`. */
  readonly says?: Readonly<Record<string, Says>>
  readonly offers?: {readonly version: string; readonly manifest_sha256: string}
}

/** A panel that is right but for what a case says. */
function panelThat({
  says = {},
  offers = {version: '1.4.2', manifest_sha256: file.digest},
}: Panel): Http {
  const answer = ({method, url}: HttpRequest): Says => {
    const name = url.split('/').at(-1) ?? ''
    const isManifest = name.startsWith('manifest.json')
    const said = says[isManifest ? 'manifest' : name]
    if (said !== undefined) return said
    if (isManifest) return {body: Buffer.from(JSON.stringify({release: offers}))}
    const artifact = large.release.artifacts.find((one) => one.name === name)
    const headers = {
      'x-bundle-hash': artifact?.sha256 ?? '',
      'content-length': String(artifact?.size),
    }
    return method === 'HEAD' ? {headers} : {body: bytes.get(name) ?? Buffer.alloc(0)}
  }
  return {
    send: async (request) => {
      const {status = 200, body = Buffer.alloc(0), headers = {}} = answer(request)
      return {status, headers, url: request.url, body: Buffer.from(body), isRevalidated: false}
    },
    download: () => Promise.reject(new Error('nothing is downloaded')),
  }
}

const world = {clock: {now: () => testNow * 1000, sleep: async () => {}}, random: () => 0.5}

const license: License = {
  id: 'L1',
  product: 'agent',
  customer: 'Acme',
  track: 'stable',
  entitlements: [],
  expires: testNow + 86_400,
} as unknown as License

function asked(
  panel: Panel,
  change: Partial<License> = {},
  {of = file, state = 'published' as const}: {of?: typeof file; state?: 'draft' | 'published'} = {},
) {
  const probe = {name: 'a.lic', token: 'rel1.x', license: {...license, ...change}}
  const access = {http: panelThat(panel), url: 'https://panel.example'}
  return probeRelease(access, of, state, probe, world)
}

const absent = {status: 404, body: Buffer.from('{}')}
const nothing = {[small]: absent, [other]: absent}

test('a licence sees what its track and entitlements open, and not a file more or less', async () => {
  assert.equal(await asked({}), {
    ...{name: 'a.lic', track: 'stable', sees: true},
    ...{downloaded: 2, asked: 0},
  })
  assert.is((await asked({says: nothing}, {track: 'prerelease'})).sees, false)
  assert.is((await asked({says: nothing}, {}, {state: 'draft'})).sees, false)
  const onlyAgent = {entitlements: ['component:agent']}
  assert.is((await asked({says: {[other]: absent}}, onlyAgent)).downloaded, 1)
  for (const [says, change] of [
    [{[small]: absent}, {}],
    [nothing, {}],
    [{}, onlyAgent],
    [{}, {track: 'prerelease'}],
    [{[small]: absent}, {track: 'prerelease'}],
  ] as const)
    await rejectsCode(() => asked({says}, change), 'publish_probe_failed')
  await rejectsCode(() => asked({}, {}, {state: 'draft'}), 'publish_probe_failed')
})

test('small files are compared byte by byte, of large ones digest and size', async () => {
  const result = await asked({}, {}, {of: large})
  assert.equal([result.downloaded, result.asked], [1, 1])
  const bytesOf = {[small]: {body: Buffer.from('other bytes')}}
  await rejectsCode(() => asked({says: bytesOf}), 'publish_readback_failed')
  const right = {
    'x-bundle-hash': large.release.artifacts.find(({name}) => name === other)?.sha256 ?? '',
    'content-length': String(17 * 1024 * 1024),
  }
  for (const headers of [
    {...right, 'x-bundle-hash': sha256Hex('x')},
    {...right, 'content-length': '17'},
    {},
  ])
    await rejectsCode(
      () => asked({says: {[other]: {headers}}}, {}, {of: large}),
      'publish_readback_failed',
    )
  const handedOver = {[small]: {status: 307}, [other]: {status: 307}}
  assert.is((await asked({says: handedOver})).asked, 2)
})

test('the offer is this very release, or a higher one', async () => {
  const higher = {version: '1.10.0', manifest_sha256: sha256Hex('x')}
  assert.is((await asked({offers: higher})).sees, true)
  for (const offers of [
    {version: '1.4.1', manifest_sha256: file.digest},
    {version: '1.4.2', manifest_sha256: sha256Hex('x')},
  ])
    await rejectsCode(() => asked({offers}), 'publish_probe_failed')
  const none = {manifest: {body: Buffer.from('{}')}}
  await rejectsCode(() => asked({says: none}), 'publish_probe_failed')
})

test.run()
