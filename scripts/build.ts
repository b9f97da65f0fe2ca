import {mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {basename, dirname, join, relative} from 'node:path'
import {fileURLToPath} from 'node:url'
import {parseArgs} from 'node:util'
import {build, type Plugin} from 'esbuild'
import {commandFiles, commandId, sourceManifest} from '../src/cli/source-tree.ts'
import {sha256Hex} from '../src/system/hash.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Left out of the program and loaded from node_modules by the step that needs them. */
const external = [
  '@fastify/*',
  '@oclif/plugin-*',
  '@sigstore/*',
  'aws4fetch',
  'execa',
  'fastify',
  'jose',
  'kysely',
  'listr2',
  'pg',
  'tar-stream',
  'typebox',
  'yaml',
  'zod',
]

/** What our sources take from @oclif/core, and the file it comes from; its index evaluates all of them. */
const oclifFiles = {
  Args: 'args',
  Command: 'command',
  Config: 'config/config',
  Flags: 'flags',
  CommandHelp: 'help/index',
  Help: 'help/index',
  Plugin: 'config/plugin',
  settings: 'settings',
} as const

/** What esbuild leaves of `import.meta.url` in CommonJS is nothing. */
const banner = "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;"

/**
 * Builds the program of the published package: one CommonJS file whose modules are evaluated when
 * first used, and one file per worker (docs/decisions/start-up.md).
 */
export async function buildProgram(outdir: string): Promise<void> {
  rmSync(outdir, {recursive: true, force: true})
  mkdirSync(outdir, {recursive: true})
  const manifest = portable(await sourceManifest(root))
  writeFileSync(join(outdir, 'manifest.json'), JSON.stringify(manifest))
  const {metafile} = await build({
    stdin: {contents: entry(), resolveDir: root, sourcefile: 'entry.ts', loader: 'ts'},
    outfile: join(outdir, 'rel.cjs'),
    metafile: true,
    ...options,
  })
  stampProgram(join(outdir, 'rel.cjs'))
  for (const worker of workerFiles()) {
    const outfile = join(outdir, basename(worker).replace(/\.ts$/, '.cjs'))
    await build({entryPoints: [join(root, 'src', worker)], outfile, ...options})
  }
  writeFileSync(join(outdir, 'LICENSES.txt'), licenses(Object.keys(metafile.inputs)))
}

/**
 * Makes the program what bin/run.cjs runs: ASCII (what esbuild leaves unescaped are regular
 * expressions), importing through its function, and with its digest first, by which a cache of its
 * bytecode knows it.
 */
function stampProgram(path: string): void {
  const text = readFileSync(path, 'utf8')
    .replace(/(?<=\bawait )import\(/g, 'importModule(')
    .replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const left = /\bimport\((?!\)).{0,40}/.exec(text) // `import()` alone is in a message
  if (left !== null) throw new Error(`an import that bin/run.cjs cannot serve: ${left[0]}`)
  writeFileSync(path, `//${sha256Hex(text)}\n${text}`)
}

const options = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node22',
  minifySyntax: true,
  minifyWhitespace: true, // names stay: they are in traces
  legalComments: 'none', // their licences are in LICENSES.txt
  define: {'import.meta.url': 'importMetaUrl'},
  banner: {js: banner},
  external,
  plugins: [lazyOclif(), oclifParts(), withStandIns(), workerUrls()],
} as const satisfies Parameters<typeof build>[0]

/** The program's entry: the table of commands, each a module that is evaluated when it is run. */
function entry(): string {
  const files = commandFiles(join(root, 'src', 'commands'))
  const loaders = files.map((file) => {
    return `${JSON.stringify(commandId(file))}: () => import('./src/commands/${file}')`
  })
  return `
    import {readFileSync} from 'node:fs'
    import {join} from 'node:path'
    import {main} from './src/cli/main.ts'
    import facts from './package.json'
    const loaders = {${loaders.join(',\n')}}
    export function start(root, path) {
      main(process.argv.slice(2), {
        root,
        facts: {name: facts.name, version: facts.version, oclif: facts.oclif},
        ids: new Set(Object.keys(loaders)),
        load: async (id) => {
          const command = (await loaders[id]()).default
          command.id = id
          return command
        },
        manifest: async () => JSON.parse(readFileSync(join(__dirname, 'manifest.json'), 'utf8')),
      }, path)
    }`
}

/** The manifest without what is true of this checkout only. */
function portable(manifest: Readonly<Record<string, object>>): Record<string, object> {
  return Object.fromEntries(
    Object.entries(manifest).map(([id, command]) => {
      return [id, {...command, relativePath: undefined, isESM: undefined}]
    }),
  )
}

/**
 * Evaluates the modules of @oclif/core when they are first used. Its compiler's output reads
 * `x_1.name` at each use, so a top-level `const x_1 = require('y')` may become a lookup;
 * __importDefault and __importStar around it are plain functions of the same object.
 */
function lazyOclif(): Plugin {
  return {
    name: 'lazy-oclif',
    setup(builder) {
      builder.onLoad({filter: /@oclif[\\/]core[\\/]lib[\\/].*\.js$/}, ({path}) => {
        return {contents: withLazyRequires(readFileSync(path, 'utf8')), loader: 'js'}
      })
    },
  }
}

const TOP_LEVEL_REQUIRE =
  /^const (\w+) = ((?:__import(?:Default|Star)\()?require\("[^"]+"\)\)?);$/gm

/** Source with every top-level require moved to where its name is used. */
export function withLazyRequires(source: string): string {
  const lookups = new Map<string, string>()
  const rest = source.replace(TOP_LEVEL_REQUIRE, (_line, name: string, value: string) => {
    lookups.set(name, value)
    return `let ${name}$; const ${name}$get = () => (${name}$ ??= ${value});`
  })
  if (lookups.size === 0) return source
  const names = new RegExp(`(?<![.\\w$'"])(${[...lookups.keys()].join('|')})(?![\\w$'"])`, 'g')
  return rest.replace(names, (name) => `(${name}$get())`)
}

function oclifParts(): Plugin {
  const lib = join(root, 'node_modules/@oclif/core/lib')
  const getters = Object.entries(oclifFiles).map(([name, file]) => {
    const found = `require(${JSON.stringify(join(lib, `${file}.js`))})`
    const value = name === 'Args' || name === 'Flags' ? found : `${found}.${name}`
    return `Object.defineProperty(exports, '${name}', {enumerable: true, get: () => ${value}})`
  })
  return {
    name: 'oclif-parts',
    setup(builder) {
      builder.onResolve({filter: /^@oclif\/core$/}, () => ({
        path: 'core',
        namespace: 'oclif-parts',
      }))
      builder.onLoad({filter: /.*/, namespace: 'oclif-parts'}, () => {
        return {contents: getters.join('\n'), loader: 'js', resolveDir: root}
      })
    },
  }
}

/** Packages that the program does without, and what stands in their place. */
const standIns: Readonly<Record<string, string>> = {
  // DEBUG=* would print the command line and what was parsed from it; loading it takes 2 ms
  debug: 'module.exports = () => () => {}',
  // oclif asks it whether this is Windows; it reads files and loads node:child_process for that
  'wsl-utils': 'exports.isWsl = false',
}

function withStandIns(): Plugin {
  return {
    name: 'stand-ins',
    setup(builder) {
      builder.onResolve({filter: /^(?:debug|wsl-utils)$/}, ({path}) => ({
        path,
        namespace: 'stand-in',
      }))
      builder.onLoad({filter: /.*/, namespace: 'stand-in'}, ({path}) => ({
        contents: standIns[path] ?? '',
      }))
    },
  }
}

/** `new URL('./x-worker.ts', import.meta.url)` finds the worker's built file beside the program. */
function workerUrls(): Plugin {
  return {
    name: 'worker-urls',
    setup(builder) {
      builder.onLoad({filter: /[\\/]src[\\/].*\.ts$/}, ({path}) => {
        const source = readFileSync(path, 'utf8')
        const contents = source.replace(
          /new URL\('(?:[./\w-]*\/)?([\w-]+-worker)\.ts', import\.meta\.url\)/g,
          "new URL('./$1.cjs', import.meta.url)",
        )
        return {contents, loader: 'ts'}
      })
    },
  }
}

function workerFiles(): string[] {
  return readdirSync(join(root, 'src'), {recursive: true, encoding: 'utf8'})
    .filter((file) => file.endsWith('-worker.ts'))
    .sort()
}

/** The licence texts of everything that was copied into the program. */
function licenses(inputs: readonly string[]): string {
  const folders = inputs
    .map((input) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1])
    .filter((folder) => folder !== undefined)
  return [...new Set(folders)].sort().map(licenseOf).join('\n')
}

function licenseOf(folder: string): string {
  const facts = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as {
    name: string
    version: string
    license?: string
  }
  const file = readdirSync(join(root, folder)).find((name) => /^licen[cs]e/i.test(name))
  const text = file === undefined ? '' : readFileSync(join(root, folder, file), 'utf8').trim()
  return `${facts.name} ${facts.version} (${facts.license ?? 'see its text'})\n\n${text}\n`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const {values} = parseArgs({options: {outdir: {type: 'string', default: join(root, 'dist')}}})
  await buildProgram(values.outdir)
  process.stdout.write(`built ${relative(process.cwd(), values.outdir) || '.'}\n`)
}
