/** Short enough for a key press to feel answered, long enough to cost nothing. */
const SLICE_MILLISECONDS = 25

/** Milliseconds of a clock that nobody sets; `performance` costs more than a millisecond to load. */
export function monotonicMilliseconds(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}

/**
 * Lets a long piece of synchronous work be interrupted: signals, timers and output get their turn
 * between two slices of it. `if (pace.isDue()) await pace.rest()` after every step.
 */
export class Pace {
  #since = monotonicMilliseconds()

  isDue(): boolean {
    return monotonicMilliseconds() - this.#since >= SLICE_MILLISECONDS
  }

  async rest(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    this.#since = monotonicMilliseconds()
  }
}
