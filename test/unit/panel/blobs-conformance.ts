import {randomBytes} from 'node:crypto'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {BlobStore, UploadStore} from '../../../src/panel/blobs/blobs.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {rejectsCode} from '../../support/rejects.ts'

/** Blobs and uploads under test, and a way behind their back. */
export type TestedBlobs = {
  readonly blobs: BlobStore
  readonly uploads: UploadStore
  /** Puts other bytes where a blob's bytes are. */
  damage(sha256: string, bytes: Uint8Array): Promise<void>
  /** Whatever is stored that is neither a blob nor an upload. */
  leftovers(): Promise<readonly string[]>
}

/** Bytes in pieces of about `size`. */
export async function* inPieces(bytes: Uint8Array, size = 60_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** Bytes, then a broken connection. */
async function* cutAfter(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield* inPieces(bytes)
  throw Object.assign(new Error('cut'), {code: 'ECONNRESET'})
}

export async function bytesOf(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const piece of pieces) parts.push(Buffer.from(piece))
  return Buffer.concat(parts)
}

export async function listed(blobs: BlobStore): Promise<string[]> {
  const digests: string[] = []
  for await (const digest of blobs.list()) digests.push(digest)
  return digests.sort()
}

async function cut(call: () => Promise<unknown>): Promise<void> {
  const error = await call().catch((thrown: Error) => thrown)
  assert.ok(error instanceof Error && error.message === 'cut', String(error))
}

/** What every blob store promises; `open` gives an empty one with its uploads. */
export function blobsConformance(label: string, open: () => Promise<TestedBlobs>): void {
  const check = (name: string, body: (tested: TestedBlobs) => Promise<void>): void => {
    test(`${label}: ${name}`, async () => {
      const tested = await open()
      try {
        await body(tested)
        assert.equal(await tested.leftovers(), [])
      } finally {
        await tested.blobs.close()
      }
    })
  }
  blobCases(check)
  refusalCases(check)
  uploadCases(check)
}

type Check = (name: string, body: (tested: TestedBlobs) => Promise<void>) => void

const body = randomBytes(300_001)
const digest = sha256Hex(body)

function blobCases(check: Check): void {
  check('a blob is what was put, whole or in part', async ({blobs}) => {
    assert.is(await blobs.stat(digest), undefined)
    assert.is(await blobs.storedAt(digest), undefined)
    const before = Math.floor(Date.now() / 1000) - 2 // clocks of servers differ
    await blobs.put(digest, body.length, inPieces(body))
    assert.is(await blobs.stat(digest), body.length)
    assert.ok(((await blobs.storedAt(digest)) ?? 0) >= before)
    assert.ok(body.equals(await bytesOf(blobs.read(digest))))
    const ranges = [
      [0, 1],
      [0, 300_001],
      [299_999, 300_001],
      [1, 262_145],
      [7, 7],
    ] as const
    for (const [start, end] of ranges) {
      const part = await bytesOf(blobs.read(digest, {start, end}))
      assert.ok(body.subarray(start, end).equals(part), `${start} to ${end}`)
    }
    assert.is(await blobs.rehash(digest), true)
    assert.equal(await listed(blobs), [digest])
  })

  check('an empty blob is one', async ({blobs}) => {
    await blobs.put(sha256Hex(''), 0, inPieces(Buffer.alloc(0)))
    assert.is(await blobs.stat(sha256Hex('')), 0)
    assert.is((await bytesOf(blobs.read(sha256Hex('')))).length, 0)
    assert.is(await blobs.rehash(sha256Hex('')), true)
  })

  check('put again is no change, three at once are one', async ({blobs}) => {
    const puts = [0, 1, 2].map(() => blobs.put(digest, body.length, inPieces(body)))
    await Promise.all(puts)
    await blobs.put(digest, body.length, inPieces(body))
    assert.equal(await listed(blobs), [digest])
    assert.is(await blobs.rehash(digest), true)
  })

  check('swapped bytes are found, and mended by the right ones', async ({blobs, damage}) => {
    await blobs.put(digest, body.length, inPieces(body))
    const swapped = Buffer.from(body)
    swapped[1000] = (swapped[1000] ?? 0) ^ 1
    await damage(digest, swapped)
    assert.is(await blobs.rehash(digest), false)
    await blobs.put(digest, body.length, inPieces(body))
    assert.is(await blobs.rehash(digest), true)
    await damage(digest, body.subarray(0, 100))
    assert.is(await blobs.rehash(digest), false)
  })

  check('a removed blob is gone', async ({blobs}) => {
    await blobs.put(digest, body.length, inPieces(body))
    await blobs.remove(digest)
    await blobs.remove(digest)
    assert.is(await blobs.stat(digest), undefined)
    assert.equal(await listed(blobs), [])
    assert.is(await blobs.rehash(digest), false)
    await rejectsCode(() => bytesOf(blobs.read(digest)), 'blob_missing')
  })

  check('readers that leave early leave nothing open', async ({blobs}) => {
    await blobs.put(digest, body.length, inPieces(body))
    for (let at = 0; at < 20; at++) {
      for await (const piece of blobs.read(digest)) {
        assert.ok(piece.length > 0)
        break
      }
    }
    await blobs.checkWritable()
    assert.is(await blobs.sweep(3600), 0)
  })
}

