import type {LicenseState, TrackName} from '../../release/license.ts'
import type {ChannelName, Matrix, ReleaseArtifact} from '../../release/release.ts'

/**
 * What the panel remembers. All times are seconds since the epoch, all digests 64 hex digits.
 * Two implementations from one Kysely code base: store/sqlite (one directory) and store/postgres
 * (several instances); one conformance suite (test/unit/panel/store-conformance.ts) runs over both.
 * Every mutating call writes its audit row in the same transaction.
 */
export type PanelStore = {
  readonly label: string

  // products
  /** Creates it, or returns the one there is. */
  addProduct(name: string, by: Actor): Promise<Product>
  product(name: string): Promise<Product | undefined>
  products(): Promise<readonly Product[]>
  /** Refuses with floor_lowered, product_unknown. */
  setProduct(name: string, change: ProductChange, by: Actor): Promise<Product>

  // releases
  /**
   * Adds a draft. The same digest again returns the one there is (`created: false`).
   * Refuses with release_conflict (details: fields that differ), version_burnt (recalled before),
   * version_below_floor, publisher_fenced, product_unknown.
   */
  addDraft(
    draft: NewRelease,
    by: Actor,
    fence?: number,
  ): Promise<{release: StoredRelease; created: boolean}>
  /**
   * Gives a draft the Sigstore bundle over its envelope, checked by the caller against the digest.
   * The same again is no change. Refuses with release_unknown, release_immutable, release_conflict.
   */
  setSigstore(
    product: string,
    version: string,
    given: {readonly sigstore: string; readonly digest: string},
    by: Actor,
  ): Promise<StoredRelease>
  release(product: string, version: string): Promise<StoredRelease | undefined>
  /** Descending precedence; keyset cursor is the sort key of the last one seen. */
  releases(product: string, query: ReleaseQuery): Promise<readonly StoredRelease[]>
  /** The highest published release by SemVer on these channels, at or above the floor. */
  highest(product: string, channels: readonly ChannelName[]): Promise<StoredRelease | undefined>
  /**
   * Flips a draft in one transaction: sequence, log leaf, audit row. The caller has verified blobs,
   * signatures and matrix against `matrixVersion`, which is compared again inside.
   * Publishing the same digest again changes nothing (`changed: false`).
   * Refuses with release_unknown, release_conflict (If-Match), release_recalled,
   * version_below_floor, publisher_fenced, matrix_changed, keys_changed.
   */
  publish(
    product: string,
    version: string,
    expected: PublishExpectation,
    by: Actor,
  ): Promise<{release: StoredRelease; changed: boolean}>
  /** Refuses with release_unknown, release_not_published. Again with the same text: no change. */
  recall(
    product: string,
    version: string,
    recall: Recall,
    by: Actor,
    logTime?: number,
  ): Promise<StoredRelease>
  /**
   * Drops a draft that was never published; its number stays free.
   * Refuses with release_unknown, release_immutable.
   */
  dropDraft(product: string, version: string, by: Actor): Promise<void>

  /** A lease on publishing a product; every lease has a higher fence than the one before. */
  lease(product: string, seconds: number, by: Actor): Promise<{fence: number; expires: number}>

  // release log (RFC 6962 shaped hashes over leaves, append-only, per product)
  log(product: string, from: number, limit: number): Promise<readonly LogLeaf[]>
  logHead(product: string): Promise<{size: number; root: string}>
  /** RFC 6962 section 2.1.2, in hex; undefined for sizes that the log never had in this order. */
  logProof(product: string, first: number, second: number): Promise<readonly string[] | undefined>

  // licences
  addLicense(license: StoredLicense, by: Actor): Promise<StoredLicense>
  license(id: string): Promise<StoredLicense | undefined>
  licenses(product: string, after?: string, limit?: number): Promise<readonly StoredLicense[]>
  /**
   * Every change raises `epoch`, which clears caches of verdicts in every instance.
   * Refuses with license_unknown, license_revoked (for good), license_stale.
   */
  setLicense(id: string, change: LicenseChange, by: Actor): Promise<StoredLicense>
  /** One number for all licences; instances poll it (at most 5 s old). */
  licenseEpoch(): Promise<number>

  // tokens of people and pipelines
  addToken(token: StoredToken, by: Actor): Promise<void>
  /** By SHA-256 of the whole token. */
  token(sha256: string): Promise<StoredToken | undefined>
  tokens(): Promise<readonly StoredToken[]>
  revokeToken(id: string, by: Actor): Promise<void>

  // pipelines that show the identity of their run
  publishers(): Promise<readonly Publisher[]>
  /** Refuses with product_unknown. */
  addPublisher(publisher: Publisher, by: Actor): Promise<void>
  /** Its tokens end with it; again is no change. Refuses with publisher_unknown. */
  removePublisher(id: string, by: Actor): Promise<void>
  /**
   * Adds the token that a run gets for its identity, once for each identity.
   * Refuses with oidc_token_replayed, oidc_publisher_unknown.
   */
  addExchanged(
    seen: {readonly id: string; readonly expires: number},
    token: StoredToken,
    details: NonNullable<AuditEvent['details']>,
  ): Promise<void>

  // uploads
  /** Refuses with upload_quota when its owner would have more under way than `limit`. */
  addUpload(upload: StoredUpload, limit?: UploadLimit): Promise<void>
  upload(id: string): Promise<StoredUpload | undefined>
  removeUpload(id: string): Promise<void>
  /** Uploads whose time was up before `now`. */
  expiredUploads(now: number): Promise<readonly StoredUpload[]>

  // reports of nodes, audit
  addReport(report: NodeReport): Promise<void>
  /**
   * What a node says of itself without a report. A lower number than before is told, once a day at
   * most: the audit event `device.rolled_back` and the report `device_rolled_back`. What is known already writes nothing.
   */
  noteNode(statement: NodeStatement): Promise<void>
  /** What nodes of a product ran into since a time, most frequent first. */
  reportCounts(product: string, since: number): Promise<readonly ReportCount[]>
  audit(after: number, limit: number): Promise<readonly AuditRow[]>
  /** How many rows the audit log has, and the hash of the last one. */
  auditHead(): Promise<{rows: number; head: string}>
  /** Walks the hash chain from the start; the first row that does not fit, if any. */
  verifyAudit(): Promise<{rows: number; head: string; broken?: number}>
  /** Writes an event that changed nothing else (a sign-in, a refusal). */
  record(event: AuditEvent, by: Actor): Promise<void>

  /** Whether a release of one of these products names the digest. */
  namesBlob(sha256: string, products: readonly string[]): Promise<boolean>
  /** Digests that any release or upload names: what garbage collection keeps. */
  liveBlobs(): AsyncIterable<string>
  /**
   * Calls `remove` unless something names the digest, and says whether it did; no draft or upload
   * can begin to name it before `remove` is done. For garbage collection alone.
   */
  unlessLive(sha256: string, remove: () => Promise<void>): Promise<boolean>

  /** The latest of this time and all that any instance ever gave, in seconds since the epoch. */
  latestTime(now: number): Promise<number>
  /** Forgets a time that was wrong; running panels remember it until they are started again. */
  resetTime(now: number, by: Actor): Promise<void>
  /** Small values of the panel itself (schema version, keys' public halves). */
  setting(name: string): Promise<string | undefined>
  setSetting(name: string, value: string): Promise<void>
  /** Sets it unless somebody did before, and returns what it is: of many at once, one wins. */
  claimSetting(name: string, value: string): Promise<string>

  /** A consistent copy while running (SQLite); refuses with backup_unsupported elsewhere. */
  backup(path: string): Promise<void>
  checkWritable(): Promise<void>
  close(): Promise<void>
}

