import {sha256Hex} from '../../system/hash.ts'
import {canonicalJson} from '../../trust/canonical-json.ts'
import type {Actor, AuditEvent, AuditRow} from './store.ts'
import type {AuditTableRow, Engine, Work} from './tables.ts'
import {lockCounter} from './transaction.ts'

/** What the first row has as the hash of the one before it. */
const GENESIS = '0'.repeat(64)

const PAGE_ROWS = 500

/** How many rows there are, and the hash of the last one. */
export async function auditHead({db}: Engine): Promise<{rows: number; head: string}> {
  const query = db.selectFrom('audit').select(['position', 'hash']).orderBy('position', 'desc')
  const last = await query.limit(1).executeTakeFirst()
  return {rows: last?.position ?? 0, head: last?.hash ?? GENESIS}
}

/** Writes one row in the transaction of what it tells about; the row before is waited for. */
export async function appendAudit(work: Work, event: AuditEvent, by: Actor): Promise<void> {
  const {trx, now} = work
  await lockCounter(work, 'audit')
  const last = await trx
    .selectFrom('audit')
    .select(['position', 'hash'])
    .orderBy('position', 'desc')
    .limit(1)
    .executeTakeFirst()
  const row: Omit<AuditTableRow, 'hash'> = {
    position: (last?.position ?? 0) + 1,
    time: now,
    actor: by.id,
    request_id: by.requestId ?? null,
    event: event.event,
    product: event.product ?? null,
    subject: event.subject ?? null,
    details: event.details === undefined ? null : canonicalJson(event.details),
    previous: last?.hash ?? GENESIS,
  }
  await trx
    .insertInto('audit')
    .values({...row, hash: hashOf(row)})
    .execute()
}

/** docs/formats/panel-storage.md: SHA-256 of the canonical JSON of all columns but the hash. */
function hashOf(row: Omit<AuditTableRow, 'hash'>): string {
  return sha256Hex(canonicalJson(row))
}

export async function auditRows(
  engine: Engine,
  after: number,
  limit: number,
): Promise<readonly AuditRow[]> {
  return (await tableRows(engine, after, limit)).map(auditRow)
}

function tableRows({db}: Engine, after: number, limit: number): Promise<AuditTableRow[]> {
  const query = db.selectFrom('audit').selectAll().where('position', '>', after)
  return query.orderBy('position').limit(limit).execute()
}

function auditRow(row: AuditTableRow): AuditRow {
  return {
    index: row.position,
    time: row.time,
    actor: row.actor,
    event: row.event,
    previous: row.previous,
    hash: row.hash,
    ...(row.request_id === null ? {} : {requestId: row.request_id}),
    ...(row.product === null ? {} : {product: row.product}),
    ...(row.subject === null ? {} : {subject: row.subject}),
    ...(row.details === null
      ? {}
      : {details: JSON.parse(row.details) as NonNullable<AuditEvent['details']>}),
  }
}

/** Walks the chain from the first row; `broken` is the position of the first that does not fit. */
export async function verifyAuditChain(
  engine: Engine,
): Promise<{rows: number; head: string; broken?: number}> {
  let [rows, head] = [0, GENESIS]
  for (;;) {
    const page = await tableRows(engine, rows, PAGE_ROWS)
    for (const {hash, ...row} of page) {
      const fits = row.position === rows + 1 && row.previous === head && hash === hashOf(row)
      if (!fits) return {rows, head, broken: rows + 1}
      rows++
      head = hash
    }
    if (page.length < PAGE_ROWS) return {rows, head}
  }
}
