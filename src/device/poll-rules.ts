/** How one poll ended, as far as it decides when the next one is. */
export type PollEnd = {
  /** Polls in a row that failed, this one included; 0 after a good one. */
  readonly failures: number
  /** What the source asks for, in seconds from now. */
  readonly askedSecs?: number | undefined
}

/** No source makes a node wait longer than this. */
export const MAX_ASKED_SECS = 86_400

/** The longest wait after failures, in intervals. */
const MAX_BACKOFF = 4

/** A node that fails at once does not spin. */
const MIN_SECS = 5

/** Seconds until the first poll: a fleet that was started together does not poll together. */
export function firstPollSecs(interval: number, random: number): number {
  return random * interval
}

/**
 * Seconds until the next poll; `random` is from 0 to below 1. A source can ask a node to come later,
 * never to come more often.
 */
export function nextPollSecs(
  interval: number,
  {failures, askedSecs = 0}: PollEnd,
  random: number,
): number {
  const own =
    failures === 0
      ? interval * (0.9 + 0.2 * random)
      : Math.max(
          Math.min(MIN_SECS, interval),
          random * interval * Math.min(MAX_BACKOFF, 2 ** (failures - 1)),
        )
  return Math.max(own, Math.min(MAX_ASKED_SECS, askedSecs))
}
