import {RelError} from '../../system/error.ts'
import {appendAudit} from './audit.ts'
import type {Actor, AuditEvent, StoredToken, VerbName} from './store.ts'
import type {Engine, TokenRow, Work} from './tables.ts'

/** Refuses with token_conflict when its id or digest is taken. */
export async function insertToken(
  work: Work,
  token: StoredToken,
  by: Actor,
  more: NonNullable<AuditEvent['details']> = {},
): Promise<void> {
  const added = await work.trx
    .insertInto('tokens')
    .values(rowOf(token))
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .executeTakeFirst()
  if (added === undefined) throw new RelError('token_conflict', `token ${token.id} exists`)
  const terms = {name: token.name, verbs: token.verbs.join(' '), expires: token.expires}
  const details = {...more, ...terms}
  await appendAudit(work, {event: 'token.added', subject: token.id, details}, by)
}

export async function findToken({db}: Engine, sha256: string): Promise<StoredToken | undefined> {
  const query = db.selectFrom('tokens').selectAll().where('sha256', '=', sha256)
  const row = await query.executeTakeFirst()
  return row === undefined ? undefined : tokenOf(row)
}

export async function allTokens({db}: Engine): Promise<readonly StoredToken[]> {
  return (await db.selectFrom('tokens').selectAll().orderBy('id').execute()).map(tokenOf)
}

/** Again is no change. Refuses with token_unknown. */
export async function revokeTokenRow(work: Work, id: string, by: Actor): Promise<void> {
  const query = work.trx.selectFrom('tokens').select('revoked').where('id', '=', id)
  const row = await (work.engine.hasRowLocks ? query.forUpdate() : query).executeTakeFirst()
  if (row === undefined) throw new RelError('token_unknown', `there is no token ${id}`)
  if (row.revoked === 1) return
  await work.trx.updateTable('tokens').set({revoked: 1}).where('id', '=', id).execute()
  await appendAudit(work, {event: 'token.revoked', subject: id}, by)
}

function rowOf(token: StoredToken): TokenRow {
  return {
    ...token,
    verbs: JSON.stringify(token.verbs),
    products: token.products === undefined ? null : JSON.stringify(token.products),
    publisher: token.publisher ?? null,
    revoked: token.revoked ? 1 : 0,
  }
}

function tokenOf({products, publisher, ...row}: TokenRow): StoredToken {
  return {
    ...row,
    verbs: JSON.parse(row.verbs) as VerbName[],
    revoked: row.revoked === 1,
    ...(products === null ? {} : {products: JSON.parse(products) as string[]}),
    ...(publisher === null ? {} : {publisher}),
  }
}
