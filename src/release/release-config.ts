import {isDeltaName} from '../bundle/delta/delta-name.ts'
import {RelError} from '../system/error.ts'
import {readStrictYaml, type StrictYaml, type YamlPath} from '../system/strict-yaml.ts'
import {namePattern} from './fields.ts'
import type {Slot} from './release.ts'

/** One entry of `artifacts` in release.yaml: which files, and what they are for. */
export type ArtifactRule = Partial<Slot> & {
  /** File name with `*` and the placeholders {component}, {os}, {arch}, {version}. */
  readonly match: string
  readonly required: boolean
}

/** release.yaml (docs/formats/release-manifest.md): how files become artifacts. */
export type ReleaseConfig = {
  readonly product?: string
  /** Files that are no artifacts. */
  readonly ignore: readonly string[]
  /** The first one that fits a file decides. */
  readonly artifacts: readonly ArtifactRule[]
}

/** What nobody publishes as an artifact: signatures beside files, checksums, the manifest itself. */
const neverArtifacts = [
  '*.sig',
  '*.minisig',
  '*.sshsig',
  '*.sigstore.json',
  '.*',
  'release.json',
  'release.sig.bundle',
  'publish-receipt.json',
  'release.yaml',
]

export const noConfig: ReleaseConfig = {ignore: [], artifacts: []}

const slotKeys = ['component', 'os', 'arch'] as const

/** release.yaml from its text. Refuses with release_config_invalid and path:line:column. */
export function parseReleaseConfig(text: string, path: string): ReleaseConfig {
  const yaml = readStrictYaml(text, path, 'release_config_invalid')
  const top = mapOf(yaml, yaml.value ?? {}, [], ['product', 'ignore', 'artifacts'])
  const product = nameAt(yaml, top.product, ['product'])
  return {
    ...(product === undefined ? {} : {product}),
    ignore: listOf(yaml, top.ignore, ['ignore']).map((each, at) =>
      patternOf(yaml, each, ['ignore', at]),
    ),
    artifacts: listOf(yaml, top.artifacts, ['artifacts']).map((each, at) =>
      ruleOf(yaml, each, ['artifacts', at]),
    ),
  }
}

function ruleOf(yaml: StrictYaml, value: unknown, at: YamlPath): ArtifactRule {
  const rule = mapOf(yaml, value, at, ['match', ...slotKeys, 'required'])
  const slot = Object.fromEntries(
    slotKeys.flatMap((key) => {
      const text = nameAt(yaml, rule[key], [...at, key])
      return text === undefined ? [] : [[key, text]]
    }),
  )
  const {required = true} = rule
  if (typeof required !== 'boolean')
    throw yaml.refusal([...at, 'required'], 'value', 'required is true or false')
  return {match: patternOf(yaml, rule.match, [...at, 'match']), required, ...slot}
}

function mapOf(
  yaml: StrictYaml,
  value: unknown,
  at: YamlPath,
  keys: readonly string[],
): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw yaml.refusal(at, 'value', `a map with ${keys.join(', ')} was expected`)
  const unknown = Object.keys(value).find((key) => !keys.includes(key))
  if (unknown !== undefined)
    throw yaml.refusal([...at, unknown], 'key', `unknown key; known are ${keys.join(', ')}`)
  return value as Record<string, unknown>
}

function listOf(yaml: StrictYaml, value: unknown, at: YamlPath): readonly unknown[] {
  if (value === undefined) return []
  if (Array.isArray(value)) return value
  throw yaml.refusal(at, 'value', 'a list was expected')
}

function nameAt(yaml: StrictYaml, value: unknown, at: YamlPath): string | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'string' && namePattern.test(value)) return value
  throw yaml.refusal(at, 'value', 'letters, digits, dots, dashes and underscores were expected')
}

function patternOf(yaml: StrictYaml, value: unknown, at: YamlPath): string {
  const known = typeof value === 'string' && value !== '' && value.length <= 128
  if (known && (value.match(/[{}]/g) ?? []).length === 2 * (value.match(placeholder) ?? []).length)
    return value
  throw yaml.refusal(
    at,
    'value',
    'a file name was expected, with *, {component}, {os}, {arch}, {version}',
  )
}

const placeholder = /\{(?:component|os|arch|version)\}/g

/** What a placeholder stands for. No system begins with a digit, so a version is none. */
const words: Readonly<Record<string, string>> = {
  component: '[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*?',
  os: '[A-Za-z][A-Za-z0-9]*',
  arch: '[A-Za-z0-9]+',
}

