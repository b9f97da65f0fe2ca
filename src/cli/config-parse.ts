import {RelError} from '../system/error.ts'
import {nearest} from './nearest.ts'

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
  const source = await readSource(text, path)
  const {configSchema} = await import('./config-schema.ts')
  const parsed = configSchema.safeParse(source.value)
  if (!parsed.success) throw schemaRefusal(parsed.error.issues[0], source)
  const {$schema: _, ...settings} = parsed.data
  if (layer === 'project' && settings.key !== undefined && runsCode(settings.key)) {
    const hint = 'Give it with --signer, or in your own configuration file.'
    const message = 'a project may not name a program to run as key'
    throw source.refuse(source.offsetOf('key', 'value'), message, hint)
  }
  return settings as Settings
}

/** A file's content, and where in it things stand. */
type Source = {
  readonly value: unknown
  offsetOf(key: string, part: 'key' | 'value'): number
  refuse(offset: number, message: string, hint?: string): RelError
}

async function readSource(text: string, path: string): Promise<Source> {
  const {isMap, isScalar, LineCounter, parseDocument, visit} = await import('yaml')
  const lines = new LineCounter()
  const document = parseDocument(text, {lineCounter: lines, uniqueKeys: true, version: '1.2'})
  const refuse: Source['refuse'] = (offset, message, hint) => {
    const {line, col} = lines.linePos(offset)
    return new RelError('config_invalid', `${path}:${line}:${col}: ${message}`, {
      details: {path, line, column: col},
      ...(hint === undefined ? {} : {hint}),
    })
  }
  const [broken] = [...document.errors, ...document.warnings]
  if (broken) throw refuse(broken.pos[0], broken.code.toLowerCase().replaceAll('_', ' '))
  visit(document, {
    Alias: (_key, node) => {
      throw refuse(node.range?.[0] ?? 0, 'aliases are not read here')
    },
  })
  const {contents} = document
  if (contents !== null && !isMap(contents)) throw refuse(0, 'the file is not a list of key: value')
  const offsetOf: Source['offsetOf'] = (key, part) => {
    const pair = contents?.items.find(
      (item) => isScalar(item.key) && String(item.key.value) === key,
    )
    const node = pair?.[part] as {range?: readonly number[]} | null | undefined
    return node?.range?.[0] ?? 0
  }
  return {value: document.toJS() ?? {}, offsetOf, refuse}
}

/** What a refusal of the schema says, as zod describes it. */
type Issue = {
  readonly code?: string
  readonly path: readonly PropertyKey[]
  readonly keys?: readonly string[]
}

function schemaRefusal(issue: Issue | undefined, {offsetOf, refuse}: Source): RelError {
  if (issue?.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys ?? []
    return refuse(offsetOf(key, 'key'), unknownKey(key))
  }
  const key = String(issue?.path[0] ?? '')
  return refuse(offsetOf(key, 'value'), `${key}: ${wanted(issue)}`)
}

function unknownKey(key: string): string {
  const [near] = nearest(key, settingNames)
  const suggestion = near === undefined ? '' : `; did you mean ${near}?`
  return `unknown key ${JSON.stringify(key.slice(0, 80))}${suggestion}`
}

function wanted(issue: Issue | undefined): string {
  if (issue?.code === 'invalid_type') return 'not a text'
  if (issue?.code === 'invalid_format')
    return 'not a name of letters, digits, dot, dash, underscore'
  return 'not of the right length'
}

/** exec: starts a program, pkcs11: loads a library; a cloned repository must not choose either. */
export function runsCode(key: string): boolean {
  return /^(?!ssh-agent:)[a-z][a-z0-9+.-]+:/i.test(key)
}
