import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  rmSync,
  utimesSync,
} from 'node:fs'
import {dirname} from 'node:path'
import {backup, DatabaseSync} from 'node:sqlite'
import {Kysely} from 'kysely'
import {systemTime} from '../../system/clock.ts'
import type {ErrorCode} from '../../system/codes.ts'
import {RelError} from '../../system/error.ts'
import {fileError, fsyncFolder, temporaryName} from '../../system/files.ts'
import {openRelationalStore} from './relational.ts'
import {sqliteDialect} from './sqlite-dialect.ts'
import type {PanelStore} from './store.ts'
import {type Engine, releaseIdentity, type Tables} from './tables.ts'

/** A writer holds the lock for milliseconds; longer than this and something hangs. */
const BUSY_TIMEOUT_MS = 15_000

export type SqliteOptions = {
  /** Of the database file, made with mode 0600 when absent; on a local disk, since it uses WAL. */
  readonly path: string
  /** Seconds since the epoch; the machine's clock when not given. */
  readonly now?: () => number
  /** How long another process's writing is waited for; 15 seconds when not given. */
  readonly busyTimeoutMs?: number
}

/**
 * The embedded store: one file, any number of processes of one machine.
 * Refuses with store_failed, store_read_only, store_damaged, store_newer, store_full, store_busy.
 */
export async function openSqliteStore({
  path,
  now = systemTime,
  busyTimeoutMs = BUSY_TIMEOUT_MS,
}: SqliteOptions): Promise<PanelStore> {
  const engine = openEngine(path, busyTimeoutMs)
  try {
    return await openRelationalStore(engine, now)
  } catch (error) {
    await engine.close()
    throw error
  }
}

function openEngine(path: string, busyTimeoutMs: number): Engine {
  const connections = openDatabase(path, busyTimeoutMs)
  const [db, writer] = [connections.reader, connections.writer].map(
    (database) => new Kysely<Tables>({dialect: sqliteDialect(database, busyTimeoutMs)}),
  ) as [Kysely<Tables>, Kysely<Tables>]
  return {
    label: path,
    db,
    writer,
    hasRowLocks: false,
    text: 'text',
    guards,
    sigstoreGuard: guard(
      'releases_sigstore',
      'update',
      'releases',
      `old.state = 'draft' or new.sigstore is old.sigstore`,
      'release_immutable',
    ),
    lockSchema: async () => undefined, // BEGIN IMMEDIATE has locked everything
    refusal: (error) => refusal(error, path),
    isTransient: () => false,
    backup: (target) => backUp(path, target),
    close: async () => {
      await db.destroy()
      await writer.destroy() // the last one takes the write-ahead log with it
    },
  }
}

type Connections = {readonly reader: DatabaseSync; readonly writer: DatabaseSync}

function openDatabase(path: string, busyTimeoutMs: number): Connections {
  let writer: DatabaseSync | undefined
  let reader: DatabaseSync | undefined
  try {
    checkFolder(path)
    // the write-ahead log and its index take over the mode of the file
    if (!existsSync(path)) closeSync(openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600))
    writer = new DatabaseSync(path)
    prepareConnection(writer, path, busyTimeoutMs)
    reader = new DatabaseSync(path, {readOnly: true})
    reader.exec(`pragma busy_timeout = ${busyTimeoutMs}`)
    reader.exec('pragma trusted_schema = off')
    return {reader, writer}
  } catch (error) {
    reader?.close()
    writer?.close()
    throw refusal(error, path) ?? fileError(error, path, 'write')
  }
}

/** SQLite would only say that it cannot open the file. */
function checkFolder(path: string): void {
  try {
    accessSync(dirname(path), constants.W_OK)
  } catch (error) {
    const {code = ''} = error as {code?: string}
    if (!['EROFS', 'EACCES', 'EPERM'].includes(code)) throw error
    throw new RelError('store_read_only', `${dirname(path)}: ${code}`, {cause: error})
  }
}

/**
 * Asked by a change: access(2) does not know of a disk that Linux 6.15 or later took for reading
 * alone. Never by opening the database: closing that would let go of SQLite's locks.
 */
function isReadOnly(path: string): boolean {
  try {
    const now = Date.now() / 1000
    utimesSync(dirname(path), now, now)
    return false
  } catch (error) {
    return (error as {code?: string}).code === 'EROFS'
  }
}

function prepareConnection(database: DatabaseSync, path: string, busyTimeoutMs: number): void {
  // the option `timeout` of the constructor is ignored by some versions of Node
  database.exec(`pragma busy_timeout = ${busyTimeoutMs}`)
  const mode = database.prepare('pragma journal_mode = wal').get() as {journal_mode?: string}
  if (mode.journal_mode !== 'wal')
    throw new RelError('store_failed', `${path} cannot have a write-ahead log`, {
      hint: 'keep the data folder on a local disk',
    })
  database.exec('pragma synchronous = full')
  database.exec('pragma foreign_keys = on')
  database.exec('pragma trusted_schema = off')
  database.exec('pragma journal_size_limit = 67108864')
}

