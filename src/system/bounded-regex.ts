import {runInNewContext} from 'node:vm'
import {RelError} from './error.ts'

/** A sensible pattern takes milliseconds, also on a machine that is busy. */
const MAX_MS = 3000
/** Enough to say where; one is what is wanted. */
const MAX_MATCHES = 20

/** Offsets of a group in one of the texts. */
export type GroupMatch = {readonly text: number; readonly start: number; readonly end: number}

const search = `
  const wanted = new RegExp(pattern, 'dgu')
  const found = []
  for (const [text, value] of texts.entries()) {
    for (const match of value.matchAll(wanted)) {
      const [start, end] = match.indices.groups?.[group] ?? [0, 0]
      found.push({text, start, end})
      if (found.length === ${MAX_MATCHES}) break
    }
    if (found.length === ${MAX_MATCHES}) break
  }
  JSON.stringify(found)`

/**
 * The first 20 places where a pattern of somebody else matches in some texts, as the offsets of a
 * group, or 0 and 0. Refuses with pattern_too_slow: (a+)+ would look for hours at a line of a's.
 */
export function findGroups(
  pattern: string,
  group: string,
  texts: readonly string[],
): readonly GroupMatch[] {
  return JSON.parse(bounded(`{${search}}`, {pattern, group, texts}, pattern)) as GroupMatch[]
}

/** True when a pattern fits the whole of a text. Refuses with pattern_too_slow. */
export function fitsPattern(pattern: string, text: string): boolean {
  const test = "String(new RegExp('^(?:' + pattern + ')$', 'u').test(text))"
  return bounded(test, {pattern, text}, pattern) === 'true'
}

function bounded(code: string, values: object, pattern: string): string {
  try {
    return runInNewContext(code, {...values}, {timeout: MAX_MS}) as string
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
    const shown = JSON.stringify(pattern.slice(0, 80))
    throw new RelError('pattern_too_slow', `${shown} was not through after ${MAX_MS} ms`)
  }
}
