import type {LicenseState, TrackName} from '../../release/license.ts'
import {RelError} from '../../system/error.ts'
import {appendAudit} from './audit.ts'
import type {Actor, LicenseChange, StoredLicense} from './store.ts'
import type {Engine, LicenseRow, Work} from './tables.ts'
import {raiseCounter} from './transaction.ts'

/** Refuses with license_exists when the id is taken by another file. */
export async function insertLicense(
  work: Work,
  license: StoredLicense,
  by: Actor,
): Promise<StoredLicense> {
  const row = rowOf(license)
  const added = await work.trx
    .insertInto('licenses')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .executeTakeFirst()
  if (added === undefined) {
    const there = await lockLicense(work, license.id)
    if (there.file === license.file) return licenseOf(there)
    throw new RelError('license_exists', `licence ${license.id} exists with other content`)
  }
  await raiseCounter(work, 'license_epoch')
  await appendAudit(work, {event: 'license.added', ...subjectOf(row)}, by)
  return license
}

export async function findLicense({db}: Engine, id: string): Promise<StoredLicense | undefined> {
  const query = db.selectFrom('licenses').selectAll().where('id', '=', id)
  const row = await query.executeTakeFirst()
  return row === undefined ? undefined : licenseOf(row)
}

export async function listLicenses(
  {db}: Engine,
  product: string,
  after: string | undefined,
  limit: number,
): Promise<readonly StoredLicense[]> {
  let query = db.selectFrom('licenses').selectAll().where('product', '=', product)
  if (after !== undefined) query = query.where('id', '>', after)
  return (await query.orderBy('id').limit(limit).execute()).map(licenseOf)
}

/** Refuses with license_unknown, license_revoked (for good), license_stale. */
export async function changeLicense(
  work: Work,
  id: string,
  change: LicenseChange,
  by: Actor,
): Promise<StoredLicense> {
  const before = await lockLicense(work, id)
  if (before.state === 'revoked' && change.state !== 'revoked')
    throw new RelError('license_revoked', `licence ${id} was revoked, which is for good`)
  const isOther = change.file !== undefined && change.file !== before.file
  const least = isOther ? before.serial + 1 : before.serial
  if (change.serial !== undefined && change.serial < least)
    throw new RelError('license_stale', `serial ${change.serial}, ${before.serial} is known`)
  const after = {
    ...before,
    ...(change.state === undefined ? {} : {state: change.state}),
    ...(change.expires === undefined ? {} : {expires: change.expires}),
    ...(change.serial === undefined ? {} : {serial: change.serial}),
    ...(change.entitlements === undefined
      ? {}
      : {entitlements: JSON.stringify(change.entitlements)}),
    ...(change.file === undefined ? {} : {file: change.file}),
    ...(change.reason === undefined ? {} : {reason: change.reason}),
  }
  await work.trx.updateTable('licenses').set(after).where('id', '=', id).execute()
  await raiseCounter(work, 'license_epoch')
  await appendAudit(work, {event: eventName(before, after), ...subjectOf(after)}, by)
  return licenseOf(after)
}

function eventName(before: LicenseRow, after: LicenseRow): string {
  if (after.state === before.state) return 'license.renewed'
  return after.state === 'active' ? 'license.thawed' : `license.${after.state}`
}

async function lockLicense({trx, engine}: Work, id: string): Promise<LicenseRow> {
  const query = trx.selectFrom('licenses').selectAll().where('id', '=', id)
  const row = await (engine.hasRowLocks ? query.forUpdate() : query).executeTakeFirst()
  if (row === undefined) throw new RelError('license_unknown', `there is no licence ${id}`)
  return row
}

export async function readLicenseEpoch({db}: Engine): Promise<number> {
  const query = db.selectFrom('counters').select('value').where('name', '=', 'license_epoch')
  return (await query.executeTakeFirstOrThrow()).value
}

function subjectOf(row: LicenseRow): {
  product: string
  subject: string
  details: {track: string; expires: number; serial: number}
} {
  const {product, id, track, expires, serial} = row
  return {product, subject: id, details: {track, expires, serial}}
}

function rowOf(license: StoredLicense): LicenseRow {
  const entitlements = JSON.stringify(license.entitlements)
  return {...license, entitlements, reason: license.reason ?? null}
}

function licenseOf({reason, ...row}: LicenseRow): StoredLicense {
  return {
    ...row,
    track: row.track as TrackName,
    state: row.state as LicenseState,
    entitlements: JSON.parse(row.entitlements) as string[],
    ...(reason === null ? {} : {reason}),
  }
}
