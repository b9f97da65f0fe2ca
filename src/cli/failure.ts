import {codeInfo, type ErrorCode, exitCodeOf} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import {isFullDisk} from '../system/files.ts'
import type {JsonObject} from '../system/json.ts'
import {nearest} from '../system/nearest.ts'
import {withhold} from './withhold.ts'

/** A failure as it is shown: the same facts for people, JSON and the exit code. */
export type Failure = {
  readonly code: ErrorCode
  readonly message: string
  readonly hint: string
  readonly exit: number
  readonly details: JsonObject
  /** Class, message and frames for REL_DEBUG=1, without secrets. */
  readonly trace: string
}

/** What is known of the command line when something fails. */
export type FailureContext = {
  /** `keys new`, or null when no command was found. */
  readonly command: string | null
  /** Flags of the command without dashes, for suggestions. */
  readonly flags: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
}

/** oclif's errors, by the properties that distinguish them: their classes are not exported. */
type ParserError = Error & {
  readonly args?: readonly {readonly name?: string}[] | readonly string[]
  readonly flags?: readonly string[]
  readonly parse?: unknown
  readonly oclif?: {readonly exit?: number}
}

/** Turns whatever was thrown into what is shown. Never throws, never shows a secret. */
export function failureOf(thrown: unknown, context: FailureContext): Failure {
  const error = thrown instanceof Error ? thrown : new Error(`${typeof thrown} was thrown`)
  const known = asRelError(error, context)
  const hint = known.hint ?? generalHint(known.code, context)
  return {
    code: known.code,
    message: withhold(known.message, context.env),
    hint: withhold(hint, context.env),
    exit: exitCodeOf(known.code),
    details: known.details ?? {},
    trace: withhold(traceOf(error, `${known.code}: ${known.message}`), context.env),
  }
}

function generalHint(code: ErrorCode, {command}: FailureContext): string {
  if (code === 'usage_invalid' && command !== null) return `rel ${command} --help`
  return codeInfo(code).fix
}

function asRelError(error: Error, context: FailureContext): RelError {
  if (error instanceof RelError) return withoutParserText(error)
  if (isFullDisk(error)) return new RelError('disk_full', 'no space left on the device')
  if (isParserError(error)) return usageError(error, context)
  return new RelError('internal_error', describeBug(error))
}

/** oclif marks everything its parser refuses with `parse` or, for a single flag, with exit 2. */
function isParserError(error: ParserError): boolean {
  return error.parse !== undefined || error.oclif?.exit === 2
}

function usageError(error: ParserError, context: FailureContext): RelError {
  if (Array.isArray(error.flags)) return unknownFlag(error.flags, context)
  if (Array.isArray(error.args)) return wrongArguments(error.args)
  return new RelError('usage_invalid', cleanParserText(error.message))
}

/** `--nope=value` and `-nvalue` may hold a secret that was meant for another flag: only the name is shown. */
function unknownFlag(given: readonly string[], {flags}: FailureContext): RelError {
  const [word = ''] = (given[0] ?? '').split('=', 1)
  const name = word.startsWith('--') ? word : word.slice(0, 2)
  const [near] = nearest(name.replace(/^-+/, ''), flags)
  const suggestion = near === undefined ? '' : `; did you mean --${near}?`
  return new RelError('usage_invalid', `unknown flag ${name}${suggestion}`)
}

function wrongArguments(args: readonly (string | {readonly name?: string})[]): RelError {
  const [first] = args
  if (typeof first === 'string')
    return new RelError(
      'usage_invalid',
      `unexpected argument ${JSON.stringify(first.slice(0, 80))}`,
    )
  const names = args.map((arg) => (typeof arg === 'string' ? arg : (arg.name ?? '').toUpperCase()))
  const plural = names.length === 1 ? 'argument' : 'arguments'
  return new RelError('usage_invalid', `missing ${plural} ${names.join(', ')}`)
}

/** A RelError thrown while a flag was parsed carries oclif's frame around its message. */
function withoutParserText(error: RelError): RelError {
  if (!error.message.startsWith('Parsing --')) return error
  const message = cleanParserText(error.message)
  const {hint, details, cause} = error
  return new RelError(error.code, message, {
    ...(hint === undefined ? {} : {hint}),
    ...(details === undefined ? {} : {details}),
    cause,
  })
}

/**
 * oclif 5.1.9 has no other place for these facts than its sentences. Values are cut out of them:
 * they may come from the environment. What no rule knows passes through.
 */
const parserTexts: readonly (readonly [RegExp, string])[] = [
  [/\u001b\[[0-9;]*m/g, ''],
  [/\nSee more help with --help$/, ''],
  [/^Parsing --(\S+) \n\t/, '--$1: '],
  [/^The following errors? occurred:\s+/, ''],
  [/^Expected --(\S+?)=[\s\S]* to be one of: (.*)$/, '--$1 is none of $2'],
  [/^Expected [\s\S]* to be one of: (.*)$/, 'an argument is none of $1'],
  [/(Expected an? [^:]*?) but received: [\s\S]*$/, '$1'],
  [/--(\S+?)=[\s\S]*? cannot also be provided when using/g, '--$1 cannot be used together with'],
  [/--(\S+) cannot also be provided when using/g, '--$1 cannot be used together with'],
  [/Missing required flag (\S+)/g, '--$1 is missing'],
  [/^Flag (--\S+) /, '$1 '],
  [/\s*\n\s*/g, '; '],
]

function cleanParserText(message: string): string {
  const text = parserTexts.reduce((shown, [from, to]) => shown.replace(from, to), message)
  return /^[A-Z][a-z]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text
}

/**
 * What may be said of a bug. A SyntaxError of JSON.parse quotes its input, which may be a key
 * file; other messages of Node name paths and system calls.
 */
function describeBug(error: Error): string {
  const text = error instanceof SyntaxError ? 'message withheld' : firstLine(error.message)
  return `${error.name}: ${text || 'no message'}`
}

function firstLine(text: string): string {
  return (text.split('\n', 1)[0] ?? '').slice(0, 200)
}

/** Depth of causes that are shown. */
const MAX_CAUSES = 4

function traceOf(error: Error, headline: string, depth = 0): string {
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  const own = [headline, ...frames].join('\n')
  const {cause} = error
  if (!(cause instanceof Error) || depth >= MAX_CAUSES) return own
  return `${own}\ncaused by ${traceOf(cause, describeBug(cause), depth + 1)}`
}
