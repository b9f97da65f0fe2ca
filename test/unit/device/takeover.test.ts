import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {apply, rollback} from '../../../src/device/apply.ts'
import {parseConfig} from '../../../src/device/config.ts'
import {recordingFs} from '../../../src/device/durable-fs.ts'
import {loadRecords} from '../../../src/device/layout.ts'
import {resume} from '../../../src/device/resume.ts'
import {stage} from '../../../src/device/stage.ts'
import {verifyDevice} from '../../../src/device/status.ts'
import {adopt, checkTakeover} from '../../../src/device/takeover.ts'
import {takeoverLines} from '../../../src/device/takeover-plan.ts'
import {signedAnchor, testAnchor, testNow, testSigner} from '../../support/anchors.ts'
import {signTree} from '../../support/bundles.ts'
import {bundleOf, configJson, deviceAt, makeSources, plain} from '../../support/device/node.ts'
import {lazyFs} from '../../support/device/program-node.ts'
import {cutAt, untilCut} from '../../support/device/traces.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {writeTree} from '../../support/signed-tree.ts'
import {temporaryFolder} from '../../support/tmp.ts'
import {treeState} from '../../support/tree-state.ts'

const sources = await makeSources('1.1.0', '1.2.0')

/** Trusts manifests without a rel section, as D2's tools sign them. */
const legacyAnchor = join(temporaryFolder(), 'trust.json')
const anchor = testAnchor({role: 'root', keys: ['root']}, {role: 'manifest', keys: ['archive']})
writeFileSync(legacyAnchor, await signedAnchor({...anchor, legacy: 'allow'}, 'root'))

/** A version as D2 signs it: no sizes, no modes, no rel section. */
async function d2Version(folder: string, version: string): Promise<void> {
  writeTree(folder, await bundleOf(version))
  rmSync(join(folder, 'manifest.json'))
  const facts = {bundleName: `app-v${version}`, product: 'app', version, d2: true}
  await signTree(folder, facts, testSigner('archive'))
}

/** A root as D2's document shows it, after an update from 0.9.0 to 1.0.0. */
async function d2Root(change: (root: string) => void = () => undefined): Promise<string> {
  const root = join(temporaryFolder(), 'pyvorin-edge')
  for (const version of ['0.9.0', '1.0.0']) {
    mkdirSync(join(root, 'versions'), {recursive: true})
    await d2Version(join(root, 'versions', `v${version}`), version)
  }
  symlinkSync('versions/v1.0.0/', join(root, 'current'))
  symlinkSync(join(root, 'versions/v0.9.0'), join(root, 'previous'))
  symlinkSync('versions/v1.0.0', join(root, '.current.tmp'))
  writeFileSync(join(root, 'trust_anchor.json'), '{"public_key":"of D2"}')
  writeFileSync(join(root, 'state.json'), '{"of":"D1"}')
  for (const name of ['data', 'cache', 'run', 'logs']) mkdirSync(join(root, name))
  writeFileSync(join(root, 'data/queue.db'), 'mine')
  change(root)
  return root
}

const input = {configText: JSON.stringify(configJson), anchorPath: legacyAnchor}

function planOf(root: string, given = input) {
  const config = parseConfig(Buffer.from(given.configText))
  return checkTakeover(root, config, given, testNow)
}

async function takeOver(root: string, given = input): Promise<void> {
  await adopt(deviceAt(root, {fs: lazyFs(root)}), await planOf(root, given), given.anchorPath)
}

