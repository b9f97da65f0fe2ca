import {RelError} from '../../system/error.ts'
import type {JsonObject, JsonValue} from '../../system/json.ts'
import {compareVersions, parseVersion} from '../version.ts'
import type {PlannedAsset} from './plan.ts'
import type {GitHubRelease, RemoteAsset} from './state.ts'

/** What is to be done with one asset of a draft, going by what is there under its name. */
export type AssetStep =
  | {readonly step: 'keep' | 'upload'}
  /** GitHub has no digest of it: the bytes must be read. */
  | {readonly step: 'hash' | 'replace'; readonly id: number}

/**
 * The step that brings an asset of a draft closer to the plan. Only in a draft is anything ever
 * replaced; what is published is compared by assetDifferences instead.
 */
export function assetStep(planned: PlannedAsset, there: RemoteAsset | undefined): AssetStep {
  if (there === undefined) return {step: 'upload'}
  const {id, state, size, sha256} = there
  if (state !== 'uploaded' || size !== planned.size) return {step: 'replace', id}
  if (sha256 === undefined) return {step: 'hash', id}
  return sha256 === planned.sha256 ? {step: 'keep'} : {step: 'replace', id}
}

/** The one release of a tag. Refuses with github_duplicate_release. */
export function releaseOfTag(
  releases: readonly GitHubRelease[],
  tag: string,
): GitHubRelease | undefined {
  const found = releases.filter((release) => release.tag === tag)
  if (found.length <= 1) return found[0]
  const ids = found.map(({id}) => id).toSorted((a, b) => a - b)
  throw new RelError(
    'github_duplicate_release',
    `${found.length} releases have the tag ${tag}: ${ids.join(', ')}`,
    {details: {tag, ids}},
  )
}

/**
 * Which draft stays when several publishers made one at the same moment: everybody keeps the
 * oldest, so all of them come to the same one. Undefined when ours is that one.
 */
export function olderDraft(
  releases: readonly GitHubRelease[],
  tag: string,
  ours: number,
): GitHubRelease | undefined {
  const [first] = releases.filter((release) => release.tag === tag).toSorted((a, b) => a.id - b.id)
  return first === undefined || first.id === ours ? undefined : first
}

/** `make_latest` of a publication: by SemVer among what is published, never for pre-releases. */
export function isLatest(
  version: string,
  isPrerelease: boolean,
  releases: readonly GitHubRelease[],
): boolean {
  if (isPrerelease) return false
  return releases
    .filter((other) => !other.isDraft && !other.isPrerelease)
    .flatMap(({tag}) => versionOfTag(tag) ?? [])
    .every((other) => compareVersions(version, other) >= 0)
}

function versionOfTag(tag: string): string | undefined {
  try {
    return parseVersion(tag.replace(/^v/, '')).text
  } catch {
    return undefined // tags need not be versions
  }
}

/** A release as GitHub describes it. Refuses with github_answer_invalid. */
export function releaseFrom(value: unknown): GitHubRelease {
  const json = objectOf(value)
  return {
    id: integerOf(json.id, 'the id of a release'),
    tag: textOf(json.tag_name, 'the tag of a release'),
    isDraft: json.draft === true,
    isPrerelease: json.prerelease === true,
    isImmutable: json.immutable === true,
    uploadUrl: textOf(json.upload_url, 'the address for uploads'),
    pageUrl: textOf(json.html_url, 'the page of a release'),
  }
}

/** An asset as GitHub describes it. Refuses with github_answer_invalid. */
export function assetFrom(value: unknown): RemoteAsset {
  const json = objectOf(value)
  const {digest} = json
  const [, sha256] = /^sha256:([0-9a-f]{64})$/.exec(typeof digest === 'string' ? digest : '') ?? []
  return {
    id: integerOf(json.id, 'the id of an asset'),
    name: textOf(json.name, 'the name of an asset'),
    state: textOf(json.state, 'the state of an asset'),
    size: integerOf(json.size, 'the size of an asset'),
    ...(sha256 === undefined ? {} : {sha256}),
    downloadUrl: textOf(json.browser_download_url, 'the address of an asset'),
  }
}

/** A list of GitHub's. Refuses with github_answer_invalid. */
export function listFrom<T>(value: unknown, read: (entry: unknown) => T): readonly T[] {
  if (Array.isArray(value)) return value.map(read)
  throw invalid('a list')
}

/**
 * Where an asset is sent: what the release says, if the host is one that may have the token. GitHub
 * has uploads on a host of its own, GitHub Enterprise on the one of its API. Refuses with
 * github_answer_invalid.
 */
export function uploadAddress({uploadUrl}: GitHubRelease, apiUrl: string, name: string): string {
  const plain = uploadUrl.replace(/\{[^}]*\}$/, '')
  if (!URL.canParse(plain)) throw invalid('the address for uploads')
  const url = new URL(plain)
  const api = new URL(apiUrl)
  const isOwn =
    url.origin === api.origin ||
    (api.origin === 'https://api.github.com' && url.origin === 'https://uploads.github.com')
  if (!isOwn)
    throw new RelError('github_answer_invalid', `uploads are to go to the foreign ${url.host}`)
  url.searchParams.set('name', name)
  return url.href
}

/** A JSON object of GitHub's. Refuses with github_answer_invalid. */
export function objectOf(value: unknown): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as JsonObject
  throw invalid('an object')
}

function integerOf(value: JsonValue | undefined, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw invalid(what)
}

/** Text that will be printed, compared, or asked for: bounded, without control characters. */
export function textOf(value: JsonValue | undefined, what: string): string {
  if (typeof value === 'string' && value.length <= 2048 && !/[\u0000-\u001f\u007f]/.test(value))
    return value
  throw invalid(what)
}

function invalid(what: string): RelError {
  return new RelError('github_answer_invalid', `${what} is not as GitHub describes it`)
}
