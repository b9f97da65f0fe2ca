import type {EnvelopeSignature} from '../trust/envelope.ts'

/** The channels of a version, from its pre-release part; a client never chooses one. */
export const channelNames = ['stable', 'rc', 'beta', 'canary'] as const

export type ChannelName = (typeof channelNames)[number]

/** A binary, archive or other file of a release, as its signed manifest describes it. */
export type ReleaseArtifact = {
  /** File name, unique in the release: one path segment that GitHub would not rename. */
  readonly name: string
  readonly component: string
  readonly os: string
  readonly arch: string
  /** Bytes. */
  readonly size: number
  /** 64 lower-case hex digits. */
  readonly sha256: string
  /** Ed25519 over the artifact's bytes (D0), 64 bytes in padded base64. */
  readonly signature: string
  /** Key id of the artifact key, 64 hex digits. */
  readonly keyId: string
  readonly required: boolean
}

/** What a release manifest signs: `kind: release` of the envelope (docs/formats/release-manifest.md). */
export type Release = {
  readonly product: string
  readonly version: string
  /** Follows from the version; stated so that it is signed. */
  readonly channel: ChannelName
  /** Seconds since the epoch. */
  readonly timestamp: number
  readonly expires?: number
  /** Floor that a node adopts after it committed this version. */
  readonly minVersion?: string
  /** Lowest installed version that may go to this one directly. */
  readonly minFrom?: string
  /** Lower-case commit id of the source, 40 or 64 hex digits. */
  readonly commit?: string
  /** By name. */
  readonly artifacts: readonly ReleaseArtifact[]
}

/** A release manifest as read: well-formed and consistent, its signatures not checked yet. */
export type ReleaseFile = {
  readonly release: Release
  /** What is signed. */
  readonly canonical: string
  readonly signatures: readonly EnvelopeSignature[]
  /** SHA-256 in hex of the canonical form: what "the same release" means. */
  readonly digest: string
}

/** A (component, os, arch) that every release of a product must have. */
export type Slot = {readonly component: string; readonly os: string; readonly arch: string}

/** What a product demands of its releases. */
export type Matrix = {
  /** Rises by one with every change. */
  readonly version: number
  readonly required: readonly Slot[]
}
