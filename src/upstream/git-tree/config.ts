import {z} from 'zod'
import {httpUrl} from '../github-release/config.ts'

/** A path in the repository, relative and without tricks; what is listed under it is checked too. */
const treePath = z
  .string()
  .max(200)
  .regex(/^[A-Za-z0-9_+-][A-Za-z0-9._+-]*(?:\/[A-Za-z0-9_+-][A-Za-z0-9._+-]*)*$/)

const DEFAULT_MAX_BYTES = 16 * 1024 * 1024

const fileSchema = z.strictObject({
  path: treePath.describe('Path in the repository, such as boot/start4.elf.'),
  max_bytes: z.int().min(1).max(1_073_741_824).default(DEFAULT_MAX_BYTES),
})

const folderSchema = z.strictObject({
  path: treePath.describe('Folder whose files are all taken, such as boot/overlays.'),
  suffix: z
    .string()
    .max(40)
    .regex(/^\.[A-Za-z0-9.]+$/)
    .describe('What the names of the files end with, such as .dtbo.'),
  max_files: z.int().min(1).max(4096).default(1024),
  max_bytes: z.int().min(1).max(1_073_741_824).default(1_048_576).describe('Of each file.'),
})

/** Files of a git repository at a tag (docs/formats/upstream-git-tree.md). */
export const gitTreeSchema = z
  .strictObject({
    kind: z.literal('git_tree'),
    repository: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,38}\/(?!\.)[A-Za-z0-9._-]{1,100}$/)
      .describe('owner/name'),
    api_url: httpUrl.default('https://api.github.com').describe('For GitHub Enterprise and tests.'),
    raw_url: httpUrl
      .default('https://raw.githubusercontent.com')
      .describe('Where the bytes of files are.'),
    order: z.enum(['date', 'semver']).default('date').describe('How tags are sorted.'),
    line: z
      .string()
      .max(40)
      .regex(/^[A-Za-z0-9._-]*(?:\{(?:major|minor)\}[A-Za-z0-9._-]*)*$/)
      .default('{major}.')
      .describe('What the tags to stay in begin with.'),
    files: z.array(fileSchema).min(1).max(256),
    folders: z.array(folderSchema).max(16).default([]),
    firmware: z
      .strictObject({
        branch: z
          .string()
          .regex(/^[A-Za-z0-9._/-]{1,100}$/)
          .describe('What VC_BUILD_ID_BRANCH must say, such as bcm2711_2.'),
      })
      .optional()
      .describe('The files are those of a Raspberry Pi GPU: pairs and build ids are checked.'),
  })
  .refine(({files}) => new Set(files.map(({path}) => path)).size === files.length, {
    path: ['files'],
    message: 'a file is named twice',
  })

export type GitTreeConfig = z.output<typeof gitTreeSchema>
