import {compareVersions} from '../bundle/version.ts'
import type {ReleaseArtifact} from '../release/release.ts'
import {channelOf} from '../release/version.ts'
import {RelError} from '../system/error.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'
import {nearest} from '../system/nearest.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import {isSafeVersion} from './record.ts'
import type {Question} from './source.ts'

/** GitHub's list of 100 releases has some 2 MiB; notes of 125,000 characters are allowed. */
export const MAX_LIST_BYTES = 16 * 1024 * 1024
/** As GitHub pages at most. */
export const PAGE_SIZE = 100

/** An asset as GitHub describes it: all of it a claim. */
export type ListedAsset = {
  readonly id: number
  readonly name: string
  /** 'uploaded' once its bytes are whole. */
  readonly state: string
  readonly size: number
  /** Absent before June 2025; computed anew when an asset is replaced. */
  readonly sha256?: string
}

/** A release as GitHub describes it. */
export type ListedRelease = {
  /** Of the tag; undefined for a tag that is no version. */
  readonly version: string | undefined
  readonly tag: string
  readonly isDraft: boolean
  readonly isPrerelease: boolean
  readonly assets: readonly ListedAsset[]
}

/** One page of releases. Refuses with upgrade_source_invalid. */
export function releasesOf(body: Uint8Array): readonly ListedRelease[] {
  const list = jsonOf(body)
  if (!Array.isArray(list) || list.length > PAGE_SIZE) throw invalid('the list of releases')
  return list.map((each: JsonValue) => listed(each))
}

/** One release. Refuses with upgrade_source_invalid. */
export function releaseOf(body: Uint8Array): ListedRelease {
  return listed(jsonOf(body))
}

function jsonOf(body: Uint8Array): JsonValue {
  try {
    return parseStrictJson(body, {bytes: MAX_LIST_BYTES, depth: 16, profile: 'general'})
  } catch (error) {
    if (!(error instanceof RelError)) throw error
    throw invalid('the answer', error)
  }
}

function listed(json: JsonValue): ListedRelease {
  const {tag_name: tag, draft, prerelease, assets} = objectOf(json)
  if (typeof tag !== 'string' || tag.length > 512) throw invalid('the tag of a release')
  if (!Array.isArray(assets) || assets.length > MAX_ASSETS) throw invalid('the assets of a release')
  const version = tag.replace(/^v/, '')
  return {
    version: isSafeVersion(version) ? version : undefined,
    tag,
    isDraft: draft !== false,
    isPrerelease: prerelease !== false,
    assets: assets.map((asset: JsonValue) => assetOf(asset)),
  }
}

/** As many as a release on GitHub takes. */
const MAX_ASSETS = 1000

function assetOf(json: JsonValue): ListedAsset {
  const {id, name, state, size, digest} = objectOf(json)
  const [, sha256] = /^sha256:([0-9a-f]{64})$/.exec(typeof digest === 'string' ? digest : '') ?? []
  if (typeof name !== 'string' || name.length > 1024 || typeof state !== 'string')
    throw invalid('the name or state of an asset')
  return {
    id: countOf(id),
    name,
    state,
    size: countOf(size),
    ...(sha256 === undefined ? {} : {sha256}),
  }
}

function objectOf(json: JsonValue): Readonly<Record<string, JsonValue | undefined>> {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as JsonObject
  throw invalid('a release or an asset')
}

function countOf(json: JsonValue | undefined): number {
  if (Number.isSafeInteger(json) && (json as number) >= 0) return json as number
  throw invalid('a number of an asset')
}

function invalid(what: string, cause?: unknown): RelError {
  return new RelError('upgrade_source_invalid', `${what} is not as GitHub describes it`, {
    cause,
    details: {cause_code: 'github_answer_invalid'},
  })
}

/**
 * The releases that a node might go to, highest first. What GitHub says of them can only leave one
 * out, never let one in: drafts, what is marked as a pre-release though its version is none, other
 * channels, and what is not newer. Refuses with upgrade_source_invalid two that are equal in order.
 */
export function candidates(
  releases: readonly ListedRelease[],
  {running, floor, channels}: Question,
): readonly (ListedRelease & {readonly version: string})[] {
  const wanted = releases
    .flatMap((release) =>
      release.version === undefined ? [] : [{...release, version: release.version}],
    )
    .filter(({isDraft, isPrerelease, version}) => {
      const channel = knownChannel(version)
      if (isDraft || channel === undefined || !channels.includes(channel)) return false
      if (isPrerelease && channel === 'stable') return false
      return compareVersions(version, running) > 0 && compareVersions(version, floor) >= 0
    })
    .toSorted((a, b) => compareVersions(b.version, a.version))
  const twin = wanted.find(
    ({version}, at) => at > 0 && compareVersions(version, wanted[at - 1]?.version ?? '') === 0,
  )
  if (twin === undefined) return wanted
  throw new RelError('upgrade_source_invalid', `two releases are of the version ${twin.version}`, {
    details: {cause_code: 'github_duplicate_release', version: twin.version},
  })
}

function knownChannel(version: string): string | undefined {
  try {
    return channelOf(version)
  } catch {
    return undefined // not a version that rel publishes
  }
}

/** An asset that is whole. Refuses with upgrade_source_invalid, upgrade_source_unreachable. */
export function assetNamed({assets, tag}: ListedRelease, name: string): ListedAsset {
  const asset = assets.find((each) => each.name === name)
  if (asset === undefined) {
    const near = nearest(
      name,
      assets.map((each) => each.name),
    )
    throw new RelError('upgrade_source_invalid', `the release ${tag} has no asset ${name}`, {
      details: {
        cause_code: 'asset_missing',
        asset: name,
        ...(near[0] === undefined ? {} : {nearest: near[0]}),
      },
    })
  }
  if (asset.state === 'uploaded') return asset
  throw new RelError('upgrade_source_unreachable', `${name} of ${tag} is not uploaded yet`, {
    details: {cause_code: 'upstream_release_incomplete', asset: name, state: asset.state},
  })
}

/**
 * That what GitHub says of an asset is what is signed: else it was replaced after publication, and
 * need not be fetched to know it. Refuses with upgrade_checksum_mismatch.
 */
export function checkUnchanged(
  {name, size, sha256}: ListedAsset,
  signed: Pick<ReleaseArtifact, 'size' | 'sha256'>,
): void {
  if (size === signed.size && (sha256 === undefined || sha256 === signed.sha256)) return
  throw new RelError('upgrade_checksum_mismatch', `${name} was replaced after it was signed`, {
    details: {cause_code: 'asset_replaced', asset: name},
  })
}
