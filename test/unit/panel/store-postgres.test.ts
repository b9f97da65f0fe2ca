import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {openPostgresStore} from '../../../src/panel/store/postgres.ts'
import {needsThat} from '../../support/needs.ts'
import {type Postgres, runSql, startPostgres} from '../../support/postgres.ts'
import {rejectsCode} from '../../support/rejects.ts'
import {by, draftOf, expected, publishOne, storeConformance} from './store-conformance.ts'

const now = (): number => 1_800_000_000

const started = await startPostgres()
if (needsThat('PostgreSQL', typeof started !== 'string', String(started)))
  postgresTests(started as Postgres)

function postgresTests(server: Postgres): void {
  storeConformance('postgres', async () => {
    const url = await server.createDatabase()
    const openAnother = (): ReturnType<typeof openPostgresStore> => openPostgresStore({url, now})
    return {store: await openAnother(), openAnother, raw: (text) => runSql(url, text)}
  })

  test('postgres: whole tables are not emptied either', async () => {
    const url = await server.createDatabase()
    const store = await openPostgresStore({url, now})
    await publishOne(store, draftOf('1.4.2'))
    for (const table of ['releases', 'release_blobs', 'log_leaves', 'audit', 'products']) {
      const error = await runSql(url, `truncate ${table} cascade`).catch((thrown: Error) => thrown)
      assert.match(String(error), /_immutable|_append_only|_permanent/, table)
    }
    assert.is((await store.release('edge-agent', '1.4.2'))?.state, 'published')
    await store.close()
  })

  test('postgres: a changed audit row is found, its guard removed', async () => {
    const url = await server.createDatabase()
    const store = await openPostgresStore({url, now})
    await publishOne(store, draftOf('1.4.2'))
    await runSql(url, 'alter table audit disable trigger all')
    await runSql(url, `update audit set actor = 'nobody' where position = 2`)
    const {rows, broken} = await store.verifyAudit()
    assert.equal([rows, broken], [1, 2])
    await store.close()
  })

  test('postgres: instances that start together make one schema', async () => {
    const url = await server.createDatabase()
    const stores = await Promise.all([0, 1, 2, 3].map(() => openPostgresStore({url, now})))
    await Promise.all(stores.map((store) => store.addProduct('edge-agent', by)))
    assert.is((await stores[0]?.audit(0, 10))?.length, 1)
    await Promise.all(stores.map((store) => store.close()))
    await runSql(url, `update settings set value = '99' where name = 'schema'`)
    await rejectsCode(() => openPostgresStore({url}), 'store_newer')
  })

  test('postgres: a read-only database says so, reading goes on', async () => {
    const url = await server.createDatabase()
    const store = await openPostgresStore({url, now})
    await store.addProduct('edge-agent', by)
    await store.close()
    const name = new URL(url).pathname.slice(1)
    await runSql(url, `alter database ${name} set default_transaction_read_only = on`)
    await rejectsCode(() => openPostgresStore({url}), 'store_read_only')
  })

  test('postgres: a killed server refuses, and afterwards everything confirmed is there', async () => {
    const url = await server.createDatabase()
    const store = await openPostgresStore({url, now})
    await publishOne(store, draftOf('1.0.0'))
    await store.addDraft(draftOf('1.1.0'), by)
    await server.kill()
    await rejectsCode(() => store.release('edge-agent', '1.0.0'), 'store_unavailable')
    const flip = (): ReturnType<typeof store.publish> =>
      store.publish('edge-agent', '1.1.0', expected(draftOf('1.1.0')), by)
    await rejectsCode(flip, 'store_unavailable')
    await server.up()
    assert.is((await store.release('edge-agent', '1.0.0'))?.sequence, 1)
    assert.is((await flip()).release.sequence, 2)
    assert.is((await store.logHead('edge-agent')).size, 2)
    assert.is((await store.verifyAudit()).broken, undefined)
    await store.close()
  })

  test('postgres: a connection that is cut in a transaction ends that transaction alone', async () => {
    const url = await server.createDatabase()
    const store = await openPostgresStore({url, now})
    await store.addProduct('edge-agent', by)
    const cut = async (): Promise<void> => {
      await runSql(
        url,
        `select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'rel-panel' and datname = current_database()`,
      )
    }
    await rejectsCode(() => store.unlessLive('x', cut), 'store_unavailable')
    assert.is(await publishOne(store, draftOf('1.0.0')), 1)
    await store.close()
  })

  test('postgres: the password is not shown', async () => {
    const url = (await server.createDatabase()).replace('rel@', 'rel:hunter2@')
    const store = await openPostgresStore({url, now})
    assert.not.match(store.label, /hunter2/)
    await rejectsCode(() => store.backup('/nowhere'), 'backup_unsupported')
    await store.close()
  })

  test.after(() => server.stop())
}

test('postgres: what is no address is refused, what does not answer is named', async () => {
  for (const url of ['', 'mysql://x/y', 'postgres://host', 'postgres://host/'])
    await rejectsCode(() => openPostgresStore({url}), 'store_address_invalid')
  const url = 'postgres://rel:hunter2@127.0.0.1:1/panel'
  const refusal = await rejectsCode(() => openPostgresStore({url}), 'store_unavailable')
  assert.not.match(refusal.message, /hunter2/)
})

test.run()
