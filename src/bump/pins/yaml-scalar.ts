import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  parseAllDocuments,
  type Scalar,
  type YAMLMap,
} from 'yaml'
import {RelError} from '../../system/error.ts'
import {yamlExcess} from '../../system/yaml-limits.ts'
import {lineAt, matchOf, type PinMatch} from './pin-match.ts'

/**
 * Every scalar that stands at a path of a YAML stream, repeated keys included. Quotes stay outside
 * of the range. Refuses with pin_unreadable what is not YAML.
 */
export function findYamlPath(text: string, path: string): readonly PinMatch[] {
  return scalarsAt(text, path).map(({node, unusable}) => {
    const {start, end} = innerRange(node)
    const match = matchOf(text, start, end)
    const reason = unusable ?? unusableScalar(text, node)
    return reason === undefined ? match : {...match, unusable: reason}
  })
}

/**
 * Every default `… || 'value'` of an expression of a workflow in the scalar at a path.
 * Refuses as findYamlPath does.
 */
export function findExpressionDefault(
  text: string,
  path: string,
  expression: string,
): readonly PinMatch[] {
  const name = expression.replaceAll('.', '\\.').replaceAll('-', '\\-')
  // YAML's single quotes double those of the expression inside of them
  const wanted = new RegExp(
    `\\$\\{\\{\\s*${name}\\s*\\|\\|\\s*(?<quote>'{1,2})(?<pin>[^']*)\\k<quote>\\s*\\}\\}`,
    'dg',
  )
  return scalarsAt(text, path).flatMap(({node, unusable}) => {
    const [start = 0, end = 0] = node.range ?? []
    return [...text.slice(start, end).matchAll(wanted)].map((found) => {
      const [from = 0, to = 0] = found.indices?.groups?.pin ?? []
      const match = matchOf(text, start + from, start + to)
      return unusable === undefined ? match : {...match, unusable}
    })
  })
}

/** About as many as 1 MiB of a common file has; yaml takes seconds for as much. */
const MAX_PARTS = 400_000

type Found = {readonly node: Scalar; readonly unusable: string | undefined}

function scalarsAt(text: string, path: string): readonly Found[] {
  const steps = path.split(/(?<!\\)\./).map((step) => step.replaceAll('\\.', '.'))
  const excess = yamlExcess(text, MAX_PARTS)
  if (excess !== undefined) throw new RelError('pin_unreadable', `the YAML has ${excess}`)
  // pretty messages would cut the whole text again for each of a million errors
  const options = {uniqueKeys: false, prettyErrors: false, version: '1.2'} as const
  const documents = parseAllDocuments(text, options)
  if (!Array.isArray(documents)) return []
  return (documents as Document.Parsed[]).flatMap((document) => {
    const [broken] = document.errors
    if (broken !== undefined)
      throw new RelError('pin_unreadable', `line ${lineAt(text, broken.pos[0])} is not YAML`)
    return below(document.contents, steps, undefined)
  })
}

function below(node: unknown, steps: readonly string[], unusable: string | undefined): Found[] {
  const [step, ...rest] = steps
  const shared = (node as {anchor?: string} | null)?.anchor
  const why = shared === undefined ? unusable : `the anchor &${shared} is used elsewhere too`
  if (step === undefined) {
    if (isScalar(node)) return [{node, unusable: why}]
    return isAlias(node) ? [aliasFound(node)] : []
  }
  if (isAlias(node)) return [aliasFound(node)]
  if (isMap(node)) return pairsOf(node, step).flatMap(({value}) => below(value, rest, why))
  if (isSeq(node) && /^(0|[1-9][0-9]*)$/.test(step))
    return below(node.items[Number(step)], rest, why)
  return []
}

function pairsOf(map: YAMLMap, key: string) {
  return map.items.filter((pair) => isScalar(pair.key) && String(pair.key.value) === key)
}

function aliasFound(node: {readonly source: string; readonly range?: unknown}): Found {
  return {node: node as unknown as Scalar, unusable: `it is the alias *${node.source}`}
}

function innerRange(node: Scalar): {start: number; end: number} {
  const [start = 0, end = 0] = node.range ?? []
  return isQuoted(node) ? {start: start + 1, end: end - 1} : {start, end}
}

function isQuoted({type}: Scalar): boolean {
  return type === 'QUOTE_DOUBLE' || type === 'QUOTE_SINGLE'
}

function unusableScalar(text: string, node: Scalar): string | undefined {
  const {start, end} = innerRange(node)
  if (node.tag !== undefined) return `it has the tag ${node.tag}`
  if (node.type === 'PLAIN' && typeof node.value !== 'string')
    return `${text.slice(start, end).slice(0, 40)} is no text in YAML; put it in quotes`
  if (node.type !== 'PLAIN' && !isQuoted(node)) return 'it is a block of lines'
  return text.slice(start, end) === node.value ? undefined : 'it is written with escapes'
}

/** True when every YAML reader takes these characters without quotes for text (1.1 reads 1:30 as 90). */
export function isPlainText(value: string): boolean {
  return (['1.1', '1.2'] as const).every((version) => {
    const [document] = parseAllDocuments(value, {version}) as Document.Parsed[]
    const node = document?.contents
    return isScalar(node) && node.value === value
  })
}
