import {mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {DatabaseSync} from 'node:sqlite'
import {RelError} from '../system/error.ts'
import {fileError, statIfThere, writeFileAtomic} from '../system/files.ts'
import {formatPublicKey} from '../trust/public-key.ts'
import {
  destroySecretKey,
  formatSecretKey,
  generateSecretKey,
  readSecretKey,
} from '../trust/secret-key.ts'
import type {Signer} from '../trust/signer.ts'
import {signerOfSecretKey} from '../trust/signers/file.ts'
import type {PanelKeys} from './panel.ts'

/** Where things are below DATA. */
export type DataFolder = {
  readonly root: string
  readonly database: string
  readonly keys: string
  /** The first administrator's token, written once. */
  readonly adminToken: string
  /** Where the audit log stood a minute ago, signed. */
  readonly auditCheckpoint: string
}

/**
 * DATA and its folders, made when absent, for nobody else's eyes.
 * Refuses with panel_data_invalid, write_failed, disk_full.
 */
export function openDataFolder(root: string): DataFolder {
  makePrivate(root)
  makePrivate(join(root, 'keys'))
  return {
    root,
    database: join(root, 'panel.db'),
    keys: join(root, 'keys'),
    adminToken: join(root, 'admin-token'),
    auditCheckpoint: join(root, 'audit-checkpoint.json'),
  }
}

function makePrivate(path: string): void {
  try {
    mkdirSync(path, {recursive: true, mode: 0o700})
  } catch (error) {
    throw fileError(error, path, 'write')
  }
  const stat = statIfThere(path)
  if (stat?.isDirectory() !== true)
    throw new RelError('panel_data_invalid', `${path} is not a folder itself`)
  if (process.geteuid !== undefined && stat.uid !== process.geteuid())
    throw new RelError('panel_data_invalid', `${path} belongs to another user`)
  if ((stat.mode & 0o022) !== 0)
    throw new RelError('panel_data_invalid', `${path} can be written by group or others`, {
      hint: `chmod 700 ${path}`,
    })
}

/**
 * Holds DATA for this process: an exclusive lock of SQLite's, which the system gives back when the
 * process ends, however it ends. Refuses with panel_locked.
 */
export function lockDataFolder({root}: DataFolder): () => void {
  const path = join(root, 'lock')
  const lock = openLock(path)
  try {
    lock.exec('PRAGMA journal_mode=MEMORY; PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    const {errcode} = error as {errcode?: number}
    if (((errcode ?? 0) & 0xff) !== 5) throw fileErrorOf(path, error)
    throw new RelError('panel_locked', `another panel is using ${root}`)
  }
  return () => lock.close()
}

function openLock(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path, {timeout: 0})
  } catch (error) {
    throw fileErrorOf(path, error)
  }
}

function fileErrorOf(path: string, cause: unknown): RelError {
  return new RelError('panel_data_invalid', `${path} cannot be locked`, {cause})
}

/**
 * The panel's own keys, made at the first start. Refuses with what readSecretKey refuses with, such
 * as key_permissions.
 */
export async function openPanelKeys({keys}: DataFolder): Promise<PanelKeys> {
  const license = await openKey(keys, 'license')
  const freshness = await openKey(keys, 'freshness')
  return {license, freshness}
}

async function openKey(folder: string, name: string): Promise<Signer> {
  const path = join(folder, `${name}.key`)
  if (statIfThere(path) === undefined) await makeKey(path)
  const key = await readSecretKey(path, {
    passphrase: async () => {
      throw new RelError('panel_data_invalid', `${path} has a passphrase, the panel has none`)
    },
  })
  const signer = signerOfSecretKey(key, path)
  const shown = join(folder, `${name}.pub`)
  // for those who check what the panel signed: nodes, and panels that import an export
  if (statIfThere(shown) === undefined)
    writeFileAtomic(shown, formatPublicKey(signer.publicKey).pem, {mode: 0o644})
  return signer
}

async function makeKey(path: string): Promise<void> {
  const key = generateSecretKey()
  try {
    const text = await formatSecretKey(key, 'pkcs8', undefined)
    writeFileAtomic(path, text, {mode: 0o600, exclusive: true})
  } finally {
    destroySecretKey(key)
  }
}

/** Writes the token of the first administrator, once. Refuses with file_exists, write_failed. */
export function writeAdminToken({adminToken}: DataFolder, text: string): void {
  writeFileAtomic(adminToken, `${text}\n`, {mode: 0o600, exclusive: true})
}
