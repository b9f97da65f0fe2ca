import type {z} from 'zod'
import {fitsPattern} from '../system/bounded-regex.ts'
import {RelError} from '../system/error.ts'
import {nearest} from '../system/nearest.ts'
import {readStrictYaml, type StrictYaml} from '../system/strict-yaml.ts'
import {PINNED_SNAPSHOT} from '../upstream/apt/config.ts'
import {pinnedSuites} from './pinned-suites.ts'
import {type Playbook, playbookSchema} from './playbook.ts'

/**
 * A playbook from YAML. Strict: unknown and repeated keys, aliases, wrong values, a pin of an input
 * that nobody gives are playbook_invalid with path:line:column and the nearest key. A pattern that
 * does not come to an end with its own example is pattern_too_slow.
 */
export function parsePlaybook(text: string, path: string): Playbook {
  const yaml = readStrictYaml(text, path, 'playbook_invalid')
  const parsed = playbookSchema.safeParse(yaml.value)
  if (!parsed.success) {
    const {issues} = parsed.error
    // a key that is spelled wrong is missing as well: the spelling is what helps
    const unknown = issues.find(({code}) => code === 'unrecognized_keys')
    throw refusalOf(yaml, unknown ?? issues[0])
  }
  const playbook = parsed.data
  checkInputs(playbook, yaml)
  checkBoots(playbook, yaml)
  checkKernelGates(playbook, yaml)
  checkSources(playbook, yaml)
  checkDispatch(playbook, yaml)
  checkNames(playbook, yaml)
  return playbook
}

type Issue = z.core.$ZodIssue

function refusalOf(yaml: StrictYaml, issue: Issue | undefined): RelError {
  const at = (issue?.path ?? []).map((step) => (typeof step === 'symbol' ? '' : step))
  if (issue?.code !== 'unrecognized_keys') return yaml.refusal(at, 'value', said(at, issue))
  const [key = ''] = issue.keys
  const [near] = nearest(key, keysAt(playbookSchema, yaml.value, at))
  const suggestion = near === undefined ? '' : `; did you mean ${near}?`
  const message = `unknown key ${JSON.stringify(key.slice(0, 80))}${suggestion}`
  return yaml.refusal([...at, key], 'key', message)
}

function said(at: readonly (string | number)[], issue: Issue | undefined): string {
  const message = issue?.message ?? 'is not a playbook'
  return `${at.join('.') || 'playbook'}: ${message.charAt(0).toLowerCase()}${message.slice(1)}`
}

/** The keys that a map at this place may have: what a wrong one is compared with. */
function keysAt(schema: unknown, value: unknown, at: readonly (string | number)[]): string[] {
  const definition = innermost(schema, value)
  const [step, ...rest] = at
  if (step === undefined) return Object.keys(definition.shape ?? {})
  const inner = definition.shape?.[step] ?? definition.element ?? definition.valueType
  const member = (value as Record<string | number, unknown> | undefined)?.[step]
  return inner === undefined ? [] : keysAt(inner, member, rest)
}

type Definition = {
  readonly innerType?: unknown
  readonly in?: unknown
  readonly discriminator?: string
  readonly options?: readonly unknown[]
  readonly shape?: Readonly<Record<string, unknown>>
  readonly element?: unknown
  readonly valueType?: unknown
  readonly values?: readonly unknown[]
}

/** Through defaults, options and the branch of a union that the value has chosen. */
function innermost(schema: unknown, value: unknown): Definition {
  const definition = (schema as {_zod?: {def: Definition}})._zod?.def ?? {}
  const through = definition.innerType ?? definition.in
  if (through !== undefined) return innermost(through, value)
  const {discriminator, options} = definition
  if (discriminator === undefined) return definition
  const chosen = (value as Record<string, unknown> | undefined)?.[discriminator]
  const branch = options?.find((option) => {
    const literal = innermost(innermost(option, value).shape?.[discriminator], undefined)
    return literal.values?.includes(chosen) === true
  })
  return branch === undefined ? {} : innermost(branch, value)
}

