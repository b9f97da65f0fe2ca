import {statSync} from 'node:fs'
import {homedir} from 'node:os'
import {dirname, isAbsolute, join, resolve} from 'node:path'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere} from '../system/files.ts'
import type {Layer, SettingName, Settings} from './config-parse.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Where a setting was found: the environment variable, or the file. */
export type Origin = {readonly layer: 'environment' | Layer; readonly where: string}
export type Setting = {readonly value: string; readonly origin: Origin}
type SettingMap = {readonly [name in SettingName]?: Setting}
export type Config = {
  readonly settings: SettingMap
  /**
   * What the person and the machine say, without the project's file: that file comes with a folder
   * that may have been downloaded, and must not decide whom to trust.
   */
  readonly own: SettingMap
  /** Files that were read, strongest first. */
  readonly files: readonly {readonly layer: Layer; readonly path: string}[]
}

/** Environment variables that stand between flags and files. */
const settingVariables: Readonly<Record<SettingName, string>> = {
  product: 'REL_PRODUCT',
  channel: 'REL_CHANNEL',
  key: 'REL_SIGNING_KEY_FILE',
  trust: 'REL_TRUST',
}

/** A configuration is a handful of lines. */
const MAX_CONFIG_BYTES = 64 * 1024

/**
 * Defaults by precedence: environment, project, user, system (flags come before all of them and
 * are the command's own). Costs a few stat calls when there is no file. Refuses with config_invalid.
 */
export async function loadConfig(
  cwd: string = process.cwd(),
  env: Environment = process.env,
): Promise<Config> {
  const files = configFiles(cwd, env)
  const layers: [Origin, Settings][] = [...environmentLayers(env)]
  for (const {layer, path} of files)
    layers.push([{layer, where: path}, await readConfig(path, layer)])
  const own = layers.filter(([{layer}]) => layer !== 'project')
  return {settings: merged(layers), own: merged(own), files}
}

/** `layers` are strongest first. */
function merged(layers: readonly (readonly [Origin, Settings])[]): SettingMap {
  const settings: Partial<Record<SettingName, Setting>> = {}
  for (const [origin, values] of layers.toReversed())
    for (const [name, value] of Object.entries(values))
      settings[name as SettingName] = {value: located(name, value, origin), origin}
  return settings
}

/** The default for a setting, whoever gave it. */
export function configDefault({settings}: Config, name: SettingName): string | undefined {
  return settings[name]?.value
}

function environmentLayers(env: Environment): [Origin, Settings][] {
  return Object.entries(settingVariables).flatMap(([name, variable]) => {
    const value = env[variable]
    const origin = {layer: 'environment', where: variable} as const
    return value === undefined || value === '' ? [] : [[origin, {[name]: value}]]
  })
}

function located(name: string, value: string, {layer, where}: Origin): string {
  if (layer === 'environment' || !isPath(name, value)) return value
  return resolve(dirname(where), value)
}

/** A key without a slash is a name of the key store; one with a scheme is a signer. */
function isPath(name: string, value: string): boolean {
  if (name === 'trust') return true
  return name === 'key' && value.includes('/') && !/^[a-z][a-z0-9+.-]+:/i.test(value)
}

async function readConfig(path: string, layer: Layer): Promise<Settings> {
  const {parseConfig} = await import('./config-parse.ts')
  return parseConfig(readFileLimited(path, MAX_CONFIG_BYTES).toString('utf8'), path, layer)
}

/** The configuration files that apply in `cwd`, strongest first. */
function configFiles(cwd: string, env: Environment): {layer: Layer; path: string}[] {
  const project = findProjectConfig(cwd)
  const userFolder = env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config')
  const systemFolders = (env.XDG_CONFIG_DIRS || '/etc/xdg').split(':').filter(isAbsolute)
  const user = configIn(join(userFolder, 'rel'), 'config')
  const system = systemFolders.map((folder) => configIn(join(folder, 'rel'), 'config'))
  return [
    ...(project === undefined ? [] : [{layer: 'project', path: project} as const]),
    ...(user === undefined ? [] : [{layer: 'user', path: user} as const]),
    ...system
      .filter((path) => path !== undefined)
      .map((path) => ({layer: 'system', path}) as const),
  ]
}

/**
 * rel.config.yaml or .json in `cwd` or a folder above it up to the root of its git work tree;
 * outside of one, only in `cwd`: a file that somebody put in /tmp must not speak for what is below.
 */
export function findProjectConfig(cwd: string): string | undefined {
  for (const folder of projectFolders(cwd)) {
    const path = configIn(folder, 'rel.config')
    if (path === undefined) continue
    checkOwner(path)
    return path
  }
  return undefined
}

function projectFolders(cwd: string): string[] {
  const folders: string[] = []
  for (let at = resolve(cwd); ; at = dirname(at)) {
    folders.push(at)
    if (statIfThere(join(at, '.git')) !== undefined) return folders
    if (at === dirname(at)) return [resolve(cwd)]
  }
}

function configIn(folder: string, name: string): string | undefined {
  const found = ['yaml', 'json']
    .map((extension) => join(folder, `${name}.${extension}`))
    .filter((path) => statIfThere(path) !== undefined)
  if (found.length < 2) return found[0]
  throw new RelError('config_invalid', `${found.join(' and ')} both exist; only one is read`, {
    hint: 'Remove one of them.',
  })
}

/** git's CVE-2022-24765: another user's configuration, in their folder or above one's own. */
function checkOwner(path: string): void {
  const {uid} = statSync(path)
  if (uid === 0 || uid === (process.geteuid?.() ?? 0)) return
  throw new RelError('config_invalid', `${path} belongs to another user`, {
    hint: 'Check what it says, then make it yours with chown, or work in another folder.',
  })
}
