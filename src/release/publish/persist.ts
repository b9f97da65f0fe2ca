import {codeInfo} from '../../system/codes.ts'
import {RelError} from '../../system/error.ts'
import {retryDelayMs} from '../../system/http-rules.ts'
import type {PublishWorld} from './world.ts'

/** Tries of one step that make no progress. */
const ATTEMPTS = 6
/** Waiting longer than this is for whoever started the run to decide. */
const MAX_WAIT_MS = 120_000

type Waiting = Pick<PublishWorld, 'clock' | 'random'>

/** True for a failure that says nothing of the next try. */
export function isTransient(error: unknown): error is RelError {
  return error instanceof RelError && codeInfo(error.code).exit === 'temporary'
}

/**
 * Counts the failures of one step and waits between them: full jitter, or as long as the other side
 * asks for. Progress starts the count again.
 */
export class Patience {
  readonly #world: Waiting
  #failures = 0

  constructor(world: Waiting) {
    this.#world = world
  }

  progress(): void {
    this.#failures = 0
  }

  /** Waits before the next try; throws the error when there is to be none. */
  async after(error: unknown): Promise<void> {
    this.#failures++
    if (this.#failures >= ATTEMPTS) throw error
    const {clock, random} = this.#world
    const retryAt = error instanceof RelError ? error.details?.retry_at : undefined
    const wait =
      typeof retryAt === 'number'
        ? Math.max(0, retryAt * 1000 - clock.now())
        : retryDelayMs(this.#failures, random())
    if (wait > MAX_WAIT_MS) throw error
    await clock.sleep(wait)
  }
}

/** Repeats what may be repeated, as long as it fails for reasons that pass. */
export async function persistently<T>(world: Waiting, attempt: () => Promise<T>): Promise<T> {
  const patience = new Patience(world)
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (!isTransient(error)) throw error
      await patience.after(error)
    }
  }
}
