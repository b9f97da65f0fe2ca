import {RelError} from '../../system/error.ts'
import {parseStrictJson} from '../../trust/strict-json.ts'
import {
  assetFrom,
  assetStep,
  isLatest,
  listFrom,
  objectOf,
  olderDraft,
  releaseFrom,
  releaseOfTag,
  textOf,
  uploadAddress,
} from './github-rules.ts'
import {isTransient, Patience, persistently} from './persist.ts'
import type {GitHubPlan, PlannedAsset, PublishPlan} from './plan.ts'
import {assetDifferences, type GitHubRelease, type GitHubState, type RemoteAsset} from './state.ts'
import type {GitHubRequest, PublishWorld} from './world.ts'

const limits = {
  pageSize: 100,
  /** GitHub lists 10,000 releases at most. */
  pages: 100,
  /** Uploads at the same time; GitHub counts each as two calls (its secondary limit). */
  width: 2,
  /** One answer of JSON about an asset. */
  answerBytes: 1024 * 1024,
} as const

type Draft = {readonly release: GitHubRelease; readonly assets: readonly RemoteAsset[]}

/** A release on GitHub as the publisher sees it. Every call may be repeated at any time. */
export class GitHubTarget {
  readonly #plan: PublishPlan
  readonly #github: GitHubPlan
  readonly #world: PublishWorld
  readonly #request: GitHubRequest
  readonly #authorization: string
  readonly #place: {readonly owner: string; readonly repo: string}
  /** What was found out about bytes without a digest; an asset's bytes never change. */
  readonly #hashed = new Map<number, string>()
  /** Names of what was sent, whether or not it arrived. */
  readonly sent = new Set<string>()

  constructor(plan: PublishPlan, world: PublishWorld) {
    const {github, githubAuthorization: authorization} = world
    if (plan.github === undefined || github === undefined || authorization === undefined)
      throw new RelError('github_token_missing', 'there is no token for GitHub')
    const [owner = '', repo = ''] = plan.github.repository.split('/')
    this.#plan = plan
    this.#github = plan.github
    this.#world = world
    this.#request = github
    this.#authorization = authorization
    this.#place = {owner, repo}
  }

