import {appendAudit, auditHead, auditRows, verifyAuditChain} from './audit.ts'
import {
  changeLicense,
  findLicense,
  insertLicense,
  listLicenses,
  readLicenseEpoch,
} from './licenses.ts'
import {
  expiredUploads,
  findUpload,
  insertUpload,
  isNamedBy,
  liveDigests,
  removeUnlessLive,
} from './live-blobs.ts'
import {migrate} from './migrations.ts'
import {isKnown, noteNode, takeReport} from './nodes.ts'
import {addProduct, allProducts, changeProduct, findProduct, leaseProduct} from './products.ts'
import {allPublishers, insertExchanged, insertPublisher, removePublisherRow} from './publishers.ts'
import {LogHeads, logLeaves} from './release-log.ts'
import {
  draftRelease,
  dropDraftRelease,
  findRelease,
  highestRelease,
  listReleases,
  publishRelease,
  recallRelease,
  setReleaseSigstore,
} from './releases.ts'
import {checkReports, countReports} from './reports.ts'
import type {Actor, PanelStore} from './store.ts'
import type {Engine, Work} from './tables.ts'
import {allTokens, findToken, insertToken, revokeTokenRow} from './tokens.ts'
import {read, write} from './transaction.ts'

/** Licences on one page when the caller does not say. */
const LICENSES_PAGE = 1000

/**
 * The panel's store on an open database, whose schema is brought up to date first.
 * Refuses with store_newer and with what the database refuses with.
 */
export async function openRelationalStore(engine: Engine, now: () => number): Promise<PanelStore> {
  await read(engine, () => migrate(engine))
  const heads = new LogHeads(engine)
  const writing = <Result>(body: (work: Work) => Promise<Result>): Promise<Result> =>
    write(engine, now, body)
  const reading = <Result>(body: () => Promise<Result>): Promise<Result> => read(engine, body)
  return {
    label: engine.label,

    addProduct: (name, by) => writing((work) => addProduct(work, name, by)),
    product: (name) => reading(() => findProduct(engine, name)),
    products: () => reading(() => allProducts(engine)),
    setProduct: (name, change, by) => writing((work) => changeProduct(work, name, change, by)),

    addDraft: (draft, by, fence) => writing((work) => draftRelease(work, draft, by, fence)),
    setSigstore: (product, version, given, by) =>
      writing((work) => setReleaseSigstore(work, product, version, given, by)),
    release: (product, version) => reading(() => findRelease(engine, product, version)),
    releases: (product, query) => reading(() => listReleases(engine, product, query)),
    highest: (product, channels) => reading(() => highestRelease(engine, product, channels)),
    publish: (product, version, expected, by) =>
      writing((work) => publishRelease(work, product, version, expected, by)),
    recall: (product, version, recall, by, logTime) =>
      writing((work) => recallRelease(work, product, version, recall, by, logTime)),
    dropDraft: (product, version, by) =>
      writing((work) => dropDraftRelease(work, product, version, by)),
    lease: (product, seconds, by) => writing((work) => leaseProduct(work, product, seconds, by)),

    log: (product, from, limit) => reading(() => logLeaves(engine, product, from, limit)),
    logHead: (product) => reading(() => heads.head(product)),
    logProof: (product, first, second) => reading(() => heads.proof(product, first, second)),

    addLicense: (license, by) => writing((work) => insertLicense(work, license, by)),
    license: (id) => reading(() => findLicense(engine, id)),
    licenses: (product, after, limit = LICENSES_PAGE) =>
      reading(() => listLicenses(engine, product, after, limit)),
    setLicense: (id, change, by) => writing((work) => changeLicense(work, id, change, by)),
    licenseEpoch: () => reading(() => readLicenseEpoch(engine)),

    addToken: (token, by) => writing((work) => insertToken(work, token, by)),
    token: (sha256) => reading(() => findToken(engine, sha256)),
    tokens: () => reading(() => allTokens(engine)),
    revokeToken: (id, by) => writing((work) => revokeTokenRow(work, id, by)),

    publishers: () => reading(() => allPublishers(engine)),
    addPublisher: (publisher, by) => writing((work) => insertPublisher(work, publisher, by)),
    removePublisher: (id, by) => writing((work) => removePublisherRow(work, id, by)),
    addExchanged: (seen, token, details) =>
      writing((work) => insertExchanged(work, seen, token, details)),

    addUpload: (upload, limit) => writing((work) => insertUpload(work, upload, limit)),
    upload: (id) => reading(() => findUpload(engine, id)),
    removeUpload: (id) =>
      writing(async ({trx}) => {
        await trx.deleteFrom('uploads').where('id', '=', id).execute()
      }),

    expiredUploads: (time) => reading(() => expiredUploads(engine, time)),

    addReport: async (report) => {
      await reading(() => checkReports(engine, report))
      await writing((work) => takeReport(work, report))
    },
    noteNode: async (statement) => {
      if (await reading(() => isKnown(engine, statement))) return
      await writing((work) => noteNode(work, statement))
    },
    reportCounts: (product, since) => reading(() => countReports(engine, product, since)),
    audit: (after, limit) => reading(() => auditRows(engine, after, limit)),
    auditHead: () => reading(() => auditHead(engine)),
    verifyAudit: () => reading(() => verifyAuditChain(engine)),
    record: (event, by) => writing((work) => appendAudit(work, event, by)),

    namesBlob: (sha256, products) => reading(() => isNamedBy(engine, sha256, products)),
    liveBlobs: () => liveDigests(engine),
    unlessLive: (sha256, remove) => writing((work) => removeUnlessLive(work, sha256, remove)),

    latestTime: async (time) => {
      const known = await reading(() => readClock(engine))
      return known >= time ? known : writing((work) => raiseClock(work, time))
    },
    resetTime: (time, by) => writing((work) => resetClock(work, time, by)),
    setting: (name) => reading(() => findSetting(engine, name)),
    setSetting: (name, value) => writing((work) => putSetting(work, name, value)),
    claimSetting: (name, value) => writing((work) => claimSetting(work, name, value)),

    backup: (path) => reading(() => engine.backup(path)),
    checkWritable: () => writing(touchSchema),
    close: () => engine.close(),
  }
}

