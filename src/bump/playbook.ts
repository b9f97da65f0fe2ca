import {z} from 'zod'
import {integrityLevels} from '../upstream/upstream.ts'
import {forgeSchema} from './forge/config.ts'
import {gateSchema} from './playbook-gates.ts'
import {pinSchema, repositoryPath} from './playbook-pins.ts'
import {upstreamSchema} from './playbook-upstreams.ts'

/** Words that `rel bump WORD` takes as commands, so that no item can have them as a name. */
export const reservedItems = [
  ...['list', 'plan', 'audit', 'new', 'resume', 'abort', 'vendor', 'help'],
] as const

/** A name in branch names, commit subjects and file names alike. */
const itemName = /^[a-z0-9][a-z0-9-]{0,39}$/

const inputName = z.string().regex(/^[A-Z][A-Z0-9_]{0,39}$/)
const command = z.array(z.string().min(1).max(4096)).min(1).max(64)
const line = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\p{Cc}]*$/u)

/** No dash first, nothing that git or a shell reads. */
const branchName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$/)

const inputSchema = z.strictObject({
  pattern: z.string().min(1).max(500).describe('Regular expression the whole value must match.'),
  example: line.describe('A value that fits, for error messages and questions.'),
  required: z.boolean().default(false),
})

const verifySchema = z.strictObject({
  min: z.enum(integrityLevels).describe('The least trust level; below it the bump is refused.'),
  min_age_hours: z
    .int()
    .min(0)
    .max(8760)
    .optional()
    .describe('How long a version must have been public.'),
})

const vendorSchema = z.strictObject({
  run: z.array(command).min(1).max(16).describe('Programs with arguments that vendor the version.'),
  artifacts: z
    .array(repositoryPath)
    .min(1)
    .max(64)
    .describe('Files they leave, whose digests are locked.'),
  timeout_secs: z.int().min(1).max(86_400).default(900),
})

const changeSchema = z.strictObject({
  base: branchName.describe('Branch that a bump starts from and goes into.'),
  branch: z
    .string()
    .min(1)
    .max(200)
    .regex(/\{item\}/, 'has no {item}: a branch of its own, never a line of the repository')
    .default('bump/{item}-{new}')
    .describe('Branch that a bump makes; {item}, {old} and {new} are replaced.'),
  remote: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/)
    .default('origin')
    .describe('Name of a remote, not its address.'),
  tag: z
    .enum(['never', 'always', 'critical'])
    .default('never')
    .describe('When the change is tagged; critical means with --critical.'),
  tag_name: z.string().min(1).max(200).default('{item}-{new}'),
  labels: z.array(z.string().min(1).max(50)).max(16).default([]),
  reviewers: z.array(z.string().min(1).max(100)).max(16).default([]),
  forge: forgeSchema.optional(),
  dispatch: z
    .strictObject({
      workflow: z.string().min(1).max(200),
      inputs: z.record(z.string().max(100), z.string().max(1000)).default({}),
    })
    .optional()
    .describe('Workflow to start on the branch where a forge is configured.'),
})

const rollbackSchema = z.strictObject({
  notes: z.string().min(1).max(2000).optional().describe('What people must know to go back.'),
})

/** A file of playbooks/ (docs/formats/playbook.md): how one pin is moved from version to version. */
export const playbookSchema = z
  .strictObject({
    $schema: z.string().max(1024).optional(),
    item: z
      .string()
      .regex(itemName)
      .refine((name) => !(reservedItems as readonly string[]).includes(name), 'is a command'),
    title: line,
    upstream: upstreamSchema,
    verify: verifySchema,
    inputs: z.record(inputName, inputSchema).default({}).describe('KEY=VALUE words; NEW is one.'),
    pins: z.array(pinSchema).min(1).max(16),
    vendor: vendorSchema.optional(),
    gates: z.array(gateSchema).max(32).default([]),
    change: changeSchema,
    rollback: rollbackSchema.default({}),
  })
  .describe('A playbook of rel bump: where a pin is and what must hold before it moves.')

/** A playbook with its defaults filled in; keys as in the file. */
export type Playbook = z.output<typeof playbookSchema>
export type PlaybookInput = Playbook['inputs'][string]

/** The schema for editors, draft 7 because yaml-language-server reads no later one. */
export function playbookJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(playbookSchema, {target: 'draft-7', io: 'input'})
  return {...schema, title: 'playbook of rel bump'}
}
