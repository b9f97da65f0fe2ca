import type {Kysely} from 'kysely'
import {RelError} from '../../system/error.ts'
import type {NodeReport, ReportCount} from './store.ts'
import type {Engine, Tables, Work} from './tables.ts'

const DAY = 86_400
/** Far more than one node has to tell in a day; fewer than would fill a disk. */
const MAX_A_DAY = 200
const KEPT_DAYS = 30

/** Refuses with rate_limited when a licence has reported enough for a day, unless this is kept already. */
export async function checkReports(engine: Engine, report: NodeReport): Promise<void> {
  const {db} = engine
  const {licenseId, time} = report
  if (await isKept(engine, report)) return
  const recent = await recentTimes(db, licenseId, time)
  const [first] = recent
  if (first === undefined || recent.length < MAX_A_DAY) return
  const wait = Math.max(1, first + DAY - time)
  throw new RelError('rate_limited', `${MAX_A_DAY} reports a day are kept of a licence`, {
    details: {retry_after: wait},
  })
}

/** When a licence has reported within a day, oldest first, no more than count. */
async function recentTimes(
  db: Kysely<Tables>,
  licenseId: string,
  time: number,
): Promise<readonly number[]> {
  const rows = await db
    .selectFrom('reports')
    .select('time')
    .where('license_id', '=', licenseId)
    .where('time', '>', time - DAY)
    .orderBy('time')
    .limit(MAX_A_DAY)
    .execute()
  return rows.map((row) => row.time)
}

/** True when a licence has reported enough for a day. */
export async function isDayFull(
  db: Kysely<Tables>,
  licenseId: string,
  time: number,
): Promise<boolean> {
  return (await recentTimes(db, licenseId, time)).length >= MAX_A_DAY
}

async function isKept({db}: Engine, {licenseId, once}: NodeReport): Promise<boolean> {
  if (once === undefined) return false
  const row = await db
    .selectFrom('reports')
    .select('time')
    .where('license_id', '=', licenseId)
    .where('once', '=', once)
    .executeTakeFirst()
  return row !== undefined
}

/** Keeps a report, once, and forgets what the same licence reported long ago; true when it is new. */
export async function insertReport({trx}: Work, report: NodeReport): Promise<boolean> {
  const {licenseId, code, version, phase, time, once = null} = report
  await trx
    .deleteFrom('reports')
    .where('license_id', '=', licenseId)
    .where('time', '<', time - KEPT_DAYS * DAY)
    .execute()
  const inserted = await trx
    .insertInto('reports')
    .values({license_id: licenseId, code, version, phase, time, once})
    .onConflict((conflict) => conflict.columns(['license_id', 'once']).doNothing())
    .executeTakeFirst()
  return Number(inserted.numInsertedOrUpdatedRows ?? 0) > 0
}

/** As many different reports as a page can show. */
const MAX_COUNTS = 200

export async function countReports(
  {db}: Engine,
  product: string,
  since: number,
): Promise<readonly ReportCount[]> {
  const rows = await db
    .selectFrom('reports')
    .innerJoin('licenses', 'licenses.id', 'reports.license_id')
    .select(['reports.code', 'reports.version', 'reports.phase'])
    .select((of) => [
      of.fn.countAll().as('reports'),
      of.fn.count('reports.license_id').distinct().as('licenses'),
      of.fn.max('reports.time').as('latest'),
    ])
    .where('licenses.product', '=', product)
    .where('reports.time', '>=', since)
    .groupBy(['reports.code', 'reports.version', 'reports.phase'])
    .orderBy('reports', 'desc')
    .orderBy('reports.code')
    .orderBy('reports.version')
    .orderBy('reports.phase')
    .limit(MAX_COUNTS)
    .execute()
  return rows.map(({reports, licenses, latest, ...row}) => ({
    ...row,
    reports: Number(reports),
    licenses: Number(licenses),
    latest: Number(latest),
  }))
}
