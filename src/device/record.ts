import {isVersion} from '../bundle/version.ts'
import {isDigest} from '../system/digest.ts'
import {RelError} from '../system/error.ts'
import {sha256Hex} from '../system/hash.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'
import {canonicalJson} from '../trust/canonical-json.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import {type KeptState, keptStates} from './state.ts'

/** More than 32 failed versions with their digests need. */
export const MAX_RECORD_BYTES = 64 * 1024

/** How many failed versions are remembered; the oldest is forgotten first. */
const MAX_FAILED = 32

/** SemVer sets no limit, file names do. */
const MAX_VERSION_LENGTH = 128

/** One installed version. */
export type Slot = {
  readonly version: string
  /** SHA-256 in hex of the canonical manifest. */
  readonly digest: string
  /** Seconds since the epoch at which it was verified: what is installed is judged by that time. */
  readonly verifiedAt: number
  readonly channel?: string
}

/** What state.json says (docs/formats/device-state.md), in camelCase. */
export type DeviceRecord = {
  /** Rises by one with each write; of two generations the higher one counts. */
  readonly seq: number
  readonly state: KeptState
  /** The last committed version. */
  readonly running: Slot
  /** Where an operator may go back to. */
  readonly previous?: Slot
  /** What is staged or on trial. */
  readonly candidate?: Slot
  /** Where a rollback that has begun leads. */
  readonly target?: Slot
  /** How often the candidate was started. */
  readonly attempts: number
  readonly floor: string
  readonly failed: readonly {readonly version: string; readonly digest: string}[]
}

/** The failed versions with one more, the newest last. */
export function withFailure(
  failed: DeviceRecord['failed'],
  {version, digest}: Slot,
): DeviceRecord['failed'] {
  return [...failed.filter((it) => it.digest !== digest), {version, digest}].slice(-MAX_FAILED)
}

/** Text with a trailer that proves it is whole. */
export function sealed(value: JsonValue): string {
  const text = canonicalJson(value)
  return `${text}\nsha256:${sha256Hex(text)}\n`
}

/** The value of sealed text. Refuses with upgrade_state_corrupt, saying which file. */
export function unsealed(bytes: Uint8Array, name: string): JsonObject {
  const corrupt = (what: string, cause?: unknown) =>
    new RelError('upgrade_state_corrupt', `${name} ${what}`, {cause})
  const whole = Buffer.from(bytes).toString('utf8')
  const [text, trailer, end, ...more] = whole.split('\n')
  if (text === undefined || end !== '' || more.length > 0) throw corrupt('is cut off')
  if (trailer !== `sha256:${sha256Hex(text)}`) throw corrupt('is damaged: its digest does not fit')
  try {
    const value = parseStrictJson(Buffer.from(text), {bytes: MAX_RECORD_BYTES, depth: 4})
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as JsonObject
  } catch (error) {
    throw corrupt('is no JSON', error)
  }
  throw corrupt('is no object')
}

/** The text of state.json. */
export function recordText(record: DeviceRecord): string {
  const {seq, state, running, previous, candidate, target, attempts, floor, failed} = record
  return sealed({
    schema: 1,
    seq,
    state,
    running: slotJson(running),
    ...(previous === undefined ? {} : {previous: slotJson(previous)}),
    ...(candidate === undefined ? {} : {candidate: slotJson(candidate)}),
    ...(target === undefined ? {} : {target: slotJson(target)}),
    attempts,
    floor,
    failed: failed.map(({version, digest}) => ({version, digest})),
  })
}

/** A slot as JSON shows it. */
export function slotJson({version, digest, verifiedAt, channel}: Slot): JsonObject {
  return {
    version,
    digest,
    verified_at: verifiedAt,
    ...(channel === undefined ? {} : {channel}),
  }
}

const recordKeys = [
  'schema',
  'seq',
  'state',
  'running',
  'previous',
  'candidate',
  'target',
  'attempts',
  'floor',
  'failed',
]

/** state.json as read. Refuses with upgrade_state_corrupt. */
export function parseRecord(bytes: Uint8Array, name: string): DeviceRecord {
  const json = unsealed(bytes, name)
  const bad = (what: string) => new RelError('upgrade_state_corrupt', `${name}: ${what}`)
  const unknown = Object.keys(json).find((key) => !recordKeys.includes(key))
  if (unknown !== undefined) throw bad(`unknown key ${unknown}`)
  if (json.schema !== 1) throw bad('not of schema 1')
  const {seq, state, attempts, floor, failed} = json
  if (!isCount(seq) || !isCount(attempts)) throw bad('seq or attempts is no count')
  const kept = keptStates.find((it) => it === state)
  if (kept === undefined) throw bad('unknown state')
  if (!isSafeVersion(floor)) throw bad('floor is no version')
  if (!Array.isArray(failed) || failed.length > MAX_FAILED) throw bad('failed is no list')
  const slot = (key: string): Slot | undefined => slotOf(json[key], bad)
  const [running, previous, candidate, target] = [
    slot('running'),
    slot('previous'),
    slot('candidate'),
    slot('target'),
  ]
  if (running === undefined) throw bad('running is missing')
  if ((kept === 'staged' || kept === 'trial') && candidate === undefined)
    throw bad('candidate is missing')
  if (kept === 'rolling_back' && target === undefined) throw bad('target is missing')
  return {
    seq,
    state: kept,
    running,
    ...(previous === undefined ? {} : {previous}),
    ...(candidate === undefined ? {} : {candidate}),
    ...(target === undefined ? {} : {target}),
    attempts,
    floor,
    failed: failed.map((entry) => failedOf(entry, bad)),
  }
}

/** The text of floor.json. */
export function floorText(floor: string): string {
  return sealed({schema: 1, floor})
}

/** floor.json as read. Refuses with upgrade_state_corrupt. */
export function parseFloor(bytes: Uint8Array, name: string): string {
  const {schema, floor, ...rest} = unsealed(bytes, name)
  if (schema !== 1 || !isSafeVersion(floor) || Object.keys(rest).length > 0)
    throw new RelError('upgrade_state_corrupt', `${name} holds no floor`)
  return floor
}

/** True for a version that is safe as a file name: SemVer has no slash, no leading dot. */
export function isSafeVersion(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_VERSION_LENGTH && isVersion(value)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isDigestText(value: unknown): value is string {
  return typeof value === 'string' && isDigest(value)
}

function slotOf(json: JsonValue | undefined, bad: (what: string) => RelError): Slot | undefined {
  if (json === undefined) return undefined
  const {version, digest, verified_at: verifiedAt, channel} = (json ?? {}) as JsonObject
  if (!isSafeVersion(version) || !isDigestText(digest) || !isCount(verifiedAt))
    throw bad('a version, digest or time is malformed')
  if (channel !== undefined && typeof channel !== 'string') throw bad('a channel is malformed')
  return {version, digest, verifiedAt, ...(channel === undefined ? {} : {channel})}
}

function failedOf(
  json: JsonValue,
  bad: (what: string) => RelError,
): {version: string; digest: string} {
  const {version, digest} = (json ?? {}) as JsonObject
  if (!isSafeVersion(version) || !isDigestText(digest)) throw bad('a failed version is malformed')
  return {version, digest}
}
