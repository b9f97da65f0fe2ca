import {execFileSync} from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {homedir} from 'node:os'
import {dirname, join, relative, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'
import {parseArgs} from 'node:util'
import {gzipSync} from 'node:zlib'
import {build} from 'esbuild'
import {sha256Hex} from '../src/system/hash.ts'
import {buildPackages, buildProgram} from './build.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** The Node.js inside: a version of package.json's dev dependency `node`, and SHA-256 of its program. */
export const nodeInside = {
  version: '26.10.0',
  digests: {
    x64: 'ab9c8eecf9f82d6693cdc3accced17034065c8d96213b0aa76a7e803d20ae1da',
    arm64: '71b004f18a82f3ea8f26109798564a12e5e4c7989a4c35b93851830b5815dd03',
  },
} as const

export type Machine = keyof typeof nodeInside.digests

/** Not bundled: packages that others can do without, and that rel never uses. */
const absent = ['pg-native', 'pg-cloudflare', '@oclif/plugin-autocomplete']

/**
 * Builds the single executables rel-linux-MACHINE into a folder, each also as .gz, with SHA256SUMS
 * and LICENSES.txt. The same sources give the same bytes: V8's code cache would not
 * (docs/decisions/start-up.md).
 */
export async function buildExecutables(
  folder: string,
  machines: readonly Machine[],
  compress = true,
): Promise<void> {
  const outdir = resolve(folder)
  mkdirSync(outdir, {recursive: true})
  const scratch = mkdtempSync(join(outdir, '.building-'))
  try {
    const dist = join(scratch, 'dist')
    const packages = await buildProgram(dist)
    const inside = packages.filter((name) => !absent.includes(name))
    await buildPackages(join(dist, 'packages.cjs'), inside)
    await buildMain(join(scratch, 'sea.cjs'))
    writeFileSync(join(dist, 'package.json'), ownFacts())
    for (const machine of machines) {
      const path = join(outdir, `rel-linux-${machine}`)
      buildExecutable(scratch, machine, path)
      if (compress) writeFileSync(`${path}.gz`, gzipSync(readFileSync(path)))
    }
    const {license} = nodeProgram('x64')
    const others = readFileSync(join(dist, 'LICENSES.txt'), 'utf8')
    const own = readFileSync(join(root, 'LICENSE'), 'utf8')
    const node = `Node.js ${nodeInside.version}\n\n${license}`
    writeFileSync(join(outdir, 'LICENSES.txt'), [own, others, node].join('\n'))
    writeFileSync(join(outdir, 'SHA256SUMS'), sums(outdir))
  } finally {
    rmSync(scratch, {recursive: true, force: true})
  }
}

async function buildMain(outfile: string): Promise<void> {
  await build({
    entryPoints: [join(root, 'bin/sea.cjs')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node26',
    external: ['./dev.ts'],
  })
}

function buildExecutable(scratch: string, machine: Machine, path: string): void {
  const dist = join(scratch, 'dist')
  const files = readdirSync(dist, {recursive: true, encoding: 'utf8'})
    .filter((name) => /\.(?:cjs|json)$/.test(name))
    .sort()
  const output = join(scratch, 'rel')
  const config = {
    main: 'sea.cjs', // this path is inside, so it is the same for every build
    executable: nodeProgram(machine).path,
    output: 'rel',
    disableExperimentalSEAWarning: true,
    useCodeCache: false, // its bytes differ from build to build
    execArgv: ['--min-semi-space-size=4', '--max-semi-space-size=4'], // as bin/rel
    execArgvExtension: 'none',
    assets: Object.fromEntries(files.map((file) => [file, join('dist', file)])),
  }
  writeFileSync(join(scratch, 'sea.json'), JSON.stringify(config))
  execFileSync(nodeProgram(process.arch as Machine).path, ['--build-sea', 'sea.json'], {
    cwd: scratch,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  chmodSync(output, 0o755)
  renameSync(output, path)
}

function ownFacts(): string {
  const {name, version} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    name: string
    version: string
  }
  return JSON.stringify({name, version})
}

/** `sha256sum -c` reads it. */
function sums(outdir: string): string {
  const names = readdirSync(outdir).filter((name) => /^rel-linux-|^LICENSES/.test(name))
  return names
    .sort()
    .map((name) => `${sha256Hex(readFileSync(join(outdir, name)))}  ${name}\n`)
    .join('')
}

/**
 * The Node.js for a machine and its licence, from the npm package node-linux-MACHINE: downloaded
 * once into the user's cache rather than a dev dependency, since 55 MB for each `npm ci` would be
 * used by builds of executables alone. Used only with the digest that stands above.
 */
function nodeProgram(machine: Machine): {readonly path: string; readonly license: string} {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'rel-build')
  const name = `node-linux-${machine}`
  const folder = join(cache, `${name}-${nodeInside.version}`)
  if (!existsSync(folder)) downloadNode(name, cache, folder)
  const path = join(folder, 'bin/node')
  if (sha256Hex(readFileSync(path)) !== nodeInside.digests[machine])
    throw new Error(`${path} is not the Node.js that scripts/build-sea.ts names; remove ${folder}`)
  return {path, license: readFileSync(join(folder, 'LICENSE'), 'utf8')}
}

function downloadNode(name: string, cache: string, folder: string): void {
  mkdirSync(cache, {recursive: true})
  const scratch = mkdtempSync(join(cache, 'unpacking-'))
  try {
    const packing = ['pack', `${name}@${nodeInside.version}`, '--ignore-scripts', '--json']
    execFileSync('npm', [...packing, '--pack-destination', scratch], {stdio: 'ignore'})
    const [tarball] = readdirSync(scratch)
    if (tarball === undefined) throw new Error(`npm pack gave no ${name}`)
    const wanted = ['package/bin/node', 'package/LICENSE']
    execFileSync('tar', [
      'xzf',
      join(scratch, tarball),
      '-C',
      scratch,
      '--no-same-owner',
      ...wanted,
    ])
    renameSync(join(scratch, 'package'), folder)
  } finally {
    rmSync(scratch, {recursive: true, force: true})
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const {values} = parseArgs({
    options: {
      outdir: {type: 'string', default: join(root, 'build')},
      machine: {type: 'string', multiple: true, default: ['x64', 'arm64']},
    },
  })
  await buildExecutables(values.outdir, values.machine as Machine[])
  process.stdout.write(`built ${relative(process.cwd(), values.outdir) || '.'}\n`)
}
