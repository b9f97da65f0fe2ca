import {isDigest} from '../../system/digest.ts'
import {RelError} from '../../system/error.ts'
import type {JsonObject} from '../../system/json.ts'
import {
  exchangeWithPanel,
  jsonOf,
  type PanelAccess,
  type PanelAnswer,
  type PanelRequest,
  panelRefusal,
} from './panel-api.ts'
import {isTransient, Patience, persistently} from './persist.ts'
import {type PlannedAsset, type PublishPlan, panelAssets} from './plan.ts'
import type {PanelState} from './state.ts'
import type {PublishWorld} from './world.ts'

/** Bytes of one request of an upload: proxies and their time limits see no endless body. */
const PIECE = 64 * 1024 * 1024
/** As long as a panel gives. */
const LEASE_SECS = 3600
const TUS = {'tus-resumable': '1.0.0'}

export type PanelPublished = {readonly changed: boolean; readonly sequence: number}

/** A panel as the publisher sees it. Every call may be repeated at any time. */
export class PanelTarget {
  readonly #plan: PublishPlan
  #access: PanelAccess
  readonly #world: PublishWorld

  constructor(plan: PublishPlan, world: PublishWorld) {
    const {panel} = plan
    const {http, panelAuthorization: authorization} = world
    if (panel === undefined || authorization === undefined)
      throw new RelError('token_missing', 'there is no token for the panel')
    this.#plan = plan
    this.#world = world
    this.#access = {http, url: panel.url, authorization}
  }

  /** The state of the release on the panel. */
  async read(): Promise<PanelState> {
    const answer = await this.#exchange({method: 'GET', path: this.#release()})
    if (answer.status === 404) {
      const refusal = panelRefusal(answer)
      if (refusal.code === 'release_unknown') return {state: 'absent'}
      throw refusal
    }
    if (answer.status !== 200) throw panelRefusal(answer)
    return stateOf(jsonOf(answer.body))
  }