async function findSetting({db}: Engine, name: string): Promise<string | undefined> {
  const query = db.selectFrom('settings').select('value').where('name', '=', name)
  return (await query.executeTakeFirst())?.value
}

async function putSetting({trx}: Work, name: string, value: string): Promise<void> {
  await trx
    .insertInto('settings')
    .values({name, value})
    .onConflict((conflict) => conflict.column('name').doUpdateSet({value}))
    .execute()
}

async function claimSetting({trx}: Work, name: string, value: string): Promise<string> {
  await trx
    .insertInto('settings')
    .values({name, value})
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  const query = trx.selectFrom('settings').select('value').where('name', '=', name)
  return (await query.executeTakeFirstOrThrow()).value
}

/** Writes a row with the value that it has: what cannot be written says so, nothing changes. */
async function touchSchema({trx}: Work): Promise<void> {
  await trx
    .updateTable('settings')
    .set((row) => ({value: row.ref('value')}))
    .where('name', '=', 'schema')
    .execute()
}

async function readClock({db}: Engine): Promise<number> {
  const query = db.selectFrom('counters').select('value').where('name', '=', 'clock')
  return (await query.executeTakeFirstOrThrow()).value
}

async function resetClock(work: Work, time: number, by: Actor): Promise<void> {
  await work.trx.updateTable('counters').set({value: time}).where('name', '=', 'clock').execute()
  await appendAudit(work, {event: 'clock.reset', details: {time}}, by)
}

async function raiseClock({trx}: Work, time: number): Promise<number> {
  await trx
    .updateTable('counters')
    .set({value: time})
    .where('name', '=', 'clock')
    .where('value', '<', time)
    .execute()
  const query = trx.selectFrom('counters').select('value').where('name', '=', 'clock')
  return (await query.executeTakeFirstOrThrow()).value
}
