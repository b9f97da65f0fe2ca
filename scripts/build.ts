import {mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {builtinModules} from 'node:module'
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

/** Bundled each into a file of its own, which is loaded when it is first imported. */
const apart = ['@octokit/rest', 'openpgp']

/**
 * Builds the program of the published package: one CommonJS file whose modules are evaluated when
 * first used, a small one per topic for plain command lines, and one file per worker
 * (docs/decisions/start-up.md). Returns the packages that it loads from node_modules.
 */
export async function buildProgram(outdir: string): Promise<string[]> {
  rmSync(outdir, {recursive: true, force: true})
  mkdirSync(outdir, {recursive: true})
  const manifest = portable(await sourceManifest(root))
  writeFileSync(join(outdir, 'manifest.json'), JSON.stringify(manifest))
  const {inputs, packages} = await buildFile(join(outdir, 'rel.cjs'), wholeEntry(), wholePlugins)
  stampProgram(join(outdir, 'rel.cjs'))
  for (const topic of topics()) await buildTopic(join(outdir, 'topics', `${topic}.cjs`), topic)
  for (const name of apart) {
    const file = await buildFile(join(outdir, apartFile(name)), `export * from '${name}'`, [])
    inputs.push(...file.inputs)
  }
  for (const worker of workerFiles()) {
    const outfile = join(outdir, basename(worker).replace(/\.ts$/, '.cjs'))
    await build({...options, entryPoints: [join(root, 'src', worker)], outfile})
  }
  writeFileSync(join(outdir, 'LICENSES.txt'), licenses(inputs))
  return packages
}

/** Builds packages into one file, whose `packages` has a function for each that evaluates it. */
export async function buildPackages(outfile: string, names: readonly string[]): Promise<void> {
  const loaders = names.map((name) => `${JSON.stringify(name)}: () => require('${name}')`)
  const contents = `export const packages = {${loaders.join(',')}}`
  const {inputs} = await buildFile(outfile, contents, [nothingOptional()], [])
  const file = join(dirname(outfile), 'LICENSES.txt')
  writeFileSync(file, `${readFileSync(file, 'utf8')}\n${licenses(inputs)}`)
}

async function buildTopic(outfile: string, topic: string): Promise<void> {
  const own = commandFiles(join(root, 'src', 'commands')).filter((file) => topicOf(file) === topic)
  await buildFile(outfile, topicEntry(own), topicPlugins)
  const names = own.map((file) => commandId(file).split(':').slice(1).join(' '))
  stampProgram(
    outfile,
    names.filter((name) => name !== ''),
  )
}

type BuiltFile = {readonly inputs: string[]; readonly packages: string[]}

/** Builds one file from the text of its entry: what it was made of, and what it loads at run time. */
async function buildFile(
  outfile: string,
  contents: string,
  plugins: Plugin[],
  apartFrom: readonly string[] = options.external,
): Promise<BuiltFile> {
  const {metafile} = await build({
    ...options,
    stdin: {contents, resolveDir: root, sourcefile: 'entry.ts', loader: 'ts'},
    outfile,
    metafile: true,
    plugins,
    external: [...apartFrom],
  })
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports)
  const names = imports.filter((one) => one.external === true).map(({path}) => path)
  const packages = names.filter(
    (name) => !/^\.|^node:/.test(name) && !builtinModules.includes(name),
  )
  return {inputs: Object.keys(metafile.inputs), packages: [...new Set(packages)].sort()}
}

/**
 * Makes the program what bin/run.cjs runs: ASCII (what esbuild leaves unescaped are regular
 * expressions), importing through its function, and with its digest first, by which a cache of its
 * bytecode knows it.
 */
function stampProgram(path: string, names: readonly string[] = []): void {
  const text = readFileSync(path, 'utf8')
    .replace(/(?<=\bawait )import\(/g, 'importModule(')
    .replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const left = /\bimport\((?!\)).{0,40}/.exec(text) // `import()` alone is in a message
  if (left !== null) throw new Error(`an import that bin/run.cjs cannot serve: ${left[0]}`)
  const header = names.length === 0 ? '' : `// ${names.join(',')}\n`
  writeFileSync(path, `//${sha256Hex(text)}\n${header}${text}`)
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
  external: [...external, './manifest.json'],
  absWorkingDir: root, // the paths of inputs are relative to it
} as const satisfies Parameters<typeof build>[0]

const wholePlugins = [
  lazyOclif(),
  oclifParts(),
  withStandIns(),
  workerUrls('./'),
  loadedApart('./'),
]
const topicPlugins = [plainOclif(), workerUrls('../'), loadedApart('../'), lookedUp()]

/** The first words of all commands. */
function topics(): string[] {
  return [...new Set(commandFiles(join(root, 'src', 'commands')).map(topicOf))]
}

function topicOf(file: string): string {
  return commandId(file).split(':', 1)[0] as string
}

/** The table of the commands of these files, each a module that is evaluated when it is run. */
function loadersOf(files: readonly string[]): string {
  const loaders = files.map((file) => {
    return `${JSON.stringify(commandId(file))}: () => import('./src/commands/${file}')`
  })
  return `{${loaders.join(',\n')}}`
}

/** The entry of the program with every command. */
function wholeEntry(): string {
  const files = commandFiles(join(root, 'src', 'commands'))
  return `
    import {main} from './src/cli/main.ts'
    import facts from './package.json'
    const loaders = ${loadersOf(files)}
    export function start(root, path, completes) {
      main(process.argv.slice(2), {
        root,
        completes,
        facts: {name: facts.name, version: facts.version, oclif: facts.oclif},
        ids: new Set(Object.keys(loaders)),
        load: async (id) => {
          const command = (await loaders[id]()).default
          command.id = id
          return command
        },
        manifest: async () => require('./manifest.json'),
      }, path)
    }`
}

/**
 * The entry of a program with the commands of one topic and without oclif. Its start() resolves to
 * false, with nothing done, when the words are not plain ones for these commands.
 */
function topicEntry(own: readonly string[]): string {
  const files = commandFiles(join(root, 'src', 'commands'))
  const {name, version} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    name: string
    version: string
  }
  return `
    import {plainParse} from './scripts/plain/parse.ts'
    import {readRequest} from './src/cli/argv.ts'
    import {main} from './src/cli/main.ts'
    const ids = new Set(${JSON.stringify(files.map(commandId))})
    const loaders = ${loadersOf(own)}
    export async function start(root) {
      const request = readRequest(process.argv.slice(2), ids)
      const loader = request.ask === 'command' ? loaders[request.id] : undefined
      if (loader === undefined) return false
      const command = (await loader()).default
      command.id = request.id
      if (plainParse(command, request.argv, process.env) === undefined) return false
      const facts = ${JSON.stringify({name, version, oclif: {}})}
      main(process.argv.slice(2), {root, facts, ids, load: async () => command})
      return true
    }`
}

