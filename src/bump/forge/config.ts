import {z} from 'zod'
import {httpUrl} from '../../upstream/github-release/config.ts'

const repository = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\/(?!\.)[A-Za-z0-9._-]{1,100}$/)
  .describe('owner/name of the repository that the pull request is in.')

/**
 * Where pull requests are opened (docs/guides/bump.md). No key of it names a token: a playbook
 * comes with a repository and must not choose which secret goes where.
 */
export const forgeSchema = z
  .discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('github'),
      repository,
      api_url: httpUrl.default('https://api.github.com').describe('For GitHub Enterprise.'),
    }),
    z.strictObject({
      kind: z.literal('gitea'),
      repository,
      api_url: httpUrl.describe('Such as https://git.example.org/api/v1.'),
    }),
  ])
  .describe('Where the pull request is opened; none is when absent.')

export type ForgeConfig = z.output<typeof forgeSchema>
