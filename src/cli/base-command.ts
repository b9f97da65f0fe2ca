import {Command, Flags, type Interfaces} from '@oclif/core'
import type {JsonObject} from '../system/json.ts'

/** What a command hands to the frame, which prints it for people or as one JSON document. */
export type Outcome = {
  /** The `result` of the JSON document; snake_case keys. */
  readonly result: JsonObject
  /** Lines for people, on stdout. */
  readonly lines: readonly string[]
  readonly warnings?: readonly string[]
  /** A command to run next. */
  readonly next?: string
  /** How to take it back, for every command that changed something. */
  readonly undo?: string
  /** Exit code when it is not 0 although nothing failed (10 for --exit-code). */
  readonly exit?: number
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

  /** Does the work. Expected refusals are thrown as RelError. */
  protected abstract perform(input: Input<T>): Promise<Outcome>

  override async run(): Promise<unknown> {
    const {flags, args, argv} = await this.parse(this.constructor as T)
    const outcome = await this.perform({
      flags: flags as FlagsOf<T>,
      args: args as ArgsOf<T>,
      argv: argv as string[],
    })
    for (const line of outcome.lines) this.log(line)
    return outcome.result
  }
}
