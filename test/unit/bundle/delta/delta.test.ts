import {execFileSync} from 'node:child_process'
import {closeSync, openSync, readFileSync, readSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {zstdCompressSync} from 'node:zlib'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {type DeltaFile, parseDelta, planDelta} from '../../../../src/bundle/delta/delta-document.ts'
import {deltaBase, isDeltaName} from '../../../../src/bundle/delta/delta-name.ts'
import {planDeltaPack} from '../../../../src/bundle/delta/make-delta.ts'
import {withOldBundle} from '../../../../src/bundle/delta/old-bundle.ts'
import {OldIndex} from '../../../../src/bundle/delta/old-index.ts'
import {decodePiece, decodesDeltas, encodePiece} from '../../../../src/bundle/delta/pieces.ts'
import {sha256Hex} from '../../../../src/system/hash.ts'
import {bundleWith, deltaOf, documentOf, noise, randomFrom} from '../../../support/delta.ts'
import {needs} from '../../../support/needs.ts'
import {rejectsCode, throwsCode} from '../../../support/rejects.ts'
import {temporaryFolder} from '../../../support/tmp.ts'

const MAX = 64 * 1024 * 1024
const random = randomFrom(1)
const base = noise(100_000, random)
const edited = Buffer.concat([base.subarray(0, 40_000), Buffer.from('new'), base.subarray(40_000)])

const old = await bundleWith('1.0.0', {app: base, 'a/kept': 'kept', empty: ''})
const next = await bundleWith('1.1.0', {app: edited, 'b/moved': 'kept', empty: '', fresh: 'new'})

test('a name says what a delta starts from', () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ['app-1.1.0.from-1.0.0.delta.tar.zst', '1.0.0'],
    ['app.from-x.from-1.0.0-rc.1.delta.tar.zst', '1.0.0-rc.1'],
    ['app.from-1.0.delta.tar.zst', undefined],
    ['app.from-../x.delta.tar.zst', undefined],
    ['.from-1.0.0.delta.tar.zst', undefined],
    ['app.delta.tar.zst', undefined],
    ['app.from-1.0.0.tar.zst', undefined],
  ]
  for (const [name, version] of cases) assert.is(deltaBase(name), version, name)
  assert.is(isDeltaName('app.delta.tar.zst'), true)
})

test('this Node decodes with a dictionary', async () => {
  assert.is(await decodesDeltas(), true)
})

async function decoded(frame: Buffer, from: Buffer, size: number): Promise<Buffer> {
  const blocks: Buffer[] = []
  for await (const bytes of decodePiece(frame, from, size)) blocks.push(bytes)
  return Buffer.concat(blocks)
}

test('a frame gives its bytes, with the right old bytes only', async () => {
  const frame = await encodePiece(edited, base)
  assert.ok(frame !== undefined && frame.length < 1000, `${frame?.length}`)
  assert.ok((await decoded(frame, base, edited.length)).equals(edited))
  const wrong = Buffer.from(base)
  wrong[50_000] = (wrong[50_000] ?? 0) ^ 1
  const other = await decoded(frame, wrong, edited.length).catch(() => undefined)
  assert.is(other?.equals(edited) ?? false, false, 'other old bytes, same new bytes')
})

const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024))
const good = (await encodePiece(edited, base)) ?? Buffer.alloc(0)
/** A frame header of a window of 2^40 bytes, and an empty last block. */
const wide = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf0, 0x01, 0x00, 0x00])
/** Blocks that repeat one byte 128 KiB each, none of them the last. */
const endless = Buffer.concat([
  Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x00]),
  ...Array.from({length: 1000}, () => Buffer.from([0x02, 0x00, 0x10, 0x00])),
])

const badFrames: readonly (readonly [string, Buffer, number])[] = [
  ['gives more', good, edited.length - 1],
  ['gives less', good, edited.length + 1],
  ['cut short', good.subarray(0, -1), edited.length],
  ['half', good.subarray(0, good.length >> 1), edited.length],
  ['empty', Buffer.alloc(0), edited.length],
  ['followed by bytes', Buffer.concat([good, Buffer.from('x')]), edited.length],
  ['followed by a frame', Buffer.concat([good, good]), 2 * edited.length],
  ['a bomb', bomb, 1000],
  ['a window that is larger than the pieces', wide, 1000],
  ['endless', endless, 1000],
  ['no frame', noise(1000, random), 1000],
]
for (const [name, frame, size] of badFrames)
  test(`a frame is refused: ${name}`, async () => {
    await rejectsCode(() => decoded(frame, base, size), 'upgrade_delta_failed')
  })

test('old bytes that look like a trained dictionary are no harm', async () => {
  const magic = Buffer.concat([Buffer.from([0x37, 0xa4, 0x30, 0xec]), base.subarray(0, 1000)])
  const frame = await encodePiece(edited, magic)
  assert.is(frame, undefined)
  const plain = zstdCompressSync(edited)
  await rejectsCode(() => decoded(plain, magic, edited.length), 'upgrade_delta_failed')
})

