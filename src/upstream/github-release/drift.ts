import {z} from 'zod'
import {RelError} from '../../system/error.ts'
import type {JsonObject} from '../../system/json.ts'
import type {Drift} from '../upstream.ts'
import type {TagTarget} from './api.ts'
import type {Release, ReleaseAsset} from './release.ts'

const lockedAssetSchema = z.object({
  name: z.string(),
  id: z.number(),
  size: z.number(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
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
type LockedAsset = z.output<typeof lockedAssetSchema>

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

/** In which ways a release is no longer what was locked: ids, digests, sizes, dates, commit. */
export function releaseDrift(
  lock: ReleaseLock,
  release: Release | undefined,
  target: TagTarget | undefined,
): readonly Drift[] {
  if (release === undefined) return [{...drift('release_gone', lock.tag), wanted: lock.tag}]
  return [
    ...tagDrift(lock, target),
    ...(release.id === lock.release_id
      ? []
      : [drift('asset_replaced', lock.tag, `release ${release.id}`, `release ${lock.release_id}`)]),
    ...lock.assets.flatMap((locked) => assetDrift(locked, release.assets)),
  ]
}

function tagDrift({tag, commit}: ReleaseLock, target: TagTarget | undefined): readonly Drift[] {
  if (target?.commit === commit) return []
  return [drift('tag_moved', `tag ${tag}`, target?.commit ?? 'no tag', commit)]
}

function assetDrift(locked: LockedAsset, assets: readonly ReleaseAsset[]): readonly Drift[] {
  const {name} = locked
  const seen = assets.find((asset) => asset.name === name && asset.state === 'uploaded')
  if (seen === undefined) return [drift('asset_gone', name, 'nothing', 'the file')]
  const fields: readonly (readonly [string, unknown, unknown])[] = [
    ['id', seen.id, locked.id],
    ['size', seen.size, locked.size],
    ['date', seen.updated_at, locked.updated_at],
    // GitHub may add digests to old files some day: only one that differs is a replacement
    ['digest', seen.digest ?? `sha256:${locked.sha256}`, `sha256:${locked.sha256}`],
  ]
  const changed = fields.filter(([, now, then]) => now !== then)
  if (changed.length === 0) return []
  const shown = (side: 1 | 2) => changed.map((field) => `${field[0]} ${field[side]}`).join(', ')
  return [drift('asset_replaced', name, shown(1), shown(2))]
}

function drift(code: string, subject: string, seen = 'nothing', wanted = ''): Drift {
  return {subject, code, seen, wanted}
}
