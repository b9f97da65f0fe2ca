import type {JsonObject} from '../system/json.ts'

/**
 * How well the bytes of an upstream are known (docs/formats/playbook.md):
 * L0 first use, nothing compared; L1 a checksum or Merkle tree of the same origin; L2 two
 * independent origins agree; L3 a signature by a pinned key or identity; L4 L3 and build provenance.
 */
export const integrityLevels = ['L0', 'L1', 'L2', 'L3', 'L4'] as const
export type IntegrityLevel = (typeof integrityLevels)[number]

/** One line of the verification table of a pull request. */
export type Fact = {
  /** What was checked, such as "traefik_v3.3.5_linux_amd64.tar.gz". */
  readonly subject: string
  /** How, such as "checksum file", "API digest", "InRelease signature". */
  readonly check: string
  /** Who says so: an origin, a key fingerprint, an identity. */
  readonly by: string
  readonly level: IntegrityLevel
  /** What was seen, for people. */
  readonly detail: string
}

/** A file of an upstream whose bytes are in the content cache and were verified to `level`. */
export type VerifiedAsset = {
  /** Such as amd64; 'any' for what has no architecture. */
  readonly arch: string
  readonly name: string
  /** 64 lower-case hex digits. */
  readonly sha256: string
  readonly size: number
  /** Where its bytes are: read-only, named by digest. */
  readonly path: string
  readonly level: IntegrityLevel
}

/** What upstream calls a version, before any byte of it was verified. */
export type Candidate = {
  /** As written into the pin. */
  readonly version: string
  /** Git tag, snapshot id or package version it stands for. */
  readonly tag: string
  /** Git commit or other immutable name, where there is one. */
  readonly commit?: string
  /** Seconds since the epoch. */
  readonly publishedAt?: number
  /** Upstream's own words, as they came: untrusted text. */
  readonly notes?: string
}

/** A version whose integrity was verified to `level`, with everything the evidence needs. */
export type VerifiedVersion = {
  readonly candidate: Candidate
  readonly assets: readonly VerifiedAsset[]
  readonly facts: readonly Fact[]
  /** The lowest level over all assets: what the playbook's minimum is compared with. */
  readonly level: IntegrityLevel
  /** What `rel bump audit` compares later: ids, sizes, digests, dates; printed into the lock file. */
  readonly lock: JsonObject
}

/** One way in which an upstream is no longer what the lock says. */
export type Drift = {
  readonly subject: string
  /** Permanent code, such as tag_moved, asset_replaced. */
  readonly code: string
  readonly seen: string
  readonly wanted: string
}

/**
 * Where a vendored thing comes from. Everything it returns is data; refusals are RelErrors with
 * codes of the upstream area: release_missing, upstream_release_incomplete (temporary), asset_missing (with
 * the nearest names), rate_limited (temporary, says when), checksum_*, digest_*, and so on.
 */
export type Upstream = {
  /** The newest version of the line of `current`, or undefined when `current` is the newest. */
  latest(current: string): Promise<Candidate | undefined>
  /** The version named by the user: it exists, and is complete. */
  find(version: string): Promise<Candidate>
  /** Below, equal or above zero, by the upstream's own order (k3s, dpkg, semver, dates). */
  compare(a: string, b: string): number
  /** Downloads what the playbook names and verifies it to `minimum`, or refuses: never silently less. */
  verify(candidate: Candidate, minimum: IntegrityLevel): Promise<VerifiedVersion>
  /** Compares a locked version with what upstream says now. */
  audit(version: string, lock: JsonObject): Promise<readonly Drift[]>
}
