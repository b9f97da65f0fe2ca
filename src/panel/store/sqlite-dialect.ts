import type {DatabaseSync, SQLInputValue, StatementSync} from 'node:sqlite'
import {setTimeout} from 'node:timers/promises'
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'

/** SQLite waits with the whole process standing still, so it is asked for little at a time. */
const TURN_TIMEOUT_MS = 20

const SQLITE_BUSY = 5

/**
 * Kysely on node:sqlite: one connection that callers take in turns, statements prepared once.
 * Every transaction is BEGIN IMMEDIATE, so that none finds out in its middle that it may not write.
 */
export function sqliteDialect(database: DatabaseSync, busyTimeoutMs: number): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new SqliteDriver(database, busyTimeoutMs),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  }
}

class SqliteDriver implements Driver {
  readonly #connection: SqliteConnection
  readonly #database: DatabaseSync
  readonly #busyTimeoutMs: number
  /** Settled when the last one in the queue has let go. */
  #turn: Promise<void> = Promise.resolve()
  #release: () => void = () => undefined

  constructor(database: DatabaseSync, busyTimeoutMs: number) {
    this.#database = database
    this.#busyTimeoutMs = busyTimeoutMs
    this.#connection = new SqliteConnection(database)
  }

  async init(): Promise<void> {
    // the database is open already
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    const before = this.#turn
    const {promise, resolve} = Promise.withResolvers<void>()
    this.#turn = promise
    await before
    this.#release = resolve
    return this.#connection
  }

  async releaseConnection(): Promise<void> {
    this.#release()
  }

  /** Waits between attempts: whoever holds the lock may be in this very process. */
  async beginTransaction(): Promise<void> {
    const deadline = performance.now() + this.#busyTimeoutMs
    this.#database.exec(`pragma busy_timeout = ${TURN_TIMEOUT_MS}`)
    try {
      while (!this.#begin(deadline)) await setTimeout(Math.random() * TURN_TIMEOUT_MS)
    } finally {
      this.#database.exec(`pragma busy_timeout = ${this.#busyTimeoutMs}`)
    }
  }

  #begin(deadline: number): boolean {
    try {
      this.#database.exec('begin immediate')
      return true
    } catch (error) {
      const {errcode = 0} = error as {errcode?: number}
      if ((errcode & 0xff) !== SQLITE_BUSY || performance.now() > deadline) throw error
      return false
    }
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('commit'))
  }

  /** A full disk has rolled back by itself already. */
  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#database.isTransaction) await connection.executeQuery(CompiledQuery.raw('rollback'))
  }

  async destroy(): Promise<void> {
    await this.#turn
    this.#database.close()
  }
}

type Prepared = {readonly statement: StatementSync; readonly hasRows: boolean}

class SqliteConnection implements DatabaseConnection {
  readonly #database: DatabaseSync
  /** Bounded, since the text of a query depends on the lengths of its lists. */
  readonly #prepared = new Map<string, Prepared>()

  constructor(database: DatabaseSync) {
    this.#database = database
  }

  async executeQuery<Row>({sql, parameters}: CompiledQuery): Promise<QueryResult<Row>> {
    const {statement, hasRows} = this.#prepare(sql)
    const values = parameters as readonly SQLInputValue[]
    if (hasRows) return {rows: statement.all(...values) as Row[]}
    const {changes} = statement.run(...values)
    return {rows: [], numAffectedRows: BigInt(changes)}
  }

  // biome-ignore lint/correctness/useYield: the interface asks for it, and nothing streams
  async *streamQuery<Row>(): AsyncIterableIterator<QueryResult<Row>> {
    throw new Error('rows are read in pages')
  }

  #prepare(sql: string): Prepared {
    const known = this.#prepared.get(sql)
    if (known !== undefined) return known
    const statement = this.#database.prepare(sql)
    const prepared = {statement, hasRows: statement.columns().length > 0}
    if (this.#prepared.size >= 500) this.#prepared.clear()
    this.#prepared.set(sql, prepared)
    return prepared
  }
}
