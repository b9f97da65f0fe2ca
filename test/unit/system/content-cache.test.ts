import {createHash} from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {ContentCache} from '../../../src/system/content-cache.ts'
import {rejectsCode, throwsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

test('what is added is found by its digest, until somebody changes it', async () => {
  const cache = new ContentCache(temporaryFolder())
  const {path} = cache.add(Buffer.from('content'))
  assert.is((await cache.find(sha256('content')))?.path, path)
  assert.is(await cache.find(sha256('other')), undefined)
  writeFileSync(path, 'changed', {mode: 0o644})
  assert.is(await cache.find(sha256('content')), undefined)
  assert.not.ok(existsSync(path))
})

test('a directory in the place of a file is removed, not believed', async () => {
  const folder = temporaryFolder()
  const digest = sha256('content')
  const path = join(folder, 'sha256', digest.slice(0, 2), digest)
  mkdirSync(path, {recursive: true})
  const cache = new ContentCache(folder)
  assert.is(await cache.find(digest), undefined)
  assert.not.ok(existsSync(path))
})

test('a damaged record counts as none', () => {
  const folder = temporaryFolder()
  const cache = new ContentCache(folder)
  cache.keepRecord('key', {etag: 'x'})
  assert.equal(cache.record('key'), {etag: 'x'})
  assert.is(cache.record('another'), undefined)
  for (const text of ['{', 'null', '7', 'x'.repeat(100_000)]) {
    writeFileSync(join(folder, 'answers', `${sha256('key')}.json`), text)
    assert.is(cache.record('key'), undefined)
  }
})

test('a record counts only under the name and with the key it was kept with', () => {
  const folder = temporaryFolder()
  const [ours, theirs] = [join(temporaryFolder(), 'key'), join(temporaryFolder(), 'key')]
  const cache = new ContentCache(folder, ours)
  cache.keepRecord('release', {etag: 'x', sha256: 'a'})
  cache.keepRecord('other', {etag: 'x', sha256: 'b'})
  assert.equal(new ContentCache(folder, ours).record('release'), {etag: 'x', sha256: 'a'})
  assert.is(new ContentCache(folder, theirs).record('release'), undefined)
  assert.is(statSync(ours).mode & 0o777, 0o600)

  const pathOf = (name: string) => join(folder, 'answers', `${sha256(name)}.json`)
  const text = readFileSync(pathOf('release'), 'utf8')
  writeFileSync(pathOf('release'), text.replace('"a"', '"b"'))
  assert.is(cache.record('release'), undefined)
  copyFileSync(pathOf('other'), pathOf('release'))
  assert.is(cache.record('release'), undefined)
  chmodSync(ours, 0o644)
  assert.is(new ContentCache(folder, ours).record('other'), undefined)
})

test('a folder that others can write into is refused', async () => {
  const folder = temporaryFolder()
  new ContentCache(folder).add(Buffer.from('content'))
  chmodSync(folder, 0o777)
  const cache = new ContentCache(folder)
  await rejectsCode(() => cache.find(sha256('content')), 'cache_not_private')
  await rejectsCode(() => cache.openPart('key'), 'cache_not_private')
  throwsCode(() => cache.add(Buffer.from('content')), 'cache_not_private')
  throwsCode(() => cache.record('key'), 'cache_not_private')
})

test('a record too large to be read is not written', () => {
  const cache = new ContentCache(temporaryFolder())
  cache.keepRecord('key', {etag: 'x'.repeat(100_000)})
  assert.is(cache.record('key'), undefined)
})

test('a part is claimed by one process only, with its bytes and its ETag', async () => {
  const cache = new ContentCache(temporaryFolder())
  const first = await cache.openPart('key')
  first.restart('"tag"')
  first.append(Buffer.from('half'))
  const beside = await cache.openPart('key')
  assert.is(beside.size, 0, 'somebody still writes into the first')
  first.leave()
  const next = await cache.openPart('key')
  assert.is(next.size, 4)
  assert.is(next.etag, '"tag"')
  assert.is(next.digest(), sha256('half'))
  assert.is((await cache.openPart('key')).size, 0)
  next.append(Buffer.from(' and half'))
  assert.is(next.finish().sha256, sha256('half and half'))
})

test('a part of a killed process is claimed when nobody has written for a while', async () => {
  const folder = temporaryFolder()
  const cache = new ContentCache(folder)
  const killed = await cache.openPart('key')
  killed.restart('"tag"')
  killed.append(Buffer.from('half'))
  for (const name of readdirSync(join(folder, 'parts'))) {
    const then = Date.now() / 1000 - 200
    utimesSync(join(folder, 'parts', name), then, then)
  }
  const next = await cache.openPart('key')
  assert.is(next.size, 4)
})

test('parts without an ETag are not kept, and forgotten ones are removed', async () => {
  const folder = temporaryFolder()
  const cache = new ContentCache(folder)
  const part = await cache.openPart('key')
  part.append(Buffer.from('bytes'))
  part.leave()
  assert.equal(readdirSync(join(folder, 'parts')), [])
  const old = join(folder, 'parts', `${'0'.repeat(64)}.0000.part`)
  writeFileSync(old, 'old')
  const then = Date.now() / 1000 - 8 * 24 * 3600
  utimesSync(old, then, then)
  const other = await cache.openPart('other')
  assert.not.ok(existsSync(old))
  other.discard()
})

test.run()