/** The same 3 MiB of two releases of one program. */
function partOf(program: string): Buffer {
  const bytes = Buffer.alloc(3 * 1024 * 1024)
  const fd = openSync(join(import.meta.dirname, '../../../../node_modules', program), 'r')
  readSync(fd, bytes, 0, bytes.length, 30 * 1024 * 1024)
  closeSync(fd)
  return bytes
}

if (needs('zstd'))
  test('zstd --patch-from decodes our frames, and we decode its', async () => {
    const folder = temporaryFolder()
    const [from, to] = [partOf('node22/bin/node'), partOf('node24/bin/node').subarray(0, 1 << 20)]
    const at = (name: string) => join(folder, name)
    writeFileSync(at('old'), from)
    writeFileSync(at('new'), to)
    const frame = await encodePiece(to, from)
    if (frame === undefined) throw new Error('no frame')
    writeFileSync(at('ours'), frame)
    const patch = `--patch-from=${at('old')}`
    execFileSync('zstd', ['-q', '-d', patch, at('ours'), '-o', at('decoded')])
    assert.ok(readFileSync(at('decoded')).equals(to), 'zstd decodes ours')
    for (const level of ['-3', '-12', '-17']) {
      execFileSync('zstd', ['-qq', '-f', level, patch, at('new'), '-o', at('theirs')])
      const theirs = await decoded(readFileSync(at('theirs')), from, to.length)
      assert.ok(theirs.equals(to), level)
    }
  })

const patch = (change: object = {}, piece: object = {}): DeltaFile => ({
  path: 'app',
  patch: {
    fromSha256: sha256Hex(base),
    pieces: [{fromAt: 0, fromSize: 100_000, toSize: edited.length, size: good.length, ...piece}],
    ...change,
  },
})
const fresh = {path: 'fresh'}
const pieceOf = (size: number) => ({fromAt: 0, fromSize: 0, toSize: size, size: 10})

test('a plan says of every file where it comes from', () => {
  const text = Buffer.from(documentOf(old, next, [patch(), fresh]))
  const plan = planDelta(parseDelta(text), old, next, MAX)
  const reused = plan.reused.map(({file, old: {path}}) => `${file.path} from ${path}`)
  assert.equal(reused, ['b/moved from a/kept', 'empty from empty'])
  assert.equal(
    plan.brought.map(({file, size}) => [file.path, size]),
    [
      ['app', good.length],
      ['fresh', 3],
    ],
  )
})

const badPlans: readonly (readonly [string, readonly DeltaFile[], object?, number?])[] = [
  ['of another product', [patch(), fresh], {product: 'other'}],
  ['to another version', [patch(), fresh], {to: {version: '1.1.1', digest: next.digest}}],
  ['to another manifest', [patch(), fresh], {to: {version: '1.1.0', digest: old.digest}}],
  ['from another version', [patch(), fresh], {from: {version: '0.9.0', digest: old.digest}}],
  ['from another manifest', [patch(), fresh], {from: {version: '1.0.0', digest: next.digest}}],
  ['without a file', [patch()]],
  ['with a file twice', [patch(), patch(), fresh]],
  ['out of order', [fresh, patch()]],
  ['with a file more', [patch(), fresh, {path: 'more'}]],
  ['with a path out of the tree', [patch(), {path: '../fresh'}]],
  ['with an absolute path', [patch(), {path: '/fresh'}]],
  ['with a name in another case', [patch(), {path: 'Fresh'}]],
  ['with a sidecar', [patch(), fresh, {path: 'manifest.json'}]],
  ['of a base that is not there', [patch({fromSha256: sha256Hex('x')}), fresh]],
  ['of a base of the new tree', [patch({fromSha256: sha256Hex(edited)}), fresh]],
  ['of bytes behind the base', [patch({}, {fromAt: 1}), fresh]],
  ['of bytes far behind the base', [patch({}, {fromAt: 2 ** 52}), fresh]],
  ['of fewer bytes', [patch({}, {toSize: edited.length - 1}), fresh]],
  ['of more bytes', [patch({}, {toSize: edited.length + 1}), fresh]],
  ['of pieces that are too many', [patch({pieces: [pieceOf(1), pieceOf(edited.length)]}), fresh]],
  ['of a frame beyond all measure', [patch({}, {size: 2 * edited.length}), fresh]],
  ['over the cap by one byte', [patch(), fresh], {}, 200_002],
]
for (const [name, files, change = {}, cap = MAX] of badPlans)
  test(`a delta is refused: ${name}`, () => {
    const document = parseDelta(Buffer.from(documentOf(old, next, files, change)))
    throwsCode(() => planDelta(document, old, next, cap), 'upgrade_delta_failed')
  })

