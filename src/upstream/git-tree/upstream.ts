import {RelError} from '../../system/error.ts'
import {readFileLimited} from '../../system/files.ts'
import type {Http} from '../../system/http.ts'
import type {JsonObject} from '../../system/json.ts'
import {nearest} from '../../system/nearest.ts'
import {GitHubApi, type TagTarget} from '../github-release/api.ts'
import type {GitCommit} from '../github-release/git-objects.ts'
import {checkVersion, compareVersions, fillVersion, isVersion} from '../orders.ts'
import type {
  Candidate,
  Drift,
  Fact,
  IntegrityLevel,
  Upstream,
  VerifiedAsset,
  VerifiedVersion,
} from '../upstream.ts'
import {parseBuildId} from './build-id.ts'
import type {GitTreeConfig} from './config.ts'
import {type Built, checkBuilds, checkPairs, checkProgress, isStart} from './firmware.ts'
import {blobIdOf} from './git-hash.ts'
import {type GitTreeLock, lockJson, readLock, requireLock} from './lock.ts'
import {type Walked, type WantedFile, walkTree} from './walk-tree.ts'

/** What the upstream touches, handed in. */
export type GitTreeWorld = {
  readonly http: Http
  /** Without one, 60 calls an hour are allowed. */
  readonly token?: string | undefined
  /** What the lock knows of the version that is pinned now. */
  readonly pinned?: {readonly version: string; readonly upstream: JsonObject} | undefined
}

type Pinned = {readonly version: string; readonly lock: GitTreeLock}

type Fetched = WantedFile & {readonly sha256: string; readonly local: string}

/** More than git lets a tag be long; nobody reads more of a message than this. */
const MAX_SHOWN = 100

/** Files of a repository on GitHub at a tag (docs/formats/upstream-git-tree.md). */
export function makeGitTreeUpstream(config: GitTreeConfig, world: GitTreeWorld): Upstream {
  return new GitTreeUpstream(config, world)
}

class GitTreeUpstream implements Upstream {
  readonly #config: GitTreeConfig
  readonly #world: GitTreeWorld
  readonly #api: GitHubApi
  readonly #pinned: Pinned | undefined

  constructor(config: GitTreeConfig, world: GitTreeWorld) {
    this.#config = config
    this.#world = world
    const {http, token, pinned} = world
    this.#api = new GitHubApi(config.repository, {http, token, baseUrl: config.api_url})
    const lock = readLock(pinned?.upstream)
    this.#pinned = pinned && lock && {version: pinned.version, lock}
  }

