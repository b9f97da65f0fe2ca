import {z} from 'zod'

/** Where a version comes from; each kind's own keys are described in src/upstream/KIND/config.ts. */
export const upstreamSchema = z.looseObject({
  kind: z.enum(['github_release', 'k3s', 'git_tree', 'apt_snapshot', 'deb_kernel']),
})

export type UpstreamConfig = z.output<typeof upstreamSchema>
