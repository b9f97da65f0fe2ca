import {fitsPattern} from '../system/bounded-regex.ts'
import {RelError} from '../system/error.ts'
import {nearest} from '../system/nearest.ts'
import {pinValue} from './pins/pin-match.ts'
import type {Playbook} from './playbook.ts'

/** KEY=VALUE words by key; NEW is always there. */
export type Assignments = {readonly NEW: string} & Readonly<Record<string, string>>

/**
 * The KEY=VALUE words of a bump against the inputs of its playbook. Refuses with usage_invalid a
 * word without =, and unknown, repeated and empty keys and values, with input_required a missing
 * NEW, with pin_value_refused what does not fit the input's pattern, and with pattern_too_slow.
 */
export function parseAssignments(words: readonly string[], playbook: Playbook): Assignments {
  const known = [...new Set(['NEW', ...Object.keys(playbook.inputs)])]
  const given = new Map<string, string>()
  for (const word of words) {
    const [key, value] = assignmentOf(word)
    if (!known.includes(key)) throw unknown(key, known)
    if (given.has(key)) throw new RelError('usage_invalid', `${key} is given twice`)
    checkInput(key, value, playbook)
    given.set(key, value)
  }
  const missing = known.find((key) => !given.has(key) && isRequired(key, playbook))
  if (missing !== undefined)
    throw new RelError('input_required', `${missing}=VALUE is needed to bump ${playbook.item}`, {
      hint: `Such as ${missing}=${playbook.inputs[missing]?.example ?? 'VERSION'}; rel bump list shows what is newer.`,
    })
  return Object.fromEntries(given) as Assignments
}

function assignmentOf(word: string): [key: string, value: string] {
  const at = word.indexOf('=')
  if (at < 1)
    throw new RelError('usage_invalid', `${JSON.stringify(word.slice(0, 80))} is not KEY=VALUE`, {
      hint: 'Give the version as NEW=VERSION.',
    })
  return [word.slice(0, at), word.slice(at + 1)]
}

function unknown(key: string, known: readonly string[]): RelError {
  const [near = known.join(', ')] = nearest(key.toUpperCase(), known)
  return new RelError('usage_invalid', `unknown key ${JSON.stringify(key.slice(0, 40))}`, {
    hint: `This playbook knows ${near}.`,
  })
}

function isRequired(key: string, {inputs}: Playbook): boolean {
  return key === 'NEW' || inputs[key]?.required === true
}

function checkInput(key: string, value: string, {inputs, item}: Playbook): void {
  if (value === '') throw new RelError('usage_invalid', `${key}= has no value`)
  const input = inputs[key]
  const fits = input === undefined ? pinValue.test(value) : fitsPattern(input.pattern, value)
  if (fits && pinValue.test(value)) return
  const example = input === undefined ? '' : `, want one such as ${input.example}`
  throw new RelError(
    'pin_value_refused',
    `${key}=${JSON.stringify(value.slice(0, 80))} is no version of ${item}${example}`,
    missingV(value, input?.pattern) ? {hint: `Did you mean ${key}=v${value}?`} : {},
  )
}

/** The most frequent slip: v3.3.5 is the tag, 3.3.5 is what people say. */
function missingV(value: string, pattern: string | undefined): boolean {
  return pattern !== undefined && fitsPattern(pattern, `v${value}`)
}
