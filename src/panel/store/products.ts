import {sortKey} from '../../release/version.ts'
import {RelError} from '../../system/error.ts'
import {canonicalJson} from '../../trust/canonical-json.ts'
import {appendAudit} from './audit.ts'
import type {Actor, AuditEvent, Product, ProductChange} from './store.ts'
import type {Engine, ProductRow, Work} from './tables.ts'

export async function addProduct(work: Work, name: string, by: Actor): Promise<Product> {
  const row: ProductRow = {
    name,
    matrix_version: 1,
    required: '[]',
    floor: null,
    floor_key: null,
    stopovers: '[]',
    anchor: null,
    created: work.now,
    sequence: 0,
    fence: 0,
    fence_expires: 0,
  }
  const added = await work.trx
    .insertInto('products')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning('name')
    .executeTakeFirst()
  if (added === undefined) return productOf(await lockProduct(work, name))
  await appendAudit(work, {event: 'product.added', product: name}, by)
  return productOf(row)
}

export async function findProduct({db}: Engine, name: string): Promise<Product | undefined> {
  const query = db.selectFrom('products').selectAll().where('name', '=', name)
  const row = await query.executeTakeFirst()
  return row === undefined ? undefined : productOf(row)
}

export async function allProducts({db}: Engine): Promise<readonly Product[]> {
  const rows = await db.selectFrom('products').selectAll().orderBy('name').execute()
  return rows.map(productOf)
}

/**
 * The product's row, held to the end of the transaction: everything that changes a product's
 * releases passes here, one after the other. Refuses with product_unknown.
 */
export async function lockProduct({trx, engine}: Work, name: string): Promise<ProductRow> {
  const query = trx.selectFrom('products').selectAll().where('name', '=', name)
  const row = await (engine.hasRowLocks ? query.forUpdate() : query).executeTakeFirst()
  if (row === undefined) throw new RelError('product_unknown', `there is no product ${name}`)
  return row
}

/** Changes what is given; a value that is there already is no change and leaves no audit row. */
export async function changeProduct(
  work: Work,
  name: string,
  change: ProductChange,
  by: Actor,
): Promise<Product> {
  const before = await lockProduct(work, name)
  const after = {...before, ...changed(before, change)}
  const events = productEvents(before, after)
  if (events.length === 0) return productOf(before)
  await work.trx.updateTable('products').set(after).where('name', '=', name).execute()
  for (const event of events) await appendAudit(work, {...event, product: name}, by)
  return productOf(after)
}

function changed(before: ProductRow, change: ProductChange): Partial<ProductRow> {
  const required = change.required === undefined ? undefined : canonicalJson([...change.required])
  for (const version of change.stopovers ?? []) sortKey(version)
  return {
    ...(required === undefined || required === before.required
      ? {}
      : {required, matrix_version: before.matrix_version + 1}),
    ...(change.floor === undefined ? {} : raisedFloor(before, change.floor)),
    ...(change.stopovers === undefined ? {} : {stopovers: JSON.stringify(change.stopovers)}),
    ...(change.anchor === undefined ? {} : {anchor: change.anchor}),
  }
}

function raisedFloor(before: ProductRow, floor: string): Partial<ProductRow> {
  const key = sortKey(floor)
  if (key === before.floor_key) return {}
  if (before.floor_key !== null && key < before.floor_key)
    throw new RelError('floor_lowered', `the floor is ${before.floor}, lower than that is ${floor}`)
  return {floor, floor_key: key}
}

function productEvents(before: ProductRow, after: ProductRow): readonly AuditEvent[] {
  const events: AuditEvent[] = []
  if (after.matrix_version !== before.matrix_version)
    events.push({event: 'product.matrix_set', details: {matrix_version: after.matrix_version}})
  if (after.floor !== before.floor)
    events.push({event: 'product.floor_raised', details: {floor: after.floor ?? ''}})
  if (after.stopovers !== before.stopovers)
    events.push({event: 'product.stopovers_set', details: {stopovers: after.stopovers}})
  if (after.anchor !== before.anchor) events.push({event: 'product.keys_set'})
  return events
}

function productOf(row: ProductRow): Product {
  return {
    name: row.name,
    matrix: {
      version: row.matrix_version,
      required: JSON.parse(row.required) as Product['matrix']['required'],
    },
    stopovers: JSON.parse(row.stopovers) as string[],
    created: row.created,
    ...(row.floor === null ? {} : {floor: row.floor}),
    ...(row.anchor === null ? {} : {anchor: row.anchor}),
  }
}

/** Gives out the next fence; whoever holds a lower one can no longer write. */
export async function leaseProduct(
  work: Work,
  name: string,
  seconds: number,
  by: Actor,
): Promise<{fence: number; expires: number}> {
  const product = await lockProduct(work, name)
  const lease = {fence: product.fence + 1, expires: work.now + seconds}
  await work.trx
    .updateTable('products')
    .set({fence: lease.fence, fence_expires: lease.expires})
    .where('name', '=', name)
    .execute()
  const event = {event: 'publisher.leased', product: name, details: {fence: lease.fence}}
  await appendAudit(work, event, by)
  return lease
}

/** Refuses with publisher_fenced unless the fence is the last one given out, or none is used. */
export function checkFence(product: ProductRow, fence: number | undefined): void {
  if (fence === undefined || fence === product.fence) return
  throw new RelError('publisher_fenced', `the fence is ${product.fence}, this one is ${fence}`)
}
