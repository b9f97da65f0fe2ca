import {styleText} from 'node:util'
import type {JsonObject, JsonValue} from '../system/json.ts'
import type {Failure} from './failure.ts'
import {printable, printableJson} from './printable.ts'

/** Version of the document that --json prints; keys are only ever added to it. */
const SCHEMA_VERSION = 1

export type Mode = {
  readonly json: boolean
  readonly quiet: boolean
  /** REL_DEBUG=1: traces on stderr. */
  readonly debug: boolean
}

/** Why a document says ok: false; `docs` is a file of the package. */
type ErrorDocument = {
  readonly code: string
  readonly message: string
  readonly hint: string
  readonly docs: string
  readonly exit: number
  readonly details: JsonObject
}

/** The one document on stdout of every command under --json (docs/formats/cli-json.md). */
export type Document = {
  readonly schema_version: typeof SCHEMA_VERSION
  readonly ok: boolean
  readonly command: string | null
  readonly result?: JsonObject
  readonly error?: ErrorDocument
  readonly warnings: readonly string[]
  readonly undo?: string
  readonly next?: string
}

/** The document of a success. */
export function successDocument(
  command: string,
  outcome: {
    readonly result: JsonObject
    readonly warnings?: readonly string[]
    readonly undo?: string
    readonly next?: string
  },
): Document {
  const {result, warnings = [], undo, next} = outcome
  return {
    schema_version: SCHEMA_VERSION,
    ok: true,
    command,
    result,
    warnings,
    ...(undo === undefined ? {} : {undo}),
    ...(next === undefined ? {} : {next}),
  }
}

/** The document of a failure of any kind. */
function failureDocument(
  command: string | null,
  failure: Failure,
  warnings: readonly string[],
): Document {
  const {code, message, hint, exit, details} = failure
  const docs = `docs/error-codes.md#${code}`
  const error = {code, message, hint, docs, exit, details}
  return {schema_version: SCHEMA_VERSION, ok: false, command, error, warnings}
}

let documents = 0

/** A run begins: it may print one document. */
export function beginOutput(): void {
  documents = 0
}

/** Prints the document; a second one in the same run is dropped, so that stdout stays one. */
export function printDocument(document: Document): void {
  if (documents > 0) return
  documents += 1
  const json = JSON.stringify(document satisfies JsonValue | Document, null, 2)
  process.stdout.write(`${printableJson(json)}\n`)
}

/** Results for people, on stdout. */
export function printLines(lines: readonly string[]): void {
  if (lines.length === 0) return
  process.stdout.write(`${lines.map((line) => marked(printable(line), 'stdout')).join('\n')}\n`)
}

/** Messages for people, on stderr. */
export function printMessages(lines: readonly string[]): void {
  if (lines.length === 0) return
  process.stderr.write(`${lines.map((line) => marked(printable(line), 'stderr')).join('\n')}\n`)
}

/** Prints a failure, for people on stderr or as the document on stdout. */
export function printFailure(
  command: string | null,
  failure: Failure,
  mode: Mode,
  warnings: readonly string[] = [],
): void {
  if (mode.json) printDocument(failureDocument(command, failure, warnings))
  else printMessages([...(mode.quiet ? [] : warnings.map(warningLine)), ...failureLines(failure)])
  if (mode.debug) printMessages(failure.trace.split('\n'))
}

export function warningLine(text: string): string {
  return `! ${text}`
}

/** The form of an error: code and cause, what to do, where to read more. */
function failureLines({code, message, hint}: Failure): string[] {
  return [`✖ ${code}: ${message}`, `  Fix: ${hint}`, `  More: rel explain ${code}`]
}

const markColors = {'✔': 'green', '✖': 'red', '!': 'yellow'} as const

/** Colours the mark a line begins with, when the stream takes colours (NO_COLOR, TERM=dumb, a file: no). */
function marked(line: string, stream: 'stdout' | 'stderr'): string {
  const mark = line.charAt(0)
  const takesColor = process[stream].isTTY === true || process.env.FORCE_COLOR !== undefined
  if (!takesColor || !isMark(mark)) return line
  const color = markColors[mark]
  return styleText(color, mark, {stream: process[stream]}) + line.slice(1)
}

function isMark(text: string): text is keyof typeof markColors {
  return Object.hasOwn(markColors, text)
}
