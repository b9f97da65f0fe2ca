import type {ChannelName} from '../../release/release.ts'
import {sortKey} from '../../release/version.ts'
import {RelError} from '../../system/error.ts'
import {appendAudit} from './audit.ts'
import {checkFence, lockProduct} from './products.ts'
import {releaseDifferences} from './release-diff.ts'
import {appendLeaf} from './release-log.ts'
import type {
  Actor,
  NewRelease,
  PublishExpectation,
  Recall,
  ReleaseQuery,
  ReleaseState,
  StoredRelease,
} from './store.ts'
import type {Engine, ProductRow, ReleaseRow, Work} from './tables.ts'
import {lockCounter} from './transaction.ts'

/** A draft, or the release of the same digest that there is already. */
export async function draftRelease(
  work: Work,
  draft: NewRelease,
  by: Actor,
  fence: number | undefined,
): Promise<{release: StoredRelease; created: boolean}> {
  const product = await lockProduct(work, draft.product)
  const key = sortKey(draft.version)
  const found = await sameVersion(work, draft.product, draft.version, key)
  if (found !== undefined) return {release: checkSame(found, draft), created: false}
  checkFence(product, fence)
  checkFloor(product, draft.version, key)
  const row: ReleaseRow = {
    product: draft.product,
    version: draft.version,
    sort_key: key,
    channel: draft.channel,
    digest: draft.digest,
    envelope: draft.envelope,
    artifacts: JSON.stringify(draft.artifacts),
    state: 'draft',
    sequence: null,
    created: work.now,
    published: null,
    recall: null,
    sigstore: null,
  }
  await lockCounter(work, 'blobs', 'shared')
  await work.trx.insertInto('releases').values(row).execute()
  await nameBlobs(work, draft)
  await appendAudit(work, {event: 'release.drafted', ...subjectOf(row)}, by)
  return {release: releaseOf(row), created: true}
}

/** Gives a draft its Sigstore bundle; the one that it has already is no change. */
export async function setReleaseSigstore(
  work: Work,
  product: string,
  version: string,
  {sigstore, digest}: {readonly sigstore: string; readonly digest: string},
  by: Actor,
): Promise<StoredRelease> {
  await lockProduct(work, product)
  const row = await existing(work, product, version)
  if (row.sigstore === sigstore) return releaseOf(row)
  if (row.state !== 'draft')
    throw new RelError('release_immutable', `${product} ${version} is ${row.state}`)
  if (row.digest !== digest) throw otherDigest(row, digest)
  await updateRelease(work, row, {sigstore})
  await appendAudit(work, {event: 'release.vouched', ...subjectOf(row)}, by)
  return releaseOf({...row, sigstore})
}

/** By version, or by a version of equal precedence: 1.0.0+a and 1.0.0+b cannot both be. */
function sameVersion(
  {trx}: Work,
  product: string,
  version: string,
  key: string,
): Promise<ReleaseRow | undefined> {
  return trx
    .selectFrom('releases')
    .selectAll()
    .where('product', '=', product)
    .where((row) => row.or([row('version', '=', version), row('sort_key', '=', key)]))
    .executeTakeFirst()
}

function checkSame(row: ReleaseRow, draft: NewRelease): StoredRelease {
  if (row.state === 'recalled')
    throw new RelError('version_burnt', `${row.product} ${row.version} was recalled`)
  const stored = releaseOf(row)
  if (stored.digest === draft.digest) return stored
  throw new RelError('release_conflict', `${row.product} ${row.version} is ${row.state} already`, {
    details: releaseDifferences(stored, draft),
  })
}

function checkFloor(product: ProductRow, version: string, key: string): void {
  if (product.floor_key === null || key >= product.floor_key) return
  throw new RelError('version_below_floor', `the floor is ${product.floor}, above ${version}`)
}

async function nameBlobs({trx}: Work, {product, version, artifacts}: NewRelease): Promise<void> {
  const digests = [...new Set(artifacts.map((artifact) => artifact.sha256))]
  const rows = digests.map((sha256) => ({product, version, sha256}))
  for (let at = 0; at < rows.length; at += 1000) {
    const some = rows.slice(at, at + 1000)
    await trx.insertInto('release_blobs').values(some).execute()
  }
}

export async function findRelease(
  {db}: Engine,
  product: string,
  version: string,
): Promise<StoredRelease | undefined> {
  const row = await db
    .selectFrom('releases')
    .selectAll()
    .where('product', '=', product)
    .where('version', '=', version)
    .executeTakeFirst()
  return row === undefined ? undefined : releaseOf(row)
}

export async function listReleases(
  {db}: Engine,
  product: string,
  {channels, states, limit, below}: ReleaseQuery,
): Promise<readonly StoredRelease[]> {
  if (channels?.length === 0 || states?.length === 0) return []
  let query = db.selectFrom('releases').selectAll().where('product', '=', product)
  if (channels !== undefined) query = query.where('channel', 'in', channels)
  if (states !== undefined) query = query.where('state', 'in', states)
  if (below !== undefined) query = query.where('sort_key', '<', below)
  return (await query.orderBy('sort_key', 'desc').limit(limit).execute()).map(releaseOf)
}

