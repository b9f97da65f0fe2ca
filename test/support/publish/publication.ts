import {mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {githubRequest} from '../../../src/cli/publish-world.ts'
import {loadRelease, openUploadJournal, readFrom} from '../../../src/release/publish/files.ts'
import {type GitHubPlan, type PublishPlan, planPublish} from '../../../src/release/publish/plan.ts'
import {type Published, runPublish} from '../../../src/release/publish/run.ts'
import type {Probe, PublishWorld} from '../../../src/release/publish/world.ts'
import {ContentCache} from '../../../src/system/content-cache.ts'
import type {Http} from '../../../src/system/http.ts'
import {makeHttp} from '../../../src/system/http-client.ts'
import type {FakeGitHub} from '../github/fake-github.ts'
import {makeRelease, type ReleaseTerms, type TestPanel, type TestRelease} from '../panel.ts'
import {temporaryFolder} from '../tmp.ts'

export const REPOSITORY = 'acme/agent'

/** A signed release in a folder of its own, as `rel release manifest` leaves it. */
export type ReleaseFolder = {
  readonly folder: string
  readonly manifest: string
  readonly release: TestRelease
}

export async function releaseFolder(terms: ReleaseTerms): Promise<ReleaseFolder> {
  const folder = join(temporaryFolder('rel dist '), 'dist')
  mkdirSync(folder)
  const release = await makeRelease(terms)
  for (const [name, bytes] of release.bytes) writeFileSync(join(folder, name), bytes)
  const manifest = join(folder, 'release.json')
  writeFileSync(manifest, release.text)
  return {folder, manifest, release}
}

export type Targets = {
  readonly panel?: Pick<TestPanel, 'url' | 'adminToken'>
  readonly github?: Pick<FakeGitHub, 'url'>
}

export type PublicationOptions = {
  readonly github?: Partial<GitHubPlan>
  readonly probes?: readonly Probe[]
  readonly onStep?: PublishWorld['onStep']
  readonly journal?: string
  /** Wraps the client, for what a test wants to see or to spoil. */
  readonly through?: (http: Http) => Http
  readonly clock?: () => number
  readonly keepReceipt?: (text: string) => void
  /** What a wait is; nothing when not given. */
  readonly wait?: () => Promise<void>
}

/** A publication of a folder: nobody sleeps in it, and a second one shares nothing but the journal. */
export async function publication(
  {manifest}: Pick<ReleaseFolder, 'manifest'>,
  targets: Targets,
  options: PublicationOptions = {},
): Promise<{
  readonly plan: PublishPlan
  readonly world: PublishWorld
  run(): Promise<Published>
}> {
  const loaded = await loadRelease({
    manifest,
    attachments: [],
    withSidecars: true,
    withSigstore: true,
    readsArtifacts: true,
  })
  const {version} = loaded.manifest.file.release
  const plan = planPublish({
    file: loaded.manifest.file,
    assets: loaded.assets,
    ...(targets.panel === undefined ? {} : {panel: {url: targets.panel.url}}),
    ...(targets.github === undefined
      ? {}
      : {
          github: {
            apiUrl: targets.github.url,
            repository: REPOSITORY,
            tag: `v${version}`,
            createsTag: false,
            title: `v${version}`,
            notes: 'What is new.',
            mustBeImmutable: false,
            ...options.github,
          },
        }),
  })
  const world = worldOf(targets, options)
  return {plan, world, run: () => runPublish(plan, loaded.manifest, world)}
}

function worldOf({panel, github}: Targets, options: PublicationOptions): PublishWorld {
  const {through = (http) => http, probes = [], onStep, journal} = options
  let slept = 0
  const clock = {
    now: () => (options.clock?.() ?? Math.floor(Date.now() / 1000)) * 1000 + slept,
    sleep: async (ms: number) => {
      slept += ms
      await options.wait?.()
    },
  }
  const cache = new ContentCache(temporaryFolder())
  const http = through(makeHttp({cache, userAgent: 'rel-test', clock, random: () => 0.5}))
  return {
    http,
    clock,
    random: () => 0.5,
    probes,
    journal: openUploadJournal(journal ?? join(temporaryFolder(), 'journal.json')),
    readFrom,
    keepReceipt: options.keepReceipt ?? (() => {}),
    ...(onStep === undefined ? {} : {onStep}),
    ...(panel === undefined ? {} : {panelAuthorization: `Bearer ${panel.adminToken}`}),
    ...(github === undefined
      ? {}
      : {
          githubAuthorization: 'Bearer fake-token',
          github: githubRequest(http, github.url, 'fake-token'),
        }),
  }
}

/** What is on GitHub under a tag equals the files of a folder. */
export function isWhole({folder, release}: ReleaseFolder, fake: FakeGitHub): boolean {
  const [only, ...others] = fake.releases.stored(REPOSITORY, `v${release.file.release.version}`)
  if (only === undefined || others.length > 0) return false
  const names = [...release.bytes.keys(), 'release.json']
  return (
    only.assets.length === names.length &&
    names.every((name) => {
      const there = only.assets.find((asset) => asset.name === name)
      return there?.bytes?.equals(readFileSync(join(folder, name))) === true
    })
  )
}
