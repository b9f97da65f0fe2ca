import type {License, LicenseFile} from '../../release/license.ts'
import {
  armouredLicense,
  checkLicense,
  checkLicenseKeys,
  issueLicense,
  parseLicense,
} from '../../release/license-file.ts'
import {RelError} from '../../system/error.ts'
import {parseAnchor} from '../../trust/anchor-parse.ts'
import type {Panel} from '../panel.ts'
import type {Caller} from '../server/token.ts'
import type {Actor, LicenseChange, StoredLicense} from '../store/store.ts'
import {productOf} from './publish-release.ts'

/** A licence of the panel. Refuses with license_not_here, also where the token may not know of it. */
export async function licenseFor(
  {store}: Pick<Panel, 'store'>,
  id: string,
  {token: {products}}: Caller,
): Promise<StoredLicense> {
  const stored = await store.license(id)
  if (stored === undefined || products?.includes(stored.product) === false)
    throw new RelError('license_not_here', `the panel has no licence ${id}`)
  return stored
}

/** Freezes or revokes; again with the same reason changes nothing. Refuses as setLicense does. */
export async function closeLicense(
  panel: Panel,
  before: StoredLicense,
  {state, reason}: {readonly state: 'frozen' | 'revoked'; readonly reason: string},
  by: Actor,
): Promise<StoredLicense> {
  if (before.state === state && before.reason === reason) return before
  return changeLicense(panel, before, {state, reason}, by)
}

/**
 * Renews: a time (seconds since the epoch) is signed by the panel's key, a file was signed
 * elsewhere. Refuses with license_exists, license_stale, what checkLicense refuses with, and as
 * setLicense does.
 */
export async function renewLicense(
  panel: Panel,
  before: StoredLicense,
  by: Actor,
  until: number | LicenseFile,
): Promise<StoredLicense> {
  const file = typeof until === 'number' ? await renewed(panel, before, until) : until
  await checkGenuine(panel, file)
  checkFollows(before, file.license)
  const {expires, serial, entitlements} = file.license
  const change = {expires, serial, entitlements, file: armouredLicense(file), reason: ''}
  return changeLicense(panel, before, {state: 'active', ...change}, by)
}

/** Signed by the panel's own key, or by the licence keys of the product's anchor. */
export async function checkGenuine(panel: Panel, file: LicenseFile): Promise<void> {
  const own = panel.keys.license.publicKey
  if (file.signatures.some(({keyid}) => keyid === own.keyId)) {
    checkLicenseKeys(file, {keys: [own], threshold: 1})
    return
  }
  const {name, anchor} = await productOf(panel, file.license.product)
  if (anchor === undefined)
    throw new RelError('product_without_anchor', `${name} has no trust anchor`)
  checkLicense(file, parseAnchor(Buffer.from(anchor)).anchor, panel.clock())
}

function renewed(
  {keys, clock}: Panel,
  {file, serial}: StoredLicense,
  expires: number,
): Promise<LicenseFile> {
  const {license} = parseLicense(file)
  return issueLicense({...license, expires, issued: clock(), serial: serial + 1}, keys.license)
}

/** A renewal is the same licence with a higher serial. Refuses with license_exists, license_stale. */
function checkFollows(before: StoredLicense, next: License): void {
  const same =
    next.id === before.id && next.product === before.product && next.track === before.track
  if (!same) throw new RelError('license_exists', 'the file is of another licence')
  if (next.serial <= before.serial)
    throw new RelError('license_stale', `serial ${next.serial}, ${before.serial} is known`)
}

async function changeLicense(
  panel: Panel,
  {id, product}: StoredLicense,
  to: LicenseChange,
  by: Actor,
): Promise<StoredLicense> {
  const after = await panel.store.setLicense(id, to, by)
  panel.changes.mark(product)
  return after
}
