import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {parseConfig} from '../../../src/device/config.ts'
import type {Device} from '../../../src/device/device.ts'
import {openSource} from '../../../src/device/open-source.ts'
import {stage} from '../../../src/device/stage.ts'
import {rememberTimes} from '../../../src/device/staged-time.ts'
import {verifyDevice} from '../../../src/device/status.ts'
import {turn} from '../../../src/device/update.ts'
import {releaseText, signRelease} from '../../../src/release/release-manifest.ts'
import {testNow, testSigner} from '../../support/anchors.ts'
import {type Bundle, bundleWith, deltaOf, nodeWith, noise, randomFrom} from '../../support/delta.ts'
import {hostilePanel} from '../../support/device/hostile-panel.ts'
import {makeNode, makeSources, plain} from '../../support/device/node.ts'
import {
  artifactOf,
  atTime,
  licenseText,
  nodeAnchor,
  packed,
  panelConfig,
} from '../../support/device/panel-node.ts'
import {
  makeProgramNode,
  programBytes,
  programConfig,
  programRelease,
  programSources,
} from '../../support/device/program-node.ts'
import type {TestRelease} from '../../support/panel.ts'
import {rejectsCode} from '../../support/rejects.ts'

/** Gives a node a panel as its source, with a licence and an anchor for it. */
async function withPanel<T extends Device>(node: T, config: object, product: string): Promise<T> {
  writeFileSync(join(node.root, 'license'), await licenseText({product}))
  writeFileSync(join(node.root, 'trust_anchor.json'), await nodeAnchor())
  return {...node, config: parseConfig(Buffer.from(JSON.stringify(config)))}
}

const base = noise(50_000, randomFrom(7))
const old = await bundleWith('1.0.0', {app: base, kept: 'kept'})
const changed = Buffer.concat([base, Buffer.from('more')])
const next = await bundleWith('1.1.0', {app: changed, kept: 'kept', new: 'new'})

async function withDelta(bundle: Bundle, delta: Buffer): Promise<TestRelease> {
  const whole = await packed(bundle)
  const [name, deltaName] = ['app.tar.gz', 'app.from-1.0.0.delta.tar.zst']
  const artifacts = [
    {...(await artifactOf(deltaName, delta)), required: false},
    await artifactOf(name, whole),
  ]
  const release = {
    product: 'app',
    version: '1.1.0',
    channel: 'stable',
    timestamp: testNow,
    artifacts,
  } as const
  const file = await signRelease(release, testSigner('manifest'))
  const bytes = new Map([
    [name, whole],
    [deltaName, delta],
  ])
  return {file, text: releaseText(file), bytes}
}

const deltas: readonly [string, (good: Buffer) => Buffer, readonly string[]][] = [
  ['a delta that fits', (good) => good, ['app.from-1.0.0.delta.tar.zst']],
  [
    'one that is signed and broken',
    () => Buffer.from('no delta'),
    ['app.from-1.0.0.delta.tar.zst', 'app.tar.gz'],
  ],
]

for (const [name, change, fetched] of deltas)
  test(`a node goes to a version by ${name}, or else by the whole`, async () => {
    const delta = readFileSync(await deltaOf(old, next))
    const release = await withDelta(next, change(delta))
    const server = await hostilePanel(release)
    try {
      const upgrade = {policy: 'auto'}
      const config = panelConfig({url: server.url, anchor: Buffer.alloc(0), upgrade})
      const node = await withPanel(await nodeWith(old), config, 'app')
      assert.is((await turn(node, await openSource(node))).did, 'applied')
      assert.equal(
        server.seen
          .filter(({path}) => path.startsWith('/download'))
          .map(({path}) => path.split('/').at(-1)),
        fetched,
      )
      assert.is((await verifyDevice(node)).floor, '1.1.0')
    } finally {
      await server.close()
    }
  })

test('a node that is one program takes the release of D0 as a whole', async () => {
  const file = await programRelease('1.1.0')
  const bytes = new Map([['agent-linux-arm64', programBytes('1.1.0')]])
  const server = await hostilePanel({file, text: releaseText(file), bytes})
  try {
    const made = await makeProgramNode(await programSources('1.0.0'))
    const config = {
      ...programConfig(join(made.root, '..')),
      source: {panel: server.url},
      upgrade: {enabled: true, policy: 'auto'},
    }
    const node = await withPanel(made, config, 'edge-agent')
    assert.is((await turn(node, await openSource(node))).did, 'applied')
    assert.ok(readFileSync(made.path).equals(programBytes('1.1.0')))
    // a panel gives only releases that have the component which is asked for
    const {searchParams} = new URL(server.seen[0]?.path ?? '', server.url)
    assert.is(searchParams.get('component'), 'agent')
    assert.is((await turn(node, await openSource(node))).did, 'nothing')
  } finally {
    await server.close()
  }
})

test('what is staged by hand says how late it is as well', async () => {
  const sources = await makeSources('1.0.0', '1.1.0')
  const node = await makeNode(sources)
  await stage(node, sources.of('1.1.0'), plain)
  rememberTimes(node)
  const back = atTime(node, testNow - 60 - 86_401)
  await rejectsCode(() => stage(back, sources.of('1.1.0'), plain), 'upgrade_clock_untrusted')
  const nearly = atTime(node, testNow - 86_400)
  // its manifest is from the future of this clock, not of the latest time that was signed
  assert.is((await stage(nearly, sources.of('1.1.0'), plain)).record.state, 'staged')
})

test.run()
