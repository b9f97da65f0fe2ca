import type {Command, Interfaces} from '@oclif/core'
import {type CommandTree, pluginCommands} from './command-tree.ts'

/**
 * The part of oclif's Config that running one command needs, without reading a file
 * (docs/decisions/start-up.md). Hooks do not run: rel has none.
 */
export async function quickConfig(tree: CommandTree): Promise<Interfaces.Config> {
  const {Config} = await import('@oclif/core')
  const {facts, root} = tree
  return Object.assign(new Config({root}), {
    bin: 'rel',
    name: facts.name,
    version: facts.version,
    root,
    topicSeparator: ' ' as const,
    pjson: facts as unknown as Interfaces.PJSON,
    userAgent: versionText(facts.version),
    runHook: async () => ({failures: [], successes: []}),
  }) as unknown as Interfaces.Config
}

/** oclif's own Config with every command known: for help, completion and plugins. */
export async function fullConfig(tree: CommandTree): Promise<Interfaces.Config> {
  const {Config, Plugin, settings} = await import('@oclif/core')
  settings.enableAutoTranspile = false
  const plugins = new Map<string, unknown>([[tree.facts.name, await ownPlugin(tree)]])
  if (tree.completes !== false) {
    const name = '@oclif/plugin-autocomplete'
    const completion = new Plugin({name, root: tree.root, type: 'core'})
    await completion.load()
    for (const command of completion.commands) command.hidden = command.id !== 'autocomplete'
    plugins.set(completion.name, completion)
  }
  const config = await Config.load({root: tree.root, plugins} as unknown as Interfaces.LoadOptions)
  // help shows it; oclif's own has the name of the package
  return Object.assign(config, {userAgent: versionText(tree.facts.version)})
}

/** rel itself as oclif sees a plugin: all of it is known, nothing is looked up on disk. */
async function ownPlugin(tree: CommandTree): Promise<object> {
  const {name, version, oclif} = tree.facts
  const manifest = await tree.manifest()
  const commands = Object.entries(manifest).map(([id, cached]) => ({
    ...cached,
    id,
    pluginName: name,
    load: async () => tree.load(id),
  })) as Command.Loadable[]
  const topics = Object.entries((oclif.topics ?? {}) as Record<string, {description: string}>)
  return {
    name,
    alias: name,
    version,
    root: tree.root,
    isRoot: true,
    type: 'core',
    valid: true,
    pjson: tree.facts,
    hooks: {},
    commands,
    commandIDs: commands.map(({id}) => id),
    topics: topics.map(([topic, {description}]) => ({name: topic, description})),
  }
}

/** True for the commands that only oclif itself can run. */
export function isPluginCommand(id: string): boolean {
  return pluginCommands.includes(id)
}

/** What --version prints. */
export function versionText(version: string): string {
  return `rel ${version} ${process.platform}-${process.arch} node-${process.version}`
}
