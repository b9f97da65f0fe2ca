import {chmodSync, readdirSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {openFileBlobs} from '../../../src/panel/blobs/files.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {temporaryFolder} from '../../support/tmp.ts'
import {blobsConformance, bytesOf, inPieces, type TestedBlobs} from './blobs-conformance.ts'

async function open(): Promise<TestedBlobs & {folder: string}> {
  const folder = temporaryFolder('rel blobs-')
  return {
    folder,
    ...(await openFileBlobs({folder})),
    damage: async (sha256, bytes) => {
      const path = join(folder, 'blobs', 'sha256', sha256.slice(0, 2), sha256)
      chmodSync(path, 0o600)
      writeFileSync(path, bytes)
    },
    leftovers: async () => [
      ...readdirSync(join(folder, 'blobs', 'tmp')),
      ...readdirSync(join(folder, 'uploads')).filter((name) => name.startsWith('.')),
    ],
  }
}

blobsConformance('files', open)

test('files: a blob is private, read-only and where nginx looks for it', async () => {
  const {folder, blobs} = await open()
  const sha256 = sha256Hex('x')
  await blobs.put(sha256, 1, inPieces(Buffer.from('x')))
  assert.is(blobs.localPath?.(sha256), `sha256/${sha256.slice(0, 2)}/${sha256}`)
  const stat = statSync(join(folder, 'blobs', blobs.localPath?.(sha256) ?? ''))
  assert.is(stat.mode & 0o777, 0o444)
  assert.is(stat.nlink, 1)
  assert.is(statSync(join(folder, 'blobs')).mode & 0o777, 0o750)
})

test('files: an upload becomes a blob without being copied', async () => {
  const {folder, blobs, uploads} = await open()
  await uploads.create({id: 'U1', size: 4})
  await uploads.append('U1', 0, inPieces(Buffer.from('same')))
  const {ino} = statSync(join(folder, 'uploads', 'U1', 'bytes'))
  const sha256 = sha256Hex('same')
  await uploads.finish('U1', sha256, blobs)
  assert.is(statSync(join(folder, 'blobs', blobs.localPath?.(sha256) ?? '')).ino, ino)
})

test('files: orphans go by age', async () => {
  const {folder, blobs} = await open()
  writeFileSync(join(folder, 'blobs', 'tmp', 'orphan'), 'half')
  assert.is(await blobs.sweep(3600), 0)
  assert.is(await blobs.sweep(0), 1)
  assert.equal(readdirSync(join(folder, 'blobs', 'tmp')), [])
})

test('files: strangers in the folder are not blobs', async () => {
  const {folder, blobs} = await open()
  const sha256 = sha256Hex('x')
  await blobs.put(sha256, 1, inPieces(Buffer.from('x')))
  writeFileSync(join(folder, 'blobs', 'sha256', sha256.slice(0, 2), 'README'), '')
  writeFileSync(join(folder, 'blobs', 'sha256', 'notes'), '')
  assert.equal(await bytesOf(blobs.read(sha256)), Buffer.from('x'))
  const names: string[] = []
  for await (const name of blobs.list()) names.push(name)
  assert.equal(names, [sha256])
})

test('files: no descriptor stays open', async () => {
  const {blobs} = await open()
  const bytes = Buffer.alloc(1_000_000)
  const sha256 = sha256Hex(bytes)
  await blobs.put(sha256, bytes.length, inPieces(bytes))
  const before = readdirSync('/proc/self/fd').length
  for (let at = 0; at < 200; at++) {
    for await (const piece of blobs.read(sha256)) if (piece.length > 0) break
  }
  assert.ok(readdirSync('/proc/self/fd').length <= before)
})

test.run()
