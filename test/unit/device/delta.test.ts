import {
  chmodSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {zstdCompressSync, zstdDecompressSync} from 'node:zlib'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {DeltaFile} from '../../../src/bundle/delta/delta-document.ts'
import {encodePiece} from '../../../src/bundle/delta/pieces.ts'
import {apply} from '../../../src/device/apply.ts'
import {mayTakeDelta} from '../../../src/device/delta-tries.ts'
import type {Device} from '../../../src/device/device.ts'
import {realFs, recordingFs} from '../../../src/device/durable-fs.ts'
import {loadRecords} from '../../../src/device/layout.ts'
import {deltaPlace} from '../../../src/device/place-delta.ts'
import {checkSource, stage} from '../../../src/device/stage.ts'
import {verifyDevice} from '../../../src/device/status.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {
  type Bundle,
  bundleWith,
  deltaFile,
  deltaOf,
  documentOf,
  forgetFailures,
  newSeed,
  nodeWith,
  noise,
  randomFrom,
  rawArchive,
  rawDelta,
  versionsOf,
} from '../../support/delta.ts'
import {plain} from '../../support/device/node.ts'
import type {RawEntry} from '../../support/hostile-tar.ts'
import {rejectsCode} from '../../support/rejects.ts'
import type {TreeFiles} from '../../support/signed-tree.ts'

const seed = newSeed()
const random = randomFrom(seed)
const base = noise(60_000, random)
const edited = Buffer.concat([base.subarray(0, 20_000), Buffer.from('new'), base.subarray(20_000)])
const oldFiles = {app: {content: base, mode: '0755'}, 'a/kept': 'kept', gone: 'gone'} as const
const nextFiles = {app: {content: edited, mode: '0755'}, 'b/moved': 'kept', fresh: 'new'} as const
const old = await bundleWith('1.0.0', oldFiles)
const next = await bundleWith('1.1.0', nextFiles, {link: 'b/moved'})
const delta = await deltaOf(old, next)
const open = () => undefined

/** That a node has exactly a bundle, byte for byte, mode for mode. */
async function has(device: Device, bundle: Bundle): Promise<void> {
  const {version} = bundle.manifest
  for (const [path, {content, mode}] of bundle.files) {
    const at = join(device.root, 'versions', version, path)
    assert.ok(readFileSync(at).equals(content), path)
    assert.is(statSync(at).mode & 0o777, Number.parseInt(mode, 8), path)
  }
}

/** A refused delta leaves what runs, and nothing of itself. */
async function refused(device: Device, path: string, code = 'upgrade_delta_failed' as const) {
  const error = await rejectsCode(() => deltaPlace(path)(device, open), code)
  assert.equal(versionsOf(device), ['1.0.0'])
  return error
}

test('a delta is staged and applied like a bundle', async () => {
  const device = await nodeWith(old)
  const {record} = await stage(device, deltaPlace(delta), plain)
  assert.is(record.candidate?.digest, next.digest)
  await has(device, next)
  await apply(device, plain)
  await verifyDevice(device)
  assert.is(loadRecords(device.root).record.running.version, '1.1.0')
  assert.is(existsSync(join(device.root, '.rel/deltas.json')), false)
})

test('the name of a file is enough for stage to know a delta', async () => {
  const device = await nodeWith(old)
  await stage(device, delta, plain)
  await has(device, next)
})

test('a delta is checked without being staged', async () => {
  const device = await nodeWith(old)
  assert.is((await checkSource(device, delta, plain)).slot.digest, next.digest)
  const bad = rawDelta(next, document([patch()]))
  await rejectsCode(() => checkSource(device, bad, plain), 'upgrade_delta_failed')
  const unmet = {...plain, expect: {version: '3.0.0'}}
  await rejectsCode(() => checkSource(device, delta, unmet), 'version_mismatch')
  assert.equal(versionsOf(device), ['1.0.0'])
  assert.is(existsSync(join(device.root, '.rel/deltas.json')), false)
})

test('a version that was left is a base as well', async () => {
  const device = await nodeWith(old)
  await stage(device, delta, plain)
  await apply(device, plain)
  const later = await bundleWith('1.2.0', {...nextFiles, fresh: 'newer'})
  await stage(device, deltaPlace(await deltaOf(old, later)), plain)
  await has(device, later)
})

