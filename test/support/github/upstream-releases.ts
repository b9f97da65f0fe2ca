import {createHash} from 'node:crypto'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {gzipSync} from 'node:zlib'
import {pack} from 'tar-stream'
import type {AssetSeed, ReleaseSeed} from './release-store.ts'

const vectors = join(import.meta.dirname, '../../vectors/upstream/github')

export function vector(name: string): Buffer {
  return readFileSync(join(vectors, name))
}

type Headers = Parameters<ReturnType<typeof pack>['entry']>[0]

/** One entry of an archive: a path with its content, or a header for what no honest one has. */
export type Entry = readonly [string | Headers, string | Buffer]

export async function tarGz(entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack()
  for (const [header, content] of entries) {
    const wanted = typeof header === 'string' ? {name: header, mode: 0o755} : header
    archive.entry({mtime: new Date(0), ...wanted}, content)
  }
  archive.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of archive) chunks.push(chunk as Buffer)
  return gzipSync(Buffer.concat(chunks))
}

export function sha256(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** A checksum file as goreleaser writes it. */
export function sums(files: Readonly<Record<string, Buffer | string>>): string {
  return Object.entries(files)
    .map(([name, bytes]) => `${sha256(bytes)}  ${name}\n`)
    .join('')
}

export const traefikChangelog = `## [v3.3.5](https://github.com/traefik/traefik/tree/v3.3.5) (2025-03-31)
[All Commits](https://github.com/traefik/traefik/compare/v3.3.4...v3.3.5)

**Bug fixes:**
- **[k8s]** a synthetic entry that names CVE-2025-32431 ([#11650](https://github.com/traefik/traefik/pull/11650) by [somebody](https://github.com/somebody))

## [v3.3.4](https://github.com/traefik/traefik/tree/v3.3.4) (2025-02-25)
older
`

/** Program of an architecture, as it comes out of the archive. */
export function traefikProgram(version: string, arch: string): Buffer {
  return Buffer.from(`synthetic traefik ${version} for ${arch}\n`.repeat(2000))
}

export async function traefikArchive(version: string, arch: string): Promise<Buffer> {
  return tarGz([
    ['CHANGELOG.md', traefikChangelog],
    ['LICENSE.md', 'synthetic licence\n'],
    ['traefik', traefikProgram(version, arch)],
  ])
}

/**
 * A release with Traefik's real names and layout and synthetic bytes, for the architectures that
 * the playbook asks for; all others have a size only. Digests are null as in March 2025.
 */
export async function syntheticTraefik(
  version: string,
  change: Partial<ReleaseSeed> = {},
): Promise<ReleaseSeed> {
  const {names, publishedAt} = JSON.parse(vector('synthetic-traefik-v3.3.5.json').toString()) as {
    names: readonly string[]
    publishedAt: string
  }
  const files: Record<string, Buffer> = {}
  for (const arch of ['amd64', 'arm64'])
    files[`traefik_${version}_linux_${arch}.tar.gz`] = await traefikArchive(version, arch)
  const assets = names.map((name): AssetSeed => {
    const real = name.replaceAll('v3.3.5', version)
    const bytes = real.endsWith('_checksums.txt') ? sums(files) : files[real]
    return {name: real, digest: null, ...(bytes === undefined ? {size: 5_000_000} : {bytes})}
  })
  return {tag: version, body: version, publishedAt, assets, ...change}
}

/** The real k3s v1.19.3+k3s3 by name, id, size and date; small synthetic bytes where asked for. */
export function recordedK3s(
  bytes: Readonly<Record<string, string>>,
  tag = 'v1.19.3+k3s3',
): ReleaseSeed {
  const seed = JSON.parse(vector('recorded-k3s-v1.19.3+k3s3.json').toString()) as ReleaseSeed
  const assets = seed.assets.map((asset) => {
    const content = bytes[asset.name]
    return content === undefined
      ? asset
      : {...asset, bytes: content, digest: null, size: content.length}
  })
  return {...seed, tag, assets}
}
