import {RelError} from '../../system/error.ts'
import type {Candidate, Drift, Fact, Upstream, VerifiedVersion} from '../upstream.ts'
import {
  type AptWorld,
  fetchPackages,
  fetchSuite,
  type SignedPackage,
  type SignedSuite,
} from './archive.ts'
import type {AptSnapshotConfig} from './config.ts'
import {
  archiveLevel,
  checkMinimum,
  driftOf,
  packageFact,
  packageLock,
  suiteFact,
  suiteLock,
} from './evidence.ts'
import {newestPackage} from './newest-package.ts'
import {lastMidnight, parseSnapshotId, snapshotAgeWarning, snapshotIdAt} from './snapshot-id.ts'

/** A package as the snapshot has it for one architecture. */
type Found = {readonly arch: string; readonly entry: SignedPackage}

/**
 * An upstream whose versions are snapshot ids: what a build gets is proved from the signed InRelease
 * files that the id names, never from an option that apt may ignore. It has no assets of its own;
 * the packages it promises are in the lock. Refuses as parseSnapshotId, fetchSuite and
 * fetchPackages do, and with apt_package_missing, apt_package_contradiction, integrity_too_low.
 */
export function makeAptSnapshotUpstream(config: AptSnapshotConfig, world: AptWorld): Upstream {
  return new SnapshotUpstream(config, world)
}

class SnapshotUpstream implements Upstream {
  readonly #config: AptSnapshotConfig
  readonly #world: AptWorld
  /** One run asks for each file once: the services answer few requests a minute. */
  readonly #suites = new Map<string, Promise<readonly SignedSuite[]>>()

  constructor(config: AptSnapshotConfig, world: AptWorld) {
    this.#config = config
    this.#world = world
  }

  /** The state at the last midnight (UTC), when any suite was published since `current`. */
  async latest(current: string): Promise<Candidate | undefined> {
    const before = this.#secsOf(current)
    const midnight = lastMidnight(this.#world.now)
    if (midnight <= before) return undefined
    const [old, fresh] = [await this.#at(current), await this.#at(snapshotIdAt(midnight))]
    const isNewer = fresh.some(({release}, at) => release.date > (old[at]?.release.date ?? 0))
    return isNewer ? candidateOf(snapshotIdAt(midnight), midnight) : undefined
  }

  async find(version: string): Promise<Candidate> {
    const secs = this.#secsOf(version)
    await this.#at(version)
    return candidateOf(version, secs)
  }

  /** Ids of one form sort as text. */
  compare(a: string, b: string): number {
    return this.#secsOf(a) - this.#secsOf(b)
  }

  async verify(
    candidate: Candidate,
    minimum: Parameters<Upstream['verify']>[1],
  ): Promise<VerifiedVersion> {
    checkMinimum(minimum)
    const suites = await this.#at(candidate.version)
    const found = await this.#packages(suites)
    return {
      candidate,
      assets: [],
      facts: [
        ...this.#ageFacts(candidate.version),
        ...suites.map(suiteFact),
        ...found.map(({entry, arch}) => packageFact(entry, arch)),
      ],
      level: archiveLevel,
      lock: {
        suites: suites.map(suiteLock),
        packages: found.map(({entry, arch}) => packageLock(entry, arch)),
      },
    }
  }

  async audit(version: string, lock: VerifiedVersion['lock']): Promise<readonly Drift[]> {
    const suites = await this.#at(version)
    const found = await this.#packages(suites)
    const changed = {code: 'snapshot_changed', goneCode: 'snapshot_changed'} as const
    const replaced = {code: 'apt_package_replaced', goneCode: 'apt_package_missing'} as const
    const packages = found.map(({entry, arch}) => packageLock(entry, arch))
    return [
      ...driftOf(lock.suites, suites.map(suiteLock), ['suite'], changed),
      ...driftOf(lock.packages, packages, ['name', 'arch'], replaced),
    ]
  }

  #secsOf(id: string): number {
    return parseSnapshotId(id, this.#config.distribution, this.#world.now)
  }

  #at(id: string): Promise<readonly SignedSuite[]> {
    const time = this.#secsOf(id)
    const kept = this.#suites.get(id)
    if (kept !== undefined) return kept
    const fetched = this.#fetchAll(id, time)
    this.#suites.set(id, fetched)
    return fetched
  }

  async #fetchAll(id: string, time: number): Promise<readonly SignedSuite[]> {
    const {suites, distribution, architectures, keyring} = this.#config
    const signed: SignedSuite[] = []
    for (const {name, url, components, max_age_days} of suites) {
      const at = {kind: 'snapshot', time} as const
      const wish = {distribution, suite: name, components, architectures, at}
      const address = url.replaceAll('{snapshot}', id)
      const limited = {...wish, maxAgeDays: max_age_days}
      signed.push(await fetchSuite(address, limited, keyring, this.#world))
    }
    return signed
  }

  async #packages(suites: readonly SignedSuite[]): Promise<readonly Found[]> {
    const names = new Set(this.#config.packages)
    const found: Found[] = []
    for (const arch of this.#config.architectures) {
      const all: SignedPackage[] = []
      for (const suite of suites)
        all.push(...(await fetchPackages(suite, arch, (name) => names.has(name), this.#world.http)))
      for (const name of names) found.push({arch, entry: newestOf(all, name, arch)})
    }
    return found
  }

  #ageFacts(id: string): readonly Fact[] {
    const warning = snapshotAgeWarning(this.#secsOf(id), this.#world.now)
    if (warning === undefined) return []
    const fact = {subject: id, check: 'age of the pin', by: 'clock', detail: `warning: ${warning}`}
    return [{...fact, level: archiveLevel}]
  }
}

function newestOf(all: readonly SignedPackage[], name: string, arch: string): SignedPackage {
  const entry = newestPackage(all.filter((candidate) => candidate.name === name))
  if (entry !== undefined) return entry
  throw new RelError('apt_package_missing', `the snapshot has no ${name} for ${arch}`)
}

function candidateOf(id: string, secs: number): Candidate {
  return {version: id, tag: id, publishedAt: secs}
}
