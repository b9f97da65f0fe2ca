import {z} from 'zod'
import {digestPattern} from '../../system/digest.ts'
import {RelError} from '../../system/error.ts'
import type {JsonObject} from '../../system/json.ts'

const objectId = z.string().regex(/^[0-9a-f]{40}$/)

const lockSchema = z.object({
  kind: z.literal('git_tree'),
  repository: z.string(),
  tag: z.string(),
  commit: objectId,
  tag_object: objectId.optional(),
  tree: objectId,
  assets: z.array(
    z.object({
      name: z.string(),
      arch: z.literal('any'),
      blob: objectId,
      sha256: z.string().regex(digestPattern),
      size: z.number(),
    }),
  ),
  builds: z
    .array(
      z.object({
        path: z.string(),
        hash: objectId,
        built_at: z.number(),
        branch: z.string(),
        variant: z.string(),
      }),
    )
    .default([]),
})

export type GitTreeLock = z.output<typeof lockSchema>

/** What verify has put into the lock file; undefined for anything else. */
export function readLock(lock: JsonObject | undefined): GitTreeLock | undefined {
  return lockSchema.safeParse(lock).data
}

/** Refuses with usage_invalid what is not the lock of a git tree. */
export function requireLock(lock: JsonObject): GitTreeLock {
  const read = readLock(lock)
  if (read !== undefined) return read
  throw new RelError('usage_invalid', 'the lock entry is not one of a git tree', {
    hint: 'Bump the item again, which writes the entry anew.',
  })
}

/** As JSON: members in the order of the type. */
export function lockJson({tag_object: tagObject, ...lock}: GitTreeLock): JsonObject {
  return {...lock, ...(tagObject === undefined ? {} : {tag_object: tagObject})}
}
