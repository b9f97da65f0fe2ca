import type {EnvelopeSignature} from '../trust/envelope.ts'

/** `stable` sees stable alone; `prerelease` sees beta and rc, never stable (D0, strict both ways). */
export const trackNames = ['stable', 'prerelease'] as const

export type TrackName = (typeof trackNames)[number]

/** What a licence file signs (docs/formats/license.md). */
export type License = {
  /** 26 characters, a ULID. */
  readonly id: string
  readonly product: string
  /** Whom it is for, as people call them. */
  readonly customer: string
  readonly track: TrackName
  /** `channel:canary` adds that channel; others gate artifacts' components by `component:NAME`. */
  readonly entitlements: readonly string[]
  /** Seconds since the epoch. */
  readonly issued: number
  /** Seconds since the epoch; from then on the licence is frozen: it keeps what it has. */
  readonly expires: number
  /** Rises with every renewal; a lower one than the highest seen is stale. */
  readonly serial: number
}

/** A licence file as read: well-formed, its signatures not checked yet. */
export type LicenseFile = {
  readonly license: License
  readonly canonical: string
  readonly signatures: readonly EnvelopeSignature[]
}

/** What the panel says of a licence; expiry makes an active one frozen without being written. */
export const licenseStates = ['active', 'frozen', 'revoked'] as const

export type LicenseState = (typeof licenseStates)[number]