  /** The state of the release, with a digest for every whole asset. Refuses with github_duplicate_release. */
  async read(): Promise<GitHubState> {
    const release = releaseOfTag(await this.#releases(), this.#github.tag)
    if (release === undefined) return {state: 'absent'}
    const assets = await this.#assetsWithDigests(release)
    return {state: release.isDraft ? 'draft' : 'published', release, assets}
  }

  /**
   * The commit that the tag names; undefined when the tag is made at publication. Refuses with
   * github_tag_missing and github_tag_conflict.
   */
  async checkTag(): Promise<string | undefined> {
    const {tag, commit, createsTag, repository} = this.#github
    const at = await this.#tagCommit(tag)
    if (at === undefined) {
      if (createsTag) return undefined
      throw new RelError('github_tag_missing', `${repository} has no tag ${tag}`)
    }
    if (commit === undefined || at === commit) return at
    throw new RelError('github_tag_conflict', `${tag} is ${at}, planned was ${commit}`, {
      details: {tag, commit: at, planned: commit},
    })
  }

  /**
   * The draft of the tag, made if there is none, or the release when it is published already.
   * Refuses with github_duplicate_release.
   */
  async openDraft(): Promise<Draft> {
    const found = releaseOfTag(await this.#releases(), this.#github.tag)
    const release = found ?? (await this.#createDraft())
    return {release, assets: await this.#assetsWithDigests(release)}
  }

  /**
   * Brings every asset of a draft to the plan, two at a time. Refuses with github_asset_conflict
   * (something that nobody planned is in the draft) and github_release_incomplete, github_asset_conflict
   * for a published release, of which nothing is changed.
   */
  async fill({release, assets}: Draft, onAsset: StepRunner): Promise<void> {
    checkForeign(this.#plan, assets)
    if (!release.isDraft) {
      checkPublished(this.#plan, assets)
      return
    }
    const byName = new Map(assets.map((asset) => [asset.name, asset]))
    const first = this.#plan.assets.filter(({kind}) => kind !== 'manifest')
    const last = this.#plan.assets.filter(({kind}) => kind === 'manifest')
    const bring = (asset: PlannedAsset) =>
      onAsset(asset.name, () => this.#bring(release, asset, byName.get(asset.name)))
    await inWidth(limits.width, first, bring)
    await inWidth(1, last, bring)
    const now = await this.#assetsWithDigests(release)
    checkForeign(this.#plan, now)
    const [different] = assetDifferences(this.#plan, now)
    if (different === undefined) return
    throw new RelError(
      'publish_incomplete',
      `${different.subject} in the draft on GitHub is ${different.have}`,
    )
  }

  /** The flip: one PATCH. A release that is published already stays as it is. */
  async publish({release}: Draft): Promise<{readonly changed: boolean}> {
    const patience = new Patience(this.#world)
    for (let tries = 0; ; tries++) {
      try {
        const before = await this.#call('GET', '/releases/{release_id}', {release_id: release.id})
        if (!releaseFrom(before).isDraft) return {changed: tries > 0}
        await this.#request(`PATCH ${ROOT}/releases/{release_id}`, {
          ...this.#place,
          release_id: release.id,
          ...(await this.#publication()),
        })
        return {changed: true}
      } catch (error) {
        if (!isTransient(error)) throw error
        await patience.after(error)
      }
    }
  }

  /** The release as everybody gets it by its tag, once it is published; undefined before. */
  async byTag(): Promise<GitHubRelease | undefined> {
    const found = await this.#optional('/releases/tags/{tag}', {tag: this.#github.tag})
    return found === undefined ? undefined : releaseFrom(found)
  }

  /**
   * The SHA-256 of an asset as a user gets it: without a token, or with it when the repository is
   * private.
   */
  async readBack(
    asset: RemoteAsset,
  ): Promise<{readonly sha256: string; readonly as: 'anyone' | 'token'}> {
    try {
      const {sha256} = await this.#world.http.download({
        url: asset.downloadUrl,
        maxBytes: Math.max(1, asset.size),
      })
      return {sha256, as: 'anyone'}
    } catch (error) {
      const isHidden =
        error instanceof RelError &&
        (error.code === 'http_not_found' || error.code === 'http_unauthorised')
      if (!isHidden) throw error
      return {sha256: await this.#hash(asset), as: 'token'}
    }
  }

  async #publication(): Promise<object> {
    const {tag, title, notes, isPrerelease, commit, createsTag} = this.#github
    const latest = isLatest(this.#plan.version, isPrerelease, await this.#releases())
    return {
      tag_name: tag,
      name: title,
      body: notes,
      draft: false,
      prerelease: isPrerelease,
      make_latest: String(latest),
      ...(createsTag && commit !== undefined ? {target_commitish: commit} : {}),
    }
  }

  /**
   * A draft of our own. When others made one in the same moment, the oldest stays and ours, which
   * is empty, goes; a reply that was lost is found by looking again.
   */
  async #createDraft(): Promise<GitHubRelease> {
    const {tag, title, notes, isPrerelease, commit, createsTag} = this.#github
    const patience = new Patience(this.#world)
    for (;;) {
      try {
        const made = releaseFrom(
          await this.#request(`POST ${ROOT}/releases`, {
            ...this.#place,
            tag_name: tag,
            name: title,
            body: notes,
            draft: true,
            prerelease: isPrerelease,
            ...(createsTag && commit !== undefined ? {target_commitish: commit} : {}),
          }),
        )
        const older = olderDraft(await this.#releases(), tag, made.id)
        if (older === undefined) return made
        await this.#delete('/releases/{release_id}', {release_id: made.id})
        return older
      } catch (error) {
        if (!isTransient(error)) throw error
        await patience.after(error)
        const there = releaseOfTag(await this.#releases(), tag)
        if (there !== undefined) return there
      }
    }
  }

  /** One asset of a draft; what went wrong with a doubtful end is looked at again before another try. */
  async #bring(
    release: GitHubRelease,
    planned: PlannedAsset,
    known: RemoteAsset | undefined,
  ): Promise<void> {
    const patience = new Patience(this.#world)
    let there = known
    for (;;) {
      try {
        if (await this.#isThere(release, planned, there)) return
      } catch (error) {
        const mayHelp = isTransient(error) || isRefused(error)
        if (!mayHelp) throw error
        await patience.after(error)
      }
      there = (await this.#assetsWithDigests(release)).find(({name}) => name === planned.name)
    }
  }

  /** Does one step; true when the asset is known to be there as planned. */
  async #isThere(
    release: GitHubRelease,
    planned: PlannedAsset,
    there: RemoteAsset | undefined,
  ): Promise<boolean> {
    const next = assetStep(planned, there)
    if (next.step === 'keep') return true
    if (next.step === 'hash') return false // listing again reads its bytes
    if (next.step === 'replace') await this.#discard(release, next.id)
    const made = await this.#send(release, planned)
    if (made.name !== planned.name)
      throw new RelError('github_asset_conflict', `GitHub calls ${planned.name} ${made.name}`)
    return assetStep(planned, made).step === 'keep'
  }

  /** Deletes a broken or different asset of a draft, looking once more that it is one. */
  async #discard(release: GitHubRelease, id: number): Promise<void> {
    const now = releaseFrom(
      await this.#call('GET', '/releases/{release_id}', {release_id: release.id}),
    )
    if (!now.isDraft)
      throw new RelError('github_asset_conflict', `${now.tag} was published in the meantime`)
    await this.#delete('/releases/assets/{asset_id}', {asset_id: id})
  }

  /** Gone is gone, also when the reply to the first try was lost. */
  async #delete(path: string, parameters: object): Promise<void> {
    try {
      await this.#call('DELETE', path, parameters)
    } catch (error) {
      if (!hasCode(error, 'http_not_found')) throw error
    }
  }

  /** Sends a file from its start: GitHub cannot go on with half of one. */
  async #send(release: GitHubRelease, {name, size, path}: PlannedAsset): Promise<RemoteAsset> {
    this.sent.add(name)
    const {status, body} = await this.#world.http.send({
      method: 'POST',
      url: uploadAddress(release, this.#github.apiUrl, name),
      authorization: this.#authorization,
      headers: {
        accept: 'application/vnd.github+json',
        'content-type': 'application/octet-stream',
        'x-github-api-version': '2022-11-28',
      },
      body: this.#world.readFrom(path, 0, size),
      maxBytes: limits.answerBytes,
      redirects: 'return',
      isKept: false,
    })
    if (status === 201)
      return assetFrom(
        parseStrictJson(body, {bytes: limits.answerBytes, depth: 16, profile: 'general'}),
      )
    const code = status === 401 || status === 403 ? 'http_unauthorised' : 'http_refused'
    throw new RelError(code, `the upload of ${name}: GitHub answers ${status}`, {details: {status}})
  }

  async #assetsWithDigests(release: GitHubRelease): Promise<readonly RemoteAsset[]> {
    const planned = new Map(this.#plan.assets.map((asset) => [asset.name, asset]))
    const found = await this.#pages('/releases/{release_id}/assets', assetFrom, {
      release_id: release.id,
    })
    const assets: RemoteAsset[] = []
    for (const asset of found) {
      // bytes are read only where they can decide something
      const isOpen =
        asset.sha256 === undefined &&
        asset.state === 'uploaded' &&
        planned.get(asset.name)?.size === asset.size
      assets.push(isOpen ? {...asset, sha256: await this.#hash(asset)} : asset)
    }
    return assets
  }

  async #hash({id, size}: RemoteAsset): Promise<string> {
    const known = this.#hashed.get(id)
    if (known !== undefined) return known
    const {apiUrl, repository} = this.#github
    const {sha256} = await this.#world.http.download({
      url: `${apiUrl}/repos/${repository}/releases/assets/${id}`,
      headers: {accept: 'application/octet-stream'},
      authorization: this.#authorization,
      maxBytes: Math.max(1, size),
    })
    this.#hashed.set(id, sha256)
    return sha256
  }

  async #tagCommit(tag: string): Promise<string | undefined> {
    const found = await this.#optional('/git/ref/{ref}', {ref: `tags/${tag}`})
    if (found === undefined) return undefined
    let {type, sha} = targetOf(found)
    // an annotated tag is an object of its own; one that names a tag again is legal
    for (let depth = 0; type === 'tag' && depth < 4; depth++)
      ({type, sha} = targetOf(await this.#call('GET', '/git/tags/{tag_sha}', {tag_sha: sha})))
    return sha
  }

  #releases(): Promise<readonly GitHubRelease[]> {
    return this.#pages('/releases', releaseFrom, {})
  }

  async #pages<T>(path: string, read: (entry: unknown) => T, parameters: object): Promise<T[]> {
    const all: T[] = []
    for (let page = 1; page <= limits.pages; page++) {
      const asked = {...parameters, per_page: limits.pageSize, page}
      const entries = listFrom(await this.#call('GET', path, asked), read)
      all.push(...entries)
      if (entries.length < limits.pageSize) break
    }
    return all
  }

  async #optional(path: string, parameters: object): Promise<unknown> {
    try {
      return await this.#call('GET', path, parameters)
    } catch (error) {
      if (hasCode(error, 'http_not_found')) return undefined
      throw error
    }
  }

  /** A call that may be repeated without looking first. */
  #call(method: 'GET' | 'DELETE', path: string, parameters: object): Promise<unknown> {
    const route = `${method} ${ROOT}${path}`
    return persistently(this.#world, () => this.#request(route, {...this.#place, ...parameters}))
  }
}

const ROOT = '/repos/{owner}/{repo}'

/** Runs the work of one asset between its marks. */
export type StepRunner = (name: string, work: () => Promise<void>) => Promise<void>

/** A file that nobody planned is somebody's: it is neither deleted nor published with ours. */
function checkForeign(plan: PublishPlan, assets: readonly RemoteAsset[]): void {
  const planned = new Set(plan.assets.map(({name}) => name))
  const foreign = assets.filter(({name}) => !planned.has(name)).map(({name}) => name)
  if (foreign.length === 0) return
  throw new RelError('github_asset_conflict', `not planned, but there: ${foreign.join(', ')}`, {
    details: {foreign},
  })
}

function checkPublished(plan: PublishPlan, assets: readonly RemoteAsset[]): void {
  const differences = assetDifferences(plan, assets)
  const [first] = differences
  if (first === undefined) return
  const isLacking = differences.every(({have}) => have === 'absent')
  throw new RelError(
    isLacking ? 'github_release_incomplete' : 'github_asset_conflict',
    `${first.subject} in the published release: ${first.have}, planned ${first.want}`,
    {details: {differences: differences.map((difference) => ({...difference}))}},
  )
}

/** What a reference or a tag object names. */
function targetOf(value: unknown): {type: string; sha: string} {
  const {type, sha} = objectOf(objectOf(value).object)
  return {type: textOf(type, 'the type of a tag'), sha: textOf(sha, 'the commit of a tag')}
}

/** 422: the name may be taken by the upload whose reply was lost. */
function isRefused(error: unknown): boolean {
  return error instanceof RelError && error.details?.status === 422
}

function hasCode(error: unknown, code: RelError['code']): boolean {
  return error instanceof RelError && error.code === code
}

/** Works on a list, some entries at a time; the first failure ends it once what runs has ended. */
async function inWidth<T>(
  width: number,
  entries: readonly T[],
  work: (entry: T) => Promise<void>,
): Promise<void> {
  const waiting = entries.values()
  let failure: {readonly error: unknown} | undefined
  const lane = async () => {
    for (const entry of waiting) {
      if (failure !== undefined) return
      try {
        await work(entry)
      } catch (error) {
        failure ??= {error}
      }
    }
  }
  await Promise.all(Array.from({length: width}, lane))
  if (failure !== undefined) throw failure.error
}
