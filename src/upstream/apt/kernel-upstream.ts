import {basename} from 'node:path'
import type {ContentCache} from '../../system/content-cache.ts'
import type {Candidate, Drift, Upstream, VerifiedAsset, VerifiedVersion} from '../upstream.ts'
import {
  type AptWorld,
  fetchDeb,
  fetchPackages,
  fetchSuite,
  type SignedPackage,
  type SignedSuite,
} from './archive.ts'
import {type AptKernelConfig, PINNED_SNAPSHOT} from './config.ts'
import {readDebFile} from './deb-archive.ts'
import {
  archiveLevel,
  checkMinimum,
  driftOf,
  packageFact,
  packageLock,
  suiteFact,
  suiteLock,
} from './evidence.ts'
import {kernelBanner, MAX_KERNEL_BYTES} from './kernel-banner.ts'
import {
  checkKernelLine,
  currentKernel,
  findKernel,
  isKernelPackage,
  type MappedKernel,
} from './kernel-mapping.ts'
import {checkKernelBanner, compareKernelReleases} from './kernel-names.ts'
import type {SuiteWish} from './release-rules.ts'
import {lastMidnight, parseSnapshotId, snapshotIdAt} from './snapshot-id.ts'

type Kernel = MappedKernel<SignedPackage>

/** The suites of the archive with the kernel packages in their signed indexes. */
type State = {readonly suites: readonly SignedSuite[]; readonly packages: readonly SignedPackage[]}

type KernelWorld = AptWorld & {readonly cache: Pick<ContentCache, 'add'>}

/**
 * An upstream whose versions are kernel releases, as `uname -r` prints them, or snapshot ids: then
 * the kernel is the one that the meta package of a snapshot stands for. The signed indexes of
 * all suites decide which package that is. Assets are told apart by their arch: `arm64` is the image
 * package, `arm64-modules` the modules where they are apart, `arm64-vmlinuz` the kernel taken out of
 * the verified package. Refuses as fetchSuite, fetchPackages, currentKernel,
 * findKernel, checkKernelLine and readDebFile do, and with kernel_image_mismatch, integrity_too_low.
 */
export function makeAptKernelUpstream(config: AptKernelConfig, world: KernelWorld): Upstream {
  return new KernelUpstream(config, world)
}

class KernelUpstream implements Upstream {
  readonly #config: AptKernelConfig
  readonly #world: KernelWorld
  /** By snapshot id, '' for a live archive: all questions of one run are about one state of each. */
  readonly #states = new Map<string, Promise<State>>()

  constructor(config: AptKernelConfig, world: KernelWorld) {
    this.#config = config
    this.#world = world
  }