test('what D2 has made becomes a node, and what runs stays where it is', async () => {
  const root = await d2Root()
  const running = readFileSync(join(root, 'versions/v1.0.0/bin/app'))
  await takeOver(root)
  assert.equal(readFileSync(join(root, 'versions/v1.0.0/bin/app')), running)
  assert.is(readlinkSync(join(root, 'current')), 'versions/1.0.0')
  assert.is(readlinkSync(join(root, 'previous')), 'versions/0.9.0')
  assert.not.ok(readdirSync(root).includes('.current.tmp'))
  assert.is(
    readFileSync(join(root, 'trust_anchor.json.before-rel'), 'utf8'),
    '{"public_key":"of D2"}',
  )
  assert.is(readFileSync(join(root, 'state.json'), 'utf8'), '{"of":"D1"}')
  assert.is(readFileSync(join(root, 'data/queue.db'), 'utf8'), 'mine')
  const {record, floor} = loadRecords(root)
  assert.equal(
    [record.state, record.running.version, record.previous?.version, floor],
    ['committed', '1.0.0', '0.9.0', '1.0.0'],
  )
  // the folders of D2 are left to the operator, who is told
  for (const version of ['v0.9.0', 'v1.0.0'])
    rmSync(join(root, 'versions', version), {recursive: true})
  const device = deviceAt(root)
  await verifyDevice(device)
  await stage(device, sources.of('1.1.0'), plain)
  await apply(device, plain)
  await rollback(device)
  assert.is(readlinkSync(join(root, 'current')), 'versions/1.0.0')
})

test('folders that have their right name are taken as they are', async () => {
  const root = await d2Root((at) => {
    for (const version of ['0.9.0', '1.0.0'])
      renameSync(join(at, `versions/v${version}`), join(at, `versions/${version}`))
    for (const [name, version] of [
      ['current', '1.0.0'],
      ['previous', '0.9.0'],
    ] as const) {
      rmSync(join(at, name))
      symlinkSync(join(at, `versions/${version}`), join(at, name))
    }
  })
  const plan = await planOf(root)
  assert.equal([plan.copies, plan.leaves, plan.settles], [[], [], ['1.0.0', '0.9.0']])
  await takeOver(root)
  assert.is(readlinkSync(join(root, 'current')), 'versions/1.0.0')
  const device = deviceAt(root)
  await verifyDevice(device)
  await rollback(device)
  assert.is(loadRecords(root).record.running.version, '0.9.0')
})

test('the plan is printed, and printing it changes nothing', async () => {
  const root = await d2Root()
  const before = treeState(root)
  const lines = takeoverLines(await planOf(root))
  assert.ok(lines.includes('copy versions/v1.0.0 to versions/1.0.0'))
  assert.ok(lines.includes('remove the link .current.tmp'))
  assert.equal(treeState(root), before)
})

const ways: readonly [string, (root: string) => void][] = [
  ['it leads to what runs', (root) => relink(root, 'previous', 'versions/v1.0.0')],
  ['it leads out', (root) => relink(root, 'previous', '/etc')],
  ['it is gone', (root) => rmSync(join(root, 'previous'))],
  ['it is damaged', (root) => writeFileSync(join(root, 'versions/v0.9.0/data.txt'), 'x')],
]

function relink(root: string, name: string, target: string): void {
  rmSync(join(root, name), {force: true})
  symlinkSync(target, join(root, name))
}

for (const [name, damage] of ways)
  test(`a previous that is no way back is dropped: ${name}`, async () => {
    const root = await d2Root(damage)
    await takeOver(root)
    assert.is(loadRecords(root).record.previous, undefined)
    assert.not.ok(readdirSync(root).includes('previous'))
    await resume(deviceAt(root))
  })

test('the channel of the other updater counts where the configuration says none', async () => {
  const {allowed_channels: _, ...upgrade} = configJson.upgrade
  const silent = {...input, configText: JSON.stringify({...configJson, upgrade})}
  const root = await d2Root((at) => writeFileSync(join(at, 'channel'), 'beta\n'))
  const plan = await planOf(root, silent)
  assert.equal(parseConfig(Buffer.from(plan.configText)).allowedChannels, ['beta'])
  assert.equal(parseConfig(Buffer.from((await planOf(root)).configText)).allowedChannels, [
    'stable',
  ])
  writeFileSync(join(root, 'channel'), 'nightly')
  await rejectsCode(() => planOf(root, silent), 'upgrade_config_invalid')
})

type Code = Parameters<typeof rejectsCode>[1]

