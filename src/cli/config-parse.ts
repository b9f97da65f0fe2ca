import {nearest} from '../system/nearest.ts'

/** What a configuration file may give a default for. */
export const settingNames = ['product', 'channel', 'key', 'trust'] as const
export type SettingName = (typeof settingNames)[number]
export type Settings = {readonly [name in SettingName]?: string}

/** Who wrote a file: a project's file comes from a repository, the others from the person or the machine. */
export type Layer = 'project' | 'user' | 'system'

/**
 * Settings from YAML or JSON text. Strict: an unknown or repeated key, a wrong type, an alias, or a
 * project that names a program to run is config_invalid with path:line:column. Nothing is executed.
 */
export async function parseConfig(text: string, path: string, layer: Layer): Promise<Settings> {
  const {readStrictYaml} = await import('../system/strict-yaml.ts')
  const {configSchema} = await import('./config-schema.ts')
  const {value, refusal} = readStrictYaml(text, path, 'config_invalid')
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw refusal([], 'value', 'the file is not a list of key: value')
  const parsed = configSchema.safeParse(value)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    if (issue?.code === 'unrecognized_keys') {
      const [key = ''] = issue.keys
      throw refusal([key], 'key', unknownKey(key))
    }
    const key = String(issue?.path[0] ?? '')
    throw refusal([key], 'value', `${key}: ${wanted(issue)}`)
  }
  const {$schema: _, ...settings} = parsed.data
  if (layer === 'project' && settings.key !== undefined && runsCode(settings.key)) {
    const hint = 'Give it with --signer, or in your own configuration file.'
    throw refusal(['key'], 'value', 'a project may not name a program to run as key', hint)
  }
  return settings as Settings
}

function unknownKey(key: string): string {
  const [near] = nearest(key, settingNames)
  const suggestion = near === undefined ? '' : `; did you mean ${near}?`
  return `unknown key ${JSON.stringify(key.slice(0, 80))}${suggestion}`
}

function wanted(issue: {readonly code?: string; readonly message: string} | undefined): string {
  if (issue?.code === 'invalid_type') return 'not a text'
  if (issue?.code === 'invalid_format')
    return 'not a name of letters, digits, dot, dash, underscore'
  return 'not of the right length'
}

/** exec: starts a program, pkcs11: loads a library; a cloned repository must not choose either. */
export function runsCode(key: string): boolean {
  return /^(?!ssh-agent:)[a-z][a-z0-9+.-]+:/i.test(key)
}
