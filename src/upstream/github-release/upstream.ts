import type {ContentCache} from '../../system/content-cache.ts'
import {RelError} from '../../system/error.ts'
import {sha256Hex} from '../../system/hash.ts'
import type {Http} from '../../system/http.ts'
import type {JsonObject} from '../../system/json.ts'
import {nearest} from '../../system/nearest.ts'
import {parseAllowedSigners} from '../../trust/sigstore/allowed-signer.ts'
import type {TrustedRoot} from '../../trust/sigstore/trusted-root.ts'
import {changelogSection, MAX_NOTES_CHARS} from '../changelog.ts'
import {type ChecksumLine, checksumLimits, parseChecksums} from '../checksums.ts'
import {
  checkVersion,
  compareVersions,
  fillVersion,
  isPrerelease,
  isVersion,
  type OrderName,
} from '../orders.ts'
import type {
  Candidate,
  Drift,
  Fact,
  IntegrityLevel,
  Upstream,
  VerifiedAsset,
  VerifiedVersion,
} from '../upstream.ts'
import {GitHubApi, type TagTarget} from './api.ts'
import {extractMember} from './archive-member.ts'
import {type Attested, checkAttestations} from './attestation.ts'
import {channelVersion} from './channels.ts'
import type {GitHubReleaseConfig} from './config.ts'
import {releaseDrift} from './drift.ts'
import {lockOf, requireLock, type VerifiedFile} from './lock.ts'
import {publishedAt, type Release, type ReleaseAsset} from './release.ts'
import {secondOpinion} from './second-origin.ts'
import {
  checkLevel,
  checkSecond,
  checkSize,
  expect,
  explainMismatch,
  factsOf,
  levelOf,
} from './verify-asset.ts'
import {
  apiDigest,
  lineOf,
  orderOf,
  pickAssets,
  tagOf,
  versionOfTag,
  type WantedAsset,
} from './wanted.ts'

/** What the upstream touches, handed in. */
export type GitHubReleaseWorld = {
  readonly http: Http
  /** Where programs that are taken out of archives go. */
  readonly cache: ContentCache
  /** Seconds since the epoch. */
  readonly now: number
  /** Without one, 60 calls an hour are allowed. */
  readonly token?: string | undefined
  /** The lock of an earlier audit of this very version: a second origin in time. */
  readonly earlier?: (version: string) => JsonObject | undefined
  /** Needed where the playbook demands an attestation. */
  readonly trustedRoot?: () => Promise<TrustedRoot>
}

/** What the release says of its files, by name, and what is demanded of them. */
type Said = {
  readonly digests: ReadonlyMap<string, string>
  readonly checksums: ReadonlyMap<string, readonly ChecksumLine[]>
  readonly minimum: IntegrityLevel
}

/** Newest tags that are asked for a release: a tag without one is passed over. */
const LOOKED_AT = 3

/** A project that publishes files in releases on GitHub (docs/formats/upstream-github.md). */
export function makeGitHubReleaseUpstream(
  config: GitHubReleaseConfig,
  world: GitHubReleaseWorld,
): Upstream {
  return new GitHubReleaseUpstream(config, world)
}

class GitHubReleaseUpstream implements Upstream {
  readonly #config: GitHubReleaseConfig
  readonly #world: GitHubReleaseWorld
  readonly #order: OrderName
  readonly #api: GitHubApi

  constructor(config: GitHubReleaseConfig, world: GitHubReleaseWorld) {
    this.#config = config
    this.#world = world
    this.#order = orderOf(config)
    const {http, token} = world
    this.#api = new GitHubApi(config.repository, {http, token, baseUrl: config.api_url})
  }

