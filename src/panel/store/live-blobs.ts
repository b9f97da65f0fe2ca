import {RelError} from '../../system/error.ts'
import type {StoredUpload, UploadLimit} from './store.ts'
import type {Engine, Work} from './tables.ts'
import {lockCounter, read} from './transaction.ts'

const PAGE_ROWS = 1000

/** Every digest that a release or an upload names, once, in order. */
export async function* liveDigests(engine: Engine): AsyncGenerator<string> {
  const {db} = engine
  for (let last = ''; ; ) {
    const query = db
      .selectFrom('release_blobs')
      .select('sha256')
      .where('sha256', '>', last)
      .union(db.selectFrom('uploads').select('sha256').where('sha256', '>', last))
      .orderBy('sha256')
      .limit(PAGE_ROWS)
    const rows = await read(engine, () => query.execute())
    for (const {sha256} of rows) yield sha256
    if (rows.length < PAGE_ROWS) return
    last = rows.at(-1)?.sha256 ?? last
  }
}

/** Whether a release of one of these products, a draft as well, names the digest. */
export async function isNamedBy(
  {db}: Engine,
  sha256: string,
  products: readonly string[],
): Promise<boolean> {
  if (products.length === 0) return false
  const query = db.selectFrom('release_blobs').select('sha256').where('sha256', '=', sha256)
  return (await query.where('product', 'in', products).limit(1).executeTakeFirst()) !== undefined
}

/**
 * Runs `remove` unless something names the digest. Nothing can begin to name it meanwhile: drafts
 * and uploads wait for this transaction, so a blob is never taken away under a release.
 */
export async function removeUnlessLive(
  work: Work,
  sha256: string,
  remove: () => Promise<void>,
): Promise<boolean> {
  await lockCounter(work, 'blobs')
  for (const table of ['release_blobs', 'uploads'] as const) {
    const query = work.trx.selectFrom(table).select('sha256').where('sha256', '=', sha256)
    if ((await query.limit(1).executeTakeFirst()) !== undefined) return false
  }
  await remove()
  return true
}

/** Refuses with upload_quota. */
export async function insertUpload(
  work: Work,
  upload: StoredUpload,
  limit?: UploadLimit,
): Promise<void> {
  await lockCounter(work, 'blobs', 'shared')
  if (limit !== undefined) await checkLimit(work, upload, limit)
  await work.trx.insertInto('uploads').values(upload).execute()
}

async function checkLimit(
  {trx}: Work,
  {owner, size, created}: StoredUpload,
  {count, bytes}: UploadLimit,
): Promise<void> {
  const open = await trx
    .selectFrom('uploads')
    .select('size')
    .where('owner', '=', owner)
    .where('expires', '>', created)
    .limit(count)
    .execute()
  if (open.length >= count)
    throw new RelError('upload_quota', `the token has ${count} unfinished uploads`)
  if (open.reduce((sum, each) => sum + each.size, size) > bytes)
    throw new RelError('upload_quota', `unfinished uploads of the token exceed ${bytes} bytes`)
}

export async function findUpload({db}: Engine, id: string): Promise<StoredUpload | undefined> {
  const query = db.selectFrom('uploads').selectAll().where('id', '=', id)
  const row = await query.executeTakeFirst()
  return row === undefined ? undefined : {...row}
}

export async function expiredUploads({db}: Engine, now: number): Promise<readonly StoredUpload[]> {
  const query = db.selectFrom('uploads').selectAll().where('expires', '<', now)
  return (await query.orderBy('id').execute()).map((row) => ({...row}))
}
