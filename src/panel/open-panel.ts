import {rmSync} from 'node:fs'
import {systemTime} from '../system/clock.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere} from '../system/files.ts'
import {sha256Hex} from '../system/hash.ts'
import {newUlid} from './admin/ulid.ts'
import type {BlobStore, UploadStore} from './blobs/blobs.ts'
import {openFileBlobs} from './blobs/files.ts'
import {
  type DataFolder,
  lockDataFolder,
  openDataFolder,
  openPanelKeys,
  writeAdminToken,
} from './data-folder.ts'
import type {Changes, Panel, PanelConfig, PanelKeys, PanelLimits, PanelLog} from './panel.ts'
import {defaultLimits} from './server/limits.ts'
import {isTokenText, newTokenText} from './server/token.ts'
import {openSqliteStore} from './store/sqlite.ts'
import type {PanelStore} from './store/store.ts'

export type PanelOptions = {
  /** Folder of the panel; made when absent. */
  readonly data: string
  /** postgres://… instead of the file panel.db. */
  readonly database?: string
  /** s3://HOST/BUCKET/PREFIX instead of the folders blobs and uploads. */
  readonly store?: string
  readonly config?: Partial<Omit<PanelConfig, 'limits'>>
  readonly limits?: Partial<PanelLimits>
  /** False for commands that work beside a running panel. */
  readonly lock?: boolean
  readonly clock?: () => number
  readonly log?: PanelLog
}

/** A panel with what only its owner needs. */
export type OpenPanel = Panel & {
  readonly folder: DataFolder
  /** The administrator's token was made just now. */
  readonly isNew: boolean
  close(): Promise<void>
}

const WEEK = 7 * 86_400

/** How long the first administrator's token is good for. */
const ADMIN_SECS = 10 * 365 * 86_400

/**
 * Opens a panel; the first time on a folder, its keys, its database and the token of its first
 * administrator are made. Refuses with panel_locked, panel_data_invalid, panel_keys_differ, and as
 * the stores do.
 */
export async function openPanel(options: PanelOptions): Promise<OpenPanel> {
  const {data, clock = systemTime, log = () => {}} = options
  const folder = openDataFolder(data)
  const unlock = options.lock === false ? () => {} : lockDataFolder(folder)
  const closers: (() => Promise<void> | void)[] = [unlock]
  const close = async () => {
    for (const closer of closers.splice(0).toReversed()) await closer()
  }
  try {
    const keys = await openPanelKeys(folder)
    closers.push(
      () => keys.license.close?.(),
      () => keys.freshness.close?.(),
    )
    const store = await openStore(folder, options.database, clock)
    closers.push(() => store.close())
    const {blobs, uploads} = await openBlobs(folder, options.store)
    closers.push(() => blobs.close())
    await checkKeys(store, keys)
    const isNew = await makeFirstAdmin(store, folder, clock())
    return {
      store,
      blobs,
      uploads,
      keys,
      config: configOf(options),
      clock,
      log,
      changes: countChanges(),
      folder,
      isNew,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

function configOf({config, limits, store}: PanelOptions): PanelConfig {
  return {
    // an object store hands its bytes out itself; through the panel they would be paid twice
    downloads: store === undefined ? {by: 'panel'} : {by: 'redirect', seconds: 60},
    freshnessSecs: WEEK,
    pollSecs: 300,
    twoPersons: false,
    proxies: [],
    ...config,
    limits: {...defaultLimits, ...limits},
  }
}

async function openStore(
  {database}: DataFolder,
  url: string | undefined,
  now: () => number,
): Promise<PanelStore> {
  if (url === undefined) return openSqliteStore({path: database, now})
  const {openPostgresStore} = await import('./store/postgres.ts')
  return openPostgresStore({url, now})
}

async function openBlobs(
  {root}: DataFolder,
  url: string | undefined,
): Promise<{blobs: BlobStore; uploads: UploadStore}> {
  if (url === undefined) return openFileBlobs({folder: root})
  const {openS3Blobs} = await import('./blobs/s3.ts')
  return openS3Blobs({url, env: process.env})
}

/** All instances on one database sign with the same keys. Refuses with panel_keys_differ. */
async function checkKeys(store: PanelStore, keys: PanelKeys): Promise<void> {
  for (const [name, signer] of Object.entries(keys)) {
    const setting = `key/${name}`
    const own = signer.publicKey.keyId
    const known = await store.claimSetting(setting, own)
    if (known === own) continue
    throw new RelError(
      'panel_keys_differ',
      `${signer.label} is ${own.slice(0, 16)}, the database knows ${known.slice(0, 16)}`,
    )
  }
}

/**
 * The first administrator's token: in its file before the database knows it, so that an interrupted
 * first start is finished by the next one and never leaves a panel that nobody can enter. Of
 * instances that start on one empty database at the same time, one makes it; a file of the others
 * that holds no token of this panel is taken away. True for the one.
 */
export async function makeFirstAdmin(
  store: Pick<PanelStore, 'tokens' | 'claimSetting' | 'addToken'>,
  folder: DataFolder,
  now: number,
): Promise<boolean> {
  if ((await store.tokens()).length > 0) return false
  const {adminToken} = folder
  const isMade = statIfThere(adminToken) === undefined
  if (isMade) writeAdminToken(folder, newTokenText())
  const text = readFileLimited(adminToken, 1024).toString('utf8').trim()
  if (!isTokenText(text))
    throw new RelError('panel_data_invalid', `${adminToken} holds no token`, {
      hint: `Remove ${adminToken} and start the panel again.`,
    })
  const sha256 = sha256Hex(text)
  if ((await store.claimSetting('token/first', sha256)) !== sha256) {
    if (isMade) rmSync(adminToken, {force: true})
    return false
  }
  await store.addToken(
    {
      id: newUlid(now * 1000),
      name: 'first administrator',
      sha256,
      verbs: ['admin'],
      expires: now + ADMIN_SECS,
      revoked: false,
      created: now,
    },
    {id: 'local'},
  )
  return true
}

function countChanges(): Changes {
  const counts = new Map<string, number>()
  return {
    of: (product) => counts.get(product) ?? 0,
    mark: (product) => {
      counts.set(product, (counts.get(product) ?? 0) + 1)
    },
  }
}
