import {tmpdir} from 'node:os'
import type {ContentCache} from '../system/content-cache.ts'
import type {Http} from '../system/http.ts'
import type {Upstream} from '../upstream/upstream.ts'
import type {LockEntry} from './lock-file.ts'
import type {Playbook} from './playbook.ts'

/** What upstreams are made of; no part of it is global. */
export type UpstreamWorld = {
  readonly http: Http
  readonly cache: ContentCache
  /** Seconds since the epoch. */
  readonly now: number
  /** The token of an API, where there is one: more requests an hour, and private repositories. */
  tokenFor(apiUrl: string): string | undefined
}

/** The upstream that a playbook names; `locked` is what the lock file knows of the item. */
export async function openUpstream(
  playbook: Playbook,
  {http, cache, now, tokenFor}: UpstreamWorld,
  locked?: LockEntry,
): Promise<Upstream> {
  const {upstream: config} = playbook
  switch (config.kind) {
    case 'github_release':
    case 'k3s': {
      const {makeGitHubReleaseUpstream} = await import('../upstream/github-release/upstream.ts')
      const {loadTrustedRoot} = await import('../trust/sigstore/load-trusted-root.ts')
      return makeGitHubReleaseUpstream(config, {
        http,
        cache,
        now,
        token: tokenFor(config.api_url),
        earlier: (version) => (locked?.version === version ? locked.upstream : undefined),
        trustedRoot: () => loadTrustedRoot(undefined),
      })
    }
    case 'git_tree': {
      const {makeGitTreeUpstream} = await import('../upstream/git-tree/upstream.ts')
      const token = tokenFor(config.api_url)
      return makeGitTreeUpstream(config, {http, token, pinned: locked})
    }
    case 'apt_snapshot': {
      const {makeAptSnapshotUpstream} = await import('../upstream/apt/snapshot-upstream.ts')
      return makeAptSnapshotUpstream(config, {http, now, scratch: tmpdir()})
    }
    case 'apt_kernel': {
      const {makeAptKernelUpstream} = await import('../upstream/apt/kernel-upstream.ts')
      return makeAptKernelUpstream(config, {http, cache, now, scratch: tmpdir()})
    }
  }
}
