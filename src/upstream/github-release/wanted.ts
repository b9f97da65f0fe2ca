import {RelError} from '../../system/error.ts'
import {nearest} from '../../system/nearest.ts'
import {fillVersion, type OrderName} from '../orders.ts'
import type {AssetConfig, GitHubReleaseConfig} from './config.ts'
import {publishedAt, type Release, type ReleaseAsset} from './release.ts'

/** A file of the release that the playbook asks for. */
export type WantedAsset = {
  readonly config: AssetConfig
  readonly asset: ReleaseAsset
  /** Name of the checksum file that should speak of it, when there is one. */
  readonly checksums: ReleaseAsset | undefined
  /** Path of the program inside the archive. */
  readonly member: string | undefined
}

export function orderOf(config: GitHubReleaseConfig): OrderName {
  return config.kind === 'k3s' ? 'k3s' : config.order
}

/** The tag of a version; pins may leave out what tags begin with. */
export function tagOf(config: GitHubReleaseConfig, version: string): string {
  return config.tag.replace('{version}', version)
}

export function versionOfTag(config: GitHubReleaseConfig, tag: string): string | undefined {
  const before = config.tag.slice(0, -'{version}'.length)
  return tag.startsWith(before) ? tag.slice(before.length) : undefined
}

/** What versions of the line begin with: the playbook's own words, or major.minor of the pin. */
export function lineOf(config: GitHubReleaseConfig, version: string): string {
  const order = orderOf(config)
  if (config.line !== undefined) return fillVersion(config.line, order, version)
  const v = version.startsWith('v') ? 'v' : ''
  const template = order === 'date' ? '{major}.' : '{major}.{minor}.'
  return v + fillVersion(template, order, version)
}

/**
 * The files that the playbook names, by exact name. Whatever is missing is told apart: not there
 * *yet* is upstream_release_incomplete, which a later run may find complete; else asset_missing, with the
 * nearest names. `now` is in seconds.
 */
export function pickAssets(
  config: GitHubReleaseConfig,
  version: string,
  release: Release,
  now: number,
): readonly WantedAsset[] {
  const fill = (template: string) => fillVersion(template, orderOf(config), version)
  const uploaded = new Map(
    release.assets.filter(({state}) => state === 'uploaded').map((asset) => [asset.name, asset]),
  )
  checkPresent(config, release, [...uploaded.keys()], fill, now)
  return config.assets.map((entry) => {
    const asset = uploaded.get(fill(entry.name))
    if (asset === undefined) throw new RelError('internal_error', 'an asset was not checked')
    const file = config.checksums.find(({arch}) => arch === undefined || arch === entry.arch)
    const member = entry.member === undefined ? undefined : fill(entry.member)
    return {config: entry, asset, member, checksums: file && uploaded.get(fill(file.name))}
  })
}

function checkPresent(
  config: GitHubReleaseConfig,
  release: Release,
  there: readonly string[],
  fill: (template: string) => string,
  now: number,
): void {
  const wanted = [...config.assets, ...config.checksums].map(({name}) => fill(name))
  const missing = wanted.filter((name) => !there.includes(name))
  const companions = config.complete_with
    .map((names) => names.map(fill))
    .filter((names) => !names.some((name) => there.includes(name)))
    .map((names) => names.join(' or '))
  const all = [...new Set([...missing, ...companions])]
  if (all.length === 0) return
  const near = [...new Set(missing.flatMap((name) => nearestNames(name, there, wanted)))]
  throw isYoung(config, release, now) || isUploading(release, all)
    ? incomplete(release, all, near, now)
    : renamed(release, all, near)
}

function isYoung(config: GitHubReleaseConfig, release: Release, now: number): boolean {
  const published = publishedAt(release)
  return published !== undefined && now - published < config.upload_hours * 3600
}

/** GitHub lists a file that is on its way with another state than uploaded. */
function isUploading(release: Release, missing: readonly string[]): boolean {
  return release.assets.some(({name, state}) => state !== 'uploaded' && missing.includes(name))
}

/** Names are long and differ in a part: the distance counts on what is not the same in both. */
function nearestNames(
  name: string,
  there: readonly string[],
  wanted: readonly string[],
): readonly string[] {
  const others = there.filter((other) => !wanted.includes(other))
  const same = others.filter((other) => inOneSpelling(other) === inOneSpelling(name))
  if (same.length > 0) return same.slice(0, 2)
  const direct = nearest(name, others, 2)
  if (direct.length > 0) return direct
  const words = new Set(wordsOf(name))
  return others
    .map((other) => ({other, count: wordsOf(other).filter((word) => words.has(word)).length}))
    .filter(({count}) => count >= 2)
    .sort((a, b) => b.count - a.count)
    .slice(0, 2)
    .map(({other}) => other)
}

/** Projects change from the compilers' names of an architecture to Debian's and Go's, and back. */
const spellings: readonly (readonly [RegExp, string])[] = [
  [/x86[-_]64|x64/g, 'amd64'],
  [/aarch64|arm64[-_]?v8/g, 'arm64'],
  [/armv7l?|armhf/g, 'arm'],
  [/i[3-6]86/g, '386'],
  [/[^a-z0-9]+/g, '-'],
]

function inOneSpelling(name: string): string {
  return spellings.reduce((text, [from, to]) => text.replaceAll(from, to), name.toLowerCase())
}

function wordsOf(name: string): readonly string[] {
  return inOneSpelling(name).split('-')
}

function incomplete(
  release: Release,
  missing: readonly string[],
  near: readonly string[],
  now: number,
): RelError {
  const published = publishedAt(release)
  const minutes = published === undefined ? undefined : Math.floor((now - published) / 60)
  const age = minutes === undefined ? 'of unknown age' : `published ${duration(minutes)} ago`
  const message = `release ${release.tag_name}, ${age}, has no ${missing.join(', ')} yet`
  return new RelError('upstream_release_incomplete', message + shownNearest(near), {
    details: {missing, nearest: near, ...(minutes === undefined ? {} : {age_minutes: minutes})},
  })
}

function duration(minutes: number): string {
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`
}

function renamed(release: Release, missing: readonly string[], near: readonly string[]): RelError {
  const message = `release ${release.tag_name} has no ${missing.join(', ')}${shownNearest(near)}`
  return new RelError('asset_missing', message, {details: {missing, nearest: near}})
}

/** Names of upstream are a stranger's: quoted and short. */
function shownNearest(names: readonly string[]): string {
  const shown = names.map((name) => JSON.stringify(name.slice(0, 120)))
  return shown.length === 0 ? '' : `, nearest: ${shown.join(', ')}`
}

/**
 * The digest that the interface gives, as 64 hex digits. Null is no second opinion, never a pass.
 * Refuses with digest_malformed, and digest_absent where one is required.
 */
export function apiDigest(
  asset: ReleaseAsset,
  mode: GitHubReleaseConfig['digest'],
): string | undefined {
  const {digest, name} = asset
  if (digest === null || digest === undefined) {
    if (mode === 'if_present') return undefined
    throw new RelError('digest_absent', `the interface gives no digest of ${name}`)
  }
  const [, sha256] = /^sha256:([0-9a-f]{64})$/.exec(digest) ?? []
  if (sha256 !== undefined) return sha256
  const seen = JSON.stringify(digest.slice(0, 80))
  throw new RelError('digest_malformed', `the digest of ${name} is ${seen}, want sha256:<64 hex>`)
}
