import {z} from 'zod'
import {aptKernelSchema, aptSnapshotSchema} from '../upstream/apt/config.ts'
import {gitTreeSchema} from '../upstream/git-tree/config.ts'
import {githubReleaseSchema, k3sSchema} from '../upstream/github-release/config.ts'

/** Where a version comes from; each kind describes its own keys in src/upstream/KIND/config.ts. */
export const upstreamSchema = z.discriminatedUnion('kind', [
  githubReleaseSchema,
  k3sSchema,
  aptSnapshotSchema,
  aptKernelSchema,
  gitTreeSchema,
])
