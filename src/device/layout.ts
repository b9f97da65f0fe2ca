import {lstatSync, readlinkSync} from 'node:fs'
import {join} from 'node:path'
import {RelError} from '../system/error.ts'
import {entriesIn, fileError, isFullDisk, readFileLimited, statIfThere} from '../system/files.ts'
import {type DurableFs, replaceFile} from './durable-fs.ts'
import {checkFolder, checkOwned} from './owned.ts'
import {
  type DeviceRecord,
  floorText,
  isSafeVersion,
  MAX_RECORD_BYTES,
  parseFloor,
  parseRecord,
  recordText,
  type Slot,
} from './record.ts'
import {higher} from './state.ts'

/** Where things are below the root of a node, relative to it (docs/formats/device-state.md). */
export const paths = {
  current: 'current',
  previous: 'previous',
  versions: 'versions',
  private: '.rel',
  /** Two generations; the next record takes the place of the older one. */
  states: ['.rel/state.json', '.rel/state.json.1'],
  floor: '.rel/floor.json',
  /** Grants that were used; absent until the first one. */
  grants: '.rel/grants.json',
  lock: '.rel/lock',
  fetchLock: '.rel/fetch.lock',
  /** Space that a record may need on a full disk. */
  reserve: '.rel/reserve',
  /** What the guard reads of a trial, and what it leaves (templates/systemd/rel-guard). */
  trial: '.rel/trial',
  reverted: '.rel/reverted',
  revertedSeen: '.rel/reverted.seen',
  attempts: '.rel/attempts',
  asked: '.rel/asked',
  /** An operator wants a trial to end with going back. */
  back: '.rel/back',
  guard: '.rel/guard',
  config: 'device.json',
  anchor: 'trust_anchor.json',
  /** The licence of the node, as its issuer sent it. */
  license: 'license',
  /** The latest signed time that was seen. */
  clock: '.rel/clock.json',
  /** What the source has said, as far as it is signed. */
  seen: '.rel/seen.json',
  /** The highest version that the source has offered. */
  offered: '.rel/offered.json',
  /** Until when the source wants to be left alone. */
  wait: '.rel/wait.json',
  /** Offers that were fetched in vain. */
  refused: '.rel/refused.json',
  /** Which results of the record are in the outbox. */
  reported: '.rel/reported.json',
  outbox: '.rel/outbox',
  downloads: '.rel/downloads',
  /** How often deltas to a version have failed. */
  deltas: '.rel/deltas.json',
  /** Sigstore's, where it is not the public one that rel was made with. */
  trustedRoot: 'trusted_root.json',
} as const

/** The folder of a version. */
export function versionPath(version: string): string {
  return `${paths.versions}/${version}`
}

/** The name of a tree that is being written, or that is being removed. */
export function unfinishedPath(version: string, kind: 'partial' | 'trash'): string {
  return `${paths.versions}/.${version}.${kind}`
}

/** The records of a node. */
export type Records = {readonly record: DeviceRecord; readonly floor: string}

/**
 * The newest whole record, and the highest floor that is known.
 * Refuses with upgrade_state_corrupt when there is no whole record, or no whole floor.json.
 */
export function loadRecords(root: string): Records {
  const found: DeviceRecord[] = []
  let reason: RelError | undefined
  for (const path of paths.states) {
    const bytes = bytesOf(root, path)
    if (bytes === undefined) continue
    try {
      found.push(parseRecord(bytes, path))
    } catch (error) {
      if (!(error instanceof RelError)) throw error
      reason = error
    }
  }
  const [newest] = found.sort((a, b) => b.seq - a.seq)
  if (newest === undefined)
    throw reason ?? new RelError('upgrade_state_corrupt', `${paths.states[0]} is missing`)
  const bytes = bytesOf(root, paths.floor)
  if (bytes === undefined) throw new RelError('upgrade_state_corrupt', `${paths.floor} is missing`)
  return {record: newest, floor: higher(parseFloor(bytes, paths.floor), newest.floor)}
}

