import {createHash} from 'node:crypto'
import {lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {constants, deflateRawSync, gzipSync, zstdCompressSync} from 'node:zlib'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {unpackArchive} from '../../src/bundle/archive/unpack.ts'
import {verifyArchive} from '../../src/bundle/archive/verify-archive.ts'
import {RelError} from '../../src/system/error.ts'
import {goodTar, hostileShapes} from '../support/hostile-tar.ts'
import {rejectsCode} from '../support/rejects.ts'
import {signedTree, treePolicy} from '../support/signed-tree.ts'
import {temporaryFolder} from '../support/tmp.ts'

const tree = await signedTree(
  {'main.py': 'print("hello")\n', 'bin/run': {content: '#!/bin/sh\n', mode: '0755'}},
  {current: 'bin/run'},
)

/** Everything below a directory as one digest: names, types, modes, contents. */
function treeHash(root: string): string {
  const hash = createHash('sha256')
  const walk = (path: string): void => {
    const stat = lstatSync(path)
    hash.update(`${path} ${stat.mode} `)
    if (stat.isDirectory()) for (const name of readdirSync(path).sort()) walk(join(path, name))
    else if (stat.isSymbolicLink()) hash.update(readlinkSync(path))
    else hash.update(readFileSync(path))
  }
  walk(root)
  return hash.digest('hex')
}

async function refusal(run: Promise<unknown>): Promise<string> {
  try {
    await run
  } catch (error) {
    if (error instanceof RelError) return error.code
    throw error
  }
  return 'accepted'
}

const compressions = {
  tar: (bytes: Buffer) => bytes,
  gzip: (bytes: Buffer) => gzipSync(bytes),
  zstd: (bytes: Buffer) => zstdCompressSync(bytes),
}

for (const [name, {code, bytes}] of Object.entries(hostileShapes(tree))) {
  test(`refuses an archive with: ${name}`, async () => {
    const around = temporaryFolder()
    mkdirSync(join(around, 'neighbour'))
    writeFileSync(join(around, 'neighbour', 'file'), 'as it was')
    const archive = join(around, 'bundle')
    for (const [form, compress] of Object.entries(compressions)) {
      writeFileSync(archive, compress(bytes))
      const before = treeHash(around)
      const verified = await refusal(verifyArchive(archive, treePolicy()))
      const unpacked = await refusal(unpackArchive(archive, join(around, 'out'), treePolicy()))
      // an empty tar has no magic number of its own
      const isNothing = name === 'no manifest' && form === 'tar'
      const wanted = isNothing ? 'archive_unrecognised' : code
      assert.equal([form, verified, unpacked], [form, wanted, wanted])
      assert.is(treeHash(around), before, 'something is left')
    }
  })
}

test('a bomb of 1 GiB is refused while it is small', async () => {
  const around = temporaryFolder()
  const bomb = join(around, 'bomb')
  const head = goodTar(tree).subarray(0, -1024)
  const joined = {finishFlush: constants.Z_FULL_FLUSH} // pieces that join to one stream
  const zeros = deflateRawSync(Buffer.alloc(16 * 1024 * 1024), joined)
  const raw = Buffer.concat([deflateRawSync(head, joined), ...Array(64).fill(zeros)])
  const header = Buffer.from('1f8b0800000000000003', 'hex')
  writeFileSync(bomb, Buffer.concat([header, raw]))
  const before = process.memoryUsage().rss
  await rejectsCode(
    () => unpackArchive(bomb, join(around, 'out'), treePolicy()),
    'archive_trailing_data',
  )
  assert.ok(process.memoryUsage().rss - before < 100 * 1024 * 1024)
  assert.equal(readdirSync(around), ['bomb'])
})

test('an archive cut at any byte of its compressed form is refused', async () => {
  const archive = join(temporaryFolder(), 'bundle')
  for (const compress of Object.values(compressions)) {
    const bytes = compress(goodTar(tree))
    const step = Math.max(1, Math.floor(bytes.length / 97))
    for (let cut = 0; cut < bytes.length; cut += step) {
      writeFileSync(archive, bytes.subarray(0, cut))
      assert.is.not(
        await refusal(verifyArchive(archive, treePolicy())),
        'accepted',
        `cut at ${cut}`,
      )
    }
  }
})

test('an archive cut at any block is refused', async () => {
  const archive = join(temporaryFolder(), 'bundle')
  const bytes = goodTar(tree)
  for (let cut = 0; cut < bytes.length; cut += 512) {
    writeFileSync(archive, bytes.subarray(0, cut))
    const code = await refusal(verifyArchive(archive, treePolicy()))
    assert.is(code, 'archive_truncated', `cut at ${cut}`)
  }
})

test('a second member or frame, and anything else behind the first, is refused', async () => {
  const archive = join(temporaryFolder(), 'bundle')
  const tar = goodTar(tree)
  for (const compress of [compressions.gzip, compressions.zstd]) {
    const whole = compress(tar)
    const halves = [compress(tar.subarray(0, 1024)), compress(tar.subarray(1024))]
    const skippable = Buffer.from('502a4d180400000041414141', 'hex')
    for (const bytes of [
      Buffer.concat([whole, compress(Buffer.alloc(0))]),
      Buffer.concat([whole, whole]),
      Buffer.concat(halves),
      Buffer.concat([whole, Buffer.alloc(1)]),
      Buffer.concat([whole, skippable]),
    ]) {
      writeFileSync(archive, bytes)
      const code = await refusal(verifyArchive(archive, treePolicy()))
      const isCutFirst = bytes.length === Buffer.concat(halves).length
      if (!isCutFirst) assert.is(code, 'archive_trailing_data')
      assert.is.not(code, 'accepted')
    }
  }
})

test('no flipped bit of a whole tar turns a refusal into a pass', async () => {
  const archive = join(temporaryFolder(), 'bundle')
  const small = await signedTree({a: 'x'})
  const good = goodTar(small)
  const accepted: number[] = []
  // two bits of each byte, others for its neighbours: all eight take four times as long
  for (let at = 0; at < good.length * 2; at++) {
    const bit = (at >> 1) * 8 + (((at >> 1) * 3 + (at & 1) * 4) & 7)
    const bytes = Buffer.from(good)
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    writeFileSync(archive, bytes)
    if ((await refusal(verifyArchive(archive, treePolicy()))) === 'accepted') accepted.push(bit)
  }
  assert.equal(accepted, [])
})

test.run()
