import {z} from 'zod'

/** Words that a template may hold; orders.ts puts them in. */
const placeholders = /\{(?:version|number|major|minor|patch)\}/g

function template(allowed: RegExp) {
  return z
    .string()
    .min(1)
    .max(200)
    .refine((text) => allowed.test(text.replace(placeholders, '0')), 'is not a name or template')
}

/** A file of a release: GitHub stores no other characters, and no path can be made of it. */
const assetName = template(/^[A-Za-z0-9_+-][A-Za-z0-9._+-]*$/)
/** A path inside an archive, relative and without tricks. */
const memberPath = template(/^[A-Za-z0-9._+-]+(?:\/[A-Za-z0-9._+-]+)*$/).refine(
  (path) => !path.split('/').some((segment) => segment === '.' || segment === '..'),
  'has . or .. in it',
)
/** An address that a playbook may name: https, or this machine itself. */
export const httpUrl = z
  .url({protocol: /^https?$/})
  .max(1024)
  .refine((url) => !/[?#@]/.test(url), 'has a user, a query or a fragment')
  .refine(isPrivate, 'is not https, which only this machine itself may be asked without')
/** Without https everybody on the way could answer, and read the token. */
function isPrivate(url: string): boolean {
  if (!URL.canParse(url)) return false
  const {protocol, hostname} = new URL(url)
  return protocol === 'https:' || ['127.0.0.1', 'localhost', '[::1]'].includes(hostname)
}

const arch = z
  .string()
  .regex(/^[a-z0-9_]{1,20}$/)
  .describe('Such as amd64 or arm64.')

const DEFAULT_MAX_BYTES = 1024 * 1024 * 1024

const assetSchema = z.strictObject({
  arch,
  name: assetName.describe('Exact name; {version} and {number} (without v) are replaced.'),
  member: memberPath
    .optional()
    .describe('Path of the one program inside a tar archive, which is taken out.'),
  max_bytes: z.int().min(1).default(DEFAULT_MAX_BYTES),
})

const checksumsSchema = z.strictObject({
  name: assetName.describe('Name of the checksum file of the release.'),
  arch: arch.optional().describe('When there is one checksum file for each architecture.'),
})

const attestationSchema = z
  .strictObject({
    issuer: httpUrl,
    san: z.string().min(1).max(1024).describe('Workflow and ref; {version} is replaced.'),
    repo_id: z.string().regex(/^[1-9]\d{0,18}$/),
    trigger: z.array(z.string().min(1).max(100)).min(1).max(16),
    runner: z.string().min(1).max(100).default('github-hosted'),
  })
  .describe('Who must have attested each file (GitHub artifact attestations).')

const shared = {
  repository: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,38}\/(?!\.)[A-Za-z0-9._-]{1,100}$/)
    .describe('owner/name'),
  api_url: httpUrl.default('https://api.github.com').describe('For GitHub Enterprise and tests.'),
  web_url: httpUrl.default('https://github.com').describe('Where downloads begin.'),
  private: z
    .boolean()
    .default(false)
    .describe('Downloads go through the API with the token; each counts as a call.'),
  tag: z
    .string()
    .max(100)
    .regex(/^[A-Za-z0-9._/-]*\{version\}$/)
    .default('{version}')
    .describe('Tag of a version, such as v{version} where pins have no v.'),
  line: template(/^[A-Za-z0-9._+-]+$/)
    .optional()
    .describe('Beginning of the versions to stay in; major.minor of the pin when absent.'),
  prereleases: z.boolean().default(false),
  assets: z.array(assetSchema).min(1).max(16),
  complete_with: z
    .array(z.array(assetName).min(1).max(8))
    .max(16)
    .default([])
    .describe('Of each list one file must be there too, else the release is not complete.'),
  checksums: z.array(checksumsSchema).max(16).default([]),
  digest: z
    .enum(['if_present', 'required'])
    .default('if_present')
    .describe('Whether the interface must give a digest; it has none before June 2025.'),
  second_origin: z
    .strictObject({url: template(/^https:\/\/[A-Za-z0-9./:_+{}-]+$/)})
    .optional()
    .describe('Checksums of the same files on another host; {name} is the file.'),
  attestation: attestationSchema.optional(),
  changelog: memberPath.optional().describe('File at the tag, such as CHANGELOG.md.'),
  upload_hours: z
    .int()
    .min(0)
    .max(720)
    .default(48)
    .describe('How long after publishing a missing file counts as not uploaded yet.'),
}

/** A release with files on GitHub (docs/formats/upstream-github.md). */
export const githubReleaseSchema = z.strictObject({
  kind: z.literal('github_release'),
  order: z.enum(['semver', 'date']).default('semver').describe('How versions are sorted.'),
  ...shared,
})

/** The same with k3s's versions and, if wanted, its channel server. */
export const k3sSchema = z.strictObject({
  kind: z.literal('k3s'),
  channels: z
    .strictObject({
      url: httpUrl.describe('Such as https://update.k3s.io/v1-release/channels.'),
      name: template(/^[A-Za-z0-9._-]+$/).default('v{major}.{minor}'),
    })
    .optional()
    .describe(
      'Where the newest version of a line is announced; the tags stand in when it is down.',
    ),
  ...shared,
})

export type GitHubReleaseConfig = z.output<typeof githubReleaseSchema> | z.output<typeof k3sSchema>
export type AssetConfig = GitHubReleaseConfig['assets'][number]
