import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {pathToFileURL} from 'node:url'
import type {Command} from '@oclif/core'
import {RelError} from '../system/error.ts'
import type {CommandTree, PackageFacts} from './command-tree.ts'

/** The commands of a checkout: every file of src/commands is one, its path is its name. */
export function sourceTree(root: string): CommandTree {
  const folder = join(root, 'src', 'commands')
  const files = new Map(commandFiles(folder).map((file) => [commandId(file), join(folder, file)]))
  const facts = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as PackageFacts
  return {
    root,
    facts,
    ids: new Set(files.keys()),
    load: async (id) => loadClass(id, files.get(id)),
    manifest: async () => sourceManifest(root),
  }
}

/** Paths of command files below `folder`, in name order. */
export function commandFiles(folder: string): string[] {
  return readdirSync(folder, {recursive: true, encoding: 'utf8'})
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .sort()
}

/** `keys/new.ts` is `keys:new`, `bump/index.ts` is `bump`. */
export function commandId(file: string): string {
  return file
    .replace(/\.ts$/, '')
    .replace(/\/index$/, '')
    .replaceAll('/', ':')
}

async function loadClass(id: string, file: string | undefined): Promise<Command.Class> {
  if (file === undefined) throw new RelError('internal_error', `no file for command ${id}`)
  const module = (await import(pathToFileURL(file).href)) as {default: Command.Class}
  return named(module.default, id)
}

/** oclif reads the name of a command from its class. */
export function named(command: Command.Class, id: string): Command.Class {
  command.id = id
  return command
}

/** What oclif knows of every command, by loading each of them. */
export async function sourceManifest(root: string): Promise<Record<string, Command.Cached>> {
  const {Plugin, settings} = await import('@oclif/core')
  settings.enableAutoTranspile = false // TypeScript 7 has no API for oclif's transpiler
  const plugin = new Plugin({
    root,
    isRoot: true,
    ignoreManifest: true,
    errorOnManifestCreate: true,
  })
  await plugin.load()
  return plugin.manifest.commands
}
