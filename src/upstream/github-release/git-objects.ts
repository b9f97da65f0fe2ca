import {z} from 'zod'
import {RelError} from '../../system/error.ts'

/** SHA-1 alone: what a repository of SHA-256 objects would say has 64 digits. */
const objectId = z.string().regex(/^[0-9a-f]{40}$/)

/** GitHub stops at 100,000 entries and says so. */
const MAX_ENTRIES = 100_000

const commitSchema = z.object({
  sha: objectId,
  message: z.string(),
  tree: z.object({sha: objectId}),
  committer: z.object({date: z.string().max(40)}),
})

const entrySchema = z.object({
  path: z.string().max(4096),
  mode: z.enum(['100644', '100755', '040000', '120000', '160000']),
  type: z.enum(['blob', 'tree', 'commit']),
  sha: objectId,
  size: z.int().min(0).optional(),
})

const treeSchema = z.object({
  sha: objectId,
  truncated: z.boolean(),
  tree: z.array(entrySchema).max(MAX_ENTRIES),
})

export type GitCommit = z.output<typeof commitSchema>
export type GitTree = z.output<typeof treeSchema>
export type TreeEntry = GitTree['tree'][number]

/** A commit as GitHub answers it. Refuses with upstream_answer_malformed, also another commit. */
export function parseCommit(json: unknown, id: string): GitCommit {
  return checkedId(commitSchema, json, id, 'commit')
}

/** One folder as GitHub answers it. Refuses with upstream_answer_malformed, also another folder. */
export function parseTree(json: unknown, id: string): GitTree {
  return checkedId(treeSchema, json, id, 'tree')
}

function checkedId<T extends {readonly sha: string}>(
  schema: z.ZodType<T>,
  json: unknown,
  id: string,
  what: string,
): T {
  const result = schema.safeParse(json)
  if (!result.success) {
    const {path = [], message = ''} = result.error.issues[0] ?? {}
    const where = path.map(String).join('.') || 'the answer'
    throw new RelError('upstream_answer_malformed', `${what} ${id}: ${where}: ${message}`)
  }
  if (result.data.sha === id) return result.data
  throw new RelError('upstream_answer_malformed', `asked for ${what} ${id}, got ${result.data.sha}`)
}
