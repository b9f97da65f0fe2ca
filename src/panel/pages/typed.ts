import {Value} from 'typebox/value'
import {parseVersion} from '../../release/version.ts'
import {RelError} from '../../system/error.ts'
import {prose} from '../admin/fields.ts'
import type {Recall} from '../store/store.ts'

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
  if (Value.Check(prose, text)) return undefined
  return 'At most 1,000 characters on one line, none that are invisible or reorder the others.'
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
