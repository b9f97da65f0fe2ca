import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {
  badShapes,
  heavyCommandImports,
  importsUp,
  type Sources,
  specifiersOf,
  unusedExports,
  wrongEffects,
} from '../support/layers.ts'

const root = join(import.meta.dirname, '../..')

/** The files that touch the world or node:crypto, by room; every other file of these is pure. */
const effects: Readonly<Record<string, readonly string[]>> = {
  bundle: [
    'archive/compress',
    'archive/decompress',
    'archive/durable',
    'archive/leftovers',
    'archive/pack',
    'archive/read-archive',
    'archive/second-reader',
    'archive/staging',
    'archive/unpack',
    'delta/make-delta',
    'delta/old-bundle',
    'delta/pieces',
    'delta/spool',
    'hash-file',
    'hash-tree',
    'hash-worker',
    'inspect',
    'read-tree',
    'scan',
    'sidecars',
    'sign',
    'sign-file',
    'uuid',
    'verify',
    'verify-file',
    'vouched-sidecars',
  ],
  device: [
    'boot-clock',
    'device',
    'download',
    'durable-fs',
    'directory-source',
    'go-back',
    'guard',
    'health',
    'init',
    'layout',
    'license-gate',
    'lock',
    'outbox',
    'process-health',
    'resume',
    'place-binary',
    'place-delta',
    'place-tree',
    'owned',
    'program',
    'takeover',
    'sealed-file',
    'staged-time',
    'verify-installed',
    'write-tree',
  ],
  gates: [
    'apt-sources',
    'boot-smoke',
    'compare-trees',
    'copy-tree',
    'elf-check',
    'evidence-log',
    'port-owner',
    'reproducible',
    'command-gate',
    'marked-processes',
    'run-check',
    'run-program',
    'sandbox',
    'verified-files',
  ],
  release: ['make-release', 'publish/files', 'verify-release'],
  trust: [
    'anchor-store',
    'ed25519',
    'key-formats/minisign-key',
    'key-formats/pkcs8',
    'key-formats/spki',
    'key-store',
    'secret-key',
    'signers/file',
    'signers/ssh-agent',
  ],
}
/** In these rooms everything may be an effect: `system` is effects, `cli` wires the real world. */
const isPureRoom = (path: string): boolean => Object.hasOwn(effects, path.split('/')[1] ?? '')

function read(...folders: readonly string[]): Sources {
  const paths = folders.flatMap((folder) =>
    readdirSync(join(root, folder), {recursive: true, encoding: 'utf8'})
      .filter((name) => /\.(?:ts|cjs)$/.test(name))
      .map((name) => `${folder}/${name}`),
  )
  return new Map(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')]))
}

function only(sources: Sources, keep: (path: string) => boolean): Sources {
  return new Map([...sources].filter(([path]) => keep(path)))
}

const sources = read('src')
const effectFiles = new Set(
  Object.entries(effects).flatMap(([room, names]) => names.map((name) => `src/${room}/${name}.ts`)),
)

test('the sources are found', () => {
  assert.ok(sources.size > 30, `${sources.size} files`)
})

test('imports point down', () => {
  assert.equal(importsUp(sources), [])
})

test('decisions import no node: module', () => {
  assert.equal(wrongEffects(only(sources, isPureRoom), effectFiles), [])
})

test('commands load what they need inside perform', () => {
  assert.equal(heavyCommandImports(sources), [])
})

test('there are no barrels, drawers, enums and opaque imports', () => {
  assert.equal(badShapes(sources), [])
})

test('every exported value is used by another file', () => {
  assert.equal(unusedExports(sources, read('bin', 'scripts', 'test')), [])
})

const planted: readonly [string, string, (files: Sources) => string[], string][] = [
  ['static', 'src/trust/a.ts', importsUp, `import {b} from '../bundle/b.ts'`],
  ['over several lines', 'src/trust/a.ts', importsUp, `import {\n  b,\n} from '../bundle/b.ts'`],
  ['type', 'src/bundle/a.ts', importsUp, `import type {B} from '../cli/b.ts'`],
  ['type in an expression', 'src/bundle/a.ts', importsUp, `let b: import('../cli/b.ts').B`],
  ['re-export', 'src/system/a.ts', importsUp, `export * from '../trust/b.ts'`],
  ['side effect', 'src/system/a.ts', importsUp, `import '../trust/b.ts'`],
  ['dynamic', 'src/system/x/a.ts', importsUp, `const b = await import('../../trust/b.ts')`],
  ['worker', 'src/trust/a.ts', importsUp, `new URL('../bundle/b-worker.ts', import.meta.url)`],
  ['commands from cli', 'src/cli/a.ts', importsUp, `import Sign from '../commands/sign.ts'`],
  ['room', 'src/misc/a.ts', badShapes, 'export const a = 1'],
  ['barrel', 'src/trust/index.ts', badShapes, `export * from './anchor.ts'`],
  ['drawer', 'src/trust/utils.ts', badShapes, 'export const a = 1'],
  ['enum', 'src/trust/a.ts', badShapes, 'export const enum State {on, off}'],
  ['opaque', 'src/trust/a.ts', badShapes, 'await import(name)'],
  ['opaque template', 'src/trust/a.ts', badShapes, 'await import(`./b.ts`)'],
  ['heavy', 'src/commands/a.ts', heavyCommandImports, `import {z} from 'zod'`],
  ['heavy of ours', 'src/commands/a.ts', heavyCommandImports, `import {b} from '../bundle/b.ts'`],
  [
    'effect',
    'src/trust/a.ts',
    (files) => wrongEffects(files, new Set()),
    `import 'node:fs/promises'`,
  ],
  ['unlisted', 'src/trust/a.ts', (files) => wrongEffects(files, new Set(['src/trust/a.ts'])), ''],
  ['unused', 'src/trust/a.ts', (files) => unusedExports(files, new Map()), 'export const a = 1'],
]

for (const [name, path, check, source] of planted) {
  test(`a planted violation is found: ${name}`, () => {
    assert.is(check(new Map([[path, source]])).length, 1)
  })
}

test('prose about imports is none', () => {
  assert.equal(specifiersOf(`// import x from '../up.ts'\n/** import('../up.ts') */\n`), [])
})

test.run()
