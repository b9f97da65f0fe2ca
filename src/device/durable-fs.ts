import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fsync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import {basename, dirname, join} from 'node:path'
import {promisify} from 'node:util'

export type Owner = {readonly uid: number; readonly gid: number}

/** One change or one sync below the root of a node; paths are relative to it, '' is the root. */
export type DurableOp =
  | {
      readonly op: 'create'
      readonly path: string
      readonly mode: number
      /** Whose file it is, when not of who makes it. */
      readonly owner?: Owner
    }
  | {readonly op: 'write'; readonly path: string; readonly bytes: Buffer}
  | {readonly op: 'sync'; readonly path: string}
  | {readonly op: 'mkdir'; readonly path: string}
  | {readonly op: 'sync_dir'; readonly path: string}
  | {readonly op: 'symlink'; readonly path: string; readonly target: string}
  | {readonly op: 'rename'; readonly path: string; readonly to: string}
  | {readonly op: 'unlink'; readonly path: string}
  | {readonly op: 'rmdir'; readonly path: string}

/** The one port through which everything that must survive a power cut goes. */
export type DurableFs = {
  readonly root: string
  /** Does one operation; throws what the system says. */
  run(op: DurableOp): void
  /** Syncs files in any order, several at once; without it they are synced one after the other. */
  syncAll?(paths: readonly string[]): Promise<void>
}

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW

const READ = constants.O_RDONLY | constants.O_NOFOLLOW

/** As many threads as Node has for files: the journal of a file system takes their syncs as one. */
const SYNCS_AT_ONCE = 4

/** The port to the file system of the machine. */
export function realFs(root: string): DurableFs {
  return {root, run: (op) => runReal(root, op), syncAll: (paths) => syncReal(root, paths)}
}

/** Files that are on disk once this returns, in whatever order; throws what the system says first. */
export async function syncFiles(fs: DurableFs, paths: readonly string[]): Promise<void> {
  if (fs.syncAll !== undefined) return fs.syncAll(paths)
  for (const path of paths) fs.run({op: 'sync', path})
}

const fsyncLater = promisify(fsync)

async function syncReal(root: string, paths: readonly string[]): Promise<void> {
  const waiting = paths.values()
  const failures: unknown[] = []
  const syncNext = async () => {
    for (const path of waiting) {
      if (failures.length > 0) return
      try {
        await syncFile(join(root, path))
      } catch (error) {
        failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({length: SYNCS_AT_ONCE}, syncNext))
  if (failures.length > 0) throw failures[0]
}

async function syncFile(path: string): Promise<void> {
  const fd = openSync(path, READ)
  try {
    await fsyncLater(fd)
  } finally {
    closeSync(fd)
  }
}

function runReal(root: string, op: DurableOp): void {
  const path = join(root, op.path)
  if (op.op === 'create') makeFile(path, op.mode, op.owner)
  else if (op.op === 'write') onFile(path, APPEND, (fd) => writeAll(fd, op.bytes))
  else if (op.op === 'sync') onFile(path, READ, fsyncSync)
  else if (op.op === 'sync_dir') onFile(path, FOLDER, fsyncSync)
  else if (op.op === 'mkdir') makeFolder(path)
  else if (op.op === 'symlink') symlinkSync(op.target, path)
  else if (op.op === 'rename') renameSync(path, join(root, op.to))
  else if (op.op === 'unlink') unlinkSync(path)
  else rmdirSync(path)
}

function makeFile(path: string, mode: number, owner: Owner | undefined): void {
  const prepare = (fd: number) => {
    if (owner !== undefined) fchownSync(fd, owner.uid, owner.gid)
    fchmodSync(fd, mode)
  }
  onFile(path, CREATE, prepare, mode)
}

function makeFolder(path: string): void {
  mkdirSync(path, {mode: 0o755})
  // whatever the umask
  onFile(path, FOLDER, (fd) => fchmodSync(fd, 0o755))
}

function onFile(path: string, flags: number, work: (fd: number) => void, mode?: number): void {
  const fd = openSync(path, flags, mode)
  try {
    work(fd)
  } finally {
    closeSync(fd)
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at)
}

/** A port that tells of each operation before another one does it. */
export function recordingFs(fs: DurableFs, onOp: (op: DurableOp) => void): DurableFs {
  return {
    root: fs.root,
    run: (op) => {
      onOp(op)
      fs.run(op)
    },
  }
}

/** The name a path has until it is complete; one name, so that a crash leaves at most one. */
function temporaryOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.rel-tmp`)
}

/**
 * Puts a file in place, whole or not at all, and durable once this returns. What `content` throws,
 * it throws before the file is in place.
 */
export function replaceFile(
  fs: DurableFs,
  path: string,
  content: string | Iterable<Buffer>,
  mode = 0o644,
  owner?: Owner,
): void {
  const temporary = temporaryOf(path)
  dropStale(fs, temporary)
  try {
    fs.run({op: 'create', path: temporary, mode, ...(owner === undefined ? {} : {owner})})
    const blocks = typeof content === 'string' ? [Buffer.from(content)] : content
    for (const bytes of blocks) fs.run({op: 'write', path: temporary, bytes})
    fs.run({op: 'sync', path: temporary})
  } catch (error) {
    giveBack(fs, temporary)
    throw error
  }
  fs.run({op: 'rename', path: temporary, to: path})
  fs.run({op: 'sync_dir', path: folderOf(path)})
}

/** Space that a full disk may need for what comes next; the error that is being thrown counts. */
function giveBack(fs: DurableFs, temporary: string): void {
  try {
    dropStale(fs, temporary)
  } catch {
    // swept by whoever writes the same file next
  }
}

/** Makes a link lead elsewhere in one step, durable once this returns. */
export function swapLink(fs: DurableFs, path: string, target: string): void {
  const temporary = temporaryOf(path)
  dropStale(fs, temporary)
  fs.run({op: 'symlink', path: temporary, target})
  fs.run({op: 'rename', path: temporary, to: path})
  fs.run({op: 'sync_dir', path: folderOf(path)})
}

/** Removes a folder and what is in it; nothing relies on how far it came. */
export function removeTree(fs: DurableFs, path: string): void {
  for (const entry of readdirSync(join(fs.root, path), {withFileTypes: true})) {
    const below = join(path, entry.name)
    if (entry.isDirectory()) removeTree(fs, below)
    else fs.run({op: 'unlink', path: below})
  }
  fs.run({op: 'rmdir', path})
}

/** What a crash left under a temporary name would make the next run fail for ever. */
function dropStale(fs: DurableFs, path: string): void {
  const stat = lstatSync(join(fs.root, path), {throwIfNoEntry: false})
  if (stat?.isDirectory() === true) removeTree(fs, path)
  else if (stat !== undefined) fs.run({op: 'unlink', path})
}

/** The folder of a relative path, '' for the root. */
export function folderOf(path: string): string {
  const folder = dirname(path)
  return folder === '.' ? '' : folder
}
