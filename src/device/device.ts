import {realpathSync} from 'node:fs'
import {join} from 'node:path'
import {RelError} from '../system/error.ts'
import {fileError, readFileLimited, statIfThere} from '../system/files.ts'
import type {JsonObject} from '../system/json.ts'
import {type DeviceConfig, MAX_CONFIG_BYTES, parseConfig} from './config.ts'
import {type DurableFs, realFs} from './durable-fs.ts'
import type {Unhealthy} from './health-rules.ts'
import {checkLayout, loadRecords, paths, type Records, writeRecord} from './layout.ts'
import {programPort} from './program.ts'
import type {DeviceRecord, Slot} from './record.ts'
import {checkTransition, type KeptState} from './state.ts'

/** The names of D1's lifecycle events. */
export type EventName =
  | 'upgrade_started'
  | 'upgrade_downloaded'
  | 'upgrade_staged'
  | 'upgrade_completed'
  | 'upgrade_rolled_back'
  | 'upgrade_stage_failed'
  | 'upgrade_delta_failed'
  | 'upgrade_apply_failed'
  | 'upgrade_rollback_failed'
  | 'upgrade_available'
  | 'upgrade_check_failed'
  | 'upgrade_report_failed'

/** One line of the event stream. */
export type DeviceEvent = {
  readonly event: EventName
  readonly category: 'upgrade'
  readonly severity: 'info' | 'critical'
  readonly details: JsonObject
}

/** What an updater needs of the world besides its folder. */
export type World = {
  readonly fs: DurableFs
  /** The folder of the program, with the profile `binary`. */
  readonly programFs?: DurableFs
  /** Seconds since the epoch. */
  now(): number
  /** Makes the program start again; why it could not, or undefined. */
  restart(): Promise<string | undefined>
  /** Waits for the health of a version; why it is not healthy, or undefined. */
  health(version: string): Promise<Unhealthy>
  /** True when the program does not run. */
  isStopped(): Promise<boolean>
  onEvent(event: DeviceEvent): void
  /** Once it says so, waiting ends with interrupted; what is on disk is gone on with later. */
  readonly stop?: AbortSignal | undefined
}

/** One node, opened by its folder. */
export type Device = {
  readonly root: string
  readonly config: DeviceConfig
  readonly world: World
}

/** The folder itself, no link. Refuses with file_missing, file_unreadable. */
export function realRoot(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    throw fileError(error, path, 'read')
  }
}

/** Refuses with upgrade_layout_invalid, upgrade_config_invalid. */
export function readConfig(root: string): DeviceConfig {
  checkLayout(root)
  const path = join(root, paths.config)
  if (statIfThere(path)?.isFile() !== true)
    throw new RelError('upgrade_config_invalid', `${paths.config} is no file`)
  return parseConfig(readFileLimited(path, MAX_CONFIG_BYTES))
}

/** The world of a real node. */
export function realWorld(
  root: string,
  config: DeviceConfig,
  onEvent: World['onEvent'],
  stop?: AbortSignal,
): World {
  const {health, restart, stopped, bootHealthWindowSecs: secs, profile} = config
  return {
    fs: realFs(root),
    ...(profile.kind === 'binary' ? {programFs: programPort(profile.path)} : {}),
    now: () => Math.floor(Date.now() / 1000),
    restart: async () => {
      if (restart === undefined) return undefined
      const {runProgram} = await import('./health.ts')
      const exit = await runProgram(restart, secs, {stop})
      return exit === 0 ? undefined : `the restart command ended with ${exit}`
    },
    health: async (version) => {
      const {awaitHealth} = await import('./health.ts')
      const {isAskedBack, isTakenBack} = await import('./guard.ts')
      const digest = loadRecords(root).record.candidate?.digest ?? ''
      const question = health.kind === 'process' ? {...health, root, profile, digest} : health
      const isOver = () => isTakenBack(root) || isAskedBack(root, digest)
      return awaitHealth(question, version, {secs, isTakenBack: isOver, stop})
    },
    isStopped: async () => {
      if (stopped === undefined) return false
      const {runProgram} = await import('./health.ts')
      return (await runProgram(stopped, secs, {stop})) === 0
    },
    onEvent,
    stop,
  }
}

/**
 * Does work while nobody else changes what runs, or its records. Never held while a source is
 * waited for: an operator can always go back. Refuses with upgrade_busy.
 */
export async function whileLocked<T>(root: string, work: () => Promise<T>): Promise<T> {
  return holding(root, paths.lock, work)
}

/** Does work while nobody else fetches for the node. Refuses with upgrade_busy. */
export async function whileFetching<T>(root: string, work: () => Promise<T>): Promise<T> {
  return holding(root, paths.fetchLock, work)
}

async function holding<T>(
  root: string,
  name: typeof paths.lock | typeof paths.fetchLock,
  work: () => Promise<T>,
): Promise<T> {
  const {lockDevice} = await import('./lock.ts')
  const unlock = lockDevice(root, name)
  try {
    return await work()
  } finally {
    unlock()
  }
}

/** For what may be left out: nothing is done while another process acts, which is no failure. */
export async function ifNotBusy(root: string, work: () => void): Promise<void> {
  try {
    await whileLocked(root, async () => work())
  } catch (error) {
    if (!(error instanceof RelError) || error.code !== 'upgrade_busy') throw error
  }
}

/** Refuses with upgrade_state_corrupt. */
export function recordsOf({root}: Device): Records {
  return loadRecords(root)
}

type Change = Partial<Omit<DeviceRecord, 'seq' | 'state' | 'previous'>> & {
  /** Kept when not given, forgotten when undefined. */
  readonly previous?: Slot | undefined
}

/** Writes the next record; candidate, target and attempts are forgotten unless they are given. */
export function advance(
  {world}: Device,
  {record, floor}: Records,
  state: KeptState,
  change: Change,
): Records {
  const {running, failed} = record
  const {previous, ...rest} = {previous: record.previous, ...change}
  checkTransition(record.state, record.state === 'staged' && state === 'trial' ? 'applying' : state)
  const next: DeviceRecord = {
    running,
    ...(previous === undefined ? {} : {previous}),
    failed,
    attempts: 0,
    floor,
    ...rest,
    seq: record.seq + 1,
    state,
  }
  writeRecord(world.fs, next)
  return {record: next, floor: next.floor}
}

/** Tells what happened, in D1's words. */
export function tell(
  {world}: Pick<Device, 'world'>,
  event: EventName,
  details: JsonObject,
  severity: DeviceEvent['severity'] = 'info',
): void {
  world.onEvent({event, category: 'upgrade', severity, details})
}
