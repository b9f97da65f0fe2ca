import {
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml'
import type {ErrorCode} from './codes.ts'
import {RelError} from './error.ts'
import {yamlExcess} from './yaml-limits.ts'

/** Where a value stands in a document: keys of maps and indexes of lists, outermost first. */
export type YamlPath = readonly (string | number)[]

export type StrictYaml = {
  /** Maps, lists and scalars as YAML 1.2 reads them; undefined for an empty document. */
  readonly value: unknown
  /** The refusal of what stands at a path, with path:line:column; the nearest place when it is absent. */
  refusal(at: YamlPath, part: 'key' | 'value', message: string, hint?: string): RelError
}

/** Ten times the longest playbook. */
const MAX_PARTS = 30_000

/**
 * One YAML 1.2 document of a person's own file, with the places of its values. Refuses with `code`
 * and path:line:column what is not YAML, repeated keys, unknown tags, aliases, a second document, and what is larger or
 * nested deeper than a person's file.
 */
export function readStrictYaml(text: string, path: string, code: ErrorCode): StrictYaml {
  const lines = new LineCounter()
  const excess = yamlExcess(text, MAX_PARTS)
  if (excess !== undefined) throw new RelError(code, `${path} has ${excess}`, {details: {path}})
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: false, // yaml compares each with each
    prettyErrors: false,
    version: '1.2',
  })
  const refuse = (offset: number, message: string, hint?: string) => {
    const {line, col} = lines.linePos(offset)
    return new RelError(code, `${path}:${line}:${col}: ${message}`, {
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
    Map: (_key, map) => {
      const repeated = repeatedKey(map)
      if (repeated !== undefined) throw refuse(startOf(repeated), 'duplicate key')
    },
  })
  const {contents} = document
  return {
    value: contents === null ? undefined : document.toJS(),
    refusal: (at, part, message, hint) => refuse(offsetOf(contents, at, part), message, hint),
  }
}

function repeatedKey({items}: YAMLMap): unknown {
  const known = new Set<string>()
  for (const {key} of items) {
    const name = String(isScalar(key) ? key.value : key)
    if (known.has(name)) return key
    known.add(name)
  }
  return undefined
}

/** Of the deepest node on the way that exists. */
function offsetOf(contents: Node | null, at: YamlPath, part: 'key' | 'value'): number {
  let node: unknown = contents
  let offset = startOf(contents)
  for (const [index, step] of at.entries()) {
    const pair = memberOf(node, step)
    if (pair === undefined) return offset
    node = pair.value
    const wantsKey = part === 'key' && index === at.length - 1
    offset = startOf(wantsKey || pair.value === null ? pair.key : pair.value)
  }
  return offset
}

function memberOf(
  node: unknown,
  step: string | number,
): {key: unknown; value: unknown} | undefined {
  if (isMap(node))
    return node.items.find(({key}) => isScalar(key) && String(key.value) === String(step))
  if (isSeq(node) && typeof step === 'number' && step < node.items.length)
    return {key: node.items[step], value: node.items[step]}
  return undefined
}

function startOf(node: unknown): number {
  return (node as {range?: readonly number[]} | null | undefined)?.range?.[0] ?? 0
}
