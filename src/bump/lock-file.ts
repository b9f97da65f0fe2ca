import {isDigest} from '../system/digest.ts'
import {RelError} from '../system/error.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'
import {type IntegrityLevel, integrityLevels} from '../upstream/upstream.ts'

/** Beside the playbooks' pins, at the top of the repository (docs/formats/lock.md). */
export const LOCK_FILE = 'rel.lock.json'

/** What is known of one item's pinned version. */
export type LockEntry = {
  readonly version: string
  readonly level: IntegrityLevel
  /** Seconds since the epoch at which it was verified. */
  readonly verifiedAt: number
  /** Vendored files and their SHA-256. */
  readonly artifacts: readonly {readonly path: string; readonly sha256: string}[]
  /** What the upstream compares later: ids, sizes, digests, dates. */
  readonly upstream: JsonObject
  /** Signed waivers of gates: an audit checks who signed them, and until when they stand. */
  readonly waivers?: readonly JsonObject[]
  /** A signed run on hardware. */
  readonly hardwareEvidence?: JsonObject
}

export type Lock = ReadonlyMap<string, LockEntry>

/** A lock file from its text; an absent file is an empty lock. Refuses with lock_invalid. */
export function parseLock(text: string | undefined): Lock {
  if (text === undefined) return new Map()
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new RelError('lock_invalid', `${LOCK_FILE} is no JSON`, {cause})
  }
  const {version, items} = object(json, LOCK_FILE)
  if (version !== 1) throw new RelError('lock_invalid', `${LOCK_FILE} is not of version 1`)
  return new Map(
    Object.entries(object(items, 'items')).map(([item, it]) => [item, entryOf(item, it)]),
  )
}

function entryOf(item: string, json: unknown): LockEntry {
  const {version, level, verified_at, artifacts, upstream, ...proofs} = object(json, item)
  const isLevel = (integrityLevels as readonly unknown[]).includes(level)
  if (typeof version !== 'string' || !isLevel || typeof verified_at !== 'number')
    throw new RelError('lock_invalid', `${LOCK_FILE}: ${item} has no version, level or verified_at`)
  return {
    version,
    level: level as IntegrityLevel,
    verifiedAt: verified_at,
    artifacts: Object.entries(object(artifacts ?? {}, item)).map(([path, sha256]) => {
      if (typeof sha256 === 'string' && isDigest(sha256)) return {path, sha256}
      throw new RelError('lock_invalid', `${LOCK_FILE}: ${item}: ${path} has no digest`)
    }),
    upstream: object(upstream, item) as JsonObject,
    ...proofsOf(item, proofs),
  }
}

function proofsOf(
  item: string,
  {waivers, hardware_evidence: evidence}: Readonly<Record<string, unknown>>,
): Pick<LockEntry, 'waivers' | 'hardwareEvidence'> {
  if (waivers !== undefined && !Array.isArray(waivers))
    throw new RelError('lock_invalid', `${LOCK_FILE}: ${item}: waivers is no list`)
  return {
    ...(waivers === undefined
      ? {}
      : {waivers: waivers.map((it) => object(it, `a waiver of ${item}`) as JsonObject)}),
    ...(evidence === undefined
      ? {}
      : {hardwareEvidence: object(evidence, `the evidence of ${item}`) as JsonObject}),
  }
}

function object(json: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof json === 'object' && json !== null && !Array.isArray(json))
    return json as Record<string, unknown>
  throw new RelError('lock_invalid', `${LOCK_FILE}: ${what} is no object`)
}

/** The text of a lock with one entry put in: sorted keys, so that equal locks are equal bytes. */
export function withLockEntry(lock: Lock, item: string, entry: LockEntry): string {
  const items = [...lock, [item, entry] as const].map(([name, it]) => [name, jsonOf(it)] as const)
  const json = {items: Object.fromEntries(items), version: 1}
  return `${JSON.stringify(sorted(json), null, 2)}\n`
}

function jsonOf(entry: LockEntry): JsonObject {
  const {version, level, verifiedAt, artifacts, upstream, waivers = [], hardwareEvidence} = entry
  const files = Object.fromEntries(artifacts.map(({path, sha256}) => [path, sha256]))
  return {
    version,
    level,
    verified_at: verifiedAt,
    upstream,
    ...(artifacts.length === 0 ? {} : {artifacts: files}),
    ...(waivers.length === 0 ? {} : {waivers}),
    ...(hardwareEvidence === undefined ? {} : {hardware_evidence: hardwareEvidence}),
  }
}

function sorted(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value as JsonObject).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, member]) => [key, sorted(member)]))
}
