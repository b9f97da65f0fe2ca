import {createHash} from 'node:crypto'
import {mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {BumpEvidence} from '../../../src/bump/evidence.ts'
import type {PullRequests} from '../../../src/bump/world.ts'
import {RelError} from '../../../src/system/error.ts'
import type {Drift, IntegrityLevel, Upstream} from '../../../src/upstream/upstream.ts'

/** An upstream with state: versions in order, oldest first, one file each; it fails on demand. */
export type FakeUpstream = Upstream & {
  versions: string[]
  level: IntegrityLevel
  notes: string
  /** Thrown by the next call. */
  failure: RelError | undefined
  drifts: Drift[]
  calls: string[]
}

export function fakeUpstream(folder: string, versions: readonly string[]): FakeUpstream {
  mkdirSync(folder, {recursive: true})
  const fake: FakeUpstream = {
    versions: [...versions],
    level: 'L1',
    notes: 'Fixes CVE-2025-12345.\n\nBREAKING: the flag is gone.\n',
    failure: undefined,
    drifts: [],
    calls: [],
    latest: async (current) => {
      called('latest')
      const last = fake.versions.at(-1)
      return last === undefined || last === current ? undefined : candidate(last)
    },
    find: async (version) => {
      called('find')
      if (!fake.versions.includes(version))
        throw new RelError('release_missing', `no release ${version}`)
      return candidate(version)
    },
    compare: (a, b) => fake.versions.indexOf(a) - fake.versions.indexOf(b),
    verify: async (found) => {
      called('verify')
      const bytes = `binary of ${found.version}\n`
      const sha256 = createHash('sha256').update(bytes).digest('hex')
      const path = join(folder, sha256)
      writeFileSync(path, bytes)
      const name = `traefik_${found.version}_linux_amd64.tar.gz`
      const asset = {arch: 'amd64', name, sha256, size: bytes.length, path, level: fake.level}
      const fact = {
        subject: name,
        check: 'checksum file',
        by: 'fake',
        level: fake.level,
        detail: sha256,
      }
      const lock = {tag: found.tag, assets: {[name]: {sha256, size: bytes.length}}}
      return {candidate: found, assets: [asset], facts: [fact], level: fake.level, lock}
    },
    audit: async () => {
      called('audit')
      return fake.drifts
    },
  }
  const candidate = (version: string) => ({
    version,
    tag: version,
    commit: createHash('sha1').update(version).digest('hex'),
    publishedAt: 1_700_000_000 + fake.versions.indexOf(version) * 86_400,
    notes: fake.notes,
  })
  const called = (name: string) => {
    fake.calls.push(name)
    const {failure} = fake
    fake.failure = undefined
    if (failure !== undefined) throw failure
  }
  return fake
}

/** A forge that keeps one pull request per branch. */
export type FakeForge = PullRequests & {
  readonly open: Map<string, {number: number; updates: number; evidence: BumpEvidence}>
  readonly dispatched: [string, string, Readonly<Record<string, string>>][]
  /** The token has no rights, which checkAccess tells. */
  isClosed: boolean
  failure: RelError | undefined
}

export function fakeForge(): FakeForge {
  const forge: FakeForge = {
    open: new Map(),
    dispatched: [],
    failure: undefined,
    checkAccess: async () => {
      if (forge.isClosed) throw new RelError('forge_unauthorised', 'the token may only read')
    },
    isClosed: false,
    openOrUpdate: async (evidence) => {
      const {failure} = forge
      forge.failure = undefined
      if (failure !== undefined) throw failure
      const known = forge.open.get(evidence.branch)
      const number = known?.number ?? forge.open.size + 1
      forge.open.set(evidence.branch, {number, updates: (known?.updates ?? 0) + 1, evidence})
      return {url: `https://forge.example/pulls/${number}`, number, isNew: known === undefined}
    },
    dispatch: async (workflow, branch, inputs) => {
      forge.dispatched.push([workflow, branch, inputs])
    },
  }
  return forge
}
