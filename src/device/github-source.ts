import {sigstoreSidecars} from '../bundle/verify.ts'
import {compareVersions} from '../bundle/version.ts'
import type {ReleaseArtifact} from '../release/release.ts'
import {releaseLimits} from '../release/release-manifest.ts'
import {RelError} from '../system/error.ts'
import {rateLimitEnd} from '../system/http-rules.ts'
import {releaseNames} from './candidate.ts'
import {noteTime, trustedNow} from './clock-mark.ts'
import type {SourceConfig} from './config.ts'
import type {Device} from './device.ts'
import {ask, type DeviceAnswer, statusError} from './device-http.ts'
import {download} from './download.ts'
import {
  assetNamed,
  candidates,
  checkUnchanged,
  type ListedRelease,
  MAX_LIST_BYTES,
  PAGE_SIZE,
  releaseOf,
  releasesOf,
} from './github-rules.ts'
import {machineOf, pickArtifact} from './pick-artifact.ts'
import {checkReleaseManifest} from './release-check.ts'
import type {Answer, Offer, Question, Source} from './source.ts'
import {anchorOf, policyOf, upgradeError} from './verify-installed.ts'

type GitHubConfig = Extract<SourceConfig, {kind: 'github'}>

/** GitHub lists the newest first; 1,000 releases back is not where a node looks for a newer one. */
const MAX_PAGES = 10
/** Releases of which the manifest is fetched: stop-over versions are rare. */
const MAX_LOOKED_AT = 8
/** A Sigstore bundle has some 12 KB. */
const MAX_BUNDLE_BYTES = 2 * 1024 * 1024

type Place = {
  readonly device: Device
  readonly config: GitHubConfig
  readonly authorization: string | undefined
}

/**
 * Releases of a repository (D1): what GitHub says is a hint, `manifest.json` and what it signs
 * decide. A token (GH_TOKEN) is for private repositories and a larger allowance.
 */
export function githubSource(
  device: Device,
  config: GitHubConfig,
  token: string | undefined = process.env.GH_TOKEN,
): Source {
  const place = {device, config, authorization: authorizationFor(config.api, token)}
  return {find: (question) => find(place, question)}
}

/** A token goes over the wire in the clear to this machine alone. */
function authorizationFor(api: string, token: string | undefined): string | undefined {
  const {protocol, hostname} = new URL(api)
  const isSafe = protocol === 'https:' || ['127.0.0.1', '[::1]', 'localhost'].includes(hostname)
  return token === undefined || token === '' || !isSafe ? undefined : `Bearer ${token}`
}

async function find(place: Place, question: Question): Promise<Answer> {
  const {version} = question
  if (version !== undefined) {
    const release = await releaseOfVersion(place, version)
    return release === undefined ? {} : {offer: (await look(place, release, version)).offer}
  }
  const wanted = candidates(await releases(place), question)
  for (const release of wanted.slice(0, MAX_LOOKED_AT)) {
    const {offer, minFrom} = await look(place, release, release.version)
    if (minFrom === undefined || compareVersions(question.running, minFrom) >= 0) return {offer}
  }
  return {}
}

async function releases(place: Place): Promise<readonly ListedRelease[]> {
  const all: ListedRelease[] = []
  for (let page = 1; page <= MAX_PAGES; page++) {
    const path = `/releases?per_page=${PAGE_SIZE}&page=${page}`
    const found = releasesOf(await get(place, path, 'the list of releases'))
    all.push(...found)
    if (found.length < PAGE_SIZE) break
  }
  return all
}

/** A release that is published, by its tag; drafts have none. */
async function releaseOfVersion(place: Place, version: string): Promise<ListedRelease | undefined> {
  for (const tag of [`v${version}`, version]) {
    const path = `/releases/tags/${encodeURIComponent(tag)}`
    const body = await get(place, path, `the release ${tag}`, {mayLack: true})
    const release = body === undefined ? undefined : releaseOf(body)
    if (release !== undefined && release.tag !== tag)
      throw new RelError('upgrade_source_invalid', 'another release than was asked for')
    if (release !== undefined && !release.isDraft) return release
  }
  return undefined
}

