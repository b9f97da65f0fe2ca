import {RelError} from './error.ts'

/** Seconds since the epoch by the machine's clock. */
export function systemTime(): number {
  return Math.floor(Date.now() / 1000)
}

/**
 * The time to write into what is built: SOURCE_DATE_EPOCH when set
 * (reproducible-builds.org/specs/source-date-epoch), else the machine's clock.
 */
export function buildTime(env: Readonly<Record<string, string | undefined>>): number {
  const text = env.SOURCE_DATE_EPOCH
  if (text === undefined || text === '') return systemTime()
  if (!/^(0|[1-9][0-9]{0,11})$/.test(text))
    throw new RelError('usage_invalid', 'SOURCE_DATE_EPOCH is not a count of seconds')
  return Number(text)
}
