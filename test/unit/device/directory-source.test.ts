import {
  cpSync,
  mkdirSync,
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
import {apply} from '../../../src/device/apply.ts'
import {availability} from '../../../src/device/candidate.ts'
import {clockMark, trustedNow} from '../../../src/device/clock-mark.ts'
import type {Device} from '../../../src/device/device.ts'
import {directorySource} from '../../../src/device/directory-source.ts'
import {rememberedStale} from '../../../src/device/seen.ts'
import type {Source} from '../../../src/device/source.ts'
import {checkFound, look, stageOffer} from '../../../src/device/update.ts'
import {signedAnchor, testAnchor, testNow} from '../../support/anchors.ts'
import {
  packedBundle,
  releaseAssets,
  releaseSources,
  target,
} from '../../support/device/github-releases.ts'
import {bundleOf, configJson, deviceAt, installOne, plain} from '../../support/device/node.ts'
import {makeProgramNode, programBytes, programSources} from '../../support/device/program-node.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {writeTree} from '../../support/signed-tree.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const sources = await releaseSources('1.0.0')

type Stick = Device & {readonly source: Source; readonly at: (...names: string[]) => string}

/** A node that runs 1.0.0, and the empty stick it looks at. */
async function stick(change: object = {}): Promise<Stick> {
  const folder = join(temporaryFolder(), 'a stick')
  mkdirSync(folder)
  const config = {source: {directory: folder}, target, ...change}
  const device = deviceAt(join(temporaryFolder(), 'node'), {}, config)
  await installOne(device, sources)
  const {source} = device.config
  if (source?.kind !== 'directory') throw new Error('no directory')
  const at = (...names: string[]) => join(folder, ...names)
  return {...device, source: directorySource(device, source), at}
}

const tree = async (path: string, version: string) => writeTree(path, await bundleOf(version))
const archive = async (path: string, version: string) =>
  writeFileSync(path, await packedBundle(version))

const find = (device: Stick, version?: string) =>
  look(device, device.source, {isRetry: false, version})
const offered = async (device: Stick, version?: string) =>
  (await find(device, version)).answer.offer?.version

async function update(device: Stick): Promise<void> {
  await stageOffer(device, checkFound(await find(device)), plain)
  await apply(device, plain)
}

const runs = ({root}: Device) => readlinkSync(join(root, 'current'))

test('the highest of folders and archives is taken, whatever they are called', async () => {
  const device = await stick()
  await tree(device.at('app-9.9.9'), '1.1.0')
  await archive(device.at('a.tar.zst'), '1.3.0')
  mkdirSync(device.at('older'))
  await archive(device.at('older', 'b.tar.zst'), '1.2.0')
  assert.is(await offered(device, '1.2.0'), '1.2.0')
  assert.is(await offered(device, '1.4.0'), undefined)
  await update(device)
  assert.is(runs(device), 'versions/1.3.0')
  assert.is(await offered(device), undefined)
})

test('a release with its artifact beside it', async () => {
  const device = await stick()
  mkdirSync(device.at('release'))
  for (const {name, bytes} of await releaseAssets('1.1.0'))
    writeFileSync(device.at('release', name), bytes)
  const {offer} = (await find(device)).answer
  assert.ok(offer?.sha256 !== undefined)
  await update(device)
  assert.is(runs(device), 'versions/1.1.0')
})

test('a release under the name that rel gives it, for a node that is one program', async () => {
  const programs = await programSources('1.0.0', '1.1.0')
  const trust = testAnchor(
    {role: 'root', keys: ['root']},
    {role: 'manifest', keys: ['manifest', 'archive']},
    {role: 'artifact', keys: ['artifact']},
  )
  writeFileSync(programs.anchor, await signedAnchor(trust, 'root'))
  const folder = join(temporaryFolder(), 'a stick')
  cpSync(programs.of('1.1.0'), join(folder, 'agent'), {recursive: true})
  const device = await makeProgramNode(programs)
  // the highest of the product, and signed, but no program
  const bundle = await bundleOf('1.2.0', {product: device.config.product})
  writeTree(join(folder, 'a bundle'), bundle)
  const source = directorySource(device, {kind: 'directory', path: folder})
  const offer = checkFound(await look(device, source, {isRetry: false}))
  await stageOffer(device, offer, plain)
  await apply(device, plain)
  assert.equal(readFileSync(device.path), programBytes('1.1.0'))
})

test('a time of signing that cannot be read is a failure, and no gate that is closed', async () => {
  const device = await stick()
  await archive(device.at('a.tar.zst'), '1.1.0')
  assert.is(await offered(device), '1.1.0')
  writeFileSync(join(device.root, '.rel', 'clock.json'), '{"schema":1}\nsha256:0\n')
  await rejectsCode(() => find(device), 'upgrade_state_corrupt')
})

test('what a node may not take hides nothing below it', async () => {
  const device = await stick()
  const terms = {'1.1.0': {}, '1.2.0-beta.1': {}, '2.0.0': {minFrom: '1.1.0'}} as const
  for (const [version, change] of Object.entries(terms)) {
    mkdirSync(device.at(version))
    for (const {name, bytes} of await releaseAssets(version, change))
      writeFileSync(device.at(version, name), bytes)
  }
  assert.is(await offered(device), '1.1.0')
  await update(device)
  assert.is(await offered(device), '2.0.0')
})

test('times that were signed on a stick are remembered, of bundles and of releases', async () => {
  const longAgo = (device: Device) => ({...device.world, now: () => 0})
  for (const [kind, time] of [
    ['bundle', testNow - 30],
    ['release', testNow - 60],
  ] as const) {
    const device = await stick()
    assert.is(trustedNow({...device, world: longAgo(device)}), 0)
    if (kind === 'bundle') writeTree(device.at('app'), await bundleOf('1.1.0', {}, time))
    else
      for (const {name, bytes} of await releaseAssets('1.1.0'))
        writeFileSync(device.at(name), bytes)
    assert.is(await offered(device), '1.1.0')
    assert.is(trustedNow({...device, world: longAgo(device)}), time, kind)
  }
})

test('a release whose artifact is missing or another is not taken', async () => {
  const device = await stick()
  const [manifest, bundle] = await releaseAssets('1.1.0')
  if (manifest === undefined || bundle === undefined) throw new Error('no assets')
  writeFileSync(device.at(manifest.name), manifest.bytes)
  const missing = await rejectsCode(() => update(device), 'upgrade_source_invalid')
  assert.is(missing.details?.cause_code, 'asset_missing')
  await archive(device.at(bundle.name), '1.2.0')
  rmSync(device.at('manifest.json'))
  assert.is(await offered(device), '1.2.0')
  writeFileSync(device.at(manifest.name), manifest.bytes)
  rmSync(device.at(bundle.name))
  writeFileSync(device.at(bundle.name), Buffer.alloc(bundle.bytes.length))
  await rejectsCode(() => update(device), 'upgrade_checksum_mismatch')
  assert.is(runs(device), 'versions/1.0.0')
})

test('what is not ours is no matter', async () => {
  const device = await stick()
  await tree(device.at('good'), '1.1.0')
  const other = await bundleOf('3.0.0')
  writeTree(device.at('other product'), other)
  const theirs = JSON.parse(other.manifestBytes.toString('utf8'))
  theirs.manifest.rel.product = 'theirs'
  writeFileSync(device.at('other product', 'manifest.json'), JSON.stringify(theirs))
  mkdirSync(device.at('web'))
  writeFileSync(device.at('web', 'manifest.json'), '{"name": "a web page"}')
  mkdirSync(device.at('broken'))
  writeFileSync(device.at('broken', 'manifest.json'), '{')
  writeFileSync(device.at('photos.tar.gz'), 'no archive')
  writeFileSync(device.at('read me.txt'), 'hello')
  assert.is(await offered(device), '1.1.0')
})

test('an unsigned higher version does not hide a signed one, and alone it is told', async () => {
  const device = await stick()
  await tree(device.at('forged'), '9.0.0')
  const bytes = JSON.parse((await bundleOf('9.0.0')).manifestBytes.toString('utf8'))
  bytes.manifest.timestamp += 1
  writeFileSync(device.at('forged', 'manifest.json'), JSON.stringify(bytes))
  await rejectsCode(() => find(device), 'upgrade_signature_invalid')
  await tree(device.at('good'), '1.1.0')
  assert.is(await offered(device), '1.1.0')
})

test('links are not followed, and folders not deeper than two', async () => {
  const device = await stick()
  const outside = temporaryFolder()
  await tree(join(outside, 'tree'), '1.5.0')
  await archive(join(outside, 'app.tar.zst'), '1.5.0')
  symlinkSync(outside, device.at('link'))
  symlinkSync(join(outside, 'tree'), device.at('tree'))
  symlinkSync(join(outside, 'app.tar.zst'), device.at('app.tar.zst'))
  mkdirSync(device.at('manifest'))
  symlinkSync(join(outside, 'tree', 'manifest.json'), device.at('manifest', 'manifest.json'))
  await tree(device.at('1', '2', '3'), '1.4.0')
  assert.is(await offered(device), undefined)
  await tree(device.at('1', 'second'), '1.1.0')
  assert.is(await offered(device), '1.1.0')
})

test('a folder with too many names is not searched', async () => {
  const device = await stick()
  for (let n = 0; n < 4097; n++) writeFileSync(device.at(`${n}.jpg`), '')
  await rejectsCode(() => find(device), 'upgrade_source_invalid')
})

test('a stick that is not there, or is pulled out, has a code of its own', async () => {
  const device = await stick()
  await tree(device.at('good'), '1.1.0')
  const {offer} = (await find(device)).answer
  renameSync(device.at(), `${device.at()} elsewhere`)
  await rejectsCode(() => find(device), 'upgrade_source_unreachable')
  await rejectsCode(async () => offer?.fetch(), 'upgrade_source_unreachable')
  cpSync(`${device.at()} elsewhere`, device.at(), {recursive: true})
  await update(device)
  assert.is(runs(device), 'versions/1.1.0')
})

const words: readonly [string, string | undefined, boolean, boolean | 'unknown'][] = [
  ['1.1.0', undefined, false, false],
  ['1.1.0', '1.1.0', false, false],
  ['1.9.0', '1.10.0', true, true],
  ['1.10.0', '1.9.0', true, false],
  ['1.1.0', '1.2.0-beta.1', true, 'unknown'],
  ['1.1.0', '1.1.0+build.7', true, 'unknown'],
]

for (const [running, offer, versionDifferent, updateAvailable] of words)
  test(`in the words of D4: ${running} runs, ${offer ?? 'nothing'} is there`, () => {
    assert.equal(availability(running, offer), {versionDifferent, updateAvailable})
  })

test('what was offered and is offered no more is told, until it is no news', async () => {
  const device = await stick()
  for (const version of ['1.1.0', '1.2.0']) await archive(device.at(`${version}.tar.zst`), version)
  const said = async () => {
    const {offer, withdrawn} = (await find(device)).answer
    return [offer?.version, withdrawn]
  }
  assert.equal(await said(), ['1.2.0', undefined])
  renameSync(device.at('1.2.0.tar.zst'), device.at('kept'))
  assert.equal(await said(), ['1.1.0', '1.2.0'])
  assert.equal(await said(), ['1.1.0', '1.2.0'], 'it is not forgotten by being told')
  rmSync(device.at('1.1.0.tar.zst'))
  assert.equal(await said(), [undefined, '1.2.0'])
  assert.is((await find(device, '1.1.0')).answer.withdrawn, undefined, 'of one that was named')
  const other = {...device, config: {...device.config, allowedChannels: ['beta']}}
  assert.is((await find(other)).answer.withdrawn, undefined, 'of other channels')
  renameSync(device.at('kept'), device.at('1.2.0.tar.zst'))
  assert.equal(await said(), ['1.2.0', undefined])
  await update(device)
  rmSync(device.at('1.2.0.tar.zst'))
  assert.equal(await said(), [undefined, undefined])
  // damage of the memory is no silence
  writeFileSync(join(device.root, '.rel/offered.json'), 'x')
  await rejectsCode(() => find(device), 'upgrade_state_corrupt')
})

test('nothing new for longer than the configuration allows is told', async () => {
  const day = 86_400
  const device = await stick({upgrade: {...configJson.upgrade, stale_after_days: 30}})
  await archive(device.at('1.1.0.tar.zst'), '1.1.0')
  const {answer} = await find(device)
  assert.equal([answer.offer?.version, answer.staleSince], ['1.1.0', undefined])
  const signed = clockMark(device.root)
  assert.ok(signed > 0 && signed <= testNow)
  const {source: place} = device.config
  if (place?.kind !== 'directory') throw new Error('no directory')
  const at = (time: number): Stick => {
    const then = {...device, world: {...device.world, now: () => time}}
    return {...then, source: directorySource(then, place)}
  }
  for (const [late, since] of [
    [-1, undefined],
    [0, signed + 30 * day],
    [40 * day, signed + 30 * day],
  ] as const) {
    const then = at(signed + 30 * day + late)
    assert.is((await find(then)).answer.staleSince, since)
    assert.is(rememberedStale(then), since)
  }
  const {staleAfterDays: _, ...silent} = device.config
  assert.is(rememberedStale({...at(signed + 90 * day), config: silent}), undefined)
  const then = at(signed + 40 * day)
  writeTree(device.at('1.2.0'), await bundleOf('1.2.0', {}, signed + 39 * day))
  assert.is((await find(then)).answer.staleSince, undefined)
})

test.run()
