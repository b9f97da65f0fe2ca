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
