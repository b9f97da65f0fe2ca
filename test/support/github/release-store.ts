import {createHash} from 'node:crypto'
import {type Answer, type Call, jsonOf, notFound, validationFailed} from './exchange.ts'

export type AssetSeed = {
  readonly name: string
  /** What a download gives; an asset without bytes has a size and a digest only. */
  readonly bytes?: Buffer | string
  /** Recorded size, when there are no bytes. */
  readonly size?: number
  /** Computed from the bytes when not given; null as for assets from before June 2025. */
  readonly digest?: string | null
  readonly id?: number
  readonly state?: 'uploaded' | 'open' | 'starter'
  readonly createdAt?: string
  readonly updatedAt?: string
}

export type ReleaseSeed = {
  readonly tag: string
  readonly name?: string
  readonly body?: string
  readonly id?: number
  readonly draft?: boolean
  readonly prerelease?: boolean
  readonly immutable?: boolean
  readonly publishedAt?: string
  readonly assets: readonly AssetSeed[]
}

type Asset = Required<Omit<AssetSeed, 'bytes'>> & {readonly bytes: Buffer | undefined}
type Release = Required<Omit<ReleaseSeed, 'assets'>> & {
  readonly repository: string
  readonly assets: Asset[]
}

/** What a test finds of a release. */
export type StoredRelease = {
  readonly id: number
  readonly draft: boolean
  readonly prerelease: boolean
  readonly immutable: boolean
  readonly body: string
  readonly assets: readonly {
    readonly name: string
    readonly state: string
    readonly bytes: Buffer | undefined
  }[]
}

/** Names as GitHub stores them: everything else becomes a dot. */
const renamed = (name: string): string => name.replace(/[^A-Za-z0-9_.+-]/g, '.')

const MAX_ASSETS = 1000
const EPOCH = '2025-03-31T09:00:00Z'

/**
 * Releases and assets of the fake GitHub: it keeps bytes, computes digests, refuses a name twice
 * and hides drafts, which emulate 0.12.2 does not.
 */
export class ReleaseStore {
  readonly #releases: Release[] = []
  readonly #url: string
  readonly #webUrl: string
  readonly #assetsUrl: string
  /** Called when a release is published: GitHub makes the tag then. */
  readonly #onPublish: (repository: string, tag: string, target: string) => Promise<void>
  #nextId = 1000
  /** Deletions of assets and releases, with what the release was at that moment. */
  readonly deleted: {readonly name: string; readonly wasDraft: boolean}[] = []
  /** Bodies of publications (`draft` from true to false). */
  readonly publications: Readonly<Record<string, unknown>>[] = []
  /** Names for which GitHub says no digest. */
  withoutDigest: RegExp | undefined
  /** Releases become immutable when they are published. */
  immutable = false

  constructor(
    urls: {readonly url: string; readonly webUrl: string; readonly assetsUrl: string},
    onPublish: (repository: string, tag: string, target: string) => Promise<void>,
  ) {
    this.#url = urls.url
    this.#webUrl = urls.webUrl
    this.#assetsUrl = urls.assetsUrl
    this.#onPublish = onPublish
  }