/** A release whose manifest was verified, and what of it is for this node. */
async function look(
  place: Place,
  listed: ListedRelease,
  version: string,
): Promise<{readonly offer: Offer; readonly minFrom: string | undefined}> {
  const {device} = place
  const {root, config} = device
  const now = trustedNow(device)
  const {identity} = policyOf(root, config, now)
  const named = releaseNames.find((each) => listed.assets.some(({name}) => name === each))
  const manifest = assetNamed(listed, named ?? releaseNames[0])
  const bytes = await asset(place, manifest.id, releaseLimits.bytes)
  const sidecars = identity === undefined ? [] : sigstoreSidecars(manifest.name)
  const sidecarName = sidecars.find((each) => listed.assets.some(({name}) => name === each))
  const sidecar =
    sidecarName === undefined
      ? undefined
      : await asset(place, assetNamed(listed, sidecarName).id, MAX_BUNDLE_BYTES)
  const {anchor} = anchorOf(root)
  const terms = {anchor, identity, product: config.product, version, now}
  try {
    const {release} = await checkReleaseManifest(bytes, sidecar, terms)
    await noteTime(device, release.timestamp)
    const {profile} = config
    const component = profile.kind === 'binary' ? profile.component : place.config.component
    const {whole, deltas} = pickArtifact(release, {component, ...machineOf(config.target, process)})
    const found = assetNamed(listed, whole.name)
    checkUnchanged(found, whole)
    const {channel, minFrom} = release
    const offer: Offer = {
      version,
      channel,
      size: whole.size,
      sha256: whole.sha256,
      deltas: deltas.flatMap(({from, artifact}) => {
        const {size, sha256, name} = artifact
        // a delta is no loss: the whole is fetched instead
        const it = listed.assets.find((each) => each.name === name)
        return it === undefined
          ? []
          : [{from, size, sha256, fetch: fetchOf(place, it.id, artifact)}]
      }),
      releaseText: bytes.toString('utf8'),
      fetch: fetchOf(place, found.id, whole),
    }
    return {offer, minFrom}
  } catch (error) {
    throw upgradeError(error)
  }
}

function fetchOf(place: Place, id: number, {size, sha256}: ReleaseArtifact): Offer['fetch'] {
  return async (onProgress) => {
    const {device, config, authorization} = place
    const wanted = {
      url: assetUrl(config, id),
      headers: {accept: 'application/octet-stream'},
      size,
      sha256,
      authorization,
      maxBytesPerSec: device.config.maxBytesPerSec,
      stop: device.world.stop,
    }
    try {
      return await download(device.root, wanted, onProgress)
    } catch (error) {
      throw asGitHub(error)
    }
  }
}

/** Built here: an address that GitHub's answer names is signed by nobody. */
function assetUrl({api, repository}: GitHubConfig, id: number): string {
  return `${api}/repos/${repository}/releases/assets/${id}`
}

async function asset(place: Place, id: number, maxBytes: number): Promise<Buffer> {
  const {config, authorization, device} = place
  const {stop} = device.world
  const headers = {accept: 'application/octet-stream'}
  const request = {url: assetUrl(config, id), headers, authorization, stop}
  return bodyOf(await ask(request, maxBytes), 'an asset')
}

async function get(place: Place, path: string, what: string): Promise<Buffer>
async function get(
  place: Place,
  path: string,
  what: string,
  options: {readonly mayLack: true},
): Promise<Buffer | undefined>
async function get(
  {config, authorization, device}: Place,
  path: string,
  what: string,
  {mayLack = false}: {readonly mayLack?: boolean} = {},
): Promise<Buffer | undefined> {
  const headers = {accept: 'application/vnd.github+json', 'x-github-api-version': '2022-11-28'}
  const url = `${config.api}/repos/${config.repository}${path}`
  const answer = await ask({url, headers, authorization, stop: device.world.stop}, MAX_LIST_BYTES)
  return mayLack && answer.status === 404 ? undefined : bodyOf(answer, what)
}

function bodyOf(answer: DeviceAnswer, what: string): Buffer {
  if (answer.status === 200) return answer.body
  const nowMs = Date.now()
  const end = rateLimitEnd(answer, nowMs)
  if (end === undefined) throw asGitHub(statusError(answer, what))
  throw new RelError('upgrade_source_unreachable', `${what}: GitHub answers no more requests yet`, {
    hint: 'A token in GH_TOKEN has a larger allowance.',
    details: {
      cause_code: 'rate_limited',
      http_status: answer.status,
      retry_at: Math.ceil(end / 1000),
    },
  })
}

/** GitHub knows no licences: who is not let in has a wrong token, or none. */
function asGitHub(error: unknown): unknown {
  if (!(error instanceof RelError) || !error.code.startsWith('upgrade_license_')) return error
  const details = {...error.details, cause_code: 'http_unauthorised'}
  return new RelError('upgrade_source_invalid', error.message, {cause: error, details})
}
