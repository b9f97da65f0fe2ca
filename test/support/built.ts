import {cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {buildProgram} from '../../scripts/build.ts'
import {sha256Hex} from '../../src/system/hash.ts'

export const checkout = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** What the program is made of; a change to any of it makes another build. */
const sources = ['src', 'bin', 'scripts/build.ts', 'scripts/plain', 'package.json']

/**
 * A folder with what the package ships (bin, dist, package.json), built from the sources as they
 * are now, inside the checkout so that it finds node_modules. Kept between test files and runs.
 */
export function builtPackage(): Promise<string> {
  building ??= buildOnce()
  return building
}

let building: Promise<string> | undefined

async function buildOnce(): Promise<string> {
  const key = sha256Hex(sources.map((path) => stamp(join(checkout, path))).join('\n')).slice(0, 16)
  const all = join(checkout, 'tmp', 'builds')
  const folder = join(all, key)
  if (existsSync(folder)) return folder
  const making = `${folder}.${process.pid}`
  mkdirSync(making, {recursive: true})
  await buildProgram(join(making, 'dist'))
  for (const path of ['bin', 'package.json', 'docs', 'schemas'])
    cpSync(join(checkout, path), join(making, path), {recursive: true})
  removeOld(all)
  try {
    renameSync(making, folder)
  } catch (error) {
    rmSync(making, {recursive: true, force: true}) // another test file was first
    if (!existsSync(folder)) throw error
  }
  return folder
}

function stamp(path: string): string {
  const stat = statSync(path)
  if (!stat.isDirectory()) return `${path} ${stat.size} ${stat.mtimeMs}`
  return readdirSync(path)
    .sort()
    .map((name) => stamp(join(path, name)))
    .join('\n')
}

/** Builds of an hour ago: no test uses them any more. */
function removeOld(folder: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    if (Date.now() - statSync(path).mtimeMs > 3_600_000)
      rmSync(path, {recursive: true, force: true})
  }
}
