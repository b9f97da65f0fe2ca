import {z} from 'zod'
import {digestPattern} from '../../system/digest.ts'
import {RelError} from '../../system/error.ts'
import type {JsonObject} from '../../system/json.ts'
import type {Fact, IntegrityLevel, VerifiedAsset} from '../upstream.ts'
import type {TagTarget} from './api.ts'
import type {GitHubReleaseConfig} from './config.ts'
import type {Release, ReleaseAsset} from './release.ts'

/** A file of the release that was verified. */
export type VerifiedFile = {
  readonly asset: ReleaseAsset
  /** The file, then the program that was taken out of it. */
  readonly assets: readonly [VerifiedAsset, ...VerifiedAsset[]]
  readonly facts: readonly Fact[]
  readonly level: IntegrityLevel
}

const lockedAssetSchema = z.object({
  name: z.string(),
  id: z.number(),
  size: z.number(),
  sha256: z.string().regex(digestPattern),
  digest: z.string().nullable(),
  updated_at: z.string(),
})

const lockSchema = z.object({
  tag: z.string(),
  commit: z.string(),
  release_id: z.number(),
  assets: z.array(lockedAssetSchema),
})

export type ReleaseLock = z.output<typeof lockSchema>
export type LockedAsset = z.output<typeof lockedAssetSchema>

/** What verify has put into the lock file; undefined for anything else. */
export function readLock(lock: JsonObject | undefined): ReleaseLock | undefined {
  return lockSchema.safeParse(lock).data
}

export function requireLock(lock: JsonObject): ReleaseLock {
  const read = readLock(lock)
  if (read !== undefined) return read
  throw new RelError('usage_invalid', 'the lock entry is not one of a GitHub release', {
    hint: 'Bump the item again, which writes the entry anew.',
  })
}

/** What an audit compares later. */
export function lockOf(
  {kind, repository}: GitHubReleaseConfig,
  release: Release,
  {commit, tagObject}: TagTarget,
  verified: readonly VerifiedFile[],
): JsonObject {
  return {
    kind,
    repository,
    tag: release.tag_name,
    commit,
    ...(tagObject === undefined ? {} : {tag_object: tagObject}),
    release_id: release.id,
    immutable: release.immutable ?? false,
    ...(release.published_at === null ? {} : {published_at: release.published_at}),
    assets: verified.map(lockedAsset),
  }
}

function lockedAsset({asset, assets: [file, member], level}: VerifiedFile): JsonObject {
  return {
    arch: file.arch,
    name: asset.name,
    id: asset.id,
    size: file.size,
    sha256: file.sha256,
    digest: asset.digest ?? null,
    updated_at: asset.updated_at,
    level,
    ...(member === undefined ? {} : {member: {name: member.name, sha256: member.sha256}}),
  }
}
