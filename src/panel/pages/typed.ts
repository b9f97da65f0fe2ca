import {parseVersion} from '../../release/version.ts'
import {RelError} from '../../system/error.ts'
import type {Recall} from '../store/store.ts'

/** As long as the API takes. */
const MAX_PROSE = 1000

export type TypedRecall = {
  readonly reason: string
  readonly advisory: string
  readonly replacement: string
}

export type RecallFlaws = {readonly [name in keyof TypedRecall]?: string}

/** A recall as it was typed, or what is wrong with it, field by field. */
export function recallOf(typed: TypedRecall): Recall | {readonly wrong: RecallFlaws} {
  const reason = typed.reason.trim()
  const advisory = typed.advisory.trim()
  const replacement = typed.replacement.trim()
  const flaws = {
    reason: reasonFlaw(reason),
    advisory: proseFlaw(advisory),
    replacement:
      replacement === '' || isVersion(replacement)
        ? undefined
        : 'This is no version, such as 1.4.2.',
  }
  const wrong = Object.fromEntries(
    Object.entries(flaws).filter(([, flaw]) => flaw !== undefined),
  ) as RecallFlaws
  if (Object.keys(wrong).length > 0) return {wrong}
  return {
    reason,
    ...(advisory === '' ? {} : {advisory}),
    ...(replacement === '' ? {} : {replacement}),
  }
}

/** What is wrong with a reason; undefined when nothing is. */
export function reasonFlaw(text: string): string | undefined {
  return text.trim() === '' ? 'Say why; the audit log keeps it.' : proseFlaw(text)
}

function proseFlaw(text: string): string | undefined {
  if (text.length > MAX_PROSE) return `At most ${MAX_PROSE} characters.`
  return /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/.test(text)
    ? 'Control characters cannot be kept.'
    : undefined
}

function isVersion(text: string): boolean {
  try {
    parseVersion(text)
    return true
  } catch (error) {
    if (error instanceof RelError) return false
    throw error
  }
}