test('the gates of the node keep their codes, and nothing is written', async () => {
  const newer = await bundleWith('2.0.0', nextFiles)
  const older = await bundleWith('0.9.0', oldFiles)
  const device = await nodeWith(newer)
  const path = await deltaOf(newer, older)
  await rejectsCode(() => stage(device, deltaPlace(path), plain), 'upgrade_version_too_old')
  const expect = {version: '3.0.0'}
  const promised = () => stage(device, deltaPlace(path), {...plain, expect})
  await rejectsCode(promised, 'version_mismatch')
  assert.equal(versionsOf(device), ['2.0.0'])
  assert.is(existsSync(join(device.root, '.rel/deltas.json')), false, 'no failure of the delta')
})

test('a delta of another product, from another version, or not signed is refused', async () => {
  const device = await nodeWith(old)
  const foreign = await bundleWith('1.0.0', oldFiles, {}, 'other')
  const foreignNext = await bundleWith('1.1.0', nextFiles, {}, 'other')
  await refused(device, await deltaOf(foreign, foreignNext))
  const elsewhere = await bundleWith('0.9.9', {...oldFiles, gone: 'other'})
  await refused(device, await deltaOf(elsewhere, next))
  const unsigned = {
    ...next,
    manifestBytes: Buffer.from(String(next.manifestBytes).replace('fresh', 'fresj')),
  }
  const error = await refused(device, rawDelta(unsigned, {name: 'delta.json', content: '{}'}))
  assert.match(String(error.details?.cause_code), /^signature_/)
})

const frame = (await encodePiece(edited, base)) ?? Buffer.alloc(0)
const patch = (piece: object = {}): DeltaFile => ({
  path: 'app',
  patch: {
    fromSha256: sha256Hex(base),
    pieces: [
      {fromAt: 0, fromSize: base.length, toSize: edited.length, size: frame.length, ...piece},
    ],
  },
})
const fresh = {path: 'fresh'}
const document = (
  files: readonly DeltaFile[] = [patch(), fresh],
  change: object = {},
): RawEntry => ({
  name: 'delta.json',
  content: documentOf(old, next, files, change),
})
const data = (at: number, content: Buffer | string): RawEntry => ({name: `data/${at}`, content})
const manifest = {name: 'manifest.json', content: next.manifestBytes}

test('what the maker writes can be written by hand', async () => {
  const device = await nodeWith(old)
  await deltaPlace(rawDelta(next, document(), data(0, frame), data(1, 'new')))(device, open)
  await has(device, next)
})

const flipped = Buffer.from(frame)
flipped[frame.length - 1] = (flipped[frame.length - 1] ?? 0) ^ 0x55
const bomb = zstdCompressSync(Buffer.alloc(edited.length + 1))
const shapes: Readonly<Record<string, readonly RawEntry[]>> = {
  'no entries': [],
  'no manifest first': [document(), manifest, data(0, frame), data(1, 'new')],
  'the manifest twice': [manifest, manifest, document(), data(0, frame), data(1, 'new')],
  'no delta.json': [manifest, data(0, frame), data(1, 'new')],
  'delta.json that is no JSON': [manifest, {name: 'delta.json', content: '{'}],
  'delta.json as a link': [manifest, {name: 'delta.json', type: '2', link: '/etc/passwd'}],
  'delta.json twice': [manifest, document(), document(), data(0, frame), data(1, 'new')],
  'an entry is missing': [manifest, document(), data(0, frame)],
  'all entries are missing': [manifest, document()],
  'an entry more': [manifest, document(), data(0, frame), data(1, 'new'), data(2, 'x')],
  'an entry twice': [manifest, document(), data(0, frame), data(0, frame), data(1, 'new')],
  'entries out of order': [manifest, document(), data(1, 'new'), data(0, frame)],
  'a path instead of a number': [manifest, document(), {name: '../app', content: frame}],
  'the path of the file': [manifest, document(), {name: 'app', content: frame}],
  'a number in another form': [manifest, document(), {name: 'data/00', content: frame}],
  'an entry that is a link': [manifest, document(), {name: 'data/0', type: '2', link: 'app'}],
  'an entry that is a hard link': [manifest, document(), {name: 'data/0', type: '1', link: 'app'}],
  'a longer entry': [manifest, document(), data(0, Buffer.concat([frame, frame])), data(1, 'new')],
  'a shorter entry': [manifest, document(), data(0, frame.subarray(1)), data(1, 'new')],
  'another whole file': [manifest, document(), data(0, frame), data(1, 'bad')],
  'a longer whole file': [manifest, document(), data(0, frame), data(1, 'news')],
  'a damaged frame': [manifest, document(), data(0, flipped), data(1, 'new')],
  'a frame that is a bomb': [
    manifest,
    document([patch({size: bomb.length}), fresh]),
    data(0, bomb),
    data(1, 'new'),
  ],
  'a frame of other bytes': [
    manifest,
    document([patch({fromAt: 1, fromSize: base.length - 1}), fresh]),
    data(0, frame),
    data(1, 'new'),
  ],
  'a path out of the tree': [manifest, document([patch(), {path: '../fresh'}]), data(0, frame)],
  'a sidecar behind delta.json': [
    manifest,
    document(),
    {name: 'manifest.json.minisig', content: 'x'},
  ],
  'another version': [manifest, document(undefined, {to: {version: '9.9.9', digest: next.digest}})],
}

