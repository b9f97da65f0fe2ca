import {execFileSync} from 'node:child_process'
import {cpSync, existsSync, mkdirSync, readFileSync, symlinkSync} from 'node:fs'
import {basename, join} from 'node:path'
import {buildProgram} from './build.ts'

const root = join(import.meta.dirname, '..')

/** npm adds these to a package whatever its `files` say. */
const ALWAYS_PACKED = ['package.json', 'README.md', 'LICENSE']

/**
 * Builds rel and packs it as `npm publish` would, from a copy, so that the checkout is not touched
 * and several may run at once. Returns the path of the tarball, in `folder`.
 */
export async function packOwnPackage(folder: string): Promise<string> {
  const source = join(folder, 'source')
  mkdirSync(source, {recursive: true})
  const {files} = readJson(join(root, 'package.json')) as {files: string[]}
  for (const name of [...files, ...ALWAYS_PACKED]) {
    const from = join(root, name)
    if (name !== 'dist' && existsSync(from)) cpSync(from, join(source, name), {recursive: true})
  }
  await buildProgram(join(source, 'dist'))
  const words = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]
  const listed = execFileSync('npm', words, {
    cwd: source,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [{filename}] = JSON.parse(listed) as [{filename: string}]
  return join(folder, basename(filename))
}

/**
 * Installs the tarball in `folder` as npm would without its dev dependencies, by copying the
 * production dependencies of package-lock.json from this checkout: no network. `isWanted` is asked
 * about each path of the dependencies.
 */
export function installOwnPackage(
  tarball: string,
  folder: string,
  isWanted: (path: string) => boolean = () => true,
): void {
  const home = join(folder, 'node_modules', 'rel-cli')
  mkdirSync(home, {recursive: true})
  execFileSync('tar', ['xzf', tarball, '-C', home, '--strip-components=1', '--no-same-owner'])
  for (const path of productionPackages()) {
    cpSync(join(root, path), join(folder, path), {
      recursive: true,
      filter: (from) =>
        from === join(root, path) || (basename(from) !== 'node_modules' && isWanted(from)),
    })
  }
  symlinkSync('node_modules/rel-cli/bin/rel', join(folder, 'rel'))
}

/** Paths such as node_modules/yaml that are installed for users, as package-lock.json lists them. */
function productionPackages(): string[] {
  const lock = readJson(join(root, 'package-lock.json')) as {
    packages: Record<string, {dev?: boolean; devOptional?: boolean}>
  }
  return Object.entries(lock.packages)
    .filter(([path, {dev, devOptional}]) => path !== '' && dev !== true && devOptional !== true)
    .map(([path]) => path)
    .filter((path) => existsSync(join(root, path)))
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'))
}
