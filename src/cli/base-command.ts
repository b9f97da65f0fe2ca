import {Command, Flags, type Interfaces} from '@oclif/core'
import type {RelError} from '../system/error.ts'
import type {JsonObject} from '../system/json.ts'
import {wantsJson} from './argv.ts'
import {failureOf} from './failure.ts'
import {markSaid} from './guards.ts'
import {
  type Document,
  type Mode,
  printDocument,
  printFailure,
  printLines,
  printMessages,
  successDocument,
  warningLine,
} from './output.ts'

/** What a command hands to the frame, which prints it for people or as one JSON document. */
export type Outcome = {
  /** The `result` of the JSON document; snake_case keys. */
  readonly result: JsonObject
  /** Lines for people, on stdout: plain text, the frame colours a leading ✔, ✖ or !. */
  readonly lines: readonly string[]
  readonly warnings?: readonly string[]
  /** A command to run next. */
  readonly next?: string
  /** How to take it back, for every command that changed something. */
  readonly undo?: string
  /** Exit code when it is not 0 although nothing failed (10 for --exit-code). */
  readonly exit?: number
  /** The work was done and its result is bad: the lines are printed, then this failure ends the command. */
  readonly failure?: RelError
}

type FlagsOf<T extends typeof Command> = Interfaces.InferredFlags<
  (typeof BaseCommand)['baseFlags'] & T['flags']
>
type ArgsOf<T extends typeof Command> = Interfaces.InferredArgs<T['args']>

export type Input<T extends typeof Command> = {
  readonly flags: FlagsOf<T>
  readonly args: ArgsOf<T>
  /** All positional words, for commands that take a list. */
  readonly argv: readonly string[]
}

/** The frame of every command: parse, perform, print; one place for JSON, errors and exit codes. */
export abstract class BaseCommand<T extends typeof Command> extends Command {
  static override enableJsonFlag = true
  static override baseFlags = {
    quiet: Flags.boolean({
      char: 'q',
      default: false,
      helpGroup: 'GLOBAL',
      summary: 'Print errors only.',
    }),
    input: Flags.boolean({
      allowNo: true,
      default: true,
      helpGroup: 'GLOBAL',
      summary: 'Ask for missing answers at the terminal.',
    }),
    color: Flags.boolean({
      allowNo: true,
      default: true,
      helpGroup: 'GLOBAL',
      summary: 'Use colours.',
    }),
  }

  readonly #warnings: string[] = []

  /** Does the work. Expected refusals are thrown as RelError. */
  protected abstract perform(input: Input<T>): Promise<Outcome>

  override async run(): Promise<Document> {
    const command = this.constructor as T
    // a missing argument is an error; oclif would wait for standard input and take that
    for (const arg of Object.values(command.args)) arg.ignoreStdin = true
    const {flags, args, argv} = await this.parse(command)
    const outcome = await this.perform({
      flags: flags as FlagsOf<T>,
      args: args as ArgsOf<T>,
      argv: argv as string[],
    })
    const warnings = [...this.#warnings, ...(outcome.warnings ?? [])]
    if (outcome.exit !== undefined) process.exitCode = outcome.exit
    if (!this.#mode().json && !this.#mode().quiet) printOutcome(outcome, warnings)
    if (outcome.failure !== undefined) throw outcome.failure
    markSaid()
    return successDocument(this.#name(), {...outcome, warnings})
  }

  /** Every failure of the command ends here: parse errors, refusals, bugs. */
  protected override async catch(error: Error): Promise<void> {
    this.parsed = true // oclif would warn about a failed parse as well when NODE_ENV is test
    const failure = failureOf(error, {
      command: this.#name(),
      flags: this.#flagNames(),
      env: process.env,
    })
    printFailure(this.#name(), failure, this.#mode(), this.#warnings)
    process.exitCode = failure.exit
  }

  override jsonEnabled(): boolean {
    return wantsJson(this.argv)
  }

  override warn(input: string | Error): string | Error {
    this.#warnings.push(typeof input === 'string' ? input : input.message)
    return input
  }

  protected override logJson(json: unknown): void {
    printDocument(json as Document)
  }

  #name(): string {
    return (this.id ?? '').replaceAll(':', ' ')
  }

  #mode(): Mode {
    const quiet = this.argv.includes('--quiet') || this.argv.includes('-q')
    return {json: this.jsonEnabled(), quiet, debug: process.env.REL_DEBUG === '1'}
  }

  #flagNames(): string[] {
    const {baseFlags, flags} = this.constructor as typeof Command
    return ['json', 'help', ...Object.keys({...baseFlags, ...flags}).flatMap(spellings)]

    function spellings(name: string): string[] {
      const flag = {...baseFlags, ...flags}[name]
      const negated = flag?.type === 'boolean' && flag.allowNo === true
      return negated ? [name, `no-${name}`] : [name]
    }
  }
}

function printOutcome(outcome: Outcome, warnings: readonly string[]): void {
  printMessages(warnings.map(warningLine))
  printLines(outcome.lines)
  const {undo, next} = outcome
  printMessages([
    ...(undo === undefined ? [] : [`Undo: ${undo}`]),
    ...(next === undefined ? [] : [`Next: ${next}`]),
  ])
}