  compare(a: string, b: string): number {
    return compareVersions(this.#config.order, a, b)
  }

  async latest(current: string): Promise<Candidate | undefined> {
    const {order} = this.#config
    checkVersion(order, current)
    const [newest] = (await this.#tags(current))
      .filter((tag) => isVersion(order, tag) && this.compare(tag, current) > 0)
      .sort((a, b) => this.compare(b, a))
    return newest === undefined ? undefined : {version: newest, tag: newest}
  }

  async find(version: string): Promise<Candidate> {
    checkVersion(this.#config.order, version)
    const target = await this.#target(version)
    return candidateOf(version, await this.#commit(target.commit))
  }

  async verify(candidate: Candidate, minimum: IntegrityLevel): Promise<VerifiedVersion> {
    const {version} = candidate
    checkVersion(this.#config.order, version)
    const target = await this.#target(version)
    checkUnmoved(candidate.tag, candidate.commit, target.commit)
    const commit = await this.#commit(target.commit)
    const walked = await this.#walk(commit.tree.sha)
    // pairs first: half a pair is refused before a byte is fetched
    const firmware = this.#checkPairs(walked.files)
    const files: Fetched[] = []
    for (const file of walked.files) files.push(await this.#fetch(target.commit, file))
    const builds = this.#checkFirmware(version, files)
    const earlier = this.#lockOf(version)
    const level = checkEarlier(files, earlier) ? 'L2' : 'L1'
    if (level < minimum)
      throw new RelError('integrity_too_low', `${version} reaches ${level}, want ${minimum}`, {
        details: {had: level, needed: minimum},
      })
    return {
      candidate: candidateOf(version, commit),
      assets: files.map((file) => assetOf(file, level)),
      facts: [
        this.#tagFact(version, target),
        ...this.#treeFacts(walked, commit),
        ...this.#fileFacts(files, earlier),
        ...firmware,
        ...this.#buildFacts(version, builds),
      ],
      level,
      lock: this.#lock(version, target, commit, files, builds),
    }
  }

  async audit(version: string, lock: JsonObject): Promise<readonly Drift[]> {
    const locked = requireLock(lock)
    const target = await this.#api.tagTarget(version)
    if (target?.commit !== locked.commit) {
      const seen = target?.commit ?? 'no tag'
      return [{subject: `tag ${version}`, code: 'tag_moved', seen, wanted: locked.commit}]
    }
    const commit = await this.#commit(target.commit)
    const {files} = await this.#walk(commit.tree.sha)
    const now = new Map(files.map(({path, blob}) => [path, blob]))
    return locked.assets
      .filter(({name, blob}) => now.get(name) !== blob)
      .map(({name, blob}) => {
        const seen = now.get(name)
        const code = seen === undefined ? 'asset_gone' : 'asset_replaced'
        return {subject: name, code, seen: seen ?? 'nothing', wanted: blob}
      })
  }

  async #tags(version: string): Promise<readonly string[]> {
    const {line, order} = this.#config
    const refs = await this.#api.tags(fillVersion(line, order, version))
    return refs.map(({ref}) => ref.replace(/^refs\/tags\//, ''))
  }

  /** What the tag of a version points at. Refuses with release_missing and tag_moved. */
  async #target(version: string): Promise<TagTarget> {
    const target = await this.#api.tagTarget(version)
    if (target !== undefined) {
      checkUnmoved(version, this.#lockOf(version)?.commit, target.commit)
      return target
    }
    const near = nearest(version, await this.#tags(version), 3).map((it) => it.slice(0, MAX_SHOWN))
    const shown = near.length === 0 ? '' : `, nearest: ${near.join(', ')}`
    const {repository} = this.#config
    throw new RelError('release_missing', `${repository} has no tag ${version}${shown}`, {
      details: {tag: version, nearest: near},
    })
  }

  async #commit(id: string): Promise<GitCommit> {
    const commit = await this.#api.commit(id)
    if (commit !== undefined) return commit
    throw new RelError('release_missing', `${this.#config.repository} has no commit ${id}`)
  }

  #walk(root: string): Promise<Walked> {
    return walkTree(this.#config, root, async (id) => {
      const tree = await this.#api.tree(id)
      if (tree !== undefined) return tree
      throw new RelError('asset_missing', `${this.#config.repository} has no tree ${id}`)
    })
  }

  /** The lock of this very version, where it is the pinned one. */
  #lockOf(version: string): GitTreeLock | undefined {
    return this.#pinned?.version === version ? this.#pinned.lock : undefined
  }

  /** The bytes of a file, hashed as git does. The cache is used where the lock knows the blob. */
  async #fetch(commit: string, file: WantedFile): Promise<Fetched> {
    const {path, blob, size} = file
    const sha256 = this.#pinned?.lock.assets.find((it) => it.blob === blob)?.sha256
    const {raw_url: raw, repository} = this.#config
    const url = `${raw.replace(/\/+$/, '')}/${repository}/${commit}/${path}`
    // one byte more than wanted: a longer file is told apart from one that is cut off
    const got = await this.#world.http.download({url, maxBytes: size + 1, sha256})
    if (got.size !== size)
      throw new RelError(
        'asset_size_mismatch',
        `${path} has ${got.size} bytes, the tree has ${size}`,
      )
    const seen = await blobIdOf(got.path, got.size)
    if (seen !== blob)
      throw new RelError('git_blob_mismatch', `${path} hashes to ${seen}, the tree has ${blob}`)
    return {...file, sha256: got.sha256, local: got.path}
  }

  #checkPairs(files: readonly WantedFile[]): readonly Fact[] {
    if (this.#config.firmware === undefined) return []
    const pairs = checkPairs(
      files,
      this.#pinned?.lock.assets.map(({name, blob}) => ({path: name, blob})),
    )
    const by = `tree of ${this.#config.repository}`
    return pairs.map(([start, fixup]) => ({
      ...{subject: `${start} and ${fixup}`, check: 'pair of one commit', by, level: 'L1'},
      detail: 'both are in the tree, and both changed or neither',
    }))
  }

  #checkFirmware(version: string, files: readonly Fetched[]): readonly Built[] {
    const {firmware} = this.#config
    if (firmware === undefined) return []
    const builds = files
      .filter(({path}) => isStart(path))
      .map(({path, local, size}) => {
        return {path, build: parseBuildId(readFileLimited(local, size), path)}
      })
    checkBuilds(builds, firmware.branch)
    if (this.#pinned === undefined) return builds
    const {version: from, lock} = this.#pinned
    const locked = lock.builds.map(({built_at: builtAt, ...it}) => ({...it, builtAt}))
    checkProgress(builds, locked, this.compare(version, from))
    return builds
  }

  #buildFacts(version: string, builds: readonly Built[]): readonly Fact[] {
    const pinned = this.#pinned
    const against =
      pinned === undefined
        ? 'compared with nothing: the current pin is not locked'
        : pinned.version === version
          ? 'as locked'
          : `another build than that of ${pinned.version}, and built on the right side of it`
    return builds.map(({path, build}) => {
      const when = new Date(build.builtAt * 1000).toISOString()
      const {hash, branch, variant, user} = build
      const detail = `${hash} (clean), ${variant} of ${branch}, by ${user} at ${when}; ${against}`
      return {subject: path, check: 'VC_BUILD_ID', by: 'the file itself', level: 'L0', detail}
    })
  }

  #tagFact(tag: string, {commit, tagObject}: TagTarget): Fact {
    const kind = tagObject === undefined ? 'lightweight tag' : `annotated tag ${tagObject}`
    const isKnown = this.#lockOf(tag) !== undefined
    return {
      subject: `tag ${tag}`,
      check: 'tag',
      by: `${this.#host()} interface`,
      level: 'L0',
      detail: `${kind} at commit ${commit}${isKnown ? ', as locked' : ''}`,
    }
  }

  #treeFacts({folders}: Walked, commit: GitCommit): readonly Fact[] {
    return folders.map(({path, tree, entries}) => ({
      subject: path === '' ? `tree of commit ${commit.sha}` : path,
      check: 'git tree id',
      by: `${this.#host()} interface`,
      level: 'L1' as const,
      detail: `${tree}, computed again from ${entries} entries`,
    }))
  }

