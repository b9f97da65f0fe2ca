import {RelError} from '../../system/error.ts'
import type {NodeReport, ReportCount} from './store.ts'
import type {Engine, Work} from './tables.ts'

const DAY = 86_400
/** Far more than one node has to tell in a day; fewer than would fill a disk. */
const MAX_A_DAY = 200
const KEPT_DAYS = 30

/** Refuses with rate_limited when a licence has reported enough for a day. */
export async function checkReports({db}: Engine, {licenseId, time}: NodeReport): Promise<void> {
  const recent = await db
    .selectFrom('reports')
    .select('time')
    .where('license_id', '=', licenseId)
    .where('time', '>', time - DAY)
    .orderBy('time')
    .limit(MAX_A_DAY)
    .execute()
  const [first] = recent
  if (first === undefined || recent.length < MAX_A_DAY) return
  const wait = Math.max(1, first.time + DAY - time)
  throw new RelError('rate_limited', `${MAX_A_DAY} reports a day are kept of a licence`, {
    details: {retry_after: wait},
  })
}

/** Keeps a report, and forgets what the same licence reported long ago. */
export async function insertReport({trx}: Work, {licenseId, ...report}: NodeReport): Promise<void> {
  await trx
    .deleteFrom('reports')
    .where('license_id', '=', licenseId)
    .where('time', '<', report.time - KEPT_DAYS * DAY)
    .execute()
  await trx
    .insertInto('reports')
    .values({license_id: licenseId, ...report})
    .execute()
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
