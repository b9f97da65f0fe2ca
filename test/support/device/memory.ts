import {lstatSync, readdirSync, readFileSync, readlinkSync} from 'node:fs'
import {join} from 'node:path'
import {paths} from '../../../src/device/layout.ts'
import {parseRecord, unsealed} from '../../../src/device/record.ts'
import {parseLicense} from '../../../src/release/license-file.ts'
import type {JsonObject} from '../../../src/system/json.ts'
import type {View} from './crash-model.ts'

/** What a node remembers beside its records; a file that is not there is empty memory. */
export type Memory = {
  /** The latest signed time. */
  readonly clock: number
  /** Size of the log that its source has shown. */
  readonly log: number
  /** Until when the source has vouched for its word. */
  readonly vouched: number
  /** The highest version that its source has offered. */
  readonly offered: string
  /** An answer without news, for which nothing signed is sent any more. */
  readonly etag: string | undefined
  /** Offers that are not fetched again. */
  readonly refused: readonly string[]
  /** What the record had told, and the salt of the reports. */
  readonly reported:
    | {readonly running: string; readonly failed: readonly string[]; readonly salt: string}
    | undefined
  /** Reports that wait: their name, code and version. */
  readonly outbox: readonly {
    readonly id: string
    readonly code: string
    readonly version: string
  }[]
  /** Not to be asked before. */
  readonly wait: number
  readonly deltas: {readonly version: string; readonly failures: number}
  /** Of the licence; 0 for none. */
  readonly serial: number
  readonly grants: readonly {
    readonly nonce: string
    readonly to: string
    readonly digest: string
    /** Open for this record still. */
    readonly seq?: number
  }[]
}

/** Throws where a file is neither as it was nor as it was to be. */
export function memoryOf(view: View): Memory {
  const clock = sealedAt(view, paths.clock)
  const seen = sealedAt(view, paths.seen)
  const wait = sealedAt(view, paths.wait)
  const deltas = sealedAt(view, paths.deltas)
  const grants = sealedAt(view, paths.grants)
  const reported = sealedAt(view, paths.reported)
  const license = bytesAt(view, paths.license)
  const refused = (sealedAt(view, paths.refused)?.refused ?? []) as {offer: string}[]
  return {
    clock: Number(clock?.latest ?? 0),
    log: Number(seen?.log_size ?? 0),
    vouched: Number(seen?.expires ?? 0),
    offered: String(sealedAt(view, paths.offered)?.version ?? '0.0.0'),
    etag: seen?.etag as string | undefined,
    refused: refused.map(({offer}) => offer),
    reported: reported as Memory['reported'],
    outbox: outboxOf(view),
    wait: Number(wait?.not_before ?? 0),
    deltas: {version: String(deltas?.version ?? ''), failures: Number(deltas?.failures ?? 0)},
    serial: license === undefined ? 0 : parseLicense(license).license.serial,
    grants: (grants?.used ?? []) as Memory['grants'],
  }
}

function outboxOf(view: View): Memory['outbox'] {
  const folder = view.read(paths.outbox)
  if (folder?.kind !== 'dir') return []
  return folder.names
    .filter((name) => name.endsWith('.json'))
    .map((name) => {
      const {code, version} = sealedAt(view, `${paths.outbox}/${name}`) ?? {}
      return {id: name, code: String(code), version: String(version)}
    })
}

function bytesAt(view: View, path: string): Buffer | undefined {
  const found = view.read(path)
  return found?.kind === 'file' ? found.bytes : undefined
}

function sealedAt(view: View, path: string): JsonObject | undefined {
  const bytes = bytesAt(view, path)
  return bytes === undefined ? undefined : unsealed(bytes, path)
}

/** A folder of this machine as a reader of the model sees one. */
export function viewOf(root: string): View {
  return {
    read: (path) => {
      const absolute = join(root, path)
      const stat = lstatSync(absolute, {throwIfNoEntry: false})
      if (stat === undefined) return undefined
      if (stat.isSymbolicLink()) return {kind: 'link', target: readlinkSync(absolute)}
      if (stat.isDirectory()) return {kind: 'dir', names: readdirSync(absolute).sort()}
      return {kind: 'file', bytes: readFileSync(absolute)}
    },
  }
}

/** What is remembered below a root. */
export function memoryAt(root: string): Memory {
  return memoryOf(viewOf(root))
}

const files = [
  ...[paths.clock, paths.seen, paths.refused, paths.reported, paths.wait, paths.deltas],
  paths.offered,
  ...[paths.license, paths.grants],
]

/** What a reader can tell apart of it. */
export function observedMemory(view: View): string {
  const folder = view.read(paths.outbox)
  const names = folder?.kind === 'dir' ? folder.names.filter((it) => it.endsWith('.json')) : []
  const all = [...files, ...names.map((name) => `${paths.outbox}/${name}`)]
  return JSON.stringify(all.map((path) => [path, bytesAt(view, path)?.toString('latin1')]))
}

/** What the newest record says that a panel may hear. */
export function resultsOf(view: View): {
  readonly seq: number
  readonly running: {readonly version: string; readonly digest: string}
  readonly failed: readonly {readonly version: string; readonly digest: string}[]
  readonly candidate: {readonly version: string; readonly digest: string} | undefined
} {
  const [record] = paths.states
    .flatMap((path) => {
      const bytes = bytesAt(view, path)
      return bytes === undefined ? [] : [parseRecord(bytes, path)]
    })
    .sort((a, b) => b.seq - a.seq)
  if (record === undefined) throw new Error('2: no record')
  const {seq, running, failed, candidate} = record
  return {seq, running, failed, candidate}
}