/** The manifest without what is true of this checkout only, in an order that does not change. */
function portable(manifest: Readonly<Record<string, object>>): Record<string, object> {
  return Object.fromEntries(
    Object.entries(manifest)
      .sort()
      .map(([id, command]) => {
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

/** Requires of packages that are only tried, and are not installed: they fail when they are run. */
function nothingOptional(): Plugin {
  return {
    name: 'nothing-optional',
    setup(builder) {
      builder.onResolve({filter: /^pg-native$/}, ({path}) => ({path, external: true}))
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

/** Puts scripts/plain/oclif.ts in the place of oclif, and nothing in that of help, which needs oclif. */
function plainOclif(): Plugin {
  return {
    name: 'plain-oclif',
    setup(builder) {
      builder.onResolve({filter: /^@oclif\/core$/}, () => ({
        path: join(root, 'scripts/plain/oclif.ts'),
      }))
      builder.onLoad({filter: /[\\/]src[\\/]cli[\\/]help\.ts$/}, () => ({
        contents: 'export const checkHelpWords = undefined, helpText = undefined',
      }))
    },
  }
}

/** Parts of Node.js that take milliseconds to load, and that many commands import and few use. */
const rarelyUsed = [
  'node:child_process',
  'node:http',
  'node:https',
  'node:os',
  'node:sqlite',
  'node:tls',
  'node:zlib',
]
const codesFile = join(root, 'src/system/codes.ts')

/** Evaluates these, and the table of error codes, when something of theirs is first used. */
function lookedUp(): Plugin {
  const namespace = 'looked-up'
  return {
    name: namespace,
    setup(builder) {
      const builtin = new RegExp(`^(?:${rarelyUsed.join('|')})$`)
      builder.onResolve({filter: builtin}, ({path, namespace: from}) => {
        return from === namespace ? {path, external: true} : {path, namespace}
      })
      builder.onResolve({filter: /\/codes\.ts$/}, ({importer, namespace: from}) => {
        return from === namespace || importer === ''
          ? {path: codesFile}
          : {path: codesFile, namespace}
      })
      builder.onLoad({filter: /.*/, namespace}, async ({path}) => {
        const names = Object.keys(await import(path)).filter((name) => name !== 'default')
        const value = `require(${JSON.stringify(path)})`
        const getters = names.map((name) => `get ${name}() { return ${value}.${name} }`)
        return {contents: `module.exports = {${getters.join(',')}}`, resolveDir: root}
      })
    },
  }
}

function apartFile(name: string): string {
  return `${name.replace(/\W+/g, '-').replace(/^-/, '')}.cjs`
}

/** Leads to the files of the packages that are loaded apart, from a program `toDist` below dist. */
function loadedApart(toDist: string): Plugin {
  return {
    name: 'loaded-apart',
    setup(builder) {
      const filter = new RegExp(`^(?:${apart.join('|')})$`)
      builder.onResolve({filter}, ({path}) => ({path, namespace: 'apart'}))
      builder.onLoad({filter: /.*/, namespace: 'apart'}, ({path}) => ({
        contents: `module.exports = require('${toDist}${apartFile(path)}')`,
      }))
      builder.onResolve({filter: /\.cjs$/, namespace: 'apart'}, ({path}) => ({
        path,
        external: true,
      }))
    },
  }
}

/** `new URL('./x-worker.ts', import.meta.url)` finds the worker's built file in dist. */
function workerUrls(toDist: string): Plugin {
  return {
    name: 'worker-urls',
    setup(builder) {
      builder.onLoad({filter: /[\\/]src[\\/].*\.ts$/, namespace: 'file'}, ({path}) => {
        const source = readFileSync(path, 'utf8')
        const contents = source.replace(
          /new URL\('(?:[./\w-]*\/)?([\w-]+-worker)\.ts', import\.meta\.url\)/g,
          `new URL('${toDist}$1.cjs', import.meta.url)`,
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
