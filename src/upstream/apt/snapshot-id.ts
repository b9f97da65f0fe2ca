import {RelError} from '../../system/error.ts'

export type Distribution = 'debian' | 'ubuntu'

/** The first instant that each snapshot service has (docs/formats/upstream-apt.md). */
const serviceStart: Readonly<Record<Distribution, string>> = {
  debian: '20050312T000000Z',
  ubuntu: '20230301T000000Z',
}

/** Ubuntu keeps snapshots for at least two years; half a year is left to move on. */
const OLD_SECS = 18 * 30.5 * 86_400

const form = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/

/**
 * Seconds since the epoch of a snapshot id such as 20250331T120000Z. apt itself checks none of
 * this (sources.list(5)) and servers answer wrong ids with something. Refuses, before any request,
 * with snapshot_id_malformed, snapshot_id_impossible, snapshot_too_early, snapshot_in_future.
 */
export function parseSnapshotId(id: string, distribution: Distribution, now: number): number {
  const secs = snapshotSecs(id)
  const start = serviceStart[distribution]
  if (id < start)
    throw new RelError('snapshot_too_early', `${id} is before ${start}, where the service begins`)
  if (secs > now)
    throw new RelError('snapshot_in_future', `${id} is after now, ${snapshotIdAt(now)}`)
  return secs
}

/** The id of an instant, rounded down to the second. */
export function snapshotIdAt(secs: number): string {
  return new Date(Math.floor(secs) * 1000).toISOString().replace(/[-:]|\.000/g, '')
}

const DAY_SECS = 86_400

/** The last midnight (UTC) before an instant, both in seconds since the epoch. */
export function lastMidnight(now: number): number {
  return Math.floor(now / DAY_SECS) * DAY_SECS
}

function snapshotSecs(id: string): number {
  const [, ...parts] = form.exec(id) ?? []
  if (parts.length === 0) {
    const shown = JSON.stringify(id.slice(0, 40))
    throw new RelError('snapshot_id_malformed', `${shown} is not of the form YYYYMMDDTHHMMSSZ`)
  }
  const [year, month, day, hour, minute, second] = parts.map(Number) as [number, ...number[]]
  const secs = Date.UTC(year, (month ?? 0) - 1, day, hour, minute, second) / 1000
  // Date takes 31 February for 3 March, so the way back must give the same text
  if (snapshotIdAt(secs) !== id)
    throw new RelError('snapshot_id_impossible', `${id} is no date and time of the calendar`)
  return secs
}

/** A warning about a pin that may soon be gone from its service, or undefined. */
export function snapshotAgeWarning(secs: number, now: number): string | undefined {
  if (now - secs <= OLD_SECS) return undefined
  const months = Math.floor((now - secs) / (30.5 * 86_400))
  return `the pin is ${months} months old; Ubuntu promises two years only`
}
