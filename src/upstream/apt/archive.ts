import {RelError} from '../../system/error.ts'
import {readFileLimited} from '../../system/files.ts'
import {sha256Hex} from '../../system/hash.ts'
import type {Downloaded, Http} from '../../system/http.ts'
import {MAX_IN_RELEASE_BYTES, MAX_SIGNATURE_BYTES} from './clearsign.ts'
import {
  MAX_KEYRING_BYTES,
  type VerifiedText,
  verifyClearsigned,
  verifyDetached,
} from './in-release.ts'
import {indexLimits, type PackageEntry, readPackages} from './packages-index.ts'
import {type PackagesIndex, packagesIndex, parseRelease, type Release} from './release-file.ts'
import {checkRelease, type SuiteWish} from './release-rules.ts'
import {askSecondEngines} from './second-engine.ts'

/** What reading an archive touches, handed in. */
export type AptWorld = {
  readonly http: Http
  /** Seconds since the epoch. */
  readonly now: number
  /** Folder for private temporary files, such as os.tmpdir(). */
  readonly scratch: string
}

/** Whose signatures count. */
export type PinnedKeyring = {
  /** A file of OpenPGP public keys, binary or armored. */
  readonly file: string
  /** Of primary keys. */
  readonly fingerprints: readonly string[]
}

/** A suite whose Release file was signed by a pinned key and is the one that was asked for. */
export type SignedSuite = {
  readonly wish: SuiteWish
  /** The address of the archive, without a slash at the end. */
  readonly url: string
  readonly release: Release
  /** What was signed: InRelease in itself, or Release by Release.gpg. */
  readonly file: 'InRelease' | 'Release'
  /** Of that file. */
  readonly sha256: string
  /** Fingerprints of the pinned keys that signed, sorted. */
  readonly signers: readonly string[]
  /** Programs that came to the same result as openpgp.js. */
  readonly engines: readonly string[]
}

/** A package, with the suite that vouches for it. */
export type SignedPackage = PackageEntry & {readonly suite: SignedSuite}

/**
 * Fetches and verifies the InRelease file of a suite; where there is none, Release with
 * Release.gpg, as apt does. Refuses as verifyClearsigned, verifyDetached, parseRelease and
 * checkRelease do, with openpgp_engines_disagree, and as HTTP does.
 */
export async function fetchSuite(
  url: string,
  wish: SuiteWish,
  keyring: PinnedKeyring,
  world: AptWorld,
): Promise<SignedSuite> {
  const fetchFile = async (name: string, maxBytes: number) => {
    const {path} = await world.http.download({url: `${url}/dists/${wish.suite}/${name}`, maxBytes})
    return readFileLimited(path, maxBytes)
  }
  try {
    const inRelease = await fetchFile('InRelease', MAX_IN_RELEASE_BYTES)
    return await verifySuite({inRelease}, url, wish, keyring, world)
  } catch (error) {
    if (!isNotFound(error)) throw error
    const release = await fetchFile('Release', MAX_IN_RELEASE_BYTES).catch((other) => {
      throw isNotFound(other) ? error : other
    })
    const signature = await fetchFile('Release.gpg', MAX_SIGNATURE_BYTES)
    return verifySuite({release, signature}, url, wish, keyring, world)
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof RelError && error.code === 'http_not_found'
}

/** The signed file of a suite, in one of its two forms. */
export type SignedFiles =
  | {readonly inRelease: Uint8Array}
  | {readonly release: Uint8Array; readonly signature: Uint8Array}

/** fetchSuite for files that are at hand. */
export async function verifySuite(
  files: SignedFiles,
  url: string,
  wish: SuiteWish,
  keyring: PinnedKeyring,
  world: Pick<AptWorld, 'now' | 'scratch'>,
): Promise<SignedSuite> {
  const keys = readFileLimited(keyring.file, MAX_KEYRING_BYTES)
  const {fingerprints} = keyring
  const isClear = 'inRelease' in files
  const verified = isClear
    ? await verifyClearsigned(files.inRelease, keys, fingerprints, world.now)
    : await verifyDetached(files.release, files.signature, keys, fingerprints, world.now)
  const signers = acceptedSigners(verified, wish)
  const engines = await askSecondEngines(verified, world.scratch)
  const release = parseRelease(verified.text)
  checkRelease(release, wish)
  const [file, bytes] = isClear
    ? (['InRelease', files.inRelease] as const)
    : (['Release', files.release] as const)
  return {wish, url, release, file, sha256: sha256Hex(bytes), signers, engines}
}

/** What is live must be signed by a key that is valid today; a snapshot's key may have expired since. */
function acceptedSigners({verdicts}: VerifiedText, {suite, at}: SuiteWish): readonly string[] {
  const valid = verdicts.filter((verdict) => verdict.state === 'valid')
  const accepted = valid.filter(({isCurrent}) => isCurrent || at.kind === 'snapshot')
  if (accepted.length === 0)
    throw new RelError('openpgp_key_invalid', `every pinned key that signed ${suite} has expired`)
  return [...new Set(accepted.map(({fingerprint}) => fingerprint))].sort()
}

/**
 * The wanted packages of one architecture, over all components. Refuses with apt_index_missing, and
 * as readPackages and HTTP do.
 */
export async function fetchPackages(
  suite: SignedSuite,
  arch: string,
  isWanted: (name: string) => boolean,
  http: Http,
): Promise<readonly SignedPackage[]> {
  const found: SignedPackage[] = []
  for (const component of suite.wish.components) {
    const index = packagesIndex(suite.release, component, arch)
    if (index === undefined)
      throw new RelError(
        'apt_index_missing',
        `${suite.wish.suite} lists no Packages of ${component} for ${arch}`,
      )
    const {path} = await downloadIndex(suite, index, http)
    const packages = await readPackages(path, index, isWanted)
    found.push(...packages.map((entry) => ({...entry, suite})))
  }
  return found
}

async function downloadIndex(
  suite: SignedSuite,
  index: PackagesIndex,
  http: Http,
): Promise<Downloaded> {
  const [first = '', ...others] = index.paths
  const urls = [first, ...others].map((path) => `${suite.url}/dists/${suite.wish.suite}/${path}`)
  const {sha256, size} = index.packed
  if (size > indexLimits.packedBytes)
    throw new RelError('apt_index_mismatch', `the package index has ${size} bytes, too many`)
  for (const [at, url] of urls.entries()) {
    try {
      return await http.download({url, maxBytes: size, sha256})
    } catch (error) {
      // not every server that announces by-hash has it for every file
      const isLast = at === urls.length - 1
      if (isLast || !(error instanceof RelError) || error.code !== 'http_not_found') throw error
    }
  }
  throw new RelError('apt_index_missing', `${suite.wish.suite} has no address of an index`)
}

/** The .deb file of a signed package, by its SHA-256. Refuses as HTTP does. */
export function fetchDeb(deb: SignedPackage, http: Http): Promise<Downloaded> {
  const url = `${deb.suite.url}/${deb.filename}`
  return http.download({url, maxBytes: deb.size, sha256: deb.sha256})
}
