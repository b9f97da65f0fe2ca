import {type RawBuilder, sql, type Transaction} from 'kysely'
import {RelError} from '../../system/error.ts'
import type {Engine, Tables} from './tables.ts'

/** Each step runs once, in order, in one transaction with all that are due; none is ever edited. */
const steps: readonly ((engine: Engine) => readonly string[])[] = [
  firstTables,
  publishersAndClock,
  sigstoreBundles,
  reportsOnce,
  nodesOfLicenses,
]

/**
 * Brings the schema up to date, one process at a time.
 * Refuses with store_newer when a later rel wrote it.
 */
export async function migrate(engine: Engine): Promise<void> {
  await engine.writer.transaction().execute(async (trx) => {
    await engine.lockSchema(trx)
    await run(trx, `create table if not exists settings (${columns(engine, settingsColumns)})`)
    const version = await schemaVersion(trx)
    if (version > steps.length)
      throw new RelError('store_newer', `schema ${version} is newer than ${steps.length}`)
    if (version === steps.length) return
    for (const step of steps.slice(version)) {
      for (const statement of step(engine)) await run(trx, statement)
    }
    await trx.deleteFrom('settings').where('name', '=', 'schema').execute()
    await trx
      .insertInto('settings')
      .values({name: 'schema', value: String(steps.length)})
      .execute()
  })
}

async function schemaVersion(trx: Transaction<Tables>): Promise<number> {
  const row = await trx
    .selectFrom('settings')
    .select('value')
    .where('name', '=', 'schema')
    .executeTakeFirst()
  return row === undefined ? 0 : Number(row.value)
}

async function run(trx: Transaction<Tables>, statement: string): Promise<void> {
  const query: RawBuilder<unknown> = sql.raw(statement)
  await query.execute(trx)
}

const settingsColumns = 'name TEXT primary key, value TEXT not null'

/** `TEXT` becomes the engine's text of byte order. */
function columns(engine: Engine, list: string): string {
  return list.replaceAll('TEXT', engine.text)
}

function firstTables(engine: Engine): readonly string[] {
  const table = (name: string, list: string): string =>
    `create table ${name} (${columns(engine, list)})`
  return [
    table('counters', 'name TEXT primary key, value bigint not null'),
    "insert into counters values ('audit', 0), ('blobs', 0), ('license_epoch', 0)",
    table(
      'products',
      `name TEXT primary key, matrix_version bigint not null, required TEXT not null,
       floor TEXT, floor_key TEXT, stopovers TEXT not null, anchor TEXT, created bigint not null,
       sequence bigint not null, fence bigint not null, fence_expires bigint not null`,
    ),
    table(
      'releases',
      `product TEXT not null references products (name), version TEXT not null,
       sort_key TEXT not null, channel TEXT not null, digest TEXT not null,
       envelope TEXT not null, artifacts TEXT not null,
       state TEXT not null check (state in ('draft', 'published', 'recalled')),
       sequence bigint, created bigint not null, published bigint, recall TEXT,
       primary key (product, version), unique (product, sort_key), unique (product, sequence),
       check ((state = 'draft') = (sequence is null)),
       check ((state = 'draft') = (published is null)),
       check ((state = 'recalled') = (recall is not null))`,
    ),
    'create index releases_newest on releases (product, state, sort_key)',
    table(
      'release_blobs',
      `product TEXT not null, version TEXT not null, sha256 TEXT not null,
       primary key (sha256, product, version)`,
    ),
    'create index release_blobs_of on release_blobs (product, version)',
    table(
      'log_leaves',
      'product TEXT not null, position bigint not null, text TEXT not null, primary key (product, position)',
    ),
    table(
      'licenses',
      `id TEXT primary key, product TEXT not null, customer TEXT not null, track TEXT not null,
       entitlements TEXT not null, expires bigint not null, serial bigint not null,
       state TEXT not null check (state in ('active', 'frozen', 'revoked')), file TEXT not null,
       reason TEXT, created bigint not null`,
    ),
    'create index licenses_of on licenses (product, id)',
    table(
      'tokens',
      `id TEXT primary key, name TEXT not null, sha256 TEXT not null unique, verbs TEXT not null,
       products TEXT, expires bigint not null, revoked bigint not null, created bigint not null`,
    ),
    table(
      'uploads',
      `id TEXT primary key, sha256 TEXT not null, size bigint not null, owner TEXT not null,
       created bigint not null, expires bigint not null`,
    ),
    'create index uploads_of on uploads (sha256)',
    table(
      'reports',
      `license_id TEXT not null, code TEXT not null, version TEXT not null, phase TEXT not null,
       time bigint not null`,
    ),
    'create index reports_of on reports (license_id, time)',
    table(
      'audit',
      `position bigint primary key, time bigint not null, actor TEXT not null, request_id TEXT,
       event TEXT not null, product TEXT, subject TEXT, details TEXT,
       previous TEXT not null, hash TEXT not null`,
    ),
    ...engine.guards,
  ]
}

/** Runs of pipelines that show an identity instead of a token, and the latest time that was seen. */
function publishersAndClock(engine: Engine): readonly string[] {
  return [
    `create table publishers (${columns(
      engine,
      `id TEXT primary key, product TEXT not null references products (name), rule TEXT not null,
       verbs TEXT not null, removed bigint not null, created bigint not null`,
    )})`,
    `create table identities_seen (${columns(engine, 'id TEXT primary key, expires bigint not null')})`,
    `alter table tokens add column ${columns(engine, 'publisher TEXT')}`,
    "insert into counters values ('clock', 0)",
  ]
}

/** Sigstore bundles over release manifests, which come with the draft and never after it. */
function sigstoreBundles(engine: Engine): readonly string[] {
  return [
    `alter table releases add column ${columns(engine, 'sigstore TEXT')}`,
    engine.sigstoreGuard,
  ]
}

/** A report that is sent again is one report; those without a key never meet. */
function reportsOnce(engine: Engine): readonly string[] {
  return [
    `alter table reports add column ${columns(engine, 'once TEXT')}`,
    'create unique index reports_once on reports (license_id, once)',
  ]
}

/** What nodes have stated of themselves, by licence: another one's word is of another node. */
function nodesOfLicenses(engine: Engine): readonly string[] {
  return [
    `create table nodes (${columns(
      engine,
      `license_id TEXT not null, node TEXT not null, seq bigint not null, version TEXT not null,
       told bigint, primary key (license_id, node)`,
    )})`,
  ]
}