/** Who did it: a token's id or `local`, and the request it was done in. */
export type Actor = {readonly id: string; readonly requestId?: string}

export type Product = {
  readonly name: string
  readonly matrix: Matrix
  /** Nothing lower is offered; only rises. */
  readonly floor?: string
  /** Versions that must be visited on the way up. */
  readonly stopovers: readonly string[]
  /** The trust anchor (`trust.json` text) whose keys may sign this product's releases. */
  readonly anchor?: string
  readonly created: number
}

export type ProductChange = {
  readonly required?: Matrix['required']
  readonly floor?: string
  readonly stopovers?: readonly string[]
  readonly anchor?: string
}

export const releaseStates = ['draft', 'published', 'recalled'] as const

export type ReleaseState = (typeof releaseStates)[number]

export type NewRelease = {
  readonly product: string
  readonly version: string
  readonly channel: ChannelName
  /** Digest of the canonical form: what "the same" means. */
  readonly digest: string
  /** The envelope's text, byte for byte as it was sent. */
  readonly envelope: string
  readonly artifacts: readonly ReleaseArtifact[]
}

export type StoredRelease = NewRelease & {
  readonly state: ReleaseState
  /** The Sigstore bundle over the envelope's exact bytes, byte for byte as it was sent. */
  readonly sigstore?: string
  /** Byte order of it is SemVer precedence. */
  readonly sortKey: string
  /** Rises by one per product with every publication, without gaps; absent in drafts. */
  readonly sequence?: number
  readonly created: number
  readonly published?: number
  readonly recall?: Recall
}

