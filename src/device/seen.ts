import {RelError} from '../system/error.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'
import {raiseMark, raisesMark, trustedNow} from './clock-mark.ts'
import {type Device, ifNotBusy} from './device.ts'
import {freshnessKeys, type LogHead, staleSince} from './freshness.ts'
import {paths} from './layout.ts'
import {quietSince} from './offered.ts'
import {readSealed, writeSealed} from './sealed-file.ts'
import {anchorOf} from './verify-installed.ts'

/** What a source has said, as far as it was verified (docs/formats/device-state.md). */
export type Seen = {
  /** Of whom it is: another address has another memory. */
  readonly source: string
  readonly log?: LogHead
  /** Ids of the keys that vouched for it. */
  readonly signers?: readonly string[]
  /** When the newest statement ends, in seconds since the epoch. */
  readonly expires?: number
  /** An answer that had nothing for this node, and to which question. */
  readonly nothing?: {readonly etag: string; readonly question: string}
}

/**
 * What is remembered of a source. What only keys have vouched for that the anchor no longer trusts is
 * forgotten: with a stolen one, a log of any size could have been signed, which no honest panel would
 * ever reach again. Refuses with upgrade_state_corrupt.
 */
export function loadSeen(root: string, source: string): Seen {
  const json = readSealed(root, paths.seen)
  if (json === undefined || json.source !== source) return {source}
  const {schema, log_size: size, log_root: head, expires, etag, question, signers = []} = json
  const bad = (isBad: boolean) => {
    if (isBad) throw new RelError('upgrade_state_corrupt', `${paths.seen} is malformed`)
  }
  bad(schema !== 1)
  bad(
    (size === undefined) !== (head === undefined) ||
      (etag === undefined) !== (question === undefined),
  )
  if (!Array.isArray(signers)) bad(true)
  const known = freshnessKeys(anchorOf(root).anchor)
  const ids = (signers as JsonValue[]).map((id) => textOf(id, bad))
  if (size !== undefined && !ids.some((id) => known.includes(id))) return {source}
  return {
    source,
    signers: ids,
    ...(size === undefined || head === undefined
      ? {}
      : {log: {size: countOf(size, bad), root: textOf(head, bad)}}),
    ...(expires === undefined ? {} : {expires: countOf(expires, bad)}),
    ...(etag === undefined || question === undefined
      ? {}
      : {nothing: {etag: textOf(etag, bad), question: textOf(question, bad)}}),
  }
}

function countOf(json: JsonValue, bad: (isBad: boolean) => void): number {
  bad(!Number.isSafeInteger(json))
  return json as number
}

function textOf(json: JsonValue, bad: (isBad: boolean) => void): string {
  bad(typeof json !== 'string')
  return json as string
}

/** Since when the source of a node says nothing new though it should, as far as it is remembered. */
export function rememberedStale(device: Device): number | undefined {
  const {root, config} = device
  if (config.source?.kind !== 'panel') return quietSince(device)
  const {expires} = loadSeen(root, config.source.url)
  if (expires === undefined) return quietSince(device)
  return staleSince({expires}, trustedNow(device))
}

/**
 * Remembers what was verified, if it is anything new: a poll that finds nothing writes nothing and
 * takes no lock. While another process acts, or when it has heard something meanwhile, that one
 * counts: this was news to nobody else, and the next poll hears it again.
 */
export async function keepSeen(
  device: Device,
  before: Seen,
  seen: Seen,
  signed: readonly number[],
): Promise<void> {
  const {root, world} = device
  const isNew = textJson(before) !== textJson(seen)
  if (!isNew && !signed.some((time) => raisesMark(device, time))) return
  await ifNotBusy(root, () => {
    for (const time of signed) raiseMark(device, time)
    if (isNew && textJson(loadSeen(root, seen.source)) === textJson(before))
      writeSealed(world.fs, paths.seen, jsonOf(seen))
  })
}

function textJson(seen: Seen): string {
  return JSON.stringify(jsonOf(seen))
}

function jsonOf({source, log, signers = [], expires, nothing}: Seen): JsonObject {
  return {
    schema: 1,
    source,
    ...(log === undefined ? {} : {log_size: log.size, log_root: log.root, signers: [...signers]}),
    ...(expires === undefined ? {} : {expires}),
    ...(nothing === undefined ? {} : {etag: nothing.etag, question: nothing.question}),
  }
}