  async latest(current: string): Promise<Candidate | undefined> {
    if (this.#isSnapshotPinned()) return this.#latestSnapshot(current)
    const {packages} = await this.#archive(current)
    const kernel = currentKernel(packages, this.#config.meta, this.#config.distribution)
    return this.compare(kernel.release.text, current) > 0
      ? candidateOf(kernel, packages)
      : undefined
  }

  async find(version: string): Promise<Candidate> {
    const {packages} = await this.#archive(version)
    return {...candidateOf(await this.#kernel(version), packages), version}
  }

  compare(a: string, b: string): number {
    if (this.#isSnapshotPinned()) return this.#secsOf(a) - this.#secsOf(b)
    return compareKernelReleases(a, b)
  }

  async verify(
    candidate: Candidate,
    minimum: Parameters<Upstream['verify']>[1],
  ): Promise<VerifiedVersion> {
    checkMinimum(minimum)
    const kernel = await this.#kernel(candidate.version)
    const {suites} = await this.#archive(candidate.version)
    const debs = [kernel.image, ...(kernel.modules === undefined ? [] : [kernel.modules])]
    const {arch} = this.#config
    const imageDeb = await this.#debAsset(kernel.image, arch)
    const assets = [imageDeb]
    if (kernel.modules !== undefined)
      assets.push(await this.#debAsset(kernel.modules, `${arch}-modules`))
    const image = await this.#imageAsset(kernel, imageDeb.path)
    return {
      candidate,
      assets: [...assets, image.asset],
      facts: [
        ...suites.map(suiteFact),
        ...debs.map((deb) => packageFact(deb, arch)),
        {
          subject: image.asset.name,
          check: '“Linux version” in the image',
          by: basename(kernel.image.filename),
          level: archiveLevel,
          detail: image.banner,
        },
      ],
      level: archiveLevel,
      lock: {suites: suites.map(suiteLock), packages: debs.map((deb) => packageLock(deb, arch))},
    }
  }

  /** A live archive moves on, so its InRelease files may differ; the packages may not. */
  async audit(version: string, lock: VerifiedVersion['lock']): Promise<readonly Drift[]> {
    const {suites, packages} = await this.#archive(version)
    const seen = packages.map((entry) => packageLock(entry, this.#config.arch))
    const replaced = {code: 'apt_package_replaced', goneCode: 'apt_package_missing'} as const
    const changed = {code: 'snapshot_changed', goneCode: 'snapshot_changed'} as const
    return [
      ...(this.#config.snapshot === undefined
        ? []
        : driftOf(lock.suites, suites.map(suiteLock), ['suite'], changed)),
      ...driftOf(lock.packages, seen, ['name', 'version', 'arch'], replaced),
    ]
  }

  async #kernel(version: string): Promise<Kernel> {
    const {packages} = await this.#archive(version)
    const {distribution, meta} = this.#config
    if (this.#isSnapshotPinned()) return currentKernel(packages, meta, distribution)
    const kernel = findKernel(packages, version, distribution)
    checkKernelLine(packages, kernel, this.#metas(), distribution)
    return kernel
  }

  #metas(): readonly string[] {
    const {meta, meta_before: before} = this.#config
    return before === undefined ? [meta] : [meta, before]
  }

  #isSnapshotPinned(): boolean {
    return this.#config.snapshot === PINNED_SNAPSHOT
  }

  /** The state at the last midnight (UTC), when its kernel is another package than the pinned one. */
  async #latestSnapshot(current: string): Promise<Candidate | undefined> {
    const midnight = lastMidnight(this.#world.now)
    if (midnight <= this.#secsOf(current)) return undefined
    const id = snapshotIdAt(midnight)
    const [was, is] = [await this.#kernel(current), await this.#kernel(id)]
    return is.image.sha256 === was.image.sha256 ? undefined : this.find(id)
  }

  #archive(version: string): Promise<State> {
    const snapshot = this.#isSnapshotPinned() ? version : this.#config.snapshot
    const kept = this.#states.get(snapshot ?? '')
    if (kept !== undefined) return kept
    const fetched = this.#fetch(snapshot)
    this.#states.set(snapshot ?? '', fetched)
    return fetched
  }

  async #fetch(snapshot: string | undefined): Promise<State> {
    const {suites: wanted, keyring, arch} = this.#config
    const at = this.#time(snapshot)
    const suites: SignedSuite[] = []
    const packages: SignedPackage[] = []
    for (const entry of wanted) {
      const url = entry.url.replaceAll('{snapshot}', snapshot ?? '')
      const suite = await fetchSuite(url, this.#wish(entry, at), keyring, this.#world)
      suites.push(suite)
      const isWanted = (name: string) => isKernelPackage(name, this.#metas())
      packages.push(...(await fetchPackages(suite, arch, isWanted, this.#world.http)))
    }
    return {suites, packages}
  }

  #time(snapshot: string | undefined): SuiteWish['at'] {
    if (snapshot === undefined) return {kind: 'live', time: this.#world.now}
    return {kind: 'snapshot', time: this.#secsOf(snapshot)}
  }

  #secsOf(id: string): number {
    return parseSnapshotId(id, this.#config.distribution, this.#world.now)
  }

  #wish(suite: AptKernelConfig['suites'][number], at: SuiteWish['at']): SuiteWish {
    const {distribution, arch} = this.#config
    const {name, components, max_age_days: maxAgeDays} = suite
    return {distribution, suite: name, components, architectures: [arch], maxAgeDays, at}
  }

  async #debAsset(deb: SignedPackage, arch: string): Promise<VerifiedAsset> {
    const {path, sha256, size} = await fetchDeb(deb, this.#world.http)
    return {arch, name: basename(deb.filename), sha256, size, path, level: archiveLevel}
  }

  async #imageAsset(
    {release, image}: Kernel,
    deb: string,
  ): Promise<{asset: VerifiedAsset; banner: string}> {
    const name = `vmlinuz-${release.text}`
    const bytes = await readDebFile(deb, `boot/${name}`, MAX_KERNEL_BYTES)
    const banner = kernelBanner(bytes)
    checkKernelBanner(banner, release.text, image.version, this.#config.distribution)
    const kept = this.#world.cache.add(bytes)
    return {
      asset: {arch: `${this.#config.arch}-vmlinuz`, name, level: archiveLevel, ...kept},
      banner,
    }
  }
}

/**
 * Nothing that is signed says when a package came. It was there when a suite that has it was dated,
 * so the earliest of these dates makes it younger than it is, never older.
 */
function candidateOf({release, image}: Kernel, packages: readonly SignedPackage[]): Candidate {
  const same = packages.filter(({name, sha256}) => name === image.name && sha256 === image.sha256)
  const publishedAt = Math.min(...same.map(({suite}) => suite.release.date))
  return {version: release.text, tag: image.version, publishedAt}
}