/** What can still be read when records are damaged. */
export type Readable = {
  readonly floors: readonly string[]
  /** The highest number of a record. */
  readonly seq: number
  /** What has run or was to run again, the newest first; not what failed. */
  readonly slots: readonly Slot[]
  /** Where a trial or a rollback leads that the newest whole record has left unfinished. */
  readonly wayBack?: Slot
  /** Undefined when no record can be read. */
  readonly failed: DeviceRecord['failed'] | undefined
}

/** Refuses nothing that is damaged. */
export function readableRecords(root: string): Readable {
  const read = (path: string) => bytesOf(root, path) ?? Buffer.alloc(0)
  const records = whole(paths.states.map((path) => () => parseRecord(read(path), path)))
  const floors = whole([() => parseFloor(read(paths.floor), paths.floor)])
  const [newest] = records.sort((a, b) => b.seq - a.seq)
  const wayBack = newest === undefined ? undefined : wayBackOf(newest)
  return {
    ...(wayBack === undefined ? {} : {wayBack}),
    failed: newest?.failed,
    floors: [...floors, ...records.map(({floor}) => floor)],
    seq: Math.max(0, ...records.map(({seq}) => seq)),
    slots: records.flatMap((record) => slotsOf(record, records)),
  }
}

function wayBackOf({state, running, target}: DeviceRecord): Slot | undefined {
  if (state === 'rolling_back') return target
  return state === 'trial' ? running : undefined
}

/** A candidate has not proven itself: it is not among them. */
function slotsOf(
  {running, target, previous}: DeviceRecord,
  records: readonly DeviceRecord[],
): readonly Slot[] {
  const failed = new Set(records.flatMap((record) => record.failed.map(({digest}) => digest)))
  return [running, target, previous].filter(
    (slot) => slot !== undefined && !failed.has(slot.digest),
  ) as Slot[]
}

function whole<T>(readers: readonly (() => T)[]): T[] {
  return readers.flatMap((read) => {
    try {
      return [read()]
    } catch (error) {
      if (error instanceof RelError) return []
      throw error
    }
  })
}

function bytesOf(root: string, path: string): Buffer | undefined {
  const absolute = join(root, path)
  const stat = statIfThere(absolute)
  if (stat === undefined) return undefined
  if (!stat.isFile()) throw new RelError('upgrade_state_corrupt', `${path} is no regular file`)
  return readFileLimited(absolute, MAX_RECORD_BYTES)
}

/** Writes a record over the older generation, durable once this returns. */
export function writeRecord(fs: DurableFs, record: DeviceRecord): void {
  const [even, odd] = paths.states
  const path = record.seq % 2 === 0 ? even : odd
  mustWrite(fs, () => replaceFile(fs, path, recordText(record), 0o600))
}

const RESERVE_BYTES = 64 * 1024

/**
 * Keeps space for records. Not synced: the file system has set the blocks aside once they are
 * written, and what a power cut takes is made again by the next run. A full disk has none to keep.
 */
export function keepReserve(fs: DurableFs): void {
  const {reserve: path} = paths
  const size = statIfThere(join(fs.root, path))?.size
  if (size === RESERVE_BYTES) return
  try {
    if (size !== undefined) fs.run({op: 'unlink', path})
    fs.run({op: 'create', path, mode: 0o600})
    // no zeros, which some file systems would keep as a hole
    fs.run({op: 'write', path, bytes: Buffer.alloc(RESERVE_BYTES, 'reserve ')})
  } catch (error) {
    if (!isFullDisk(error)) throw fileError(error, path, 'write')
  }
}

/**
 * Does what must be done on a full disk too: the reserve is given up for it, once. The work is begun
 * anew after that. Refuses as writing does.
 */
export function mustWrite(fs: DurableFs, work: () => void): void {
  writing(() => {
    try {
      work()
    } catch (error) {
      if (!isFullDisk(error) || statIfThere(join(fs.root, paths.reserve)) === undefined) throw error
      fs.run({op: 'unlink', path: paths.reserve})
      fs.run({op: 'sync_dir', path: paths.private})
      work()
    }
  })
}

