import {join} from 'node:path'
import type {LicenseFile} from '../release/license.ts'
import {
  armouredLicense,
  checkLicense,
  licenseLimits,
  parseLicense,
} from '../release/license-file.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere} from '../system/files.ts'
import {trustedNow} from './clock-mark.ts'
import {type Device, ifNotBusy} from './device.ts'
import {replaceFile} from './durable-fs.ts'
import {paths, writing} from './layout.ts'
import {checkNotExpired, checkTrack, type LicensedFacts} from './license-rules.ts'
import {anchorOf} from './verify-installed.ts'

/** Armour, line ends and mail headers make a file longer than its JSON. */
const MAX_FILE_BYTES = 4 * licenseLimits.bytes

/**
 * The licence of a node, genuine by the trust anchor of the node and for its product; undefined when
 * the node has none and needs none. A node whose source is a panel needs one: an absent file is no
 * way around it. Refuses with upgrade_license_invalid.
 */
export function licenseOf(device: Device): LicenseFile | undefined {
  const {root, config} = device
  const path = join(root, paths.license)
  const stat = statIfThere(path)
  if (stat?.isDirectory() === true)
    throw invalid(new RelError('license_malformed', `${paths.license} is a folder`))
  if (stat !== undefined)
    return genuine(device, () => parseLicense(readFileLimited(path, MAX_FILE_BYTES)))
  if (config.source?.kind !== 'panel') return undefined
  throw invalid(new RelError('license_missing', `${paths.license} is missing`))
}

/** What parses and is signed for this node. Refuses with upgrade_license_invalid, file_unreadable. */
export function genuine(device: Device, parse: () => LicenseFile): LicenseFile {
  const {root, config} = device
  try {
    const file = parse()
    checkLicense(file, anchorOf(root).anchor, trustedNow(device))
    if (file.license.product === config.product) return file
    throw new RelError('license_wrong_product', `it is for ${file.license.product}`)
  } catch (error) {
    if (!(error instanceof RelError) || error.code.startsWith('upgrade_')) throw error
    // of one that cannot be read just now nothing is known
    throw error.code === 'file_unreadable' ? error : invalid(error)
  }
}

function invalid(cause: RelError): RelError {
  return new RelError('upgrade_license_invalid', `the licence of the node: ${cause.message}`, {
    cause,
    details: {cause_code: cause.code},
  })
}

/**
 * That the licence of the node, if it has or needs one, opens a build that is to be installed. What
 * was signed after the licence expired is not opened by it, whatever the clock of the node shows.
 * Refuses with upgrade_license_invalid, upgrade_license_frozen.
 */
export function checkLicensed(
  device: Device,
  facts: LicensedFacts & {readonly signed: number},
): void {
  const file = licenseOf(device)
  if (file === undefined) return
  checkTrack(file.license, facts)
  checkNotExpired(file.license, Math.max(trustedNow(device), facts.signed))
}

/** That the licence, if there is one, is for the track of what runs, also when it has expired (D0). */
export function checkRunning(device: Device, facts: LicensedFacts): void {
  const file = licenseOf(device)
  if (file !== undefined) checkTrack(file.license, facts)
}

/**
 * Takes a renewed licence: genuine, of the same id, product and track, and with a higher serial. It
 * is kept unless another process acts; the next poll gets it again.
 * Returns the one that counts from now on. Refuses with upgrade_license_invalid.
 */
export async function adoptLicense(
  device: Device,
  before: LicenseFile,
  text: Uint8Array,
): Promise<LicenseFile> {
  const file = genuine(device, () => parseLicense(text))
  const [{license: old}, {license}] = [before, file]
  if (license.id !== old.id || license.track !== old.track)
    throw invalid(new RelError('license_exists', 'the renewal is of another licence'))
  if (license.serial <= old.serial) return before
  await ifNotBusy(device.root, () =>
    writing(() => replaceFile(device.world.fs, paths.license, armouredLicense(file), 0o600)),
  )
  return file
}