/** NEW is always an input; every pin takes a declared one, and patterns are regular expressions. */
function checkInputs({inputs, pins}: Playbook, yaml: StrictYaml): void {
  for (const [index, {input}] of pins.entries())
    if (input !== 'NEW' && !Object.hasOwn(inputs, input))
      throw yaml.refusal(['pins', index, 'input'], 'value', `no input is called ${input}`)
  for (const [name, {pattern, example}] of Object.entries(inputs))
    if (!isExample(pattern, example))
      throw yaml.refusal(
        ['inputs', name, 'example'],
        'value',
        'the example does not fit the pattern',
      )
  for (const [index, pin] of pins.entries())
    if (pin.kind === 'regex' && !isPinPattern(pin.pattern))
      throw yaml.refusal(['pins', index, 'pattern'], 'value', 'no pattern with one (?<pin>…) group')
}

/** A boot that lacks what is booted would be unavailable in every bump. */
function checkBoots({gates, upstream}: Playbook, yaml: StrictYaml): void {
  const hasKernel = upstream.kind === 'apt_kernel'
  for (const [index, gate] of gates.entries()) {
    if (gate.uses !== 'boot_smoke' || gate.disk !== undefined) continue
    const missing = gate.initrd === undefined ? 'an initrd' : 'a kernel'
    if (gate.initrd === undefined || (gate.kernel === undefined && !hasKernel))
      throw yaml.refusal(['gates', index], 'value', `boot_smoke needs ${missing}, or a disk`)
  }
}

/**
 * A bad kernel stops every node that boots it, so no playbook can leave its boot or its sign-off
 * out. What is not arm64 cannot be booted by rel: a command has to.
 */
function checkKernelGates({gates, upstream}: Playbook, yaml: StrictYaml): void {
  if (upstream.kind !== 'apt_kernel') return
  const boot = upstream.arch === 'arm64' ? 'boot_smoke' : 'command'
  for (const wanted of [boot, 'sign_off'] as const)
    if (!gates.some(({uses}) => uses === wanted))
      throw yaml.refusal(['gates'], 'key', `a kernel for ${upstream.arch} needs the gate ${wanted}`)
  // where the pin is a snapshot, the version is no release
  const word = upstream.snapshot === PINNED_SNAPSHOT ? '{kernel}' : '{new}'
  for (const [index, gate] of gates.entries()) {
    if (gate.uses !== 'boot_smoke') continue
    const {kernel, disk, release} = gate
    // the verified kernel is expected to be that of the version; of any other one it has to be said
    const isSaid = release?.includes(word) ?? (kernel === undefined && disk === undefined)
    if (!isSaid)
      throw yaml.refusal(['gates', index], 'value', `the boot of a kernel needs release: '${word}'`)
  }
}

/** apt is asked about the suites of a snapshot: without one there is nothing to compare with. */
function checkSources(playbook: Playbook, yaml: StrictYaml): void {
  const {gates, inputs} = playbook
  const at = gates.findIndex(({uses}) => uses === 'apt_sources')
  const example = inputs.NEW?.example ?? ''
  if (at !== -1 && pinnedSuites(playbook, example).length === 0)
    throw yaml.refusal(['gates', at], 'value', 'apt_sources needs an upstream with a snapshot')
}

/** A placeholder that nothing stands for would start the workflow with an empty input. */
function checkDispatch({change, inputs}: Playbook, yaml: StrictYaml): void {
  for (const [name, value] of Object.entries(change.dispatch?.inputs ?? {}))
    for (const [placeholder, word = ''] of value.matchAll(/\{(\w+)\}/g))
      if (!['new', 'old', 'NEW', ...Object.keys(inputs)].includes(word))
        throw yaml.refusal(
          ['change', 'dispatch', 'inputs', name],
          'value',
          `${placeholder} is neither {new}, {old} nor an input`,
        )
}

function checkNames({change}: Playbook, yaml: StrictYaml): void {
  for (const key of ['branch', 'tag_name'] as const)
    for (const [placeholder, word = ''] of change[key].matchAll(/\{([^}]*)\}/g))
      if (!['item', 'old', 'new', 'number'].includes(word))
        throw yaml.refusal(
          ['change', key],
          'value',
          `${placeholder} is none of {item}, {old}, {new} and {number}`,
        )
}

function isExample(pattern: string, example: string): boolean {
  try {
    return fitsPattern(pattern, example)
  } catch (error) {
    if (error instanceof RelError) throw error
    return false // no pattern
  }
}

function isPinPattern(pattern: string): boolean {
  try {
    new RegExp(pattern, 'u')
    return pattern.split('(?<pin>').length === 2
  } catch {
    return false
  }
}
