import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  openSync,
  readFileSync,
  statSync,
} from 'node:fs'
import {join} from 'node:path'
import {DatabaseSync} from 'node:sqlite'
import {RelError} from '../system/error.ts'
import {statIfThere} from '../system/files.ts'
import {paths, writing} from './layout.ts'

/** SQLITE_BUSY, https://sqlite.org/rescode.html */
const BUSY = 5

/** What runs and its records; what is being fetched. Whoever needs both takes them the other way round. */
type LockName = typeof paths.lock | typeof paths.fetchLock

/**
 * Holds a node for this process: an exclusive lock of SQLite's, which the system gives back when
 * the process ends, however it ends. Refuses with upgrade_busy, upgrade_io_error, write_failed.
 */
export function lockDevice(root: string, name: LockName = paths.lock): () => void {
  const path = join(root, name)
  let lock: DatabaseSync
  // of a disk that is read-only SQLite says the same as of a file that may not be written
  writing(() => accessSync(join(root, paths.private), constants.W_OK))
  try {
    keepPrivate(path)
    lock = new DatabaseSync(path, {timeout: 0})
  } catch (error) {
    throw new RelError('write_failed', `cannot open ${name}`, {cause: error})
  }
  try {
    lock.exec('PRAGMA journal_mode=MEMORY; PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE')
    return () => lock.close()
  } catch (error) {
    lock.close()
    const {errcode} = error as {errcode?: number}
    if (((errcode ?? 0) & 0xff) === BUSY) throw busyError(path, name)
    throw new RelError('write_failed', `cannot lock ${name}`, {cause: error})
  }
}

function busyError(path: string, name: LockName): RelError {
  const pid = holderOf(path)
  if (pid === undefined) return new RelError('upgrade_busy', `another process holds ${name}`)
  return new RelError('upgrade_busy', `process ${pid} holds ${name}`, {details: {pid}})
}

/** Who holds a lock, as the kernel lists it (proc_locks(5)); unknown in another container. */
function holderOf(path: string): number | undefined {
  try {
    const {dev, ino} = statSync(path)
    const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)]
    const file = `${[major, minor].map((it) => it.toString(16).padStart(2, '0')).join(':')}:${ino}`
    const lines = readFileSync('/proc/locks', 'latin1').split('\n')
    const pid = lines.map((line) => line.split(/ +/)).find((words) => words[5] === file)?.[4]
    return Number(pid) > 0 ? Number(pid) : undefined
  } catch {
    return undefined
  }
}

/**
 * Who can open a file for reading can hold a lock on it, and with that keep every update away. Never
 * opened here once it is there: to close it would give back what this process holds.
 */
function keepPrivate(path: string): void {
  const mode = statIfThere(path)?.mode
  if (mode !== undefined && (mode & 0o077) !== 0) chmodSync(path, 0o600)
  if (mode !== undefined) return
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as {code?: string}).code !== 'EEXIST') throw error
  }
}
