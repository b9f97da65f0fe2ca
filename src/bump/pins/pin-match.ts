/** A place that sets what a pin sets; offsets count UTF-16 units of the decoded file. */
export type PinMatch = {
  readonly value: string
  readonly start: number
  readonly end: number
  /** Why this place cannot be edited, such as a value that is computed. */
  readonly unusable?: string
}

/** What a version, a snapshot id or a commit is made of: nothing that YAML, make or a shell reads. */
export const pinValue = /^[A-Za-z0-9][A-Za-z0-9.+_~:/-]{0,127}$/

/** A match of the text between two offsets; what is no plain value is kept, but not edited. */
export function matchOf(text: string, start: number, end: number): PinMatch {
  const value = text.slice(start, end)
  if (pinValue.test(value)) return {value, start, end}
  const shown = JSON.stringify(value.slice(0, 40))
  return {value, start, end, unusable: `${shown} is no plain version`}
}

/** Line of an offset, from 1. */
export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length
}
