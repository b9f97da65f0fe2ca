import {RelError} from '../system/error.ts'
import type {HttpHeaders} from '../system/http.ts'
import {strongEtag} from '../system/http-rules.ts'

/** What is on disk of a download, and of which representation. */
export type Part = {
  readonly size: number
  /** Strong; without one nothing can be continued. */
  readonly etag: string | undefined
}

/** What is done with the body of an answer. */
export type Continuation =
  /** The bytes follow those that are there. */
  | {readonly act: 'append'}
  /** The bytes are the whole. */
  | {readonly act: 'restart'; readonly etag: string | undefined}
  /** What is there is of no use: ask again for the whole. */
  | {readonly act: 'drop'}
  | {readonly act: 'refuse'}

/** Header fields that ask for the rest of a part, only if it is still the same (RFC 9110 13.1.5). */
export function resumeHeaders({size, etag}: Part): HttpHeaders {
  return size === 0 || etag === undefined ? {} : {range: `bytes=${size}-`, 'if-range': etag}
}

/** How an answer to such a request goes on; `total` is the signed size, when there is one. */
export function continuation(
  status: number,
  headers: HttpHeaders,
  part: Part,
  total: number | undefined,
): Continuation {
  const encoding = headers['content-encoding'] ?? 'identity'
  if (status === 200 && encoding === 'identity') return {act: 'restart', etag: strongEtag(headers)}
  if (status === 416) return {act: 'drop'}
  if (status !== 206) return {act: 'refuse'}
  if (part.size === 0) return {act: 'refuse'} // nobody asked for a part
  const range = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16})$/.exec(headers['content-range'] ?? '')
  const [start, end, whole] = (range ?? []).slice(1).map(Number)
  const isRest =
    start === part.size &&
    whole !== undefined &&
    end === whole - 1 &&
    (total === undefined || whole === total) &&
    encoding === 'identity'
  return isRest && strongEtag(headers) === part.etag ? {act: 'append'} : {act: 'drop'}
}

/** Bytes and files that are free. */
type Free = {readonly bytes: number; readonly files: number}

/** The part, its sidecar, and what unpacking begins with. */
const FILES_NEEDED = 64

/**
 * D1's three times the size, less what is there already, before the first byte.
 * Refuses with upgrade_disk_full, naming what is needed and free.
 */
export function checkRoom(free: Free, size: number, there: number): void {
  const needed = 3 * size - there
  if (free.bytes >= needed && free.files >= FILES_NEEDED) return
  throw new RelError('upgrade_disk_full', `${needed} bytes and ${FILES_NEEDED} files are needed`, {
    details: {
      needed_bytes: needed,
      free_bytes: free.bytes,
      needed_files: FILES_NEEDED,
      free_files: Number.isFinite(free.files) ? free.files : 0,
    },
  })
}

/** How often something that is not there may be asked for within an hour. */
const MAX_REFUSALS = 3
const REFUSAL_SECS = 3600

/** The refusals that still count; a clock that was set back forgets those of its future. */
export function recentRefusals(times: readonly number[], now: number): readonly number[] {
  return times.filter((time) => time <= now && time > now - REFUSAL_SECS)
}

/** When it may be asked for again, in seconds since the epoch; undefined for now. */
export function askAgainAt(times: readonly number[], now: number): number | undefined {
  const recent = recentRefusals(times, now)
  const [first] = recent
  return recent.length < MAX_REFUSALS || first === undefined ? undefined : first + REFUSAL_SECS
}
