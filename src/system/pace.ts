/** Short enough for a key press to feel answered, long enough to cost nothing. */
const SLICE_MILLISECONDS = 25

/**
 * Lets a long piece of synchronous work be interrupted: signals, timers and output get their turn
 * between two slices of it. `if (pace.isDue()) await pace.rest()` after every step.
 */
export class Pace {
  #since = performance.now()

  isDue(): boolean {
    return performance.now() - this.#since >= SLICE_MILLISECONDS
  }

  async rest(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    this.#since = performance.now()
  }
}
