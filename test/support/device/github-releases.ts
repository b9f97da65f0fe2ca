import {mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {applyPack, planPack} from '../../../src/bundle/archive/pack.ts'
import type {Device} from '../../../src/device/device.ts'
import {githubSource} from '../../../src/device/github-source.ts'
import type {Source} from '../../../src/device/source.ts'
import type {Release} from '../../../src/release/release.ts'
import {releaseText, signRelease} from '../../../src/release/release-manifest.ts'
import {channelOf} from '../../../src/release/version.ts'
import {signedAnchor, testAnchor, testNow, testSigner} from '../anchors.ts'
import type {FakeGitHub} from '../github/fake-github.ts'
import type {AssetSeed} from '../github/release-store.ts'
import {testArtifact} from '../releases.ts'
import {writeTree} from '../signed-tree.ts'
import {temporaryFolder} from '../tmp.ts'
import {bundleOf, deviceAt, type FakeWorld, installOne, makeSources, type Sources} from './node.ts'

export const target = 'linux-amd64'

/** Sources whose anchor also lets an artifact key sign. */
export async function releaseSources(...versions: readonly string[]): Promise<Sources> {
  const sources = await makeSources(...versions)
  const trust = testAnchor(
    {role: 'root', keys: ['root']},
    {role: 'manifest', keys: ['archive', 'm2']},
    {role: 'artifact', keys: ['artifact']},
  )
  writeFileSync(sources.anchor, await signedAnchor(trust, 'root'))
  return sources
}

const packed = new Map<string, Promise<Buffer>>()

/** The bundle of a version as an archive. */
export function packedBundle(version: string): Promise<Buffer> {
  const known = packed.get(version) ?? pack(version)
  packed.set(version, known)
  return known
}

async function pack(version: string): Promise<Buffer> {
  const folder = temporaryFolder()
  const directory = join(folder, 'tree')
  mkdirSync(directory)
  writeTree(directory, await bundleOf(version))
  const output = join(folder, 'app.tar.zst')
  await applyPack(planPack({directory, output, format: 'tar.zst', replace: false}))
  return readFileSync(output)
}

export type ReleaseChange = Partial<Omit<Release, 'artifacts'>> & {
  readonly by?: string
  readonly artifactVersion?: string
  readonly arch?: string
}

/** manifest.json and the bundle of a version, as `rel publish` uploads them. */
export async function releaseAssets(
  version: string,
  {by = 'archive', artifactVersion, arch = 'amd64', ...change}: ReleaseChange = {},
): Promise<readonly (AssetSeed & {readonly bytes: Buffer})[]> {
  const bytes = await packedBundle(artifactVersion ?? version)
  const name = 'app-linux-amd64.tar.zst'
  const artifact = await testArtifact({component: 'bundle', os: 'linux', arch}, name, bytes)
  const release: Release = {
    product: 'app',
    version,
    channel: channelOf(version),
    timestamp: testNow - 60,
    ...change,
    artifacts: [artifact],
  }
  const text = releaseText(await signRelease(release, testSigner(by)))
  return [
    {name: 'manifest.json', bytes: Buffer.from(text)},
    {name, bytes},
  ]
}

/** A node for linux-amd64 that runs 1.0.0 and asks a repository of a fake GitHub. */
export async function githubNode(
  fake: Pick<FakeGitHub, 'url'>,
  sources: Sources,
  repository: string,
  {token, world}: {readonly token?: string; readonly world?: FakeWorld} = {},
): Promise<Device & {readonly source: Source}> {
  const config = {target, source: {github: repository, api: fake.url}}
  const device = deviceAt(join(temporaryFolder(), 'node'), world, config)
  await installOne(device, sources)
  const {source} = device.config
  if (source?.kind !== 'github') throw new Error('no GitHub')
  return {...device, source: githubSource(device, source, token ?? '')}
}
