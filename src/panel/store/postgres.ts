import {Kysely, PostgresDialect, sql} from 'kysely'
import pg from 'pg'
import {systemTime} from '../../system/clock.ts'
import type {ErrorCode} from '../../system/codes.ts'
import {RelError} from '../../system/error.ts'
import {openRelationalStore} from './relational.ts'
import type {PanelStore} from './store.ts'
import {type Engine, releaseIdentity, type Tables} from './tables.ts'

/** A publication takes milliseconds; a database that needs longer than this is not well. */
const STATEMENT_TIMEOUT_MS = 30_000
const CONNECT_TIMEOUT_MS = 10_000

const CONNECTIONS = 10

/** Any number that nothing else in the database locks. */
const SCHEMA_LOCK = 7_316_812

export type PostgresOptions = {
  /** `postgres://user@host/database`; a password comes from PGPASSWORD or stands in the URL. */
  readonly url: string
  /** Seconds since the epoch; the machine's clock when not given. */
  readonly now?: () => number
}

/**
 * The store of several panel instances: PostgreSQL 13 or later. Publications of one product queue
 * up at its row. Refuses with store_address_invalid, store_unavailable, store_failed, store_newer.
 */
export async function openPostgresStore({
  url,
  now = systemTime,
}: PostgresOptions): Promise<PanelStore> {
  const engine = openEngine(url)
  try {
    return await openRelationalStore(engine, now)
  } catch (error) {
    await engine.close()
    throw error
  }
}

function openEngine(url: string): Engine {
  const label = withoutSecrets(url)
  const pool = new pg.Pool({
    connectionString: url,
    max: CONNECTIONS,
    application_name: 'rel-panel',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: STATEMENT_TIMEOUT_MS + 5000,
    idle_in_transaction_session_timeout: 60_000,
    keepAlive: true,
    types: {getTypeParser: typeParser},
  })
  // a lost connection is told to the query that uses it, or to the next one; alone it is no news
  pool.on('error', () => undefined)
  pool.on('connect', (client) => client.on('error', () => undefined))
  const db = new Kysely<Tables>({dialect: new PostgresDialect({pool})})
  return {
    label,
    db,
    writer: db,
    hasRowLocks: true,
    text: 'text collate "C"',
    guards,
    sigstoreGuard: `create trigger releases_sigstore before update on releases for each row
      when (old.state <> 'draft' and new.sigstore is distinct from old.sigstore)
      execute function rel_refuse('release_immutable')`,
    lockSchema: async (trx) => {
      await sql`select pg_advisory_xact_lock(${SCHEMA_LOCK})`.execute(trx)
    },
    refusal: (error) => refusal(error, label),
    isTransient: (error) => isTransient((error as {code?: string}).code),
    backup: async () => {
      throw new RelError('backup_unsupported', `${label} is backed up by PostgreSQL's own tools`)
    },
    close: () => db.destroy(),
  }
}

/** The address as it may be shown. */
function withoutSecrets(url: string): string {
  if (!URL.canParse(url)) throw badAddress()
  const {protocol, username, host, pathname, searchParams} = new URL(url)
  if (protocol !== 'postgres:' && protocol !== 'postgresql:') throw badAddress()
  if (pathname.length < 2) throw badAddress()
  const user = username === '' ? '' : `${username}@`
  return `${protocol}//${user}${searchParams.get('host') ?? host}${pathname}`
}

function badAddress(): RelError {
  return new RelError('store_address_invalid', 'this is no address of a PostgreSQL database')
}

const INT8 = 20

/** Counts and times are far below 2^53; pg would hand 64-bit integers out as text. */
function typeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  return oid === INT8 ? Number : pg.types.getTypeParser(oid, format as 'text')
}

/** postgresql.org/docs/15/errcodes-appendix.html, and what the network says. */
const codeByState: Readonly<Record<string, ErrorCode>> = {
  '25006': 'store_read_only',
  '40001': 'store_busy',
  '40P01': 'store_busy',
  '53100': 'store_full',
  '53300': 'store_unavailable',
  '55P03': 'store_busy',
  '57014': 'store_busy',
  '57P01': 'store_unavailable',
  '57P02': 'store_unavailable',
  '57P03': 'store_unavailable',
  XX001: 'store_damaged',
  XX002: 'store_damaged',
  ECONNREFUSED: 'store_unavailable',
  ECONNRESET: 'store_unavailable',
  EPIPE: 'store_unavailable',
  ENOENT: 'store_unavailable',
  ENOTFOUND: 'store_unavailable',
  EAI_AGAIN: 'store_unavailable',
  EHOSTUNREACH: 'store_unavailable',
  ENETUNREACH: 'store_unavailable',
  ETIMEDOUT: 'store_unavailable',
}