  compare(a: string, b: string): number {
    return compareVersions(this.#order, a, b)
  }

  async latest(current: string): Promise<Candidate | undefined> {
    checkVersion(this.#order, current)
    const line = lineOf(this.#config, current)
    const announced = await this.#announced(current, line)
    const newer = announced === undefined ? await this.#tagged(line) : [announced]
    const above = newer
      .filter((version) => this.compare(version, current) > 0)
      .sort((a, b) => this.compare(b, a))
    for (const version of above.slice(0, LOOKED_AT)) {
      const release = await this.#api.release(tagOf(this.#config, version))
      if (release === undefined || release.draft) continue
      if (release.prerelease && !this.#config.prereleases) continue
      return candidateOf(version, release)
    }
    return undefined
  }

  async find(version: string): Promise<Candidate> {
    checkVersion(this.#order, version)
    const release = await this.#release(version)
    pickAssets(this.#config, version, release, this.#world.now)
    const target = await this.#target(release.tag_name)
    return this.#described(version, release, target)
  }

  async verify(candidate: Candidate, minimum: IntegrityLevel): Promise<VerifiedVersion> {
    const {version} = candidate
    checkVersion(this.#order, version)
    const release = await this.#release(version)
    const target = await this.#target(release.tag_name)
    checkUnmoved(candidate, target)
    const wanted = pickAssets(this.#config, version, release, this.#world.now)
    const digests = this.#digests(release, wanted)
    const checksums = await this.#checksumFiles(release, wanted, digests)
    const verified: VerifiedFile[] = []
    for (const one of wanted)
      verified.push(await this.#verifyFile(version, release, one, {digests, checksums, minimum}))
    return {
      candidate: await this.#described(version, release, target),
      assets: verified.flatMap(({assets}) => assets),
      facts: [this.#tagFact(release, target), ...verified.flatMap(({facts}) => facts)],
      level: lowest(verified.map(({level}) => level)),
      lock: lockOf(this.#config, release, target, verified),
    }
  }

  async audit(version: string, lock: JsonObject): Promise<readonly Drift[]> {
    const locked = requireLock(lock)
    const tag = tagOf(this.#config, version)
    if (locked.tag !== tag)
      return [{subject: version, code: 'tag_moved', seen: tag, wanted: locked.tag}]
    const release = await this.#api.release(tag)
    return releaseDrift(locked, release, await this.#api.tagTarget(tag))
  }

  async #announced(current: string, line: string): Promise<string | undefined> {
    if (this.#config.kind !== 'k3s' || this.#config.channels === undefined) return undefined
    const {url, name} = this.#config.channels
    const channel = fillVersion(name, this.#order, current)
    const version = await channelVersion(this.#world.http, url, channel)
    const isUsable =
      version !== undefined && isVersion(this.#order, version) && version.startsWith(line)
    return isUsable ? version : undefined
  }

  /** Versions of the line by their tags; never GitHub's own idea of the latest release. */
  async #tagged(line: string): Promise<readonly string[]> {
    const refs = await this.#api.tags(tagOf(this.#config, line))
    return refs
      .map(({ref}) => versionOfTag(this.#config, ref.replace(/^refs\/tags\//, '')))
      .filter((version) => version !== undefined)
      .filter((version) => version.startsWith(line) && isVersion(this.#order, version))
      .filter((version) => this.#config.prereleases || !isPrerelease(this.#order, version))
  }

  async #release(version: string): Promise<Release> {
    const tag = tagOf(this.#config, version)
    const release = await this.#api.release(tag)
    if (release !== undefined && !release.draft) return release
    const {repository} = this.#config
    const target = await this.#api.tagTarget(tag)
    const near = nearest(tag, await this.#neighbours(version), 3)
    const seen = target === undefined ? 'no such tag' : 'a tag without a release'
    const shown = near.length === 0 ? '' : `, nearest: ${near.join(', ')}`
    throw new RelError('release_missing', `${repository} has ${seen} ${tag}${shown}`, {
      ...(near[0] === `v${tag}` ? {hint: `Write it with its v: v${tag}`} : {}),
      details: {tag, has_tag: target !== undefined, nearest: near},
    })
  }

  /** Tags of the same line, also when the v of the version was forgotten. */
  async #neighbours(version: string): Promise<readonly string[]> {
    const line = tagOf(this.#config, lineOf(this.#config, version))
    const lines = line.startsWith('v') ? [line] : [`v${line}`, line]
    for (const prefix of lines) {
      const tags = await this.#api.tags(prefix)
      if (tags.length > 0)
        return tags.map(({ref}) => ref.replace(/^refs\/tags\//, '').slice(0, 100))
    }
    return []
  }

  async #target(tag: string): Promise<TagTarget> {
    const target = await this.#api.tagTarget(tag)
    if (target !== undefined) return target
    throw new RelError('release_missing', `the release ${tag} has no tag`)
  }

  async #described(version: string, release: Release, target: TagTarget): Promise<Candidate> {
    const {changelog} = this.#config
    const path = changelog && fillVersion(changelog, this.#order, version)
    const file = path === undefined ? undefined : await this.#api.file(path, target.commit)
    const section = file === undefined ? undefined : changelogSection(file, version)
    const notes = (section ?? release.body ?? undefined)?.slice(0, MAX_NOTES_CHARS)
    const candidate = {...candidateOf(version, release), commit: target.commit}
    return notes === undefined ? candidate : {...candidate, notes}
  }

  /** What the interface says of every file, so that a swapped line is known as one. */
  #digests(release: Release, wanted: readonly WantedAsset[]): ReadonlyMap<string, string> {
    const named = new Set(wanted.map(({asset}) => asset.name))
    const entries = release.assets.flatMap((asset) => {
      const mode = named.has(asset.name) ? this.#config.digest : 'if_present'
      const sha256 = apiDigest(asset, mode)
      return sha256 === undefined ? [] : [[asset.name, sha256] as const]
    })
    return new Map(entries)
  }

  async #checksumFiles(
    release: Release,
    wanted: readonly WantedAsset[],
    digests: ReadonlyMap<string, string>,
  ): Promise<ReadonlyMap<string, readonly ChecksumLine[]>> {
    const files = new Map<string, readonly ChecksumLine[]>()
    for (const {checksums, asset} of wanted) {
      if (checksums === undefined || files.has(checksums.name)) continue
      const bytes = await this.#smallFile(release, checksums)
      const lines = parseChecksums(bytes, asset.name)
      const digest = digests.get(checksums.name)
      if (digest !== undefined && digest !== sha256Hex(bytes))
        throw new RelError('digest_mismatch', `${checksums.name} is not what the interface says`)
      files.set(checksums.name, lines)
    }
    return files
  }

  async #smallFile(release: Release, asset: ReleaseAsset): Promise<Buffer> {
    const answer = await this.#world.http.send({
      ...this.#address(release, asset),
      maxBytes: checksumLimits.bytes,
    })
    if (answer.status === 200) return answer.body
    const message = `${asset.name} of ${release.tag_name}: answered ${answer.status}`
    throw new RelError('checksum_file_missing', message)
  }

  async #verifyFile(
    version: string,
    release: Release,
    {config, asset, checksums, member}: WantedAsset,
    said: Said,
  ): Promise<VerifiedFile> {
    const {name} = asset
    const {arch} = config
    const lines = checksums === undefined ? undefined : said.checksums.get(checksums.name)
    const expectation = expect(name, lines, said.digests)
    const source = {...this.#address(release, asset), maxBytes: config.max_bytes}
    const downloaded = await this.#world.http
      .download({...source, sha256: expectation.sha256})
      .catch((error: unknown) => {
        throw explainMismatch(error, name, lines)
      })
    checkSize(asset, downloaded)
    const {sha256, size, path} = downloaded
    const opinions = await this.#opinions(version, name, sha256)
    const origin = new URL(this.#config.web_url).host
    const facts = factsOf({expectation, sha256, origin, checksumFile: checksums?.name, ...opinions})
    const level = levelOf(facts)
    checkLevel(name, level, said.minimum)
    const file: VerifiedAsset = {arch, name, sha256, size, path, level}
    const program = member === undefined ? [] : [await this.#member(file, member)]
    return {asset, assets: [file, ...program], facts, level}
  }

  /** What others than the release say of a file; refuses when they say something else. */
  async #opinions(version: string, name: string, sha256: string) {
    const {http, earlier} = this.#world
    const second = await secondOpinion(this.#config, http, earlier?.(version), version, name)
    if (second !== undefined) checkSecond(name, sha256, second)
    return {second, attested: await this.#attested(version, sha256)}
  }

  async #member(archive: VerifiedAsset, member: string): Promise<VerifiedAsset> {
    const {arch, level} = archive
    const {path, sha256, size} = await extractMember(archive, member, this.#world.cache)
    return {arch, level, name: member, path, sha256, size}
  }

  /** Private files are had through the API, all others from the web pages, which count nothing. */
  #address(release: Release, asset: ReleaseAsset) {
    const {api_url: api, web_url: web, repository} = this.#config
    if (this.#config.private)
      return {
        url: `${trimmed(api)}/repos/${repository}/releases/assets/${asset.id}`,
        headers: {accept: 'application/octet-stream'},
        authorization: this.#world.token === undefined ? undefined : `Bearer ${this.#world.token}`,
      }
    // made here, not taken from the answer: it must not send us anywhere else
    const tag = encodeURIComponent(release.tag_name)
    const file = encodeURIComponent(asset.name)
    return {url: `${trimmed(web)}/${repository}/releases/download/${tag}/${file}`}
  }

  async #attested(version: string, sha256: string): Promise<Attested | undefined> {
    const {attestation} = this.#config
    if (attestation === undefined) return undefined
    const {trustedRoot} = this.#world
    if (trustedRoot === undefined)
      throw new RelError('internal_error', 'an attestation is demanded without a trusted root')
    const allowed = parseAllowedSigners([attestation])
    const bundles = await this.#api.attestations(sha256)
    const terms = {allowed, version, trustedRoot: await trustedRoot(), now: this.#world.now}
    return checkAttestations(bundles, sha256, terms)
  }

  #tagFact({tag_name: tag}: Release, target: TagTarget): Fact {
    const kind = target.tagObject === undefined ? 'lightweight tag' : 'annotated tag'
    return {
      subject: `tag ${tag}`,
      check: 'tag',
      by: `${new URL(this.#config.web_url).host} interface`,
      level: 'L0',
      detail: `${kind} at commit ${target.commit}`,
    }
  }
}

/** Refuses with tag_moved: the plan was made, and perhaps approved, for another commit. */
function checkUnmoved({tag, commit = ''}: Candidate, target: TagTarget): void {
  if (commit === '' || commit === target.commit) return
  throw new RelError('tag_moved', `tag ${tag} was at ${commit} and is now at ${target.commit}`)
}

function candidateOf(version: string, release: Release): Candidate {
  const published = publishedAt(release)
  const date = published === undefined ? {} : {publishedAt: published}
  return {version, tag: release.tag_name, ...date}
}

function lowest(levels: readonly IntegrityLevel[]): IntegrityLevel {
  return [...levels].sort()[0] ?? 'L0'
}

function trimmed(url: string): string {
  return url.replace(/\/+$/, '')
}
