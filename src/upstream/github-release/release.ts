import {z} from 'zod'
import {RelError} from '../../system/error.ts'

/** More than GitHub allows (1000), so that no answer can occupy us. */
const MAX_ASSETS = 2000

const assetSchema = z.object({
  id: z.int().min(0),
  name: z.string().min(1).max(1024),
  size: z.int().min(0),
  state: z.string().max(40),
  digest: z.string().max(200).nullish(),
  updated_at: z.string().max(40),
})

const releaseSchema = z.object({
  id: z.int().min(0),
  tag_name: z.string().min(1).max(1024),
  draft: z.boolean(),
  prerelease: z.boolean(),
  immutable: z.boolean().optional(),
  published_at: z.string().max(40).nullable(),
  body: z.string().nullish(),
  assets: z.array(assetSchema).max(MAX_ASSETS),
})

const refSchema = z.object({
  ref: z.string().max(1024),
  object: z.object({sha: z.string().regex(/^[0-9a-f]{40,64}$/), type: z.string().max(40)}),
})

export type ReleaseAsset = z.output<typeof assetSchema>
export type Release = z.output<typeof releaseSchema>
export type GitRef = z.output<typeof refSchema>

/** What is used of GitHub's answers; refuses with upstream_answer_malformed. */
export function parseRelease(json: unknown, tag: string): Release {
  const release = parse(releaseSchema, json, `release ${tag}`)
  if (release.tag_name !== tag)
    throw new RelError(
      'upstream_answer_malformed',
      `asked for release ${tag}, got ${JSON.stringify(release.tag_name.slice(0, 100))}`,
    )
  return release
}

export function parseRefs(json: unknown): readonly GitRef[] {
  return parse(z.array(refSchema).max(100_000), json, 'the list of tags')
}

/** A tag, or the object that an annotated tag points at. */
export function parseRef(json: unknown, what: string): GitRef {
  return parse(refSchema, json, what)
}

function parse<T>(schema: z.ZodType<T>, json: unknown, what: string): T {
  const result = schema.safeParse(json)
  if (result.success) return result.data
  const {path = [], message = ''} = result.error.issues[0] ?? {}
  throw new RelError(
    'upstream_answer_malformed',
    `${what}: ${path.map(String).join('.') || 'the answer'}: ${message}`,
  )
}

/** Seconds since the epoch; undefined for what is no date. */
export function publishedAt(release: Release): number | undefined {
  const ms = Date.parse(release.published_at ?? '')
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000)
}