export type Recall = {
  readonly reason: string
  readonly advisory?: string
  readonly replacement?: string
}

export type ReleaseQuery = {
  readonly channels?: readonly ChannelName[]
  readonly states?: readonly ReleaseState[]
  readonly limit: number
  /** Sort key; only lower ones are returned. */
  readonly below?: string
}

export type PublishExpectation = {
  readonly digest: string
  readonly matrixVersion: number
  /** The trust anchor that everything was checked by; not compared where absent. */
  readonly anchor?: string
  readonly fence?: number
  /** The time to log instead of the present, for a mirror: its log is the one it copies. */
  readonly logTime?: number
}

/** One published or recalled release in the append-only log. */
export type LogLeaf = {
  readonly index: number
  /** The text that is hashed: JCS of {event, product, version, digest, sequence, time}. */
  readonly text: string
}

export type StoredLicense = {
  readonly id: string
  readonly product: string
  readonly customer: string
  readonly track: TrackName
  readonly entitlements: readonly string[]
  readonly expires: number
  readonly serial: number
  readonly state: LicenseState
  /** The signed file, armoured. */
  readonly file: string
  readonly reason?: string
  readonly created: number
}

export type LicenseChange = {
  readonly state?: LicenseState
  readonly expires?: number
  readonly serial?: number
  readonly entitlements?: readonly string[]
  readonly file?: string
  readonly reason?: string
}

export const verbNames = ['publish', 'release', 'license', 'audit', 'admin'] as const

/** publish: draft and upload; release: publish and recall; admin: everything. */
export type VerbName = (typeof verbNames)[number]

export type StoredToken = {
  /** 26 characters, a ULID; in logs instead of the token. */
  readonly id: string
  readonly name: string
  readonly sha256: string
  readonly verbs: readonly VerbName[]
  /** Any product where absent. */
  readonly products?: readonly string[]
  readonly expires: number
  readonly revoked: boolean
  readonly created: number
  /** The publisher whose run got it for its identity; such a run is the same person every time. */
  readonly publisher?: string
}

/** Whose runs may publish a product without a token of the panel. */
export type Publisher = {
  readonly id: string
  readonly product: string
  /** Who vouches for the runs, such as https://token.actions.githubusercontent.com. */
  readonly issuer: string
  /** Numbers, as text: names of repositories and owners can pass to somebody else. */
  readonly repositoryId: string
  readonly ownerId: string
  /** Path of the workflow file in the repository. */
  readonly workflow: string
  /** refs/heads/… or refs/tags/…; a `*` at the end stands for any rest. */
  readonly refs: readonly string[]
  readonly environment?: string
  readonly verbs: readonly VerbName[]
  readonly removed: boolean
  readonly created: number
}

export type StoredUpload = {
  readonly id: string
  readonly sha256: string
  readonly size: number
  /** The token that may write to it. */
  readonly owner: string
  readonly created: number
  readonly expires: number
}

/** What one token may have under way: uploads, and the bytes they announced. */
export type UploadLimit = {readonly count: number; readonly bytes: number}

export type NodeReport = {
  readonly licenseId: string
  readonly code: string
  readonly version: string
  readonly phase: string
  readonly time: number
  /** The same for each sending of one report: of a licence, the first with it is kept. */
  readonly once?: string
  /** What the node is called, and the number of its record as it sends this; both, or neither. */
  readonly node?: string
  readonly seq?: number
}

/** The number of a node's record (docs/formats/device-state.md), which only rises on a node. */
export type NodeStatement = Pick<NodeReport, 'licenseId' | 'version' | 'phase' | 'time'> & {
  readonly node: string
  readonly seq: number
}

export type ReportCount = Pick<NodeReport, 'code' | 'version' | 'phase'> & {
  readonly reports: number
  /** Licences that they came with. */
  readonly licenses: number
  readonly latest: number
}

export type AuditEvent = {
  /** Dotted, in the past tense: `release.published`. */
  readonly event: string
  readonly product?: string
  readonly subject?: string
  /** No secrets. */
  readonly details?: Readonly<Record<string, string | number | boolean>>
}

export type AuditRow = AuditEvent & {
  readonly index: number
  readonly time: number
  readonly actor: string
  readonly requestId?: string
  /** SHA-256 of the row before, and of this one over it. */
  readonly previous: string
  readonly hash: string
}
