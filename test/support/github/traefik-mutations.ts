import type {ErrorCode} from '../../../src/system/codes.ts'
import type {FakeGitHub} from './fake-github.ts'
import {sha256, traefikArchive} from './upstream-releases.ts'

/** Names of files of the synthetic Traefik v3.3.5. */
export const amd64 = 'traefik_v3.3.5_linux_amd64.tar.gz'
export const arm64 = 'traefik_v3.3.5_linux_arm64.tar.gz'
export const checksums = 'traefik_v3.3.5_checksums.txt'

/** One thing that is wrong with v3.3.5 of Traefik, and the code that names it. */
export type Mutation = {
  readonly name: string
  readonly code: ErrorCode
  readonly config?: object
  readonly mutate: (fake: FakeGitHub) => Promise<void>
}

/** Another file under the name of one of v3.3.5. */
export const replaceAsset = (fake: FakeGitHub, name: string, seed: object) =>
  fake.releases.replaceAsset('traefik/traefik', 'v3.3.5', {name, digest: null, ...seed})

/** What the checksum file says of an architecture, or of another name. */
export const checksumLine = async (arch: string, name = `traefik_v3.3.5_linux_${arch}.tar.gz`) =>
  `${sha256(await traefikArchive('v3.3.5', arch))}  ${name}\n`

/** The twelve mutations of requirement 2 of the field study: twelve codes, nothing left behind. */
export const traefikMutations: readonly Mutation[] = [
  {
    name: '1 bit of an asset',
    code: 'http_digest_mismatch',
    mutate: async (fake) => {
      const bytes = await traefikArchive('v3.3.5', 'arm64')
      bytes[100] = (bytes[100] ?? 0) ^ 1
      replaceAsset(fake, arm64, {bytes})
    },
  },
  {
    name: 'digests of two architectures swapped',
    code: 'checksum_swapped',
    mutate: async (fake) =>
      replaceAsset(fake, checksums, {
        bytes: (await checksumLine('amd64', arm64)) + (await checksumLine('arm64', amd64)),
      }),
  },
  {
    name: 'checksum line dropped',
    code: 'checksum_missing',
    mutate: async (fake) => replaceAsset(fake, checksums, {bytes: await checksumLine('amd64')}),
  },
  {
    name: 'two lines with two digests',
    code: 'checksum_contradiction',
    mutate: async (fake) =>
      replaceAsset(fake, checksums, {
        bytes: `${await checksumLine('amd64')}${await checksumLine('arm64')}${'0'.repeat(64)}  ${amd64}\n`,
      }),
  },
  {
    name: 'right digest under a wrong name',
    code: 'checksum_misnamed',
    mutate: async (fake) => {
      const bytes = await traefikArchive('v3.3.5', 'arm64')
      replaceAsset(fake, arm64, {bytes, digest: `sha256:${sha256(bytes)}`})
      replaceAsset(fake, checksums, {
        bytes: (await checksumLine('amd64')) + (await checksumLine('arm64', 'traefik.tgz')),
      })
    },
  },
  {
    name: 'digest null where one is required',
    code: 'digest_absent',
    config: {digest: 'required'},
    mutate: async () => undefined,
  },
  {
    name: 'digest malformed',
    code: 'digest_malformed',
    mutate: async (fake) =>
      replaceAsset(fake, amd64, {
        bytes: await traefikArchive('v3.3.5', 'amd64'),
        digest: 'sha512:00',
      }),
  },
  {
    name: 'digest that differs',
    code: 'digest_mismatch',
    mutate: async (fake) => {
      const bytes = await traefikArchive('v3.3.5', 'amd64')
      replaceAsset(fake, amd64, {bytes, digest: `sha256:${'1'.repeat(64)}`})
    },
  },
  {
    name: 'download truncated each time',
    code: 'http_truncated',
    mutate: async (fake) => fake.fail({path: /^\/asset\//, kind: 'cut', after: 10, times: 4}),
  },
  {
    name: 'checksum file 404',
    code: 'checksum_file_missing',
    mutate: async (fake) =>
      fake.fail({path: /checksums\.txt$/, kind: 'answer', answer: {status: 404, body: 'no'}}),
  },
  {
    name: 'a web page instead of the checksum file',
    code: 'checksum_file_html',
    mutate: async (fake) =>
      replaceAsset(fake, checksums, {bytes: '<!doctype html><title>Sign in</title>'}),
  },
  {
    name: 'size that differs',
    code: 'asset_size_mismatch',
    mutate: async (fake) =>
      replaceAsset(fake, amd64, {bytes: await traefikArchive('v3.3.5', 'amd64'), size: 7}),
  },
]
