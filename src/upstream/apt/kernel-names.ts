import {RelError} from '../../system/error.ts'
import {compareDpkgVersions, comparePart, parseDpkgVersion} from './dpkg-version.ts'
import type {Distribution} from './snapshot-id.ts'

/** What `uname -r` prints, in its parts. */
export type KernelRelease = {
  readonly text: string
  /** Such as 6.1.0 or 6.12.117. */
  readonly upstream: string
  /** What follows it before the flavour: 56, 1062, 0.deb11.21, or +deb12 with its plus sign. */
  readonly abi: string
  /** Such as arm64, cloud-arm64, generic, generic-64k, raspi. */
  readonly flavour: string
}

const form =
  /^(\d{1,4}\.\d{1,4}(?:\.\d{1,4})?)(?:-(\d{1,6}(?:\.(?:deb|bpo)\d{1,3}\.\d{1,6})?)|(\+(?:deb|bpo)\d{1,3}))-([a-z][a-z0-9]*(?:-[a-z0-9]+){0,4})$/

/**
 * A kernel release: `6.1.0-56-arm64`, `6.12.117+deb12-arm64` and `6.1.0-0.deb11.21-arm64` of Debian,
 * `6.8.0-1062-raspi` of Ubuntu. Refuses with upstream_version_malformed.
 */
export function parseKernelRelease(text: string): KernelRelease {
  const [, upstream, number, suffix, flavour] = form.exec(text.slice(0, 100)) ?? []
  const abi = number ?? suffix
  if (text.length > 100 || upstream === undefined || abi === undefined || flavour === undefined)
    throw new RelError(
      'upstream_version_malformed',
      `${JSON.stringify(text.slice(0, 60))} is no kernel release such as 6.1.0-56-arm64`,
      {hint: 'write what uname -r prints on the kernel'},
    )
  return {text, upstream, abi, flavour}
}

/** Numbers by their value, so that ABI 9 is before 31; refuses with upstream_version_malformed. */
export function compareKernelReleases(a: string, b: string): number {
  const [x, y] = [parseKernelRelease(a), parseKernelRelease(b)]
  return comparePart(x.upstream, y.upstream) || comparePart(x.abi, y.abi)
}

/**
 * That the version of a package belongs to its kernel release. Debian: the same series, and with
 * +deb12 the same upstream version. Ubuntu: version 6.17.0-35.35~24.04.1 is upstream 6.17.0, ABI
 * 35, upload 35 and the HWE suffix of its release. Refuses with kernel_abi_mismatch.
 */
export function checkKernelVersion(
  release: KernelRelease,
  version: string,
  distribution: Distribution,
): void {
  const {upstream, revision} = parseDpkgVersion(version)
  const fits =
    distribution === 'ubuntu'
      ? upstream === release.upstream && revision.startsWith(`${release.abi}.`)
      : debianFits(release, upstream.replace(/[~+].*$/, ''))
  if (!fits)
    throw new RelError('kernel_abi_mismatch', `${release.text} has the package version ${version}`)
}

/** Debian's ABI number stands for many upstream versions: 6.1.0-56 is made of 6.1.192. */
function debianFits({upstream, abi}: KernelRelease, version: string): boolean {
  if (abi.startsWith('+')) return version === upstream
  return seriesOf(version) === seriesOf(upstream)
}

/**
 * The line that a kernel is of, for people too: `6.1 arm64` of Debian, `GA 6.8.0 generic` and
 * `HWE ~24.04 generic` of Ubuntu, where the version of what is backported has the release in it.
 */
export function kernelLine(
  {upstream, flavour}: KernelRelease,
  version: string,
  distribution: Distribution,
): string {
  if (distribution === 'debian') return `${seriesOf(upstream)} ${flavour}`
  const [, suffix] = /(~\d\d\.\d\d)(?:\.\d+)*(?:\+\d+)?$/.exec(version) ?? []
  return suffix === undefined ? `GA ${upstream} ${flavour}` : `HWE ${suffix} ${flavour}`
}

/**
 * The lines that a meta package stands for, over all its versions: that of HWE names the kernel of
 * GA in the release pocket, and has left it since.
 */
export function settledLines(lines: readonly string[]): readonly string[] {
  const hwe = lines.filter((line) => line.startsWith('HWE '))
  return hwe.length === 0 ? lines : hwe
}

function seriesOf(upstream: string): string {
  return upstream.split('.').slice(0, 2).join('.')
}

/** The highest of package versions by dpkg's order; undefined for none. */
export function highestVersion<T extends {readonly version: string}>(
  list: readonly T[],
): T | undefined {
  return list.reduce<T | undefined>(
    (best, entry) =>
      best === undefined || compareDpkgVersions(entry.version, best.version) > 0 ? entry : best,
    undefined,
  )
}

/**
 * That a kernel's own text is of this package: Debian writes the package version into it, Ubuntu
 * the upload with its suffix, `#35~24.04.1-Ubuntu`. Refuses with kernel_image_mismatch.
 */
export function checkKernelBanner(
  banner: string,
  release: string,
  version: string,
  distribution: Distribution,
): void {
  const own = version.replace(/^\d+:/, '').replace(/\+\d+$/, '') // +1: signed a second time
  const [, upload = ''] = /-[^-.]*\.([^-]+)$/.exec(own) ?? []
  const wanted = distribution === 'debian' ? ` Debian ${own} ` : ` #${upload}-Ubuntu `
  const [first] = banner.split(' ')
  if (first !== release || !`${banner} `.includes(wanted))
    throw new RelError(
      'kernel_image_mismatch',
      `the kernel says ${JSON.stringify(banner.slice(0, 200))}, want ${release} of ${own}`,
    )
}