const refusals: readonly [string, (root: string) => void, Code][] = [
  ['no current', (root) => rmSync(join(root, 'current')), 'upgrade_layout_invalid'],
  ['current leads out', (root) => relink(root, 'current', '/etc'), 'upgrade_layout_invalid'],
  [
    'current climbs',
    (root) => relink(root, 'current', 'versions/../../x'),
    'upgrade_layout_invalid',
  ],
  [
    'current leads nowhere',
    (root) => relink(root, 'current', 'versions/v9.9.9'),
    'upgrade_layout_invalid',
  ],
  [
    'current is a folder',
    (root) => {
      rmSync(join(root, 'current'))
      mkdirSync(join(root, 'current'))
    },
    'upgrade_layout_invalid',
  ],
  [
    'the name says another version',
    (root) => {
      renameSync(join(root, 'versions/v1.0.0'), join(root, 'versions/v1.0.1'))
      relink(root, 'current', 'versions/v1.0.1')
    },
    'version_mismatch',
  ],
  [
    'a changed file',
    (root) => writeFileSync(join(root, 'versions/v1.0.0/data.txt'), 'x'),
    'upgrade_checksum_mismatch',
  ],
  [
    'a file that was never signed',
    (root) => writeFileSync(join(root, 'versions/v1.0.0/sitecustomize.py'), 'x'),
    'upgrade_checksum_mismatch',
  ],
  [
    'no manifest',
    (root) => rmSync(join(root, 'versions/v1.0.0/manifest.json')),
    'upgrade_checksum_mismatch',
  ],
  [
    'others can write',
    (root) => chmodSync(join(root, 'versions'), 0o777),
    'upgrade_layout_invalid',
  ],
  [
    'another bundle has the name',
    (root) =>
      cpSync(join(root, 'versions/v0.9.0'), join(root, 'versions/1.0.0'), {recursive: true}),
    'version_mismatch',
  ],
]

for (const [name, damage, code] of refusals)
  test(`a takeover is refused and changes nothing: ${name}`, async () => {
    const root = await d2Root(damage)
    const before = treeState(root)
    await rejectsCode(() => planOf(root), code)
    assert.equal(treeState(root), before)
  })

test('an anchor that takes no D2 manifests refuses them', async () => {
  const root = await d2Root()
  const refusal = await rejectsCode(
    () => planOf(root, {...input, anchorPath: sources.anchor}),
    'upgrade_signature_invalid',
  )
  assert.is(refusal.details?.cause_code, 'legacy_refused')
})

test('a node is not taken over twice', async () => {
  const root = await d2Root()
  await takeOver(root)
  await rejectsCode(() => planOf(root), 'file_exists')
})

test('a takeover that ends anywhere leaves what runs, and is begun anew', async () => {
  const made = await d2Root()
  let total = 0
  const copyOf = () => {
    const root = join(temporaryFolder(), 'node')
    cpSync(made, root, {recursive: true, verbatimSymlinks: true})
    rmSync(join(root, 'previous'))
    symlinkSync(join(root, 'versions/v0.9.0'), join(root, 'previous'))
    return root
  }
  const first = copyOf()
  const counting = recordingFs(lazyFs(first), () => void total++)
  await adopt(deviceAt(first, {fs: counting}), await planOf(first), legacyAnchor)
  assert.ok(total > 40, `${total} operations`)
  for (let at = 0; at < total; at++) {
    const root = copyOf()
    const plan = await planOf(root)
    const device = deviceAt(root, {fs: cutAt(lazyFs(root), at)})
    assert.not.ok(await untilCut(() => adopt(device, plan, legacyAnchor)), `${at}`)
    const runs = readFileSync(join(root, 'current/data.txt'), 'utf8')
    assert.is(runs, 'data 1.0.0\n', `${at}: what runs`)
    const isNode = existsSync(join(root, '.rel/state.json'))
    if (!isNode) await adopt(deviceAt(root, {fs: lazyFs(root)}), await planOf(root), legacyAnchor)
    await resume(deviceAt(root, {fs: lazyFs(root)}))
    const {record} = loadRecords(root)
    assert.equal([record.running.version, record.previous?.version], ['1.0.0', '0.9.0'], `${at}`)
    const kept = readFileSync(join(root, 'trust_anchor.json.before-rel'), 'utf8')
    assert.is(kept, '{"public_key":"of D2"}', `${at}: the file of the other updater`)
  }
})

test.run()
