import type {Kysely, Transaction} from 'kysely'

/** Rows as both databases keep them: times in seconds, booleans as 0 and 1, JSON as text. */
export type Tables = {
  settings: {name: string; value: string}
  /** Numbers that only rise; their rows are also what transactions queue up for. */
  counters: {name: CounterName; value: number}
  products: ProductRow
  releases: ReleaseRow
  /** Which release names which blob: what garbage collection keeps. */
  release_blobs: {product: string; version: string; sha256: string}
  log_leaves: {product: string; position: number; text: string}
  licenses: LicenseRow
  tokens: TokenRow
  publishers: PublisherRow
  /** Identity tokens that were exchanged, until they would have expired anyway. */
  identities_seen: {id: string; expires: number}
  uploads: UploadRow
  reports: ReportRow
  nodes: NodeRow
  audit: AuditTableRow
}

export type CounterName = 'audit' | 'blobs' | 'clock' | 'license_epoch'

export type ProductRow = {
  name: string
  matrix_version: number
  required: string
  floor: string | null
  floor_key: string | null
  stopovers: string
  anchor: string | null
  created: number
  sequence: number
  fence: number
  fence_expires: number
}

export type ReleaseRow = {
  product: string
  version: string
  sort_key: string
  channel: string
  digest: string
  envelope: string
  artifacts: string
  state: string
  sequence: number | null
  created: number
  published: number | null
  recall: string | null
  /** The Sigstore bundle over the envelope; settled with the publication. */
  sigstore: string | null
}

/** What no release changes once it is drafted; each database guards it with triggers of its own. */
export const releaseIdentity = [
  'product',
  'version',
  'sort_key',
  'channel',
  'digest',
  'envelope',
  'artifacts',
  'created',
] as const satisfies readonly (keyof ReleaseRow)[]

export type LicenseRow = {
  id: string
  product: string
  customer: string
  track: string
  entitlements: string
  expires: number
  serial: number
  state: string
  file: string
  reason: string | null
  created: number
}

export type TokenRow = {
  id: string
  name: string
  sha256: string
  verbs: string
  products: string | null
  expires: number
  revoked: number
  created: number
  publisher: string | null
}

export type PublisherRow = {
  id: string
  product: string
  rule: string
  verbs: string
  removed: number
  created: number
}

export type UploadRow = {
  id: string
  sha256: string
  size: number
  owner: string
  created: number
  expires: number
}

export type ReportRow = {
  license_id: string
  code: string
  version: string
  phase: string
  time: number
  once: string | null
}

/** What a node has stated of itself last. */
export type NodeRow = {
  license_id: string
  node: string
  seq: number
  version: string
  /** When it was last told to be rolled back. */
  told: number | null
}

export type AuditTableRow = {
  position: number
  time: number
  actor: string
  request_id: string | null
  event: string
  product: string | null
  subject: string | null
  details: string | null
  previous: string
  hash: string
}

/** What differs between the databases; everything else is one code base. */
export type Engine = {
  readonly label: string
  /** For reading alone. */
  readonly db: Kysely<Tables>
  /** For transactions; of SQLite a connection of its own, so that no reader waits for a writer. */
  readonly writer: Kysely<Tables>
  /** Whether a transaction must lock rows; SQLite has one writer anyway. */
  readonly hasRowLocks: boolean
  /** Type of text whose order is that of its bytes. */
  readonly text: string
  /** Statements that make published releases, the log and the audit rows unchangeable. */
  readonly guards: readonly string[]
  /** Statement that guards the Sigstore bundle of a published release. */
  readonly sigstoreGuard: string
  /** Runs before the migrations read the schema's version, in their transaction. */
  lockSchema(trx: Transaction<Tables>): Promise<void>
  /** An error of the database as one of rel's; undefined for a bug. */
  refusal(error: unknown): Error | undefined
  /** Whether the same transaction may pass when it is run again. */
  isTransient(error: unknown): boolean
  backup(path: string): Promise<void>
  close(): Promise<void>
}

/** One transaction that writes. */
export type Work = {
  readonly trx: Transaction<Tables>
  readonly engine: Engine
  /** Seconds since the epoch, the same for all that the transaction writes. */
  readonly now: number
}