const hostile = await nodeWith(old)
for (const [name, entries] of Object.entries(shapes))
  test(`a delta is refused and leaves nothing: ${name}`, async () => {
    forgetFailures(hostile)
    await refused(hostile, rawArchive(...entries))
  })

test('what is no archive is refused', async () => {
  const whole = readFileSync(delta)
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from('x'),
    noise(5000, random),
    whole.subarray(0, -1),
  ]) {
    forgetFailures(hostile)
    await refused(hostile, deltaFile(bytes))
  }
})

test('zeros without end are refused before they are unpacked', async () => {
  forgetFailures(hostile)
  const claim = {name: 'manifest.json', content: Buffer.alloc(60 * 1024 * 1024)}
  const error = await refused(hostile, rawArchive(claim))
  assert.is(error.details?.cause_code, 'archive_limit')
})

/** Either the delta is refused and nothing is left, or the flip meant nothing. */
async function flip(bytes: Buffer, pack: (bytes: Buffer) => Buffer): Promise<boolean> {
  const at = random(bytes.length)
  const damaged = Buffer.from(bytes)
  damaged[at] = (damaged[at] ?? 0) ^ (1 << random(8))
  forgetFailures(hostile)
  try {
    await deltaPlace(deltaFile(pack(damaged)))(hostile, open)
  } catch (error) {
    assert.is((error as {code?: string}).code, 'upgrade_delta_failed', `byte ${at}: ${error}`)
    assert.equal(versionsOf(hostile), ['1.0.0'], `byte ${at}`)
    return true
  }
  await has(hostile, next)
  rmSync(join(hostile.root, 'versions/1.1.0'), {recursive: true})
  return false
}

test('a flipped bit never becomes a file', async () => {
  const whole = readFileSync(delta)
  const tar = zstdDecompressSync(whole)
  let caught = 0
  for (let n = 0; n < 100; n++) {
    if (await flip(whole, (bytes) => bytes)) caught += 1
    // under a good checksum of the archive only the digests of files are left to notice
    if (await flip(tar, (bytes) => zstdCompressSync(bytes))) caught += 1
  }
  assert.ok(caught >= 195, `${caught} of 200 flips were refused`)
  forgetFailures(hostile)
  await deltaPlace(delta)(hostile, open)
  await has(hostile, next)
})

const changes: Readonly<Record<string, (root: string) => void>> = {
  'a byte of the base': (at) => writeFileSync(join(at, 'app'), noise(base.length, random)),
  'the size of the base': (at) => writeFileSync(join(at, 'app'), 'x'),
  'a byte of a file that is reused': (at) => writeFileSync(join(at, 'a/kept'), 'kepT'),
  'a file that is reused is gone': (at) => rmSync(join(at, 'a/kept')),
  'the base is gone': (at) => rmSync(join(at, 'app')),
  'the base became a link': (at) => {
    rmSync(join(at, 'app'))
    symlinkSync('/etc/passwd', join(at, 'app'))
  },
  'its manifest': (at) => writeFileSync(join(at, 'manifest.json'), next.manifestBytes),
  'its manifest is gone': (at) => rmSync(join(at, 'manifest.json')),
}
for (const [name, change] of Object.entries(changes))
  test(`a changed old tree is not used: ${name}`, async () => {
    const device = await nodeWith(old)
    change(join(device.root, 'versions/1.0.0'))
    await refused(device, delta)
    await stage(device, next.folder, plain)
    await has(device, next)
  })

test('a base is compared before the file that it is for is begun', async () => {
  const device = await nodeWith(old)
  writeFileSync(join(device.root, 'versions/1.0.0/app'), noise(base.length, random))
  const begun: string[] = []
  const fs = recordingFs(device.world.fs, ({op, path}) => {
    if (op === 'create') begun.push(path)
  })
  await refused({...device, world: {...device.world, fs}}, delta)
  assert.ok(begun.includes('versions/.1.1.0.partial/b/moved'), `${begun}`)
  assert.is(begun.includes('versions/.1.1.0.partial/app'), false)
})

