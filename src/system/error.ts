import type {ErrorCode} from './codes.ts'
import type {JsonObject} from './json.ts'
import {visible} from './visible.ts'

export type RelErrorOptions = {
  /** A command or an action that unblocks; overrides the general fix of the code. */
  readonly hint?: string
  readonly cause?: unknown
  /** Facts for machines, printed under error.details with --json; never a secret. */
  readonly details?: JsonObject
}

/**
 * A broken expectation or a refusal, with its permanent code. The message says what was seen and
 * what was wanted, starts lower-case, has no full stop, and never holds a secret or file content.
 * Paths and names may be an attacker's: message and hint are one line without control characters.
 */
export class RelError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly details: JsonObject | undefined

  constructor(code: ErrorCode, message: string, options: RelErrorOptions = {}) {
    super(visible(message), options.cause === undefined ? undefined : {cause: options.cause})
    this.name = 'RelError'
    this.code = code
    this.hint = options.hint === undefined ? undefined : visible(options.hint)
    this.details = options.details
  }
}
