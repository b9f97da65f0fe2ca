import {posix} from 'node:path'

/** Path below the root of the project, with its source text. */
export type Sources = ReadonlyMap<string, string>

/** The rooms of src/, top first: imports point down this list, never up (docs/decisions/layers.md). */
export const LAYERS = [
  'commands',
  'cli',
  'certify',
  'fleet',
  'device',
  'review',
  'bump',
  'gates',
  'upstream',
  'panel',
  'release',
  'bundle',
  'trust',
  'system',
] as const

const SPECIFIER = /\b(?:from|import|require)\s*\(?\s*(['"`])([^'"`\n]+)\1/g
const OPAQUE_IMPORT = /\b(?:import|require)\s*\(\s*(?!['"])[^)\s]/
const WORKER = /new URL\(\s*'([^']+\.ts)',\s*import\.meta\.url\)/g

/** What a file names to be loaded: static, type, side-effect and dynamic imports, and workers. */
export function specifiersOf(source: string): string[] {
  const code = withoutComments(source)
  const imports = [...code.matchAll(SPECIFIER)].map(([, , specifier = '']) => specifier)
  const workers = [...code.matchAll(WORKER)].map(([, specifier = '']) => specifier)
  return [...imports, ...workers]
}

/** Imports that point up, or to a room that does not exist. */
export function importsUp(sources: Sources): string[] {
  return inFiles(sources, (path, source) =>
    specifiersOf(source)
      .filter((specifier) => specifier.startsWith('.'))
      .map((specifier) => posix.join(posix.dirname(path), specifier))
      .filter((target) => target.startsWith('src/') && layerOf(target) < layerOf(path))
      .map((target) => `${path} imports ${target}, which is above it`),
  )
}

/** Files that name a `node:` module without being listed as an effect, and entries listed in vain. */
export function wrongEffects(sources: Sources, effects: ReadonlySet<string>): string[] {
  const actual = [...sources]
    .filter(([, source]) => specifiersOf(source).some((name) => name.startsWith('node:')))
    .map(([path]) => path)
  const unlisted = actual.filter((path) => !effects.has(path))
  const inVain = [...effects].filter((path) => !actual.includes(path))
  return [
    ...unlisted.map((path) => `${path} imports node: and is no effect file`),
    ...inVain.map((path) => `${path} is listed as an effect file but imports no node: module`),
  ]
}

/** Modules that a command evaluates before it knows what to do: they slow every start down. */
export function heavyCommandImports(sources: Sources): string[] {
  const light = /^(?:@oclif\/core|\.\.\/(?:\.\.\/){0,2}cli\/.+)$/
  return inFiles(sources, (path, source) => {
    if (!path.startsWith('src/commands/')) return []
    const statics = withoutComments(source).matchAll(/^import (?!type\b)[^'"]*['"]([^'"]+)['"]/gm)
    return [...statics]
      .map(([, specifier = '']) => specifier)
      .filter((specifier) => !light.test(specifier))
      .map((specifier) => `${path} imports ${specifier} before perform()`)
  })
}

/** Rooms that are missing from LAYERS, barrels, drawers named utils, enums and imports by variable. */
export function badShapes(sources: Sources): string[] {
  return inFiles(sources, (path, source) => {
    const code = withoutComments(source)
    const found: string[] = []
    if (layerOf(path) === -1) found.push(`${path} is in no room of the list`)
    if (isBarrel(path)) found.push(`${path} is a barrel; name the file after what it does`)
    if (/(?:^|\/)(?:utils?|helpers?)\.ts$/.test(path)) found.push(`${path} says nothing of itself`)
    if (/^\s*(?:export\s+)?(?:const\s+)?enum\s/m.test(code)) found.push(`${path} has an enum`)
    if (OPAQUE_IMPORT.test(code) && !path.startsWith('src/cli/')) {
      found.push(`${path} imports something that cannot be read from its source`)
    }
    return found
  })
}

/** Exported values that no other file names. `others` are files that may use them, such as tests. */
export function unusedExports(sources: Sources, others: Sources): string[] {
  const words = new Map(
    [...sources, ...others].map(([path, text]) => [path, new Set(text.match(/[\w$]+/g))]),
  )
  return inFiles(sources, (path, source) =>
    exportedValues(source)
      .filter((name) => ![...words].some(([other, set]) => other !== path && set.has(name)))
      .map((name) => `${path} exports ${name}, which nothing imports`),
  )
}

function exportedValues(source: string): string[] {
  const declared = withoutComments(source).matchAll(
    /^export (?:abstract |async )*(?:function\*?|const|let|class) ([\w$]+)/gm,
  )
  return [...declared].map(([, name = '']) => name)
}

function isBarrel(path: string): boolean {
  return path.endsWith('/index.ts') && !path.startsWith('src/commands/')
}

/** Place in LAYERS, -1 for a file that is in none. */
function layerOf(path: string): number {
  return (LAYERS as readonly string[]).indexOf(path.split('/')[1] ?? '')
}

function inFiles(sources: Sources, find: (path: string, source: string) => string[]): string[] {
  return [...sources].flatMap(([path, source]) => find(path, source))
}

/** Without comments of whole lines, so that prose about imports is none. */
function withoutComments(source: string): string {
  return source.replace(/^\s*\/\*[\s\S]*?\*\//gm, '').replace(/^\s*\/\/.*$/gm, '')
}
