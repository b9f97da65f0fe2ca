import {RelError} from '../../system/error.ts'
import {compareDpkgVersions} from './dpkg-version.ts'
import {highestVersion} from './kernel-names.ts'
import type {PackageEntry} from './packages-index.ts'

/**
 * The package that apt would take of several suites: the highest version; undefined for none.
 * Refuses with apt_package_contradiction when two suites have this version with other bytes: which
 * of them a build gets would depend on the order of its sources.
 */
export function newestPackage<T extends PackageEntry>(list: readonly T[]): T | undefined {
  const newest = highestVersion(list)
  if (newest === undefined) return undefined
  const other = list.find(
    ({version, sha256}) =>
      sha256 !== newest.sha256 && compareDpkgVersions(version, newest.version) === 0,
  )
  if (other === undefined) return newest
  throw new RelError(
    'apt_package_contradiction',
    `${newest.name} ${newest.version} has the SHA-256 ${newest.sha256} and ${other.sha256}`,
  )
}