test('at the cap it is taken', () => {
  const document = parseDelta(Buffer.from(documentOf(old, next, [patch(), fresh])))
  assert.is(planDelta(document, old, next, 200_003).brought.length, 2)
})

const badDocuments: readonly (readonly [string, object])[] = [
  ['another spec', {spec: 2}],
  ['another kind', {kind: 'bundle'}],
  ['an unknown key', {extra: 1}],
  ['files that are no list', {files: {}}],
  ['a file that is no object', {files: ['app']}],
  ['a path that is no text', {files: [{path: 1}]}],
  ['a file with an unknown key', {files: [{path: 'app', mode: '4755'}]}],
  ['no pieces', {files: [{path: 'app', patch: {from_sha256: old.digest, pieces: []}}]}],
  ['no digest', {files: [{path: 'app', patch: {from_sha256: 'x', pieces: [{}]}}]}],
  [
    'a piece without a number',
    {files: [{path: 'app', patch: {from_sha256: old.digest, pieces: [{from_at: 0}]}}]},
  ],
  [
    'a piece of nothing',
    {
      files: [
        {
          path: 'app',
          patch: {
            from_sha256: old.digest,
            pieces: [{from_at: 0, from_size: 0, to_size: 0, size: 9}],
          },
        },
      ],
    },
  ],
  ['an end without a digest', {from: {version: '1.0.0'}}],
  ['an end that is a text', {to: '1.1.0'}],
]
for (const [name, change] of badDocuments)
  test(`delta.json is refused: ${name}`, () => {
    const text = documentOf(old, next, [patch(), fresh], change)
    throwsCode(() => parseDelta(Buffer.from(text)), 'upgrade_delta_failed')
  })

const notOurJson: readonly (readonly [string, string, string])[] = [
  ['"from_at":0', '"from_at":-1', 'json_number'],
  ['"from_at":0', '"from_at":0.5', 'json_number'],
  ['"kind":', '"kind":"delta","kind":', 'json_duplicate_key'],
]
for (const [from, to, cause] of notOurJson)
  test(`delta.json is refused: ${to}`, () => {
    const text = documentOf(old, next, [patch(), fresh]).replace(from, to)
    const error = throwsCode(() => parseDelta(Buffer.from(text)), 'upgrade_delta_failed')
    assert.is(error.details?.cause_code, cause)
  })

test('the same two bundles give the same bytes, from a directory and from an archive', async () => {
  const one = readFileSync(await deltaOf(old, next))
  assert.ok(readFileSync(await deltaOf(old, next)).equals(one))
  assert.ok(one.length < 5000, `${one.length} bytes`)
})

test('content that has moved far is found', async () => {
  const size = 6 * 1024 * 1024
  const long = noise(size, random)
  const moved = Buffer.concat([noise(size / 2, random), long])
  const path = await deltaOf(
    await bundleWith('1.0.0', {app: long}),
    await bundleWith('1.1.0', {app: moved}),
  )
  const bytes = statSync(path).size
  assert.ok(bytes < size / 2 + 100_000, `${bytes} bytes`)
})

test('an index tells how far content has moved, and nothing by chance', () => {
  const index = new OldIndex()
  index.add(0, noise(100_000, random))
  index.add(100_000, base)
  assert.is(index.shiftOf(7_000_000, base, 1000), 100_000 - 7_000_000)
  assert.is(index.shiftOf(50_000, noise(100_000, random), 1000), 0)
  assert.is(index.shiftOf(50_000, Buffer.alloc(100_000), 1000), 0)
})

test('what is no pair of bundles is refused', async () => {
  const other = await bundleWith('1.1.0', {app: edited}, {}, 'other')
  const plan = (from: string, directory: string, name: string) =>
    withOldBundle(from, (before) => {
      const output = join(temporaryFolder(), name)
      return planDeltaPack({directory, output, old: before, replace: false})
    })
  const name = 'app.from-1.0.0.delta.tar.zst'
  await rejectsCode(() => plan(old.folder, other.folder, name), 'product_mismatch')
  await rejectsCode(() => plan(old.folder, old.folder, name), 'usage_invalid')
  await rejectsCode(() => plan(old.folder, next.folder, 'app.tar.zst'), 'usage_invalid')
  const wrong = 'app.from-1.0.1.delta.tar.zst'
  await rejectsCode(() => plan(old.folder, next.folder, wrong), 'usage_invalid')
})

test('a bundle that is not as its manifest says makes no delta', async () => {
  const [before, after] = [
    await bundleWith('1.0.0', {app: base}),
    await bundleWith('1.1.0', {app: edited, new: 'new'}),
  ]
  writeFileSync(join(after.folder, 'new'), 'bad')
  await rejectsCode(() => deltaOf(before, after), 'file_digest_mismatch')
  writeFileSync(join(after.folder, 'new'), 'new')
  writeFileSync(join(before.folder, 'app'), noise(100_000, random))
  await rejectsCode(() => deltaOf(before, after), 'file_digest_mismatch')
})

test.run()