/** What a pattern found in a file name; undefined when it does not fit. */
function fit(pattern: string, name: string, version: string): Partial<Slot> | undefined {
  const seen = new Set<string>()
  const source = pattern.replace(/\{(\w+)\}|\*|[^\w]/g, (part, key: string | undefined) => {
    if (part === '*') return '.*'
    if (key === undefined) return `\\${part}`
    if (key === 'version') return version.replace(/[^\w]/g, '\\$&')
    if (seen.has(key)) return `\\k<${key}>`
    seen.add(key)
    return `(?<${key}>${words[key]})`
  })
  const match = new RegExp(`^${source}$`).exec(name)
  return match === null ? undefined : (match.groups ?? {})
}

/** True for a file that is no artifact of a release. */
export function isIgnored({ignore}: ReleaseConfig, name: string, version: string): boolean {
  return [...neverArtifacts, ...ignore].some((pattern) => fit(pattern, name, version) !== undefined)
}

/**
 * What a file is for: by the first rule that fits its name, then what --component, --os and --arch
 * say, then the words of its name (agent-linux-arm64, cli_1.4.2_darwin_amd64.tar.gz). A delta is
 * never what a release must have.
 * Refuses with artifact_unassigned.
 */
export function assign(
  config: ReleaseConfig,
  given: Partial<Slot>,
  name: string,
  version: string,
): Slot & {readonly required: boolean} {
  const rule = config.artifacts.find(({match}) => fit(match, name, version) !== undefined)
  const found = rule === undefined ? {} : named(fit(rule.match, name, version) ?? {})
  const guessed = wordsOf(name, version)
  const slot = slotKeys.map((key) => rule?.[key] ?? found[key] ?? given[key] ?? guessed[key])
  const [component, os, arch] = slot
  if (component !== undefined && os !== undefined && arch !== undefined)
    return {component, os, arch, required: (rule?.required ?? true) && !isDeltaName(name)}
  const lacking = slotKeys.filter((_, at) => slot[at] === undefined)
  throw new RelError(
    'artifact_unassigned',
    `nothing says the ${lacking.join(' and ')} of ${name}`,
    {
      hint: `Give ${lacking.map((key) => `--${key}`).join(', ')}, or add to release.yaml under artifacts: - {match: "${name}", ${lacking.map((key) => `${key}: …`).join(', ')}}`,
      details: {name, lacking: [...lacking]},
    },
  )
}

/** The words in which people and compilers call one thing. */
const systems: Readonly<Record<string, string>> = {
  linux: 'linux',
  darwin: 'darwin',
  macos: 'darwin',
  windows: 'windows',
  freebsd: 'freebsd',
  openbsd: 'openbsd',
  netbsd: 'netbsd',
}
const machines: Readonly<Record<string, string>> = {
  amd64: 'amd64',
  x64: 'amd64',
  arm64: 'arm64',
  aarch64: 'arm64',
  arm: 'arm',
  armv6: 'armv6',
  armv7: 'armv7',
  armhf: 'armv7',
  '386': '386',
  i386: '386',
  i686: '386',
  riscv64: 'riscv64',
  ppc64le: 'ppc64le',
  s390x: 's390x',
}

/** Systems and machines by the one name that rel uses for them. */
function named({component, os, arch}: Partial<Slot>): Partial<Slot> {
  return {
    ...(component === undefined ? {} : {component}),
    ...(os === undefined ? {} : {os: own(systems, os) ?? os}),
    ...(arch === undefined ? {} : {arch: own(machines, arch) ?? arch}),
  }
}

function wordsOf(name: string, version: string): Partial<Slot> {
  const words = name
    .replace(/\.from-.*\.delta\.tar\.zst$/, '')
    .replace('x86_64', 'amd64')
    .replace(`v${version}`, version)
    .replace(version, '')
    .split(/[-_.]+/)
    .filter((word) => word !== '')
  const systemAt = words.findIndex((word) => own(systems, word) !== undefined)
  const machineAt = words.findIndex((word) => own(machines, word) !== undefined)
  const firsts = [systemAt, machineAt].filter((at) => at >= 0)
  const component = words.slice(0, Math.min(...firsts, words.length)).join('-')
  const os = systemAt < 0 ? undefined : own(systems, words[systemAt] ?? '')
  const arch = machineAt < 0 ? undefined : own(machines, words[machineAt] ?? '')
  return {
    // without a system or a machine, nothing says where the component's name ends
    ...(firsts.length === 0 || component === '' ? {} : {component}),
    ...(os === undefined ? {} : {os}),
    ...(arch === undefined ? {} : {arch}),
  }
}

function own(table: Readonly<Record<string, string>>, word: string): string | undefined {
  return Object.hasOwn(table, word.toLowerCase()) ? table[word.toLowerCase()] : undefined
}
