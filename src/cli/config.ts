import {statSync} from 'node:fs'
import {homedir} from 'node:os'
import {dirname, isAbsolute, join, relative, resolve} from 'node:path'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere} from '../system/files.ts'
import type {Layer, SettingName, Settings} from './config-parse.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Where a setting was found: the environment variable, or the file. */
export type Origin = {readonly layer: 'environment' | Layer; readonly where: string}
export type Setting = {readonly value: string; readonly origin: Origin}
export type Config = {
  readonly settings: {readonly [name in SettingName]?: Setting}
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
  const settings: Partial<Record<SettingName, Setting>> = {}
  for (const [origin, values] of layers.reverse())
    for (const [name, value] of Object.entries(values))
      settings[name as SettingName] = {value: located(name, value, origin), origin}
  return {settings, files}
}

/**
 * The default for a setting. A configuration that lies inside `untrusted` (the bundle being
 * verified) has no say: it would name the key it was signed with.
 */
export function configDefault(
  config: Config,
  name: SettingName,
  {untrusted}: {readonly untrusted?: string} = {},
): string | undefined {
  const setting = config.settings[name]
  if (setting === undefined) return undefined
  const {layer, where} = setting.origin
  if (layer === 'project' && untrusted !== undefined && isInside(where, untrusted)) return undefined
  return setting.value
}

function isInside(path: string, folder: string): boolean {
  const way = relative(resolve(folder), path)
  return way !== '' && !way.startsWith('..') && !isAbsolute(way)
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
    checkOwner(path, cwd)
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
    hint: `Remove one of them.`,
  })
}

/** git's CVE-2022-24765: another user's .git and configuration above one's own folder. */
function checkOwner(path: string, cwd: string): void {
  const trusted = [process.geteuid?.() ?? 0, 0, statSync(cwd).uid]
  if (trusted.includes(statSync(path).uid)) return
  throw new RelError('config_invalid', `${path} belongs to another user`, {
    hint: 'Check what it says, then make it yours with chown, or work in another folder.',
  })
}