function isTransient(code: string | undefined): boolean {
  return code === '40001' || code === '40P01'
}

function refusal(error: unknown, label: string): RelError | undefined {
  if (error instanceof RelError) return error
  const {code} = error as {code?: string}
  if (typeof code === 'string') {
    const general = code.startsWith('08') ? 'store_unavailable' : 'store_failed'
    return new RelError(codeByState[code] ?? general, `${label}: ${code}`, {cause: error})
  }
  // pg gives a lost connection and its own timeouts as an Error without any code
  if (error instanceof Error && Object.getPrototypeOf(error) === Error.prototype)
    return new RelError('store_unavailable', `${label}: the connection was lost`, {cause: error})
  return undefined
}

const sameIdentity = releaseIdentity
  .map((column) => `old.${column} is not distinct from new.${column}`)
  .join(' and ')

const afterDraft = `old.state = 'draft' or
  (old.sequence is not distinct from new.sequence and old.published is not distinct from new.published
   and new.state <> 'draft' and (old.state = 'published' or new.state = 'recalled'))`

const onlyRises = `old.name = new.name and new.sequence >= old.sequence and new.fence >= old.fence
  and new.matrix_version >= old.matrix_version
  and (old.floor_key is null or coalesce(new.floor_key >= old.floor_key, false))`

/** A trigger that refuses a row unless a condition without subqueries holds. */
function guard(when: string, table: string, unless: string, message: string): string {
  return `create trigger ${table}_${when} before ${when} on ${table} for each row
    when (not coalesce(${unless}, false)) execute function rel_refuse('${message}')`
}

/** A function and trigger that refuse a row unless a query says yes. */
function queryGuard(when: string, table: string, unless: string, message: string): string[] {
  const name = `${table}_${when}_query`
  const row = when === 'delete' ? 'old' : 'new'
  return [
    `create function rel_${name}() returns trigger language plpgsql as $$ begin
       if not coalesce((${unless}), false) then raise exception '${message}'; end if;
       return ${row};
     end $$`,
    `create trigger ${name} before ${when} on ${table}
       for each row execute function rel_${name}()`,
  ]
}

function noTruncate(table: string, message: string): string {
  return `create trigger ${table}_truncate before truncate on ${table}
    for each statement execute function rel_refuse('${message}')`
}

/** Refused from raw SQL too; only who may drop triggers gets past them. */
const guards: readonly string[] = [
  `create function rel_refuse() returns trigger language plpgsql as $$ begin
     raise exception '%', tg_argv[0];
   end $$`,
  guard('insert', 'releases', `new.state = 'draft'`, 'release_immutable'),
  guard('update', 'releases', `(${sameIdentity}) and (${afterDraft})`, 'release_immutable'),
  ...queryGuard(
    'update',
    'releases',
    `old.state <> 'draft' or new.state = 'draft' or (new.state = 'published' and new.sequence =
     (select coalesce(max(sequence), 0) + 1 from releases where product = new.product))`,
    'release_immutable',
  ),
  guard('delete', 'releases', `old.state = 'draft'`, 'release_immutable'),
  ...(['insert', 'delete'] as const).flatMap((when) => {
    const row = when === 'insert' ? 'new' : 'old'
    const unless = `exists (select 1 from releases where product = ${row}.product
      and version = ${row}.version and state = 'draft')`
    return queryGuard(when, 'release_blobs', unless, 'release_immutable')
  }),
  guard('update', 'release_blobs', 'false', 'release_immutable'),
  ...queryGuard(
    'insert',
    'log_leaves',
    `new.position = (select coalesce(max(position), -1) + 1 from log_leaves
     where product = new.product)`,
    'log_append_only',
  ),
  guard('update', 'log_leaves', 'false', 'log_append_only'),
  guard('delete', 'log_leaves', 'false', 'log_append_only'),
  ...queryGuard(
    'insert',
    'audit',
    `new.position = (select coalesce(max(position), 0) + 1 from audit) and new.previous =
     coalesce((select hash from audit order by position desc limit 1), new.previous)`,
    'audit_append_only',
  ),
  guard('update', 'audit', 'false', 'audit_append_only'),
  guard('delete', 'audit', 'false', 'audit_append_only'),
  guard('delete', 'products', 'false', 'product_permanent'),
  guard('update', 'products', onlyRises, 'product_only_rises'),
  noTruncate('releases', 'release_immutable'),
  noTruncate('release_blobs', 'release_immutable'),
  noTruncate('log_leaves', 'log_append_only'),
  noTruncate('audit', 'audit_append_only'),
  noTruncate('products', 'product_permanent'),
]