  /** A fence: whoever leased before can no longer publish. */
  async lease(): Promise<number> {
    const {body} = await this.#ask({
      method: 'POST',
      path: `${this.#product()}/lease`,
      headers: {'content-type': 'application/json'},
      body: Buffer.from(JSON.stringify({seconds: LEASE_SECS})),
    })
    const {fence} = jsonOf(body)
    if (typeof fence === 'number') return fence
    throw new RelError('panel_refused', 'the panel gave a lease without a fence')
  }

  /** Drafts the release, or finds that it is there with this very manifest. */
  async draft(manifest: Uint8Array): Promise<PanelState> {
    const {body} = await this.#ask({
      method: 'POST',
      path: `${this.#product()}/releases`,
      headers: {'content-type': 'application/json'},
      body: manifest,
    })
    return stateOf(jsonOf(body))
  }

  /**
   * Gives a draft the Sigstore bundle over its manifest. Refuses with sigstore_digest_mismatch (the
   * draft has other bytes than the manifest here) and release_immutable.
   */
  async putSigstore({path, size}: PlannedAsset): Promise<void> {
    await this.#ask({
      method: 'PUT',
      path: `${this.#release()}/manifest.sig.bundle`,
      headers: {'content-type': 'application/json'},
      body: this.#world.readFrom(path, 0, size),
    })
  }

  /** Whether the panel has these very bytes. */
  async has({sha256, size}: PlannedAsset): Promise<boolean> {
    const answer = await this.#exchange({method: 'HEAD', path: `/v1/blobs/${sha256}`})
    if (answer.status === 404) return false
    if (answer.status !== 200) throw panelRefusal(answer)
    return answer.headers['rel-size'] === String(size)
  }

  /**
   * Sends a file, from where an earlier run or the last try came to. Refuses with blob_mismatch when
   * the file has changed since it was planned.
   */
  async upload(asset: PlannedAsset): Promise<void> {
    const patience = new Patience(this.#world)
    let location = this.#world.journal.location(asset.sha256)
    let furthest = -1
    let isDoubtful = location !== undefined
    for (;;) {
      try {
        location ??= await this.#begin(asset)
        if (location === undefined) return
        const offset = await this.#offset(location)
        if (offset === undefined) {
          this.#world.journal.forget(asset.sha256)
          if (await this.has(asset)) return
          location = undefined
          continue
        }
        if (offset > furthest) patience.progress()
        furthest = Math.max(furthest, offset)
        // a connection that was cut may still be writing: bytes sent now would be refused and lost
        if (isDoubtful && offset < asset.size) await this.#patch(asset, location, offset, 0)
        isDoubtful = false
        if (await this.#send(asset, location, offset)) {
          this.#world.journal.forget(asset.sha256)
          return
        }
      } catch (error) {
        if (!isResumable(error)) throw error
        isDoubtful = true
        await patience.after(error)
      }
    }
  }

  /** The flip: one transaction on the panel. */
  async publish(fence: number): Promise<PanelPublished> {
    const {headers, body} = await this.#ask({
      method: 'POST',
      path: `${this.#release()}/publish`,
      headers: {'if-match': `"${this.#plan.digest}"`, 'rel-fence': String(fence)},
    })
    const {sequence} = jsonOf(body)
    return {
      changed: headers['rel-changed'] === 'true',
      sequence: typeof sequence === 'number' ? sequence : 0,
    }
  }

  /** A new upload; undefined when the panel has the bytes by now. */
  async #begin({sha256, size}: PlannedAsset): Promise<string | undefined> {
    const {status, headers} = await this.#once({
      method: 'POST',
      path: '/v1/uploads',
      headers: {
        ...TUS,
        'upload-length': String(size),
        'upload-metadata': `sha256 ${Buffer.from(sha256).toString('base64')}`,
      },
    })
    if (status === 200) return undefined
    const {location = ''} = headers
    if (!/^\/v1\/uploads\/[0-9A-Z]{26}$/.test(location))
      throw new RelError('panel_refused', 'the panel gave an upload without an address')
    this.#world.journal.remember(sha256, location)
    return location
  }

  /** Bytes that have arrived; undefined when the upload is not there, or finished. */
  async #offset(location: string): Promise<number | undefined> {
    const answer = await this.#tried({
      method: 'HEAD',
      path: location,
      headers: TUS,
    })
    if (answer.status === 404) return undefined
    if (answer.status !== 200) throw panelRefusal(answer)
    const offset = Number(answer.headers['upload-offset'])
    if (Number.isSafeInteger(offset) && offset >= 0) return offset
    throw new RelError('panel_refused', 'the panel does not say how much has arrived')
  }

  /** The next piece; true after the last one. */
  async #send(asset: PlannedAsset, location: string, offset: number): Promise<boolean> {
    const length = Math.min(PIECE, asset.size - offset)
    await this.#patch(asset, location, offset, length)
    return offset + length === asset.size
  }

  async #patch(
    {path}: PlannedAsset,
    location: string,
    offset: number,
    length: number,
  ): Promise<void> {
    await this.#once({
      method: 'PATCH',
      path: location,
      headers: {
        ...TUS,
        'upload-offset': String(offset),
        'content-type': 'application/offset+octet-stream',
      },
      body: this.#world.readFrom(path, offset, length),
    })
  }

  #ask(request: PanelRequest): Promise<PanelAnswer> {
    return persistently(this.#world, () => this.#once(request))
  }

  #exchange(request: PanelRequest): Promise<PanelAnswer> {
    return persistently(this.#world, () => this.#tried(request))
  }

  /** The answer, which must be a success. */
  async #once(request: PanelRequest): Promise<PanelAnswer> {
    const answer = await this.#tried(request)
    if (answer.status >= 200 && answer.status < 300) return answer
    throw panelRefusal(answer)
  }

  /** One exchange; with another token once more when the panel takes this one no longer. */
  async #tried(request: PanelRequest): Promise<PanelAnswer> {
    const access = this.#access
    const answer = await exchangeWithPanel(access, request)
    const renew = this.#world.renewPanelAuthorization
    if (answer.status !== 401 || renew === undefined) return answer
    const authorization = await renew(access.authorization)
    if (authorization === access.authorization) return answer
    this.#access = {...access, authorization}
    return exchangeWithPanel(this.#access, request)
  }

  #product(): string {
    return `/v1/products/${encodeURIComponent(this.#plan.product)}`
  }

  #release(): string {
    return `${this.#product()}/releases/${encodeURIComponent(this.#plan.version)}`
  }
}

/** Artifacts whose bytes the panel does not have yet, each digest once. */
export async function lackingOn(
  target: PanelTarget,
  plan: PublishPlan,
): Promise<readonly PlannedAsset[]> {
  const unique = new Map(panelAssets(plan).map((asset) => [asset.sha256, asset]))
  const lacking: PlannedAsset[] = []
  for (const asset of unique.values()) if (!(await target.has(asset))) lacking.push(asset)
  return lacking
}

/** A cut, a busy upload, or bytes that arrived although the answer did not: ask where it stands. */
function isResumable(error: unknown): boolean {
  if (isTransient(error)) return true
  return error instanceof RelError && ['upload_offset_wrong', 'upload_unknown'].includes(error.code)
}

function stateOf({
  state,
  digest,
  sequence,
  missing,
  sigstore_sha256: sigstore,
}: JsonObject): PanelState {
  if (state !== 'draft' && state !== 'published' && state !== 'recalled')
    throw new RelError('panel_refused', 'the panel describes the release in a state of its own')
  return {
    state,
    digest: typeof digest === 'string' ? digest : '',
    ...(typeof sequence === 'number' ? {sequence} : {}),
    ...(typeof sigstore === 'string' && isDigest(sigstore) ? {sigstore} : {}),
    missing: Array.isArray(missing) ? missing.map(nameOf) : [],
  }
}

function nameOf(flaw: unknown): string {
  const {name, reason} = (typeof flaw === 'object' && flaw !== null ? flaw : {}) as JsonObject
  return `${typeof name === 'string' ? name : 'something'} (${typeof reason === 'string' ? reason : 'unknown'})`
}
