import type {Drift} from '../upstream.ts'
import type {TagTarget} from './api.ts'
import type {LockedAsset, ReleaseLock} from './lock.ts'
import type {Release, ReleaseAsset} from './release.ts'

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
