import type {CounterName, Engine, Work} from './tables.ts'

/** A deadlock or a serialisation failure is run again this often. */
const ATTEMPTS = 5

/**
 * Runs one transaction that writes; the body may run several times, so its effects are its rows.
 * Refuses with what the body refuses with, and store_busy, store_full, store_read_only,
 * store_damaged, store_unavailable, store_failed.
 */
export async function write<Result>(
  engine: Engine,
  now: () => number,
  body: (work: Work) => Promise<Result>,
): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await engine.writer.transaction().execute((trx) => body({trx, engine, now: now()}))
    } catch (error) {
      if (attempt < ATTEMPTS && engine.isTransient(error)) continue
      throw engine.refusal(error) ?? error
    }
  }
}

/** A reading call with the database's errors as rel's. */
export async function read<Result>(engine: Engine, body: () => Promise<Result>): Promise<Result> {
  try {
    return await body()
  } catch (error) {
    throw engine.refusal(error) ?? error
  }
}

/** Waits for whoever holds a counter's row, and holds it to the end of the transaction. */
export async function lockCounter(
  {trx, engine}: Work,
  name: CounterName,
  mode: 'alone' | 'shared' = 'alone',
): Promise<void> {
  if (!engine.hasRowLocks) return
  const query = trx.selectFrom('counters').select('value').where('name', '=', name)
  await (mode === 'alone' ? query.forUpdate() : query.forShare()).execute()
}

export async function raiseCounter({trx}: Work, name: CounterName): Promise<void> {
  await trx
    .updateTable('counters')
    .set((row) => ({value: row('value', '+', 1)}))
    .where('name', '=', name)
    .execute()
}
