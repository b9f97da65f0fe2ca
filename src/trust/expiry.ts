import {RelError} from '../system/error.ts'

const units = {h: 3600, d: 86_400, w: 604_800} as const

/** Ten years: long enough for any key, short enough that a slip of the finger is noticed. */
const LONGEST_SPAN = 3660 * 86_400

/**
 * Seconds since the epoch from what people write: a span from `now` (12h, 90d, 52w), a date
 * (2027-01-31, until its last second in UTC), a UTC time (2027-01-31T12:00:00Z), or the seconds.
 * Refuses with time_malformed.
 */
export function parseTime(text: string, now: number): number {
  const span = /^([1-9][0-9]{0,5})([hdw])$/.exec(text)
  if (span) return now + spanSecs(text, Number(span[1]), span[2] as keyof typeof units)
  if (/^[1-9][0-9]{8,10}$/.test(text)) return Number(text)
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return dateSecs(text, `${text}T23:59:59Z`)
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text)) return dateSecs(text, text)
  throw malformed(text)
}

function spanSecs(text: string, count: number, unit: keyof typeof units): number {
  const secs = count * units[unit]
  if (secs > LONGEST_SPAN) throw new RelError('time_malformed', `${text} is longer than ten years`)
  return secs
}

/** Date takes 30 February for 2 March, so the way back must give the same text. */
function dateSecs(text: string, iso: string): number {
  const date = new Date(iso)
  if (Number.isNaN(date.getTime()) || date.toISOString() !== iso.replace('Z', '.000Z'))
    throw malformed(text)
  return date.getTime() / 1000
}

function malformed(text: string): RelError {
  const shown = JSON.stringify(text.slice(0, 40))
  return new RelError('time_malformed', `${shown} is no date, UTC time, seconds or span like 90d`)
}

/** Date ends here (ECMA-262, 21.4.1.1): 100,000,000 days after 1970. */
const MAX_DATE_SECS = 8_640_000_000_000

/** A time as people read it, 2027-01-31T12:00:00Z; beyond what a calendar has, its seconds. */
export function timeText(secs: number): string {
  if (Math.abs(secs) > MAX_DATE_SECS) return `${secs} s after 1970`
  return new Date(secs * 1000).toISOString().replace('.000Z', 'Z')
}
