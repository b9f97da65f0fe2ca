import type {ErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'

/** Reads the fields of one kind of document; whatever does not fit is refused with its code. */
export type FieldReader = {
  object(value: JsonValue | undefined, what: string): JsonObject
  list(value: JsonValue | undefined, what: string, limit: number): readonly JsonValue[]
  text(value: JsonValue | undefined, what: string, pattern: RegExp): string
  integer(value: JsonValue | undefined, what: string): number
  boolean(value: JsonValue | undefined, what: string): boolean
  /** That every key is known; names no unknown one, which is an attacker's text. */
  only(object: JsonObject, keys: readonly string[], what: string): void
  refuse(message: string): never
}

/** A reader that refuses with one code. */
export function fieldReader(code: ErrorCode): FieldReader {
  const refuse = (message: string): never => {
    throw new RelError(code, message)
  }
  return {
    refuse,
    object: (value, what) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? (value as JsonObject)
        : refuse(`${what} is missing or not an object`),
    list: (value, what, limit) => {
      if (!Array.isArray(value)) return refuse(`${what} is missing or not an array`)
      return value.length <= limit
        ? (value as readonly JsonValue[])
        : refuse(`${what} has ${value.length} entries, at most ${limit}`)
    },
    text: (value, what, pattern) => {
      if (typeof value !== 'string') return refuse(`${what} is missing or not a string`)
      return pattern.test(value) ? value : refuse(`${what} has another form than is allowed`)
    },
    integer: (value, what) =>
      typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
        ? value
        : refuse(`${what} is missing or not a whole number`),
    boolean: (value, what) =>
      typeof value === 'boolean' ? value : refuse(`${what} is missing or not true or false`),
    only: (object, keys, what) => {
      if (Object.keys(object).some((key) => !keys.includes(key)))
        refuse(`${what} has a key that is not known`)
    },
  }
}

/** Products, components, systems, architectures: also safe as file names and in URLs. */
export const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
