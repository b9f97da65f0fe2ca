import {parse, stringify} from 'yaml'
import {type FakeGitHub, startFakeGitHub} from '../github/fake-github.ts'
import {syntheticTraefik, traefikChangelog} from '../github/upstream-releases.ts'
import {type Ran, runRel} from '../rel.ts'
import {temporaryFolder} from '../tmp.ts'
import {gitEnv, type SampleRepository, sampleRepository} from './repository.ts'

/** A repository that vendors Traefik, rel as it is built, and GitHub as an imitation on loopback. */
export type TraefikSetting = {
  readonly fake: FakeGitHub
  readonly repository: SampleRepository
  /** Where rel keeps what it downloads. */
  readonly cacheHome: string
  rel(...args: readonly string[]): Promise<Ran>
}

const vendor = (arch: string) => `cp "$REL_ASSET_${arch.toUpperCase()}" dist/traefik-${arch}`
const script = `mkdir -p dist && ${vendor('amd64')} && ${vendor('arm64')}`

/** The upstream, and what is changed about it. */
function playbook({url, webUrl}: FakeGitHub, upstream: object): string {
  return stringify({
    item: 'traefik',
    title: 'Traefik reverse proxy',
    upstream: {
      kind: 'github_release',
      repository: 'traefik/traefik',
      api_url: url,
      web_url: webUrl,
      assets: ['amd64', 'arm64'].map((arch) => ({
        arch,
        name: `traefik_{version}_linux_${arch}.tar.gz`,
        member: 'traefik',
      })),
      checksums: [{name: 'traefik_{version}_checksums.txt'}],
      changelog: 'CHANGELOG.md',
      ...upstream,
    },
    verify: {min: 'L1'},
    inputs: {NEW: {pattern: 'v\\d+\\.\\d+\\.\\d+', example: 'v3.3.5'}},
    pins: [{file: 'agent/Makefile', kind: 'make_variable', name: 'TRAEFIK_VERSION'}],
    vendor: {run: [['sh', '-c', script]], artifacts: ['dist/traefik-amd64', 'dist/traefik-arm64']},
    change: {base: 'develop'},
  })
}

/** Makes one, lets a test use it and ends the imitation; v3.3.4 is pinned, v3.3.5 is there. */
export async function inTraefikSetting(
  use: (setting: TraefikSetting) => Promise<void>,
  upstream: object = {},
): Promise<void> {
  const versions = ['v3.3.4', 'v3.3.5']
  const fake = await startFakeGitHub({
    repositories: [
      {
        name: 'traefik/traefik',
        files: {'CHANGELOG.md': traefikChangelog},
        tags: versions,
        releases: await Promise.all(versions.map((version) => syntheticTraefik(version))),
      },
    ],
  })
  const repository = sampleRepository({
    '.gitignore': 'dist/\n',
    'agent/Makefile': 'TRAEFIK_VERSION := v3.3.4\n',
    'playbooks/traefik.yaml': playbook(fake, upstream),
  })
  const {PATH: _, HOME: __, ...identity} = gitEnv
  const cacheHome = temporaryFolder()
  const env = {...identity, XDG_CACHE_HOME: cacheHome}
  const rel = (...args: readonly string[]) => runRel(args, {cwd: repository.root, env})
  try {
    await use({fake, repository, cacheHome, rel})
  } finally {
    await fake.close()
  }
}

/** The playbook with some keys changed, committed and pushed. */
export function withPlaybook({repository}: TraefikSetting, change: object): void {
  const path = 'playbooks/traefik.yaml'
  repository.write(path, stringify({...parse(repository.read(path)), ...change}))
  repository.commit('chore: the playbook')
  repository.git('push', '--quiet', 'origin', 'develop')
}
