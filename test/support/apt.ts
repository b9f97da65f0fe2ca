import {execFileSync} from 'node:child_process'
import {existsSync, mkdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {homedir} from 'node:os'
import {join} from 'node:path'
import {parse} from 'yaml'
import {ContentCache} from '../../src/system/content-cache.ts'
import {makeHttp} from '../../src/system/http-client.ts'
import type {AptWorld} from '../../src/upstream/apt/archive.ts'
import {type AptKernelConfig, aptKernelSchema} from '../../src/upstream/apt/config.ts'
import {makeAptKernelUpstream} from '../../src/upstream/apt/kernel-upstream.ts'
import type {VerifiedAsset} from '../../src/upstream/upstream.ts'
import {temporaryFolder} from './tmp.ts'

const root = join(import.meta.dirname, '../..')
const cacheHome = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
const folder = join(cacheHome, 'rel-tests', 'apt')
const HOUR_MS = 3_600_000

/** Downloads of tests from the real archive, kept by digest. */
export const aptContent = join(folder, 'content')

export const debianKeyring = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** One suite of this machine's mirror, as apt itself fetched it into lists of its own. */
export type RealSuite = {
  readonly suite: string
  /** Address of the archive, without a slash at the end. */
  readonly url: string
  readonly inRelease: Buffer
}

/**
 * The signed files of bookworm, -updates and -security for arm64, through apt's own configuration
 * but with private lists: no file of root is touched. Returns why not, for a named skip.
 */
export function realSuites(): readonly RealSuite[] | string {
  try {
    updateLists()
    const fields = '$(SITE) $(RELEASE) $(METAKEY) $(FILENAME)'
    const lines = apt('apt-get', 'indextargets', '--format', fields).split('\n')
    const targets = lines.flatMap((line) => {
      const [site = '', suite = '', key = '', file = ''] = line.split(' ')
      return key === 'main/binary-arm64/Packages'
        ? [{url: site.replace(/\/$/, ''), suite, file}]
        : []
    })
    return targets.map(({url, suite, file}) => ({
      ...{url, suite},
      inRelease: readFileSync(file.replace(/_main_binary-arm64_Packages.*$/, '_InRelease')),
    }))
  } catch (error) {
    const {stderr} = error as {stderr?: string}
    return `no signed lists through apt: ${stderr?.trim() || error}`
  }
}

function updateLists(): void {
  mkdirSync(join(folder, 'lists', 'partial'), {recursive: true})
  mkdirSync(join(folder, 'archives', 'partial'), {recursive: true})
  writeFileSync(join(folder, 'status'), '')
  const stamp = join(folder, 'updated')
  if (Date.now() - (statSync(stamp, {throwIfNoEntry: false})?.mtimeMs ?? 0) < HOUR_MS) return
  apt('apt-get', 'update')
  writeFileSync(stamp, '')
}

/** Sources of others have no arm64 packages. */
const sources = '/etc/apt/sources.list.d/debian.sources'

/** Runs apt on private folders; one at a time, whoever else runs tests. */
function apt(...command: readonly string[]): string {
  const [program = '', ...args] = command
  const settings = {
    ...(existsSync(sources)
      ? {'Dir::Etc::sourcelist': sources, 'Dir::Etc::sourceparts': '/dev/null'}
      : {}),
    'APT::Architecture': 'arm64',
    'APT::Architectures': 'arm64',
    'APT::Sandbox::User': '',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
    'Dir::Cache': folder,
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::State::status': join(folder, 'status'),
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const words = ['--timeout', '300', join(folder, 'lock'), program, '-q', ...options, ...args]
  return execFileSync('flock', words, {encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe']})
}

/** The upstream of playbooks/kernel.yaml, asking the mirror that apt on this machine asks. */
export function kernelPlaybookUpstream(suites: readonly RealSuite[]): AptKernelConfig {
  const text = readFileSync(join(root, 'playbooks/kernel.yaml'), 'utf8')
  const config = aptKernelSchema.parse((parse(text) as {upstream: unknown}).upstream)
  const urlOf = (name: string) => suites.find(({suite}) => suite === name)?.url
  return {
    ...config,
    suites: config.suites.map((suite) => ({...suite, url: urlOf(suite.name) ?? suite.url})),
  }
}

/** A world on the real network, with downloads kept for the next run. */
export function realWorld(): AptWorld & {readonly cache: ContentCache} {
  const cache = new ContentCache(aptContent)
  const http = makeHttp({cache, userAgent: 'rel-test'})
  return {http, cache, now: Math.floor(Date.now() / 1000), scratch: temporaryFolder()}
}

export type RealKernel = {
  /** Path of the uncompressed arm64 image. */
  readonly vmlinuz: string
  /** What `uname -r` prints. */
  readonly release: string
  /** Of the package. */
  readonly version: string
  /** The verified package: its modules are below lib/modules/RELEASE. */
  readonly deb: string
}

/**
 * The newest arm64 kernel of this machine's Debian mirror, found by playbooks/kernel.yaml, verified
 * along the chain of signatures and taken out of its package. Returns why not, for a named skip.
 */
export async function realArm64Kernel(): Promise<RealKernel | string> {
  const suites = realSuites()
  if (typeof suites === 'string') return suites
  const upstream = makeAptKernelUpstream(kernelPlaybookUpstream(suites), realWorld())
  const candidate = await upstream.latest('2.6.0-1-arm64')
  if (candidate === undefined) return 'the archive has no kernel'
  const {assets} = await upstream.verify(candidate, 'L3')
  const pathOf = (arch: string) =>
    (assets.find((asset) => asset.arch === arch) as VerifiedAsset).path
  const {version: release, tag: version} = candidate
  return {vmlinuz: pathOf('arm64-vmlinuz'), release, version, deb: pathOf('arm64')}
}