  add(repository: string, seed: ReleaseSeed): void {
    const publishedAt = seed.publishedAt ?? EPOCH
    this.#releases.push({
      repository,
      tag: seed.tag,
      name: seed.name ?? seed.tag,
      body: seed.body ?? '',
      id: seed.id ?? this.#nextId++,
      draft: seed.draft ?? false,
      prerelease: seed.prerelease ?? false,
      immutable: seed.immutable ?? false,
      publishedAt,
      assets: seed.assets.map((asset) => this.#asset(asset, publishedAt)),
    })
  }

  remove(repository: string, tag: string): void {
    const at = this.#releases.findIndex((one) => one.repository === repository && one.tag === tag)
    if (at === -1) throw new Error(`no release ${tag} of ${repository}`)
    this.#releases.splice(at, 1)
  }

  /** Replaces one asset as a maintainer would: another id, date and digest under the same name. */
  replaceAsset(repository: string, tag: string, seed: AssetSeed): void {
    const release = this.#release(repository, tag)
    const at = release.assets.findIndex(({name}) => name === seed.name)
    if (at === -1) throw new Error(`no asset ${seed.name}`)
    release.assets.splice(at, 1, this.#asset({updatedAt: '2025-06-01T00:00:00Z', ...seed}, EPOCH))
  }

  /** Something else about an asset that stays the same one: its id, date and bytes. */
  alterAsset(
    repository: string,
    tag: string,
    name: string,
    change: Partial<Pick<Asset, 'digest' | 'size'>>,
  ): void {
    const {assets} = this.#release(repository, tag)
    const at = assets.findIndex((asset) => asset.name === name)
    const found = assets[at]
    if (found === undefined) throw new Error(`no asset ${name}`)
    assets.splice(at, 1, {...found, ...change})
  }

  removeAsset(repository: string, tag: string, name: string): void {
    const {assets} = this.#release(repository, tag)
    const at = assets.findIndex((asset) => asset.name === name)
    if (at === -1) throw new Error(`no asset ${name}`)
    assets.splice(at, 1)
  }

  addAsset(repository: string, tag: string, seed: AssetSeed): void {
    const release = this.#release(repository, tag)
    release.assets.push(this.#asset(seed, release.publishedAt))
  }

  /** Answers everything under /repos/…/releases, and the web addresses of assets. */
  async route(call: Call): Promise<Answer | undefined> {
    const web = /^\/([^/]+\/[^/]+)\/releases\/download\/([^/]+)\/([^/]+)$/.exec(call.path)
    if (web !== null) return this.#browse(web[1] ?? '', decode(web[2]), decode(web[3]))
    const api = /^\/repos\/([^/]+\/[^/]+)\/releases(?:\/(.+))?$/.exec(call.path)
    if (api === null) return undefined
    return this.#api(call, api[1] ?? '', api[2] ?? '')
  }

  /** The bytes behind an address of the asset host, which is another origin. */
  bytesAt(path: string): {bytes: Buffer; etag: string} | undefined {
    const id = Number(/^\/asset\/(\d+)$/.exec(path)?.[1])
    const asset = this.#releases.flatMap(({assets}) => assets).find((one) => one.id === id)
    if (asset?.bytes === undefined) return undefined
    return {bytes: asset.bytes, etag: `"${hexOf(asset.bytes)}"`}
  }

  #asset(seed: AssetSeed, publishedAt: string): Asset {
    const bytes = seed.bytes === undefined ? undefined : Buffer.from(seed.bytes)
    return {
      name: renamed(seed.name),
      bytes,
      size: seed.size ?? bytes?.length ?? 0,
      digest:
        seed.digest === undefined
          ? bytes === undefined
            ? null
            : `sha256:${hexOf(bytes)}`
          : seed.digest,
      id: seed.id ?? this.#nextId++,
      state: seed.state ?? 'uploaded',
      createdAt: seed.createdAt ?? publishedAt,
      updatedAt: seed.updatedAt ?? seed.createdAt ?? publishedAt,
    }
  }

  #release(repository: string, tag: string): Release {
    const release = this.#releases.find(
      (one) => one.repository === repository && one.tag === tag && !one.draft,
    )
    if (release === undefined) throw new Error(`no release ${tag} of ${repository}`)
    return release
  }

  #browse(repository: string, tag: string, name: string): Answer {
    const asset = this.#releases
      .filter((one) => one.repository === repository && one.tag === tag && !one.draft)
      .flatMap(({assets}) => assets)
      .find((one) => one.name === name && one.state === 'uploaded' && one.bytes !== undefined)
    if (asset === undefined) return {status: 404, headers: html, body: '<h1>Not Found</h1>'}
    return {status: 302, headers: {location: `${this.#assetsUrl}/asset/${asset.id}`}}
  }

  #api(call: Call, repository: string, rest: string): Answer | undefined | Promise<Answer> {
    const tag = /^tags\/(.+)$/.exec(rest)?.[1]
    const asset = /^assets\/(\d+)$/.exec(rest)?.[1]
    const upload = /^(\d+)\/assets$/.exec(rest)?.[1]
    const one = /^(\d+)$/.exec(rest)?.[1]
    if (call.method === 'GET' && rest === '') return this.#list(call, repository)
    if (call.method === 'POST' && rest === '') return this.#create(call, repository)
    if (call.method === 'GET' && tag !== undefined) return this.#byTag(repository, decode(tag))
    if (call.method === 'GET' && asset !== undefined) return this.#assetById(call, Number(asset))
    if (call.method === 'POST' && upload !== undefined) return this.#upload(call, Number(upload))
    if (call.method === 'PATCH' && one !== undefined) return this.#publish(call, Number(one))
    if (call.method === 'GET' && upload !== undefined) return this.#assets(call, Number(upload))
    if (call.method === 'GET' && one !== undefined) return this.#byId(call, Number(one))
    if (call.method === 'DELETE' && asset !== undefined) return this.#deleteAsset(Number(asset))
    if (call.method === 'DELETE' && one !== undefined) return this.#deleteRelease(Number(one))
    return undefined
  }

  /** An upload that GitHub broke off: the name is taken, the bytes are not there. */
  begin(releaseId: number, name: string): void {
    const release = this.#releases.find(({id}) => id === releaseId)
    release?.assets.push(this.#asset({name, state: 'starter', digest: null}, EPOCH))
  }

  /** Every release of a tag, drafts included, with what can be downloaded of it. */
  stored(repository: string, tag: string): readonly StoredRelease[] {
    return this.#releases
      .filter((one) => one.repository === repository && one.tag === tag)
      .map(({id, draft, prerelease, immutable, body, assets}) => ({
        id,
        draft,
        prerelease,
        immutable,
        body,
        assets: assets.map(({name, state, bytes}) => ({name, state, bytes})),
      }))
  }

  #assets(call: Call, id: number): Answer {
    const release = this.#visible(call, id)
    if (release === undefined) return notFound()
    const page = Number(call.query.get('page') ?? 1)
    const perPage = Number(call.query.get('per_page') ?? 30)
    const shown = release.assets.slice((page - 1) * perPage, page * perPage)
    return {status: 200, body: shown.map((asset) => this.#assetJson(release, asset))}
  }

  #byId(call: Call, id: number): Answer {
    const release = this.#visible(call, id)
    return release === undefined ? notFound() : {status: 200, body: this.#json(release)}
  }

  #visible(call: Call, id: number): Release | undefined {
    return this.#releases.find((one) => one.id === id && (!one.draft || call.login !== undefined))
  }

  #deleteAsset(id: number): Answer {
    const release = this.#releases.find(({assets}) => assets.some((one) => one.id === id))
    const at = release?.assets.findIndex((one) => one.id === id) ?? -1
    const asset = release?.assets[at]
    if (release === undefined || asset === undefined) return notFound()
    if (release.immutable && !release.draft)
      return {status: 422, body: {message: 'Cannot delete asset from an immutable release'}}
    this.deleted.push({name: asset.name, wasDraft: release.draft})
    release.assets.splice(at, 1)
    return {status: 204}
  }

  #deleteRelease(id: number): Answer {
    const at = this.#releases.findIndex((one) => one.id === id)
    const release = this.#releases[at]
    if (release === undefined) return notFound()
    this.deleted.push({name: release.tag, wasDraft: release.draft})
    this.#releases.splice(at, 1)
    return {status: 204}
  }

  #list(call: Call, repository: string): Answer {
    const page = Number(call.query.get('page') ?? 1)
    const perPage = Number(call.query.get('per_page') ?? 30)
    const visible = this.#releases.filter(
      (one) => one.repository === repository && (!one.draft || call.login !== undefined),
    )
    const shown = visible.slice((page - 1) * perPage, page * perPage)
    return {status: 200, body: shown.map((one) => this.#json(one))}
  }

  #create(call: Call, repository: string): Answer {
    const body = jsonOf(call)
    const draft = body.draft === true
    this.add(repository, {
      tag: String(body.tag_name),
      name: String(body.name ?? ''),
      body: String(body.body ?? ''),
      draft,
      prerelease: body.prerelease === true,
      assets: [],
    })
    const made = this.#releases.at(-1)
    return made === undefined ? notFound() : {status: 201, body: this.#json(made)}
  }

  #byTag(repository: string, tag: string): Answer {
    const found = this.#releases.find(
      (one) => one.repository === repository && one.tag === tag && !one.draft,
    )
    return found === undefined ? notFound() : {status: 200, body: this.#json(found)}
  }

  #assetById(call: Call, id: number): Answer {
    const release = this.#releases.find(({assets}) => assets.some((one) => one.id === id))
    const asset = release?.assets.find((one) => one.id === id)
    if (release === undefined || asset === undefined) return notFound()
    if (call.headers.accept !== 'application/octet-stream')
      return {status: 200, body: this.#assetJson(release, asset)}
    return {status: 302, headers: {location: `${this.#assetsUrl}/asset/${asset.id}`}}
  }

  #upload(call: Call, id: number): Answer {
    const release = this.#releases.find((one) => one.id === id)
    if (release === undefined) return notFound()
    const name = renamed(call.query.get('name') ?? '')
    if (release.immutable && !release.draft)
      return {status: 422, body: {message: 'Cannot upload assets to an immutable release'}}
    if (release.assets.some((one) => one.name === name))
      return validationFailed('ReleaseAsset', 'name', 'already_exists')
    if (release.assets.length >= MAX_ASSETS)
      return validationFailed('ReleaseAsset', 'name', 'custom', 'too many assets')
    const asset = this.#asset({name, bytes: call.body}, EPOCH)
    release.assets.push(asset)
    return {status: 201, body: this.#assetJson(release, asset)}
  }

  async #publish(call: Call, id: number): Promise<Answer> {
    const at = this.#releases.findIndex((one) => one.id === id)
    const release = this.#releases[at]
    if (release === undefined) return notFound()
    const body = jsonOf(call)
    const draft = typeof body.draft === 'boolean' ? body.draft : release.draft
    const isPublished = release.draft && !draft
    const changed: Release = {
      ...release,
      draft,
      name: String(body.name ?? release.name),
      body: String(body.body ?? release.body),
      prerelease: typeof body.prerelease === 'boolean' ? body.prerelease : release.prerelease,
      immutable: release.immutable || (isPublished && this.immutable),
    }
    this.#releases.splice(at, 1, changed)
    if (isPublished) {
      this.publications.push(body)
      await this.#onPublish(release.repository, release.tag, String(body.target_commitish ?? ''))
    }
    return {status: 200, body: this.#json(changed)}
  }

  #json(release: Release): object {
    const {repository, tag, id} = release
    const api = `${this.#url}/repos/${repository}/releases`
    return {
      url: `${api}/${id}`,
      assets_url: `${api}/${id}/assets`,
      upload_url: `${api}/${id}/assets{?name,label}`,
      html_url: `${this.#webUrl}/${repository}/releases/tag/${encodeURIComponent(tag)}`,
      id,
      author: user(this.#url, 'release-bot'),
      node_id: `RE_${id}`,
      tag_name: tag,
      target_commitish: 'main',
      name: release.name,
      draft: release.draft,
      immutable: release.immutable,
      prerelease: release.prerelease,
      created_at: release.publishedAt,
      updated_at: release.publishedAt,
      published_at: release.draft ? null : release.publishedAt,
      assets: release.assets.map((asset) => this.#assetJson(release, asset)),
      tarball_url: `${this.#url}/repos/${repository}/tarball/${encodeURIComponent(tag)}`,
      zipball_url: `${this.#url}/repos/${repository}/zipball/${encodeURIComponent(tag)}`,
      body: release.body,
    }
  }

  #assetJson(release: Release, asset: Asset): object {
    const {repository, tag} = release
    const web = `${this.#webUrl}/${repository}/releases/download`
    return {
      url: `${this.#url}/repos/${repository}/releases/assets/${asset.id}`,
      id: asset.id,
      node_id: `RA_${asset.id}`,
      name: asset.name,
      label: '',
      uploader: user(this.#url, 'release-bot'),
      content_type: 'application/octet-stream',
      state: asset.state,
      size: asset.size,
      digest: this.withoutDigest?.test(asset.name) === true ? null : asset.digest,
      download_count: 0,
      created_at: asset.createdAt,
      updated_at: asset.updatedAt,
      browser_download_url: `${web}/${encodeURIComponent(tag)}/${asset.name}`,
    }
  }
}

const html = {'content-type': 'text/html; charset=utf-8'}

function hexOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function decode(text: string | undefined): string {
  return decodeURIComponent(text ?? '')
}

/** The schema simple-user. */
export function user(url: string, login: string): object {
  const api = `${url}/users/${login}`
  return {
    login,
    id: 1,
    node_id: 'U_1',
    avatar_url: `${url}/avatars/${login}`,
    gravatar_id: '',
    url: api,
    html_url: `${url}/${login}`,
    followers_url: `${api}/followers`,
    following_url: `${api}/following{/other_user}`,
    gists_url: `${api}/gists{/gist_id}`,
    starred_url: `${api}/starred{/owner}{/repo}`,
    subscriptions_url: `${api}/subscriptions`,
    organizations_url: `${api}/orgs`,
    repos_url: `${api}/repos`,
    events_url: `${api}/events{/privacy}`,
    received_events_url: `${api}/received_events`,
    type: 'User',
    site_admin: false,
  }
}
