import {RelError} from '../../system/error.ts'
import {canonicalJson} from '../../trust/canonical-json.ts'
import {appendAudit} from './audit.ts'
import type {Actor, AuditEvent, Publisher, StoredToken, VerbName} from './store.ts'
import type {Engine, PublisherRow, Work} from './tables.ts'
import {insertToken} from './tokens.ts'

/** Tokens of runs that ended are kept for who reads the audit log, then forgotten. */
const KEPT_SECS = 30 * 86_400

/** Refuses with product_unknown (by the database's own rule it could not be written). */
export async function insertPublisher(work: Work, publisher: Publisher, by: Actor): Promise<void> {
  const {id, product, verbs, removed, created, ...rule} = publisher
  const query = work.trx.selectFrom('products').select('name').where('name', '=', product)
  if ((await query.executeTakeFirst()) === undefined)
    throw new RelError('product_unknown', `there is no product ${product}`)
  const row: PublisherRow = {
    id,
    product,
    rule: canonicalJson({...rule, refs: [...rule.refs]}),
    verbs: JSON.stringify(verbs),
    removed: removed ? 1 : 0,
    created,
  }
  await work.trx.insertInto('publishers').values(row).execute()
  const details = {issuer: rule.issuer, repository_id: rule.repositoryId, workflow: rule.workflow}
  await appendAudit(work, {event: 'publisher.added', product, subject: id, details}, by)
}

export async function allPublishers({db}: Engine): Promise<readonly Publisher[]> {
  return (await db.selectFrom('publishers').selectAll().orderBy('id').execute()).map(publisherOf)
}

/** Its tokens end with it; again is no change. Refuses with publisher_unknown. */
export async function removePublisherRow(work: Work, id: string, by: Actor): Promise<void> {
  const {trx, engine} = work
  const query = trx.selectFrom('publishers').selectAll().where('id', '=', id)
  const row = await (engine.hasRowLocks ? query.forUpdate() : query).executeTakeFirst()
  if (row === undefined) throw new RelError('publisher_unknown', `there is no publisher ${id}`)
  if (row.removed === 1) return
  await trx.updateTable('publishers').set({removed: 1}).where('id', '=', id).execute()
  await trx.updateTable('tokens').set({revoked: 1}).where('publisher', '=', id).execute()
  await appendAudit(work, {event: 'publisher.removed', product: row.product, subject: id}, by)
}

/** An identity token that was shown, by a digest of who issued it and its id. */
export type SeenIdentity = {
  readonly id: string
  /** When it can be forgotten: nothing shown later would still be good. */
  readonly expires: number
}

/**
 * Gives a run its token, once for each identity token. Refuses with oidc_token_replayed, and with
 * oidc_publisher_unknown when the rule was taken away meanwhile.
 */
export async function insertExchanged(
  work: Work,
  seen: SeenIdentity,
  token: StoredToken,
  details: NonNullable<AuditEvent['details']>,
): Promise<void> {
  const {trx, engine, now} = work
  const rule = trx
    .selectFrom('publishers')
    .select('removed')
    .where('id', '=', token.publisher ?? '')
  const row = await (engine.hasRowLocks ? rule.forUpdate() : rule).executeTakeFirst()
  if (row === undefined || row.removed === 1)
    throw new RelError('oidc_publisher_unknown', 'the publisher was removed')
  await trx.deleteFrom('identities_seen').where('expires', '<', now).execute()
  const added = await trx
    .insertInto('identities_seen')
    .values(seen)
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .executeTakeFirst()
  if (added === undefined)
    throw new RelError('oidc_token_replayed', 'this identity token was shown before')
  await trx
    .deleteFrom('tokens')
    .where('publisher', 'is not', null)
    .where('expires', '<', now - KEPT_SECS)
    .execute()
  await insertToken(work, token, {id: token.publisher ?? ''}, details)
}

function publisherOf({rule, verbs, removed, ...row}: PublisherRow): Publisher {
  const parsed = JSON.parse(rule) as Omit<
    Publisher,
    'id' | 'product' | 'verbs' | 'removed' | 'created'
  >
  return {...row, ...parsed, verbs: JSON.parse(verbs) as VerbName[], removed: removed === 1}
}
