import {closeSync, cpSync, openSync, readSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {DeltaFile} from '../../src/bundle/delta/delta-document.ts'
import {encodePiece} from '../../src/bundle/delta/pieces.ts'
import {apply} from '../../src/device/apply.ts'
import {resume} from '../../src/device/resume.ts'
import {stage} from '../../src/device/stage.ts'
import {verifyDevice} from '../../src/device/status.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import {
  bundleWith,
  deltaOf,
  documentOf,
  nodeWith,
  noise,
  randomFrom,
  rawDelta,
  versionsOf,
} from '../support/delta.ts'
import {deviceAt, plain} from '../support/device/node.ts'
import {inPairs, run} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

const script = join(import.meta.dirname, '../support/device/delta-updater.ts')
const MiB = 1024 * 1024

/** Each child would compile the same sources anew. */
const compiled = temporaryFolder()

const updater = (root: string, delta: string, at = 0) =>
  run(process.execPath, [script, root, delta, String(at)], {
    patienceSecs: 120,
    env: {NODE_COMPILE_CACHE: compiled},
  })

function copyOf(root: string): string {
  const copy = join(temporaryFolder(), 'node')
  cpSync(root, copy, {recursive: true, verbatimSymlinks: true})
  return copy
}

const base = noise(20_000, randomFrom(7))
const old = await bundleWith('1.0.0', {app: base, 'a/kept': 'kept'})
const changed = Buffer.concat([base, Buffer.from('more')])
const next = await bundleWith('1.1.0', {app: changed, 'b/kept': 'kept', new: 'new'}, {link: 'new'})

test('a node that is killed anywhere runs what it ran, and the next run ends it', async () => {
  const {root} = await nodeWith(old)
  const delta = await deltaOf(old, next)
  const {stdout, stderr, code} = await updater(copyOf(root), delta)
  assert.is(code, 0, stderr)
  const count = Number.parseInt(stdout, 10)
  assert.ok(count >= 20, `${count} operations`)
  const points = Array.from({length: count}, (_, at) => at + 1)
  await inPairs(points, async (at) => {
    const copy = copyOf(root)
    const {signal} = await updater(copy, delta, at)
    assert.is(signal, 'SIGKILL', `at ${at}`)
    const device = deviceAt(copy)
    await verifyDevice(device)
    const {record} = await resume(device)
    assert.is(record.running.version, '1.0.0', `at ${at}`)
    if (record.state !== 'staged') await stage(device, delta, plain)
    await apply(device, plain)
    await verifyDevice(device)
    assert.equal(versionsOf(device), ['1.0.0', '1.1.0'], `at ${at}`)
  })
})

/** 57 MiB of a real program. */
function program(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  const path = join(import.meta.dirname, '../../node_modules/node24/bin/node')
  const fd = openSync(path, 'r')
  readSync(fd, bytes, 0, size, 30 * MiB)
  closeSync(fd)
  return bytes
}

test('57 MiB are patched with little memory, 32 MiB at once with what the cap says', async () => {
  const bytes = program(57 * MiB)
  const edits = [bytes.subarray(0, 20 * MiB), Buffer.from('inserted'), bytes.subarray(20 * MiB)]
  const big = await bundleWith('1.0.0', {app: bytes})
  const bigger = await bundleWith('1.1.0', {app: Buffer.concat(edits)})
  const idle = await memoryOf((await nodeWith(old)).root, await deltaOf(old, next))
  const ours = await memoryOf((await nodeWith(big)).root, await deltaOf(big, bigger))
  assert.ok(ours - idle < 80 * MiB, `${ours - idle} bytes more for pieces of 4 MiB`)

  // one frame for a whole file, as another maker may make it: 32 MiB old + 32 MiB new, the cap
  const part = bytes.subarray(0, 32 * MiB)
  const other = Buffer.concat([
    part.subarray(6, 16 * MiB),
    Buffer.from('abcdef'),
    part.subarray(16 * MiB),
  ])
  const before = await bundleWith('1.0.0', {app: part})
  const after = await bundleWith('1.1.0', {app: other})
  const frame = (await encodePiece(other, part)) ?? Buffer.alloc(0)
  const piece = {fromAt: 0, fromSize: part.length, toSize: other.length, size: frame.length}
  const file: DeltaFile = {path: 'app', patch: {fromSha256: sha256Hex(part), pieces: [piece]}}
  const document = {name: 'delta.json', content: documentOf(before, after, [file])}
  const single = rawDelta(after, document, {name: 'data/0', content: frame})
  const most = await memoryOf((await nodeWith(before)).root, single)
  assert.ok(most - idle < 128 * MiB, `${most - idle} bytes more for one piece as large as the cap`)
  process.stderr.write(
    `idle ${(idle / MiB) | 0}, ours ${(ours / MiB) | 0}, cap ${(most / MiB) | 0} MiB\n`,
  )
})

async function memoryOf(root: string, delta: string): Promise<number> {
  const {stdout, stderr, code} = await updater(root, delta)
  assert.is(code, 0, stderr)
  return Number(stdout.split(' ')[1])
}

test.run()
