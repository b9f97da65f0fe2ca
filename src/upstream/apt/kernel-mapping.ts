import {RelError} from '../../system/error.ts'
import {nearest} from '../../system/nearest.ts'
import {parseDepends} from './depends.ts'
import {
  checkKernelVersion,
  highestVersion,
  type KernelRelease,
  kernelLine,
  parseKernelRelease,
  settledLines,
} from './kernel-names.ts'
import {newestPackage} from './newest-package.ts'
import type {PackageEntry} from './packages-index.ts'
import type {Distribution} from './snapshot-id.ts'

/** A kernel in a set of suites: what would be installed for its release. */
export type MappedKernel<T extends PackageEntry> = {
  readonly release: KernelRelease
  readonly image: T
  /** Where the distribution has them apart (Ubuntu); Debian's are in the image package. */
  readonly modules?: T
}

const PREFIX = 'linux-image-'

/** True for every package that the mapping of these meta packages may need. */
export function isKernelPackage(name: string, metas: readonly string[]): boolean {
  return metas.includes(name) || /^linux-(?:image|modules)-\d/.test(name)
}

/**
 * The kernel that the meta package installs today: of all suites its highest version, which depends
 * on the image. Refuses with apt_package_missing, kernel_meta_unclear, and as `findKernel` does.
 */
export function currentKernel<T extends PackageEntry>(
  packages: readonly T[],
  meta: string,
  distribution: Distribution,
): MappedKernel<T> {
  const candidate = newestPackage(packages.filter(({name}) => name === meta))
  if (candidate === undefined)
    throw new RelError('apt_package_missing', `the archive has no ${meta}`)
  const image = imageOf(candidate)
  const kernel = findKernel(packages, image.name.slice(PREFIX.length), distribution)
  checkMetaVersion(candidate, image, kernel)
  return kernel
}

type Dependency = ReturnType<typeof parseDepends>[number][number]

/** The meta package names a version where the distribution ties them together (Debian). */
function checkMetaVersion(
  meta: PackageEntry,
  {name, relation}: Dependency,
  {image}: MappedKernel<PackageEntry>,
): void {
  if (relation?.operator === '=' && relation.version !== image.version)
    throw new RelError(
      'kernel_meta_unclear',
      `${meta.name} wants ${name} ${relation.version}, the archive has ${image.version}`,
    )
}

/**
 * That a kernel is of the line of one of these meta packages: their suites also hold other series
 * and flavours, which a build that installs the meta package never gets. A kernel that a meta
 * package names is of its line, at the version that it names. Refuses with kernel_line_mismatch,
 * kernel_meta_unclear, apt_package_missing.
 */
export function checkKernelLine<T extends PackageEntry>(
  packages: readonly T[],
  kernel: MappedKernel<T>,
  metas: readonly string[],
  distribution: Distribution,
): void {
  const ofMetas = metas.map((meta) => {
    const found = packages.filter(({name}) => name === meta)
    if (found.length === 0) throw new RelError('apt_package_missing', `the archive has no ${meta}`)
    return found.map((entry) => ({version: entry.version, entry, image: imageOf(entry)}))
  })
  const naming = ofMetas.flat().filter(({image}) => image.name === kernel.image.name)
  const newest = highestVersion(naming)
  if (newest !== undefined) {
    checkMetaVersion(newest.entry, newest.image, kernel)
    return
  }
  const line = kernelLine(kernel.release, kernel.image.version, distribution)
  const lines = ofMetas.flatMap((ofMeta) => {
    return settledLines(
      ofMeta.map(({image, version}) => {
        const release = parseKernelRelease(image.name.slice(PREFIX.length))
        return kernelLine(release, version, distribution)
      }),
    )
  })
  if (lines.includes(line)) return
  const wanted = [...new Set(lines)].join(' or ')
  throw new RelError(
    'kernel_line_mismatch',
    `${kernel.release.text} is of the line ${line}, ${metas.join(' and ')} of ${wanted}`,
  )
}

function imageOf(meta: PackageEntry): Dependency {
  const groups = parseDepends(meta.depends)
  const images = groups.flat().filter(({name}) => /^linux-image-\d/.test(name))
  const [image] = images
  if (image === undefined || images.length > 1)
    throw new RelError('kernel_meta_unclear', `${meta.name} depends on ${images.length} kernels`)
  return image
}

/**
 * The kernel of a release, at its highest version. Refuses with upstream_version_malformed,
 * apt_package_missing (with the nearest releases), apt_package_contradiction, kernel_abi_mismatch,
 * kernel_modules_mismatch.
 */
export function findKernel<T extends PackageEntry>(
  packages: readonly T[],
  text: string,
  distribution: Distribution,
): MappedKernel<T> {
  const release = parseKernelRelease(text)
  const image = newestPackage(packages.filter(({name}) => name === `${PREFIX}${text}`))
  if (image === undefined) throw missing(packages, text)
  checkKernelVersion(release, image.version, distribution)
  const modules = modulesOf(packages, image, text)
  return {release, image, ...(modules === undefined ? {} : {modules})}
}

function modulesOf<T extends PackageEntry>(
  packages: readonly T[],
  image: T,
  release: string,
): T | undefined {
  const name = `linux-modules-${release}`
  const ofImage = packages.filter((entry) => entry.name === name)
  const isNeeded = parseDepends(image.depends)
    .flat()
    .some((dependency) => dependency.name === name)
  if (ofImage.length === 0 && !isNeeded) return undefined
  const modules = ofImage.find(({version}) => version === image.version)
  const newest = newestPackage(ofImage)
  // apt would take the newest of both, so they have to be the same
  if (modules === undefined || newest?.version !== modules.version)
    throw new RelError(
      'kernel_modules_mismatch',
      `${image.name} is ${image.version}, ${name} is ${newest?.version ?? 'missing'}`,
    )
  return modules
}

function missing(packages: readonly PackageEntry[], release: string): RelError {
  const known = packages
    .filter(({name}) => /^linux-image-\d/.test(name))
    .map(({name}) => name.slice(PREFIX.length))
  const near = nearest(release, new Set(known), 3)
  const hint = near.length === 0 ? {} : {hint: `the archive has ${near.join(', ')}`}
  return new RelError('apt_package_missing', `the archive has no ${PREFIX}${release}`, hint)
}
