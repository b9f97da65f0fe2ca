import type {JsonObject} from '../system/json.ts'
import type {Signer} from '../trust/signer.ts'
import type {BlobStore, UploadStore} from './blobs/blobs.ts'
import type {PanelStore} from './store/store.ts'

/** A panel that is open: what every route is given. Nothing else holds state between requests. */
export type Panel = {
  readonly store: PanelStore
  readonly blobs: BlobStore
  readonly uploads: UploadStore
  readonly keys: PanelKeys
  readonly config: PanelConfig
  /** Seconds since the epoch. */
  readonly clock: () => number
  readonly log: PanelLog
  readonly changes: Changes
}

/** The panel's own online keys; the publishers' keys are never on a panel. */
export type PanelKeys = {
  /** Signs licences that the panel issues, renews and freezes. */
  readonly license: Signer
  /** Signs freshness statements and checkpoints of the release log. */
  readonly freshness: Signer
}

export type PanelConfig = {
  /** Where nodes reach the panel, without a slash at the end; URLs are relative where absent. */
  readonly publicUrl?: string
  /** How the bytes of artifacts leave: by this process, by nginx, or by the object store. */
  readonly downloads:
    | {readonly by: 'panel'}
    /** `X-Accel-Redirect: PREFIX/PATH`, PREFIX without a slash at the end. */
    | {readonly by: 'accel'; readonly prefix: string}
    /** 307 to an address that is good for so many seconds, at most 60. */
    | {readonly by: 'redirect'; readonly seconds: number}
  /** How long a freshness statement is good for. */
  readonly freshnessSecs: number
  /** How long nodes are asked to wait between polls, before jitter. */
  readonly pollSecs: number
  /** Whoever drafted a release may not publish it with the same token. */
  readonly twoPersons: boolean
  /** Addresses of proxies whose X-Forwarded-For is believed; none where empty. */
  readonly proxies: readonly string[]
  readonly limits: PanelLimits
}

/** Every limit has its reason beside its default, in server/limits.ts. */
export type PanelLimits = {
  readonly bodyBytes: number
  readonly headerBytes: number
  /** Seconds for the whole head of a request. */
  readonly headerSecs: number
  /** Seconds for a whole request with its body. */
  readonly requestSecs: number
  /** Seconds without a byte in either direction. */
  readonly idleSecs: number
  /** Bytes per second below which a reader or an uploader is cut off, after idleSecs. */
  readonly minBytesPerSec: number
  readonly connections: number
  /** One bucket per licence or token. */
  readonly perCredential: BucketLimit
  /** One bucket per address; many nodes may share one. */
  readonly perAddress: BucketLimit
  /** Bytes of one upload. */
  readonly uploadBytes: number
  /** Seconds that an unfinished upload is kept. */
  readonly uploadSecs: number
  /** Unfinished uploads of one token. */
  readonly openUploads: number
  /** Bytes announced by them together. */
  readonly openUploadBytes: number
}

/** A token bucket: `burst` at once, refilled at `perSec`. */
export type BucketLimit = {readonly perSec: number; readonly burst: number}

/** One line of the log; never a header, a token, a licence or a body. */
export type LogEntry = {
  readonly level: 'error' | 'warn' | 'info'
  /** Dotted, in the past tense: `request.refused`. */
  readonly event: string
  readonly fields?: JsonObject
}

export type PanelLog = (entry: LogEntry) => void

/** Counts changes per product in this process, so that answers can be kept until the next one. */
export type Changes = {
  of(product: string): number
  mark(product: string): void
}
