import {z} from 'zod'
import {RelError} from '../../system/error.ts'

const name = z.string().max(500)
const address = z
  .string()
  .max(2000)
  .regex(/^https?:\/\/[^\s\p{Cc}]+$/u)

/** A pull request, as GitHub and Gitea both describe it. */
export const pullSchema = z.object({
  number: z.int().min(1),
  html_url: address,
  user: z.object({login: name}).nullish(),
  head: z.object({ref: name, repo: z.object({full_name: name.optional()}).nullish()}),
  base: z.object({ref: name}),
})
export type Pull = z.output<typeof pullSchema>

export const pullsSchema = z.array(pullSchema).max(1000)
export const labelsSchema = z.array(z.object({id: z.int(), name})).max(1000)

/** What they say that the owner of a token may do in a repository; Gitea has no triage. */
export const repositorySchema = z.object({
  permissions: z
    .object({
      pull: z.boolean().optional(),
      triage: z.boolean().optional(),
      push: z.boolean().optional(),
    })
    .nullish(),
})
export type Permissions = NonNullable<z.output<typeof repositorySchema>['permissions']>

/**
 * What is used of a forge's answer; keys beside it are ignored. Refuses with forge_answer_invalid:
 * a proxy's page, or a forge that is made after the API and differs.
 */
export function readAnswer<T>(schema: z.ZodType<T>, data: unknown, what: string): T {
  const {data: read, error} = schema.safeParse(data)
  if (error === undefined) return read
  const [issue] = error.issues
  const where = issue?.path.map(String).join('.') || 'the whole'
  throw new RelError('forge_answer_invalid', `${what}: ${where} of the answer is not as it should`)
}