  /** A line for each file that was named, and one for each folder. */
  #fileFacts(files: readonly Fetched[], earlier: GitTreeLock | undefined): readonly Fact[] {
    const named = new Set(this.#config.files.map(({path}) => path))
    const blobs = files
      .filter(({path}) => named.has(path))
      .map((file) => this.#blobFact(file.path, `blob ${file.blob}, SHA-256 ${file.sha256}`))
    const folders = this.#config.folders.map(({path, suffix}) => {
      const inside = files.filter((file) => file.path.startsWith(`${path}/`))
      return this.#blobFact(`${path}/*${suffix}`, `${inside.length} files, each with its blob id`)
    })
    if (earlier === undefined) return [...blobs, ...folders]
    const again: Fact = {
      ...{subject: 'all files', check: 'second origin', by: 'an earlier audit', level: 'L2'},
      detail: `the same SHA-256 of all ${files.length} files`,
    }
    return [...blobs, ...folders, again]
  }

  #blobFact(subject: string, detail: string): Fact {
    return {subject, check: 'git blob id', by: `${this.#host()} tree`, level: 'L1', detail}
  }

  #host(): string {
    return new URL(this.#config.api_url).host
  }

  #lock(
    tag: string,
    {commit, tagObject}: TagTarget,
    {tree}: GitCommit,
    files: readonly Fetched[],
    builds: readonly Built[],
  ): JsonObject {
    return lockJson({
      kind: 'git_tree',
      repository: this.#config.repository,
      ...{tag, commit, tree: tree.sha},
      ...(tagObject === undefined ? {} : {tag_object: tagObject}),
      assets: files.map(({path: name, blob, sha256, size}) => {
        return {name, arch: 'any', blob, sha256, size}
      }),
      builds: builds.map(({path, build: {hash, builtAt, branch, variant}}) => {
        return {path, hash, built_at: builtAt, branch, variant}
      }),
    })
  }
}

/** Refuses with tag_moved: what was planned, approved or locked was another commit. */
function checkUnmoved(tag: string, wanted: string | undefined, seen: string): void {
  if (wanted === undefined || wanted === seen) return
  throw new RelError('tag_moved', `tag ${tag} was at ${wanted} and is now at ${seen}`)
}

/** Whether an earlier audit knows the same files. Refuses with second_origin_disagrees. */
function checkEarlier(files: readonly Fetched[], earlier: GitTreeLock | undefined): boolean {
  if (earlier === undefined) return false
  const known = new Map(earlier.assets.map(({name, sha256}) => [name, sha256]))
  for (const {path, sha256} of files) {
    const before = known.get(path)
    if (before !== undefined && before !== sha256)
      throw new RelError(
        'second_origin_disagrees',
        `${path} has SHA-256 ${sha256}, an earlier audit knows ${before}`,
      )
  }
  return files.every(({path}) => known.has(path))
}

function assetOf({path, sha256, size, local}: Fetched, level: IntegrityLevel): VerifiedAsset {
  return {arch: 'any', name: path, sha256, size, path: local, level}
}

function candidateOf(version: string, {sha, message, committer}: GitCommit): Candidate {
  const ms = Date.parse(committer.date)
  const date = Number.isNaN(ms) ? {} : {publishedAt: Math.floor(ms / 1000)}
  return {version, tag: version, commit: sha, ...date, notes: message}
}
