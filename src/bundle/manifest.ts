import type {EnvelopeSignature} from '../trust/envelope.ts'

/** The manifest of a bundle, file by file as on the wire (docs/formats/manifest.md), in camelCase. */
export type BundleManifest = {
  readonly bundleName: string
  readonly version: string
  /** Seconds since the epoch at which it was signed. */
  readonly timestamp: number
  /** Sorted by path in UTF-16 code unit order, as RFC 8785 sorts keys. */
  readonly files: readonly FileEntry[]
  /** Absent in a true D2 manifest, which signs neither sizes nor modes. */
  readonly rel?: RelSection
}

export type FileMode = '0644' | '0755'

export type FileEntry = {
  readonly path: string
  /** 64 lower-case hex digits. */
  readonly sha256: string
  /** Bytes; absent only in a true D2 manifest. */
  readonly size?: number
  /** Absent only in a true D2 manifest. */
  readonly mode?: FileMode
}

/** A symbolic link: relative, resolving inside the bundle. */
export type LinkEntry = {readonly path: string; readonly target: string}

export type RelSection = {
  readonly spec: 1
  readonly kind: 'bundle' | 'release'
  readonly product: string
  readonly channel: string
  /** Rises per product and channel; tells apart two manifests of one version. */
  readonly sequence: number
  /** Seconds since the epoch after which the manifest is refused; never when absent. */
  readonly expires?: number
  /** The floor a device adopts once it has committed to this version. */
  readonly minVersion?: string
  /** The lowest installed version that may apply this one. */
  readonly minFrom?: string
  /** The lowest version of the updater that understands it. */
  readonly minUpdater?: string
  /** Such as linux-arm64; any machine when empty. */
  readonly targets: readonly string[]
  readonly totalSize: number
  readonly links: readonly LinkEntry[]
  /** Keys that begin with x-, kept as they are. */
  readonly extensions: Readonly<Record<string, string>>
}

/** manifest.json as parsed: well-formed and within limits, but nothing in it is trusted yet. */
export type ManifestFile = {
  readonly manifest: BundleManifest
  /** D2's signature over the canonical manifest, base64. */
  readonly signature?: string
  readonly signatures: readonly EnvelopeSignature[]
}

export const MANIFEST_NAME = 'manifest.json'

/**
 * Files at the root of a bundle that speak about it and are not part of it. They cannot be listed
 * in a manifest, and nothing else may be unlisted.
 */
export const sidecarNames: readonly string[] = [
  'manifest.json',
  'manifest.json.minisig',
  'manifest.json.sig',
  'manifest.json.sigstore.json',
  'manifest.json.sshsig',
  'manifest.sig.bundle',
  'provenance.sigstore.json',
]

/**
 * Limits on what is read before it is trusted. 100,000 files are a real bundle (a node_modules
 * tree has 20,000 to 100,000), so reference figures for smaller bundles are raised here.
 */
export const manifestLimits = {
  /** A manifest of 262,144 files with 100-byte paths. */
  bytes: 64 * 1024 * 1024,
  entries: 262_144,
  depth: 8,
  pathBytes: 1024,
  segmentBytes: 255,
  /** Real trees stay below 20; each level costs memory before anybody's signature was looked at. */
  pathSegments: 64,
  /** Distinct directories; a node_modules tree of 100,000 files has 15,000. */
  directories: 65_536,
  /** Bytes of all paths beyond ASCII, whose folding takes a second for every 2 MiB at the worst. */
  unicodeBytes: 1024 * 1024,
  /** One sidecar: Sigstore bundles have 5 to 20 KB; certificates and proofs do not reach this. */
  sidecarBytes: 256 * 1024,
  signatures: 16,
  targets: 64,
  extensions: 32,
} as const
