import {join} from 'node:path'
import type {BumpRequest} from '../../../src/bump/bump-state.ts'
import {parsePlaybook} from '../../../src/bump/playbook-parse.ts'
import type {StepContext} from '../../../src/bump/step-context.ts'
import type {BumpWorld} from '../../../src/bump/world.ts'
import {openGit} from '../../../src/system/git.ts'
import {type FakeForge, type FakeUpstream, fakeForge, fakeUpstream} from './fakes.ts'
import {gitEnv, type SampleRepository, sampleRepository} from './repository.ts'

export const NOW = 1_750_000_000

/** Traefik as in D3: one variable of a Makefile, vendored into an ignored folder. */
export const traefikPlaybook = `item: traefik
title: Traefik reverse proxy
upstream:
  kind: github_release
  repository: traefik/traefik
  assets: [{arch: amd64, name: 'traefik_{version}_linux_amd64.tar.gz'}]
verify: {min: L1}
inputs:
  NEW: {pattern: 'v\\d+\\.\\d+\\.\\d+', example: v3.3.5}
pins:
  - {file: agent/Makefile, kind: make_variable, name: TRAEFIK_VERSION}
vendor:
  run:
    - [make, -s, -C, agent, vendor-traefik]
  artifacts: [agent/dist/traefik]
gates:
  - {uses: command, name: prints its version, run: [grep, -q, v3, agent/dist/traefik]}
change:
  base: develop
  labels: [bump]
  tag: critical
rollback:
  notes: Nothing else depends on it.
`

export const k3sPlaybook = `item: k3s
title: k3s
upstream: {kind: k3s, repository: k3s-io/k3s, assets: [{arch: amd64, name: k3s}]}
verify: {min: L1}
pins:
  - {file: modules/manifest.yaml, kind: yaml_path, path: build.k3s_version}
change: {base: develop}
`

export const sampleFiles: Readonly<Record<string, string>> = {
  'agent/Makefile':
    '# the agent\nTRAEFIK_VERSION := v3.3.4 # pinned\n\nvendor-traefik:\n\t@mkdir -p dist\n\t@echo traefik $(TRAEFIK_VERSION) > dist/traefik\n',
  'modules/manifest.yaml': 'build:\n  k3s_version: "v1.31.3+k3s1"\n',
  'playbooks/traefik.yaml': traefikPlaybook,
  'playbooks/k3s.yaml': k3sPlaybook,
  '.gitignore': 'dist/\n',
}

export type Sample = {
  readonly repository: SampleRepository
  readonly upstream: FakeUpstream
  readonly forge: FakeForge
  readonly context: StepContext
}

/** A repository, a world of fakes around it, and the traefik playbook. */
export async function sample(change: Partial<BumpWorld> = {}): Promise<Sample> {
  const repository = sampleRepository(sampleFiles)
  return sampleIn(repository, change)
}

/** The same around a repository that is there already. */
export async function sampleIn(
  repository: SampleRepository,
  change: Partial<BumpWorld> = {},
  playbook: string = traefikPlaybook,
): Promise<Sample> {
  const upstream = fakeUpstream(join(repository.root, '../cache'), ['v3.3.3', 'v3.3.4', 'v3.3.5'])
  const forge = fakeForge()
  const world: BumpWorld = {
    git: await openGit(repository.root, gitEnv),
    upstream,
    pullRequests: forge,
    runGate: async (spec) => ({
      gate: spec.uses,
      verdict: 'passed',
      summary: 'as it should be',
      caveats: [],
      logs: [],
    }),
    now: NOW,
    ...change,
  }
  const others = [parsePlaybook(k3sPlaybook, 'k3s.yaml')]
  return {
    repository,
    upstream,
    forge,
    context: {playbook: parsePlaybook(playbook, 'traefik.yaml'), others, world},
  }
}

/** `rel bump traefik NEW=…` as a request. */
export function request(
  next = 'v3.3.5',
  options: Partial<BumpRequest['options']> = {},
): BumpRequest {
  return {
    item: 'traefik',
    assignments: {NEW: next},
    options: {rollback: false, critical: false, push: true, waivers: {}, ...options},
  }
}