export async function highestRelease(
  {db}: Engine,
  product: string,
  channels: readonly ChannelName[],
): Promise<StoredRelease | undefined> {
  if (channels.length === 0) return undefined
  const row = await db
    .selectFrom('releases')
    .innerJoin('products', 'products.name', 'releases.product')
    .selectAll('releases')
    .where('releases.product', '=', product)
    .where('releases.state', '=', 'published')
    .where('releases.channel', 'in', channels)
    .where((row) =>
      row.or([
        row('products.floor_key', 'is', null),
        row('releases.sort_key', '>=', row.ref('products.floor_key')),
      ]),
    )
    .orderBy('releases.sort_key', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? undefined : releaseOf(row)
}

/** The flip: whatever decides about it is read in the transaction that holds the product's row. */
export async function publishRelease(
  work: Work,
  name: string,
  version: string,
  expected: PublishExpectation,
  by: Actor,
): Promise<{release: StoredRelease; changed: boolean}> {
  const product = await lockProduct(work, name)
  const row = await existing(work, name, version)
  if (row.state === 'recalled')
    throw new RelError('release_recalled', `${name} ${version} was recalled`)
  if (row.digest !== expected.digest) throw otherDigest(row, expected.digest)
  if (row.state === 'published') return {release: releaseOf(row), changed: false}
  checkFence(product, expected.fence)
  if (product.matrix_version !== expected.matrixVersion)
    throw new RelError('matrix_changed', `the list of ${name} is ${product.matrix_version} now`)
  if (expected.anchor !== undefined && product.anchor !== expected.anchor)
    throw new RelError('keys_changed', `the trust anchor of ${name} is another one now`)
  checkFloor(product, version, row.sort_key)
  const time = expected.logTime ?? work.now
  const flipped = {state: 'published', sequence: product.sequence + 1, published: time}
  await updateProduct(work, name, flipped.sequence)
  await updateRelease(work, row, flipped)
  await appendLeaf(work, 'published', {...row, ...flipped}, time)
  await appendAudit(work, eventOf('release.published', {...row, ...flipped}), by)
  return {release: releaseOf({...row, ...flipped}), changed: true}
}

function otherDigest(row: ReleaseRow, given: string): RelError {
  const fields = [{field: 'digest', stored: row.digest, given}]
  return new RelError('release_conflict', `${row.product} ${row.version} has another digest`, {
    details: {differences: 1, fields},
  })
}

async function updateProduct({trx}: Work, name: string, sequence: number): Promise<void> {
  await trx.updateTable('products').set({sequence}).where('name', '=', name).execute()
}

async function updateRelease(
  {trx}: Work,
  {product, version}: ReleaseRow,
  change: Partial<ReleaseRow>,
): Promise<void> {
  const query = trx.updateTable('releases').set(change).where('product', '=', product)
  await query.where('version', '=', version).execute()
}

/** Refuses with release_unknown. */
async function existing({trx}: Work, product: string, version: string): Promise<ReleaseRow> {
  const query = trx.selectFrom('releases').selectAll().where('product', '=', product)
  const row = await query.where('version', '=', version).executeTakeFirst()
  if (row === undefined)
    throw new RelError('release_unknown', `${product} has no release ${version}`)
  return row
}

/** Withdraws what is published; the same recall again changes nothing, another text is noted. */
export async function recallRelease(
  work: Work,
  product: string,
  version: string,
  recall: Recall,
  by: Actor,
  logTime = work.now,
): Promise<StoredRelease> {
  await lockProduct(work, product)
  const row = await existing(work, product, version)
  if (row.state === 'draft')
    throw new RelError('release_not_published', `${product} ${version} is a draft`)
  const text = JSON.stringify({
    reason: recall.reason,
    ...(recall.advisory === undefined ? {} : {advisory: recall.advisory}),
    ...(recall.replacement === undefined ? {} : {replacement: recall.replacement}),
  })
  if (row.recall === text) return releaseOf(row)
  const after = {...row, state: 'recalled', recall: text}
  await updateRelease(work, row, {state: 'recalled', recall: text})
  if (row.state === 'published') await appendLeaf(work, 'recalled', after, logTime)
  await appendAudit(work, eventOf('release.recalled', after), by)
  return releaseOf(after)
}

/** Refuses with release_unknown, release_immutable. */
export async function dropDraftRelease(
  work: Work,
  product: string,
  version: string,
  by: Actor,
): Promise<void> {
  await lockProduct(work, product)
  const row = await existing(work, product, version)
  if (row.state !== 'draft')
    throw new RelError('release_immutable', `${product} ${version} is ${row.state}`)
  for (const table of ['release_blobs', 'releases'] as const) {
    const query = work.trx.deleteFrom(table).where('product', '=', product)
    await query.where('version', '=', version).execute()
  }
  await appendAudit(work, {event: 'release.dropped', ...subjectOf(row)}, by)
}

function subjectOf(row: ReleaseRow): {
  product: string
  subject: string
  details: {digest: string}
} {
  return {product: row.product, subject: row.version, details: {digest: row.digest}}
}

function eventOf(
  event: string,
  row: ReleaseRow,
): {event: string; product: string; subject: string; details: Record<string, string | number>} {
  const details = {digest: row.digest, sequence: row.sequence ?? 0}
  return {event, product: row.product, subject: row.version, details}
}

function releaseOf(row: ReleaseRow): StoredRelease {
  return {
    product: row.product,
    version: row.version,
    sortKey: row.sort_key,
    channel: row.channel as ChannelName,
    digest: row.digest,
    envelope: row.envelope,
    artifacts: JSON.parse(row.artifacts) as StoredRelease['artifacts'],
    state: row.state as ReleaseState,
    created: row.created,
    ...(row.sequence === null ? {} : {sequence: row.sequence}),
    ...(row.published === null ? {} : {published: row.published}),
    ...(row.sigstore === null ? {} : {sigstore: row.sigstore}),
    ...(row.recall === null ? {} : {recall: JSON.parse(row.recall) as Recall}),
  }
}
