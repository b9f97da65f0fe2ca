import type {Command} from '@oclif/core'

/** Name and version of the package, and what oclif wants to know of it. */
export type PackageFacts = {
  readonly name: string
  readonly version: string
  readonly oclif: Readonly<Record<string, unknown>>
}

/** The commands of rel: names at once, code when one is run. Built from folders or by the build. */
export type CommandTree = {
  /** Folder of the package: where docs/ and schemas/ are. */
  readonly root: string
  readonly facts: PackageFacts
  /** Ids with colons (`keys:new`). */
  readonly ids: ReadonlySet<string>
  load(id: string): Promise<Command.Class>
  /** False in a single executable: @oclif/plugin-autocomplete reads its own files, and is not inside. */
  readonly completes?: boolean
  /** Flags, arguments and summaries of all commands, for help; slow in a checkout. */
  manifest(): Promise<Readonly<Record<string, Command.Cached>>>
}

/** Commands of @oclif/plugin-autocomplete: known by name, so that nothing is read until one is run. */
export const pluginCommands: readonly string[] = [
  'autocomplete',
  'autocomplete:create',
  'autocomplete:script',
]
