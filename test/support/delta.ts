import {readdirSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {zstdCompressSync} from 'node:zlib'
import {type DeltaFile, deltaText} from '../../src/bundle/delta/delta-document.ts'
import {applyDeltaPack, planDeltaPack} from '../../src/bundle/delta/make-delta.ts'
import {withOldBundle} from '../../src/bundle/delta/old-bundle.ts'
import {canonicalBytes} from '../../src/bundle/write-manifest.ts'
import type {Device} from '../../src/device/device.ts'
import {install, makeRoot} from '../../src/device/init.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import {configJson, deviceAt, type FakeWorld, makeSources} from './device/node.ts'
import {END, type RawEntry, rawEntry} from './hostile-tar.ts'
import {type SignedTree, signedTree, type TreeFiles, writeTree} from './signed-tree.ts'
import {temporaryFolder} from './tmp.ts'

/** A signed tree in memory and on disk. */
export type Bundle = SignedTree & {readonly folder: string; readonly digest: string}

export async function bundleWith(
  version: string,
  files: TreeFiles,
  links: Readonly<Record<string, string>> = {},
  product = 'app',
): Promise<Bundle> {
  const tree = await signedTree(files, links, (manifest) => ({
    ...manifest,
    bundleName: `${product}-v${version}`,
    version,
    ...(manifest.rel === undefined ? {} : {rel: {...manifest.rel, product}}),
  }))
  const folder = join(temporaryFolder(), version)
  writeTree(folder, tree)
  return {...tree, folder, digest: sha256Hex(canonicalBytes(tree.manifest))}
}

/** A delta as the maker makes it. */
export async function deltaOf(old: Bundle, next: Bundle, level?: number): Promise<string> {
  const output = join(temporaryFolder(), `app.from-${old.manifest.version}.delta.tar.zst`)
  const more = level === undefined ? {} : {level}
  await withOldBundle(old.folder, async (from) => {
    const request = {directory: next.folder, output, old: from, replace: false, ...more}
    return applyDeltaPack(await planDeltaPack(request))
  })
  return output
}

/** delta.json of two bundles, any field of it changed. */
export function documentOf(
  old: Bundle,
  next: Bundle,
  files: readonly DeltaFile[],
  change: object = {},
): string {
  const end = ({manifest, digest}: Bundle) => ({version: manifest.version, digest})
  const text = deltaText({product: 'app', from: end(old), to: end(next), files})
  return JSON.stringify({...JSON.parse(text), ...change})
}

/** A delta of any entries, behind the manifest of a bundle. */
export function rawDelta(next: Bundle, ...entries: readonly RawEntry[]): string {
  return rawArchive({name: 'manifest.json', content: next.manifestBytes}, ...entries)
}

/** An archive of any entries, under the name of a delta. */
export function rawArchive(...entries: readonly RawEntry[]): string {
  return deltaFile(zstdCompressSync(Buffer.concat([...entries.map(rawEntry), END])))
}

/** Any bytes under the name of a delta. */
export function deltaFile(bytes: Buffer): string {
  const path = join(temporaryFolder(), 'raw.from-1.0.0.delta.tar.zst')
  writeFileSync(path, bytes)
  return path
}

const {anchor} = await makeSources()

/** A node that runs a bundle. */
export async function nodeWith(
  {folder}: Bundle,
  fake: FakeWorld = {},
  upgrade: object = {},
): Promise<Device> {
  const root = join(temporaryFolder(), 'node')
  const json = {...configJson, upgrade: {...configJson.upgrade, ...upgrade}}
  const device = deviceAt(root, fake, json)
  makeRoot(root)
  await install(device, {configText: JSON.stringify(json), anchorPath: anchor, source: folder})
  return device
}

/** As nothing had ever failed: a node tries a delta twice at most. */
export function forgetFailures({root}: Device): void {
  rmSync(join(root, '.rel/deltas.json'), {force: true})
}

/** What is in versions/, also what is not finished. */
export function versionsOf({root}: Device): readonly string[] {
  return readdirSync(join(root, 'versions')).sort()
}

/** A generator of numbers below `below`, the same for a seed everywhere (mulberry32). */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** Bytes that do not compress. */
export function noise(size: number, random: (below: number) => number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE(random(2 ** 32), at)
  return bytes
}

/** A seed of this run, told so that a failure can be repeated. */
export function newSeed(): number {
  const seed = Number(process.env.REL_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))
  process.stderr.write(`REL_TEST_SEED=${seed}\n`)
  return seed
}