test('a mode that was changed on disk does not come along', async () => {
  const device = await nodeWith(old)
  chmodSync(join(device.root, 'versions/1.0.0/a/kept'), 0o777)
  await stage(device, deltaPlace(delta), plain)
  await has(device, next)
})

test('a piece over the cap of the node is refused, one at the cap is taken', async () => {
  const needed = base.length + edited.length
  await refused(await nodeWith(old, {}, {delta_max_bytes: needed - 1}), delta)
  await refused(await nodeWith(old, {}, {delta_max_bytes: 0}), delta)
  await stage(await nodeWith(old, {}, {delta_max_bytes: needed}), deltaPlace(delta), plain)
})

test('after two failures no delta to that version is tried, and the whole one is', async () => {
  const device = await nodeWith(old)
  const bad = rawDelta(next, document(), data(0, flipped), data(1, 'new'))
  assert.is(mayTakeDelta(device, '1.1.0'), true)
  await refused(device, bad)
  assert.is(mayTakeDelta(device, '1.1.0'), true)
  await refused(device, bad)
  assert.is(mayTakeDelta(device, '1.1.0'), false)
  await refused(device, delta)
  const again = {...device, config: {...device.config}}
  assert.is(mayTakeDelta(again, '1.1.0'), false, 'a restart changes nothing')
  assert.is(mayTakeDelta(device, '1.2.0'), true)
  await stage(device, next.folder, plain)
  await has(device, next)
})

test('a damaged memory of failures is no memory', async () => {
  const device = await nodeWith(old)
  writeFileSync(join(device.root, '.rel/deltas.json'), '{"version":"1.1.0","failures":9}')
  await stage(device, deltaPlace(delta), plain)
})

test('a full disk is told as such, and counts for nothing against the delta', async () => {
  const device = await nodeWith(old)
  const real = realFs(device.root)
  const full: Device['world']['fs'] = {
    root: device.root,
    run: (op) => {
      if (op.op === 'write' && op.path.endsWith('app'))
        throw Object.assign(new Error('ENOSPC'), {code: 'ENOSPC'})
      real.run(op)
    },
  }
  const narrow = {...device, world: {...device.world, fs: full}}
  await rejectsCode(() => deltaPlace(delta)(narrow, open), 'upgrade_disk_full')
  assert.equal(versionsOf(device), ['1.0.0'])
  assert.is(existsSync(join(device.root, '.rel/deltas.json')), false)
})

/** A tree with what trees have: folders, empty files, the same content twice, modes. */
function randomTree(from: TreeFiles): TreeFiles {
  const files = new Map(Object.entries(from))
  const contents = [...files.values()]
  const count = 1 + random(8)
  for (let n = 0; n < count; n++) {
    const path = `${'d/'.repeat(random(3))}f${random(6)}`
    if (random(4) === 0 && files.size > 1) files.delete([...files.keys()][random(files.size)] ?? '')
    else files.set(path, contents.length > 0 && random(3) === 0 ? pick(contents) : randomFile())
  }
  return Object.fromEntries(files)
}

function pick(contents: readonly TreeFiles[string][]): TreeFiles[string] {
  const chosen = contents[random(contents.length)]
  if (chosen === undefined || typeof chosen !== 'object' || Buffer.isBuffer(chosen)) return ''
  const bytes = Buffer.from(chosen.content)
  const at = random(bytes.length + 1)
  const inserted = Buffer.concat([
    bytes.subarray(0, at),
    noise(random(64), random),
    bytes.subarray(at),
  ])
  return {content: random(2) === 0 ? bytes : inserted, mode: random(2) === 0 ? '0644' : '0755'}
}

function randomFile(): TreeFiles[string] {
  return {content: noise([0, 4, 100, 20_000][random(4)] ?? 0, random), mode: '0644'}
}

test('of any two trees the delta makes exactly the second', async () => {
  for (let n = 0; n < 15; n++) {
    const files = randomTree({})
    const before = await bundleWith('1.0.0', {...files, always: 'there'})
    const after = await bundleWith('1.1.0', {...randomTree(files), always: 'there'})
    const device = await nodeWith(before)
    await stage(device, deltaPlace(await deltaOf(before, after)), plain)
    await has(device, after)
  }
})

test.run()
