import type {JsonValue} from '../system/json.ts'

/** Why a version is not healthy; undefined when it is. */
export type Unhealthy = string | undefined

/**
 * D2's conditions on GET /health: status, agent.running, CPU and disk below 95 %, fewer than 10,000
 * waiting messages. With a key, the answer must also name the new version: else the old process
 * may have answered.
 */
export function judgeHealth(answer: JsonValue, version: string, versionKey?: string): Unhealthy {
  if (at(answer, 'status') !== 'healthy') return 'status is not healthy'
  if (at(answer, 'agent', 'running') !== true) return 'agent.running is not true'
  if (!isBelow(at(answer, 'metrics', 'cpu_percent'), 95)) return 'metrics.cpu_percent is not < 95'
  if (!isBelow(at(answer, 'metrics', 'disk_percent'), 95)) return 'metrics.disk_percent is not < 95'
  if (!isBelow(at(answer, 'cloud', 'queue_depth'), 10_000))
    return 'cloud.queue_depth is not < 10000'
  if (versionKey !== undefined && at(answer, versionKey) !== version)
    return `${versionKey} is not ${version}`
  return undefined
}

function at(value: JsonValue | undefined, ...keys: readonly string[]): JsonValue | undefined {
  let found = value
  for (const key of keys) {
    if (typeof found !== 'object' || found === null || Array.isArray(found)) return undefined
    found = Object.hasOwn(found, key) ? (found as Record<string, JsonValue>)[key] : undefined
  }
  return found
}

function isBelow(value: JsonValue | undefined, limit: number): boolean {
  return typeof value === 'number' && value >= 0 && value < limit
}

/** What systemd says of a service. */
export type UnitSeen = {
  readonly activeState: string
  readonly subState: string
  /** How often systemd itself has started it again. */
  readonly restarts: number
  readonly mainPid: number
}

/** What to ask `systemctl show` for. */
export const unitProperties = 'ActiveState,SubState,NRestarts,MainPID'

/** The answer of `systemctl show`; undefined when it is none. */
export function parseUnit(text: string): UnitSeen | undefined {
  const values = new Map(
    text.split('\n').map((line) => {
      const [key = '', ...value] = line.split('=')
      return [key, value.join('=')]
    }),
  )
  const [activeState, subState] = [values.get('ActiveState'), values.get('SubState')]
  const [restarts, mainPid] = [countOf(values.get('NRestarts')), countOf(values.get('MainPID'))]
  if (activeState === undefined || subState === undefined) return undefined
  if (restarts === undefined || mainPid === undefined) return undefined
  return {activeState, subState, restarts, mainPid}
}

function countOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined
}

/**
 * A service that runs: not one that starts, is started again, reloads, or has ended well
 * (RemainAfterExit).
 */
export function judgeUnit(seen: UnitSeen | undefined): Unhealthy {
  if (seen === undefined) return 'systemctl did not say how the service is'
  const {activeState, subState, mainPid} = seen
  if (activeState !== 'active' || subState !== 'running')
    return `it is ${activeState} (${subState})`
  return mainPid === 0 ? 'it has no main process' : undefined
}

/** That nothing has happened between two looks; the first one was healthy. */
export function judgeSettled(first: UnitSeen, second: UnitSeen | undefined): Unhealthy {
  const reason = judgeUnit(second)
  if (reason !== undefined || second === undefined) return reason
  const isSame = first.restarts === second.restarts && first.mainPid === second.mainPid
  return isSame ? undefined : 'it was started again'
}

/** Where a process comes from: absolute paths as the kernel names them. */
export type ProcessSeen = {readonly exe: string; readonly cwd: string}

/**
 * Whether a process is of the version in this folder: its program is in it, or, for a program that
 * an interpreter runs, its working directory. A file that was removed is named `… (deleted)`.
 */
export function isOfVersion({exe, cwd}: ProcessSeen, folder: string): boolean {
  return exe.startsWith(`${folder}/`) || cwd === folder || cwd.startsWith(`${folder}/`)
}
