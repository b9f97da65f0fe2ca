import {z} from 'zod'

const arch = z.enum(['amd64', 'arm64', 'armhf', 'riscv64'])
const packageName = z.string().regex(/^[a-z0-9][a-z0-9+.-]{0,199}$/)

const suite = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9]*(-[a-z]+)*$/)
    .max(60)
    .describe('As in sources.list, such as bookworm-security or noble-updates.'),
  url: z
    .string()
    .max(500)
    .regex(/^https?:\/\/[^\s?#]+[^\s?#/]$/)
    .describe('Address of the archive; {snapshot} stands for the snapshot id.'),
  components: z
    .array(z.string().regex(/^[a-z][a-z-]{0,40}$/))
    .min(1)
    .max(8)
    .default(['main']),
  max_age_days: z
    .int()
    .min(1)
    .max(3650)
    .describe('How old the signed date may be, counted from the snapshot id or from now.'),
})

const common = {
  distribution: z.enum(['debian', 'ubuntu']),
  suites: z.array(suite).min(1).max(8).describe('All that the build has in its sources.'),
  keyring: z
    .strictObject({
      file: z.string().min(1).max(1024).describe('Keyring of the distribution, on this machine.'),
      fingerprints: z
        .array(z.string().regex(/^[0-9A-F]{40}$/))
        .min(1)
        .max(16)
        .describe('Primary keys that may sign, 40 upper-case hex digits each.'),
    })
    .describe('Whose signatures count.'),
}

const hasPlaceholder = ({url}: {readonly url: string}) => url.includes('{snapshot}')

/** A pin that is a snapshot id of an archive (docs/formats/upstream-apt.md). */
export const aptSnapshotSchema = z
  .strictObject({
    kind: z.literal('apt_snapshot'),
    ...common,
    architectures: z.array(arch).min(1).max(4),
    packages: z
      .array(packageName)
      .min(1)
      .max(32)
      .describe('Packages that the build takes from it.'),
  })
  .refine(({suites}) => suites.every(hasPlaceholder), {
    path: ['suites'],
    message: 'every url needs {snapshot}: apt may ignore an option that names it',
  })

/** As `snapshot` of a kernel: its versions are snapshot ids. */
export const PINNED_SNAPSHOT = '{new}'

/**
 * A pin that is a kernel release, such as 6.1.0-56-arm64, or the snapshot that the kernel is taken
 * from (docs/formats/upstream-apt.md).
 */
export const aptKernelSchema = z
  .strictObject({
    kind: z.literal('apt_kernel'),
    ...common,
    arch,
    meta: packageName.describe('Package that stands for the line, such as linux-image-arm64.'),
    meta_before: packageName
      .optional()
      .describe('That of the line before, while the item moves from one line to another.'),
    snapshot: z
      .string()
      .max(16)
      .optional()
      .describe('Snapshot id that {snapshot} in a url stands for; {new} where the id is the pin.'),
  })
  .refine(
    ({suites, snapshot}) =>
      suites.every((entry) => hasPlaceholder(entry) === (snapshot !== undefined)),
    {path: ['snapshot'], message: 'snapshot and {snapshot} in every url go together'},
  )

export type AptSnapshotConfig = z.output<typeof aptSnapshotSchema>
export type AptKernelConfig = z.output<typeof aptKernelSchema>
