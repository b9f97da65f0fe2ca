import {type Parsed, type PlainArg, type PlainCommand, type PlainFlag, plainParse} from './parse.ts'

// What a program of one topic has in place of @oclif/core: enough to run a command whose words
// plainParse has read. Everything else is done by the whole program, with oclif.

type Definition<T> = Readonly<Record<string, unknown>> & T

const option = (definition: Definition<object> = {}): PlainFlag => ({...definition, type: 'option'})

export const Args = {string: (definition: Definition<PlainArg>): PlainArg => definition}

export const Flags = {
  boolean: (definition: Definition<object> = {}): PlainFlag => ({...definition, type: 'boolean'}),
  file: option,
  integer: (definition: Definition<object> = {}): PlainFlag =>
    option({...definition, integer: true}),
  option:
    (first: Definition<object>) =>
    (second: Definition<object> = {}): PlainFlag =>
      option({...first, ...second}),
  string: option,
}

export class Config {}

// only the whole program asks for these
export const CommandHelp = undefined
export const Help = undefined
export const Plugin = undefined
export const settings = undefined

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

/** The part of oclif's Command that src/cli/base-command.ts builds on. */
export abstract class Command {
  static id = ''
  static args = {}
  static strict = true
  parsed = false
  readonly argv: string[]
  readonly id: string

  constructor(argv: string[]) {
    this.argv = argv
    this.id = (this.constructor as typeof Command).id
  }

  protected abstract run(): Promise<unknown>
  protected abstract catch(error: unknown): Promise<void>
  protected abstract jsonEnabled(): boolean
  protected abstract logJson(json: unknown): void

  async _run(): Promise<unknown> {
    delete process.env.REL_REDIRECTED
    let result: unknown
    try {
      result = await this.run()
    } catch (error) {
      await this.catch(error)
    }
    if (result && this.jsonEnabled()) this.logJson(result)
    return result
  }

  async parse(command: PlainCommand): Promise<Parsed> {
    const parsed = plainParse(command, this.argv, process.env)
    if (parsed === undefined) throw new Error('these words are for the whole program')
    this.parsed = true
    return parsed
  }
}