/**
 * Makes durable what a reader sees: a run that was killed may have ended between a rename and its
 * sync, and whoever acts on that name would act on what the next power cut takes back.
 */
export function settle({
  fs,
  programFs,
}: {
  readonly fs: DurableFs
  readonly programFs?: DurableFs
}): void {
  writing(() => {
    fs.run({op: 'sync_dir', path: paths.private})
    fs.run({op: 'sync_dir', path: ''})
    programFs?.run({op: 'sync_dir', path: ''})
  })
}

/** Raises floor.json; a floor that is there already is left alone. */
export function writeFloor(fs: DurableFs, floor: string): void {
  const bytes = bytesOf(fs.root, paths.floor)
  if (bytes !== undefined && parseFloor(bytes, paths.floor) === floor) return
  mustWrite(fs, () => replaceFile(fs, paths.floor, floorText(floor), 0o600))
}

/** Errors of the port as codes: a full disk, and one that does not work, are told apart from all else. */
export function writing<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw writeError(error)
  }
}

/** writing for what takes its time. */
export async function whileWriting<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw writeError(error)
  }
}

function writeError(error: unknown): RelError {
  const failure = fileError(error, 'the folder of the node', 'write')
  const {code} = ((error instanceof RelError ? error.cause : error) ?? {}) as {code?: string}
  if (failure.code === 'disk_full')
    return new RelError('upgrade_disk_full', failure.message, {cause: error})
  if (code !== 'EIO' && code !== 'EROFS') return failure
  return new RelError('upgrade_io_error', failure.message, {cause: error})
}

/** The version a link leads to; undefined when there is none. Refuses with upgrade_layout_invalid. */
export function linkedVersion(root: string, name: 'current' | 'previous'): string | undefined {
  const path = join(root, name)
  const stat = statIfThere(path)
  if (stat === undefined) return undefined
  if (!stat.isSymbolicLink()) throw new RelError('upgrade_layout_invalid', `${name} is no link`)
  const target = readlinkSync(path)
  const version = target.startsWith('versions/') ? target.slice('versions/'.length) : ''
  if (!isSafeVersion(version))
    throw new RelError('upgrade_layout_invalid', `${name} leads to ${target}, not to a version`)
  return version
}

/**
 * Refuses with upgrade_layout_invalid where a folder of the node is something else, or where somebody
 * else than root, or whom rel runs as, could change the node.
 */
export function checkLayout(root: string): void {
  for (const name of [paths.versions, paths.private]) {
    const stat = lstatSync(join(root, name), {throwIfNoEntry: false})
    if (stat === undefined)
      throw new RelError('upgrade_layout_invalid', `${name} is missing: this is no node`, {
        hint: 'rel device init DIR --bundle BUNDLE --trust FILE makes one.',
      })
    if (!stat.isDirectory())
      throw new RelError('upgrade_layout_invalid', `${name} is no folder itself`)
    checkOwned(name, stat)
  }
  // whoever can write these chooses the keys, and the commands that rel starts
  for (const name of [paths.config, paths.anchor]) {
    const stat = statIfThere(join(root, name))
    if (stat?.isFile() === true) checkOwned(name, stat)
  }
  checkFolder(root)
}

/** What lies in versions/: versions, what a crash left of ours, and what is not ours. */
export type Versions = {
  readonly versions: readonly string[]
  readonly unfinished: readonly string[]
  readonly foreign: readonly string[]
}

/** Names only; nothing is followed. Refuses with file_missing, file_unreadable. */
export function listVersions(root: string): Versions {
  const entries = entriesIn(join(root, paths.versions))
  const versions: string[] = []
  const unfinished: string[] = []
  const foreign: string[] = []
  for (const entry of entries) {
    const own = /^\.(.+)\.(?:partial|trash)$/.exec(entry.name)
    if (!entry.isDirectory()) foreign.push(entry.name)
    else if (isSafeVersion(entry.name)) versions.push(entry.name)
    else if (own !== null && isSafeVersion(own[1])) unfinished.push(entry.name)
    else foreign.push(entry.name)
  }
  return {versions: versions.sort(), unfinished: unfinished.sort(), foreign: foreign.sort()}
}
