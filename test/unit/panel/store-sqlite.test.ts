import {statSync, truncateSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {DatabaseSync} from 'node:sqlite'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {openSqliteStore} from '../../../src/panel/store/sqlite.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {temporaryFolder} from '../../support/tmp.ts'
import {by, draftOf, publishOne, storeConformance, type TestedStore} from './store-conformance.ts'

const now = (): number => 1_800_000_000

async function open(): Promise<TestedStore & {path: string}> {
  const path = join(temporaryFolder('rel panel-'), 'panel.db')
  const openAnother = (): ReturnType<typeof openSqliteStore> => openSqliteStore({path, now})
  const raw = async (sql: string): Promise<void> => {
    const database = new DatabaseSync(path, {enableForeignKeyConstraints: false})
    try {
      database.exec('pragma busy_timeout = 10000')
      database.exec(sql)
    } finally {
      database.close()
    }
  }
  return {path, store: await openAnother(), openAnother, raw}
}

storeConformance('sqlite', open)

const replacing: readonly [string, string][] = [
  ['release', 'insert or replace into releases select * from releases'],
  ['leaf', `insert or replace into log_leaves values ('edge-agent', 0, 'x')`],
  ['audit row', `insert or replace into audit select * from audit`],
]

for (const [name, sql] of replacing) {
  test(`sqlite: INSERT OR REPLACE does not get around the guard of a ${name}`, async () => {
    const {store, raw} = await open()
    await publishOne(store, draftOf('1.4.2'))
    const before = [await store.release('edge-agent', '1.4.2'), await store.log('edge-agent', 0, 9)]
    const error = await raw(sql).catch((thrown: Error) => thrown)
    assert.match(String(error), /_immutable|_append_only/)
    const after = [await store.release('edge-agent', '1.4.2'), await store.log('edge-agent', 0, 9)]
    assert.equal(after, before)
    await store.close()
  })
}

test('sqlite: a changed audit row is found, its guard removed', async () => {
  const {store, raw} = await open()
  await publishOne(store, draftOf('1.4.2'))
  await store.record({event: 'sign_in'}, by)
  await raw(`drop trigger audit_update; update audit set actor = 'nobody' where position = 2`)
  const {rows, broken} = await store.verifyAudit()
  assert.equal([rows, broken], [1, 2])
  await store.close()
})

test('sqlite: the file is private, and so is what lies beside it', async () => {
  const {store, path} = await open()
  assert.is(statSync(path).mode & 0o777, 0o600)
  assert.is(statSync(`${path}-wal`).mode & 0o777, 0o600)
  await store.close()
})

test('sqlite: another writer is waited for, but not for ever', async () => {
  const {store, path} = await open()
  await store.addProduct('edge-agent', by)
  const impatient = await openSqliteStore({path, busyTimeoutMs: 60})
  const other = new DatabaseSync(path)
  other.exec('begin immediate')
  const waiting = store.record({event: 'waited'}, by)
  assert.is((await store.products()).length, 1) // while its own writer waits
  await rejectsCode(() => impatient.record({event: 'impatient'}, by), 'store_busy')
  assert.is((await impatient.products()).length, 1) // reading waits for nobody
  other.exec('commit')
  other.close()
  await waiting
  await impatient.record({event: 'afterwards'}, by)
  const events = (await store.audit(0, 9)).map(({event}) => event)
  assert.equal(events, ['product.added', 'waited', 'afterwards'])
  await impatient.close()
  await store.close()
})

test('sqlite: a file of a newer rel is left alone', async () => {
  const {store, path, raw} = await open()
  await raw(`update settings set value = '99' where name = 'schema'`)
  await store.close()
  await rejectsCode(() => openSqliteStore({path}), 'store_newer')
})

test('sqlite: what is no database is refused', async () => {
  const path = join(temporaryFolder(), 'panel.db')
  writeFileSync(path, 'x'.repeat(8192))
  await rejectsCode(() => openSqliteStore({path}), 'store_damaged')
  await rejectsCode(() => openSqliteStore({path: join(path, 'below')}), 'write_failed')
})

test('sqlite: a damaged page is named as damage', async () => {
  const {store, path} = await open()
  for (let at = 0; at < 40; at++) await publishOne(store, draftOf(`1.0.${at}`, 'x'.repeat(2000)))
  await store.close()
  truncateSync(path, Math.floor(statSync(path).size / 2 / 4096) * 4096)
  const act = async (): Promise<void> => {
    const damaged = await openSqliteStore({path})
    try {
      await damaged.releases('edge-agent', {limit: 100})
    } finally {
      await damaged.close()
    }
  }
  await rejectsCode(act, 'store_damaged')
})

test('sqlite: a backup taken while others write is whole', async () => {
  const {store, path} = await open()
  const copy = join(temporaryFolder(), 'copy.db')
  for (let at = 0; at < 20; at++) await publishOne(store, draftOf(`1.0.${at}`))
  const writing = (async () => {
    for (let at = 20; at < 40; at++) await publishOne(store, draftOf(`1.0.${at}`))
  })()
  await store.backup(copy)
  await writing
  await rejectsCode(() => store.backup(copy), 'file_exists')
  const restored = await openSqliteStore({path: copy})
  const {size} = await restored.logHead('edge-agent')
  assert.ok(size >= 20 && size <= 40, `${size} leaves`)
  assert.is((await restored.verifyAudit()).broken, undefined)
  const leaves = await restored.log('edge-agent', 0, 100)
  assert.equal(leaves, (await store.log('edge-agent', 0, 100)).slice(0, size))
  await restored.close()
  await store.close()
  assert.ok(path !== copy)
})

test.run()
