import {spawnSync} from 'node:child_process'
import {randomBytes} from 'node:crypto'
import {closeSync, openSync, rmSync, writeSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {openFileBlobs} from '../../src/panel/blobs/files.ts'
import {openSqliteStore} from '../../src/panel/store/sqlite.ts'
import {RelError} from '../../src/system/error.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import {needsThat} from '../support/needs.ts'
import {rejectsCode} from '../support/rejects.ts'
import {temporaryFolder} from '../support/tmp.ts'
import {inPieces, listed} from '../unit/panel/blobs-conformance.ts'
import {by, draftOf, expected, publishOne} from '../unit/panel/store-conformance.ts'

/** A small file system, or undefined where mounting is not allowed. */
function tinyDisk(): string | undefined {
  const folder = temporaryFolder()
  const {status} = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'rel-test', folder])
  return status === 0 ? folder : undefined
}

const disk = tinyDisk()

if (needsThat('a full disk', disk !== undefined, 'mounting a tmpfs is not allowed here') && disk) {
  test('on a full disk everything refuses with store_full, and nothing is lost', () => full(disk))
  test('on a read-only disk reading goes on, writing says why not', () => readOnly(disk))
  test.after(() => {
    spawnSync('umount', ['--lazy', disk])
  })
}

/** Writes until nothing fits any more. */
function fill(path: string): void {
  const fd = openSync(path, 'w')
  try {
    for (const size of [1 << 20, 4096, 1]) {
      for (;;) if (writeSync(fd, Buffer.alloc(size)) < size) break
    }
  } catch (error) {
    assert.is((error as {code?: string}).code, 'ENOSPC')
  } finally {
    closeSync(fd)
  }
}

async function full(folder: string): Promise<void> {
  const store = await openSqliteStore({path: join(folder, 'panel.db')})
  const {blobs, uploads} = await openFileBlobs({folder})
  const bytes = randomBytes(2_000_000)
  const sha256 = sha256Hex(bytes)
  try {
    await publishOne(store, draftOf('1.0.0'))
    await store.addDraft(draftOf('1.1.0'), by)
    await uploads.create({id: 'U1', size: bytes.length})
    await uploads.append('U1', 0, inPieces(bytes.subarray(0, 1_000_000)))
    fill(join(folder, 'filler'))

    await rejectsCode(() => blobs.put(sha256, bytes.length, inPieces(bytes)), 'store_full')
    await rejectsCode(() => blobs.checkWritable(), 'store_full')
    await rejectsCode(() => uploads.create({id: 'U2', size: 1}), 'store_full')
    const append = (): Promise<number> =>
      uploads.append('U1', 1_000_000, inPieces(bytes.subarray(1_000_000)))
    await rejectsCode(append, 'store_full')
    await refusedUntilFull(store)
    const published = (await store.releases('edge-agent', {limit: 9, states: ['published']})).length
    assert.is((await store.logHead('edge-agent')).size, published)
    assert.equal(await listed(blobs), [])

    rmSync(join(folder, 'filler'))
    await store.publish('edge-agent', '1.1.0', expected(draftOf('1.1.0')), by)
    const offset = (await uploads.offset('U1')) ?? -1
    assert.ok(offset >= 1_000_000)
    await uploads.append('U1', offset, inPieces(bytes.subarray(offset)))
    await uploads.finish('U1', sha256, blobs)
    assert.is(await blobs.rehash(sha256), true)
    await blobs.checkWritable()
    assert.is((await store.verifyAudit()).broken, undefined)
  } finally {
    await store.close()
  }
}

/** The log of the database may have room for a few rows more. */
async function refusedUntilFull(store: Awaited<ReturnType<typeof openSqliteStore>>): Promise<void> {
  for (let at = 0; at < 10_000; at++) {
    try {
      await store.record({event: 'filling', subject: 'x'.repeat(5000)}, by)
    } catch (error) {
      assert.instance(error, RelError, String(error))
      assert.is((error as RelError).code, 'store_full')
      return
    }
  }
  assert.unreachable('a full disk took ten thousand rows')
}

async function readOnly(folder: string): Promise<void> {
  const first = await openSqliteStore({path: join(folder, 'panel.db')})
  await first.close()
  assert.is(spawnSync('mount', ['-o', 'remount,ro', folder]).status, 0)
  try {
    await rejectsCode(() => openSqliteStore({path: join(folder, 'panel.db')}), 'store_read_only')
    const {blobs, uploads} = await openFileBlobs({folder})
    const [sha256 = ''] = await listed(blobs)
    assert.is(await blobs.rehash(sha256), true)
    await rejectsCode(() => blobs.checkWritable(), 'store_read_only')
    await rejectsCode(
      () => blobs.put(sha256Hex('x'), 1, inPieces(Buffer.from('x'))),
      'store_read_only',
    )
    await rejectsCode(() => uploads.create({id: 'U3', size: 1}), 'store_read_only')
    await rejectsCode(() => blobs.remove(sha256), 'store_read_only')
  } finally {
    spawnSync('mount', ['-o', 'remount,rw', folder])
  }
}

test.run()