function refusalCases(check: Check): void {
  const wrong: readonly [string, string, number, Uint8Array][] = [
    [
      'one byte changed',
      digest,
      body.length,
      Buffer.concat([body.subarray(1), body.subarray(0, 1)]),
    ],
    ['too short', digest, body.length, body.subarray(1)],
    ['too long', digest, body.length, Buffer.concat([body, Buffer.from('x')])],
    ['another size announced', digest, body.length - 1, body],
    ['nothing', digest, body.length, Buffer.alloc(0)],
  ]
  for (const [name, sha256, size, bytes] of wrong) {
    check(`refused and not kept: ${name}`, async ({blobs}) => {
      await rejectsCode(() => blobs.put(sha256, size, inPieces(bytes)), 'blob_mismatch')
      assert.is(await blobs.stat(sha256), undefined)
      assert.equal(await listed(blobs), [])
    })
  }

  check('a cut put leaves nothing', async ({blobs}) => {
    await cut(() => blobs.put(digest, body.length, cutAfter(body.subarray(0, 200_000))))
    assert.is(await blobs.stat(digest), undefined)
  })

  check('nothing but a digest is a name', async ({blobs}) => {
    const names = ['', 'x', '../../etc/passwd', digest.toUpperCase(), `${digest}/..`, `${digest}\n`]
    for (const name of names) {
      await rejectsCode(() => blobs.stat(name), 'blob_name_malformed')
      await rejectsCode(() => blobs.put(name, 1, inPieces(body)), 'blob_name_malformed')
      await rejectsCode(() => bytesOf(blobs.read(name)), 'blob_name_malformed')
      await rejectsCode(() => blobs.remove(name), 'blob_name_malformed')
    }
  })
}

function uploadCases(check: Check): void {
  check('an upload that is cut twenty times becomes its blob', async ({blobs, uploads}) => {
    await uploads.create({id: 'U1', size: body.length})
    assert.is(await uploads.offset('U1'), 0)
    const step = Math.ceil(body.length / 20)
    for (let at = 0; at < body.length; at += step) {
      assert.is(await uploads.offset('U1'), at)
      const piece = body.subarray(at, at + step)
      if (at === step) assert.is(await uploads.append('U1', at, inPieces(piece)), at + step)
      else await cut(() => uploads.append('U1', at, cutAfter(piece)))
    }
    assert.is(await uploads.offset('U1'), body.length)
    assert.is(await blobs.stat(digest), undefined)
    await uploads.finish('U1', digest, blobs)
    assert.is(await blobs.rehash(digest), true)
    assert.is(await uploads.offset('U1'), undefined)
    await rejectsCode(() => uploads.finish('U1', digest, blobs), 'upload_unknown')
  })

  check('an upload refuses what does not fit', async ({blobs, uploads}) => {
    await uploads.create({id: 'U1', size: 10})
    const ten = Buffer.from('0123456789')
    const refusal = await rejectsCode(
      () => uploads.append('U1', 3, inPieces(ten)),
      'upload_offset_wrong',
    )
    assert.equal(refusal.details, {offset: 0})
    await rejectsCode(() => uploads.append('U1', 0, inPieces(body)), 'upload_too_long')
    const stored = (await uploads.offset('U1')) ?? -1
    await uploads.append('U1', stored, inPieces(ten.subarray(stored, 4)))
    await rejectsCode(() => uploads.finish('U1', sha256Hex(ten), blobs), 'upload_incomplete')
    assert.is(await uploads.append('U1', 4, inPieces(ten.subarray(4))), 10)
    await uploads.finish('U1', sha256Hex(ten), blobs)
    assert.equal(await listed(blobs), [sha256Hex(ten)])
  })

  check('an upload of other bytes is thrown away', async ({blobs, uploads}) => {
    await uploads.create({id: 'U1', size: 4})
    await uploads.append('U1', 0, inPieces(Buffer.from('evil')))
    await rejectsCode(() => uploads.finish('U1', sha256Hex('good'), blobs), 'blob_mismatch')
    assert.is(await uploads.offset('U1'), undefined)
    assert.equal(await listed(blobs), [])
  })

  check('one writer at a time', async ({uploads}) => {
    await uploads.create({id: 'U1', size: 4})
    const gate = Promise.withResolvers<void>()
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('ab')
      await gate.promise
      yield Buffer.from('cd')
    }
    const first = uploads.append('U1', 0, slow())
    await rejectsCode(() => uploads.append('U1', 0, inPieces(Buffer.from('x'))), 'upload_busy')
    gate.resolve()
    assert.is(await first, 4)
    await uploads.remove('U1')
    await uploads.remove('U1')
    assert.is(await uploads.offset('U1'), undefined)
  })

  check('unknown uploads and names that are none', async ({blobs, uploads}) => {
    for (const id of ['U9', '', '..', 'a/b', '.U9.x']) {
      assert.is(await uploads.offset(id), undefined)
      await rejectsCode(() => uploads.append(id, 0, inPieces(body)), 'upload_unknown')
      await rejectsCode(() => uploads.finish(id, digest, blobs), 'upload_unknown')
    }
    await rejectsCode(() => uploads.create({id: '../x', size: 1}), 'upload_unknown')
  })

  check('uploads that nobody writes to are named', async ({uploads}) => {
    await uploads.create({id: 'U1', size: 4})
    await uploads.create({id: 'U2', size: 4})
    const stale = async (seconds: number): Promise<string[]> => {
      const ids: string[] = []
      for await (const id of uploads.stale(seconds)) ids.push(id)
      return ids.sort()
    }
    assert.equal(await stale(3600), [])
    assert.equal(await stale(-5), ['U1', 'U2'])
    for (const id of ['U1', 'U2']) await uploads.remove(id)
  })
}
