import type {ErrorCode} from '../../system/codes.ts'
import {appendAudit} from './audit.ts'
import {insertReport, isDayFull} from './reports.ts'
import type {NodeReport, NodeStatement} from './store.ts'
import type {Engine, NodeRow, Work} from './tables.ts'

const DAY = 86_400
/** Nodes of one licence that are followed: names cost a licence nothing, rows cost a disk. */
const MAX_NODES = 10_000

const rolledBack = 'device_rolled_back' satisfies ErrorCode

/** Whether a statement says what is known: then nothing is written. */
export async function isKnown(
  {db}: Engine,
  {licenseId, node, seq}: NodeStatement,
): Promise<boolean> {
  const row = await db
    .selectFrom('nodes')
    .select('seq')
    .where('license_id', '=', licenseId)
    .where('node', '=', node)
    .executeTakeFirst()
  return row?.seq === seq
}

/** A report, and once with it what it says of its node; sent again, it says nothing new. */
export async function takeReport(work: Work, report: NodeReport): Promise<void> {
  const isNew = await insertReport(work, report)
  const {licenseId, node, seq, version, phase, time} = report
  if (isNew && node !== undefined && seq !== undefined)
    await noteNode(work, {licenseId, node, seq, version, phase, time})
}

/**
 * Keeps the number that a node states. A lower one than before is told, in the audit log and as a
 * report, and is from then on the one that counts; of one node once a day, so that two nodes which
 * share a name, or a licence that lies, fill nothing.
 */
export async function noteNode(work: Work, statement: NodeStatement): Promise<void> {
  const {trx} = work
  const {licenseId, node, seq, version, time} = statement
  const before = await nodeOf(work, statement)
  if (before === undefined) {
    const {nodes} = await trx
      .selectFrom('nodes')
      .select((of) => of.fn.countAll().as('nodes'))
      .where('license_id', '=', licenseId)
      .executeTakeFirstOrThrow()
    if (Number(nodes) >= MAX_NODES) return
    await trx
      .insertInto('nodes')
      .values({license_id: licenseId, node, seq, version, told: null})
      .onConflict((conflict) => conflict.columns(['license_id', 'node']).doNothing())
      .execute()
    return
  }
  if (seq === before.seq) return
  if (seq > before.seq) return keep(work, statement, before.told)
  // a clock that was set back does not keep it silent until it has caught up
  if (before.told !== null && Math.abs(time - before.told) < DAY) return
  if (await isDayFull(trx, licenseId, time)) return
  await keep(work, statement, time)
  await tellRolledBack(work, statement, before)
}

async function nodeOf(
  {trx, engine}: Work,
  {licenseId, node}: NodeStatement,
): Promise<NodeRow | undefined> {
  const query = trx
    .selectFrom('nodes')
    .selectAll()
    .where('license_id', '=', licenseId)
    .where('node', '=', node)
  return (engine.hasRowLocks ? query.forUpdate() : query).executeTakeFirst()
}

async function keep(
  {trx}: Work,
  {licenseId, node, seq, version}: NodeStatement,
  told: number | null,
): Promise<void> {
  await trx
    .updateTable('nodes')
    .set({seq, version, told})
    .where('license_id', '=', licenseId)
    .where('node', '=', node)
    .execute()
}

async function tellRolledBack(
  work: Work,
  {licenseId, node, seq, version, phase, time}: NodeStatement,
  before: NodeRow,
): Promise<void> {
  await insertReport(work, {licenseId, code: rolledBack, version, phase, time})
  const license = await work.trx
    .selectFrom('licenses')
    .select('product')
    .where('id', '=', licenseId)
    .executeTakeFirst()
  const event = {
    event: 'device.rolled_back',
    ...(license === undefined ? {} : {product: license.product}),
    subject: licenseId,
    details: {node, seq, version, seq_before: before.seq, version_before: before.version},
  }
  await appendAudit(work, event, {id: licenseId})
}
