import {RelError} from '../../system/error.ts'
import type {PinSpec} from '../playbook-pins.ts'
import {findLinePattern} from './line-pattern.ts'
import {findMakeVariable} from './make-variable.ts'
import {lineAt, type PinMatch} from './pin-match.ts'
import {findExpressionDefault, findYamlPath} from './yaml-scalar.ts'

/** The one place of a pin. */
export type FoundPin = {
  readonly value: string
  /** Bytes of the file that are the value, without its quotes. */
  readonly range: {readonly start: number; readonly end: number}
  /** From 1. */
  readonly line: number
}

/** A file that people edit; yaml holds several times its size. */
export const MAX_PIN_FILE_BYTES = 4 * 1024 * 1024

/** Where a pin is found more often, the first places tell enough. */
const MAX_LINES_NAMED = 20

/**
 * Finds a pin in the bytes of its file. Refuses with pin_missing and pin_ambiguous (with the line
 * numbers), with pin_unsupported when the place cannot be edited safely (computed, numeric, an
 * alias), with pin_unreadable what is no UTF-8 text or no YAML, and with pattern_too_slow.
 */
export function findPin(bytes: Uint8Array, spec: PinSpec): FoundPin {
  const text = decodePinFile(bytes, spec.file)
  const matches = matchesIn(text, spec)
  const [match] = matches
  const what = `${pinText(spec)} in ${spec.file}`
  if (match === undefined) throw new RelError('pin_missing', `${what} was not found, want it once`)
  const lines = matches.slice(0, MAX_LINES_NAMED).map(({start}) => lineAt(text, start))
  const more = matches.length < MAX_LINES_NAMED ? '' : ' and perhaps more'
  if (matches.length > 1)
    throw new RelError(
      'pin_ambiguous',
      `${what} was found on lines ${lines.join(', ')}${more}, want it once`,
      {details: {file: spec.file, lines}},
    )
  const [line = 1] = lines
  if (match.unusable !== undefined)
    throw new RelError('pin_unsupported', `${what}, line ${line}: ${match.unusable}`, {
      details: {file: spec.file, line},
    })
  const start = byteLength(text.slice(0, match.start))
  return {value: match.value, range: {start, end: start + byteLength(match.value)}, line}
}

function matchesIn(text: string, spec: PinSpec): readonly PinMatch[] {
  switch (spec.kind) {
    case 'make_variable':
      return findMakeVariable(text, spec.name)
    case 'yaml_path':
      return findYamlPath(text, spec.path)
    case 'yaml_expression_default':
      return findExpressionDefault(text, spec.path, spec.expression)
    case 'regex':
      return findLinePattern(text, spec.pattern)
  }
}

/** How a pin is called in messages and tables. */
export function pinText(spec: PinSpec): string {
  switch (spec.kind) {
    case 'make_variable':
      return spec.name
    case 'yaml_path':
      return spec.path
    case 'yaml_expression_default':
      return `the default of ${spec.expression} at ${spec.path}`
    case 'regex':
      return `/${spec.pattern}/`
  }
}

/** UTF-8 text with its byte order mark, if any. Refuses with pin_unreadable and file_too_large. */
export function decodePinFile(bytes: Uint8Array, file: string): string {
  if (bytes.length > MAX_PIN_FILE_BYTES)
    throw new RelError('file_too_large', `${file} is larger than ${MAX_PIN_FILE_BYTES} bytes`)
  if (bytes.includes(0)) throw new RelError('pin_unreadable', `${file} is no UTF-8 text`)
  try {
    return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes)
  } catch (cause) {
    throw new RelError('pin_unreadable', `${file} is no UTF-8 text`, {cause})
  }
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length
}