/** SQLite's primary result codes, sqlite.org/rescode.html. */
const codeByResult: Readonly<Record<number, ErrorCode>> = {
  3: 'store_failed',
  5: 'store_busy',
  6: 'store_busy',
  8: 'store_read_only',
  10: 'store_failed',
  11: 'store_damaged',
  13: 'store_full',
  14: 'store_failed',
  26: 'store_damaged',
}

function refusal(error: unknown, path: string): RelError | undefined {
  if (error instanceof RelError) return error
  const {errcode, errstr} = error as {errcode?: number; errstr?: string}
  const found = errcode === undefined ? undefined : codeByResult[errcode & 0xff]
  if (found === undefined) return undefined
  // a disk that turned read-only under an open database is an I/O error to SQLite
  const code = found === 'store_failed' && isReadOnly(path) ? 'store_read_only' : found
  return new RelError(code, `${path}: ${errstr} (${errcode})`, {cause: error})
}

/** All pages in one step: a copy in several begins anew whenever somebody writes. */
const ALL_PAGES = 2_147_483_647

/**
 * A consistent copy while others write; the name appears when it is whole. It has a connection of
 * its own, since another thread reads through it.
 */
async function backUp(path: string, target: string): Promise<void> {
  if (existsSync(target)) throw new RelError('file_exists', `${target} exists already`)
  const temporary = temporaryName(target)
  try {
    const source = new DatabaseSync(path, {readOnly: true})
    try {
      await backup(source, temporary, {rate: ALL_PAGES})
    } finally {
      source.close()
    }
    const fd = openSync(temporary, 'r+')
    fsyncSync(fd)
    closeSync(fd)
    linkSync(temporary, target)
    fsyncFolder(dirname(target))
  } catch (error) {
    throw refusal(error, target) ?? fileError(error, target, 'write')
  } finally {
    rmSync(temporary, {force: true})
  }
}

const sameIdentity = releaseIdentity.map((column) => `old.${column} is new.${column}`).join(' and ')

const afterDraft = `old.state = 'draft' or
  (old.sequence is new.sequence and old.published is new.published and new.state <> 'draft'
   and (old.state = 'published' or new.state = 'recalled'))`

const intoPublished = `old.state <> 'draft' or new.state = 'draft' or (new.state = 'published'
  and new.sequence = (select coalesce(max(sequence), 0) + 1 from releases where product = new.product))`

function guard(name: string, when: string, table: string, unless: string, message: string): string {
  return `create trigger ${name} before ${when} on ${table} when not (${unless})
    begin select raise(abort, '${message}'); end`
}

/**
 * Refused from raw SQL too. The conditions on INSERT are there because INSERT OR REPLACE deletes
 * the row in its way without asking a DELETE trigger.
 */
const guards: readonly string[] = [
  guard(
    'releases_insert',
    'insert',
    'releases',
    `new.state = 'draft' and not exists (select 1 from releases where product = new.product
     and (version = new.version or sort_key = new.sort_key) and state <> 'draft')`,
    'release_immutable',
  ),
  guard(
    'releases_update',
    'update',
    'releases',
    `(${sameIdentity}) and (${afterDraft}) and (${intoPublished})`,
    'release_immutable',
  ),
  guard('releases_delete', 'delete', 'releases', `old.state = 'draft'`, 'release_immutable'),
  ...(['insert', 'delete'] as const).map((when) => {
    const row = when === 'insert' ? 'new' : 'old'
    const unless = `exists (select 1 from releases where product = ${row}.product
      and version = ${row}.version and state = 'draft')`
    return guard(`release_blobs_${when}`, when, 'release_blobs', unless, 'release_immutable')
  }),
  guard('release_blobs_update', 'update', 'release_blobs', '0', 'release_immutable'),
  guard(
    'log_leaves_insert',
    'insert',
    'log_leaves',
    `new.position = (select coalesce(max(position), -1) + 1 from log_leaves where product = new.product)`,
    'log_append_only',
  ),
  guard('log_leaves_update', 'update', 'log_leaves', '0', 'log_append_only'),
  guard('log_leaves_delete', 'delete', 'log_leaves', '0', 'log_append_only'),
  guard(
    'audit_insert',
    'insert',
    'audit',
    `new.position = (select coalesce(max(position), 0) + 1 from audit) and new.previous =
     coalesce((select hash from audit order by position desc limit 1), new.previous)`,
    'audit_append_only',
  ),
  guard('audit_update', 'update', 'audit', '0', 'audit_append_only'),
  guard('audit_delete', 'delete', 'audit', '0', 'audit_append_only'),
  guard('products_delete', 'delete', 'products', '0', 'product_permanent'),
  guard(
    'products_update',
    'update',
    'products',
    `old.name = new.name and new.sequence >= old.sequence and new.fence >= old.fence
     and new.matrix_version >= old.matrix_version
     and (old.floor_key is null or coalesce(new.floor_key >= old.floor_key, 0))`,
    'product_only_rises',
  ),
]
