import {channelsOf, stateAt} from '../../release/entitlement.ts'
import type {License, LicenseFile} from '../../release/license.ts'
import {checkLicense, checkLicenseKeys, parseLicense} from '../../release/license-file.ts'
import type {ChannelName} from '../../release/release.ts'
import {RelError} from '../../system/error.ts'
import {sha256Hex} from '../../system/hash.ts'
import type {Anchor} from '../../trust/anchor.ts'
import {parseAnchor} from '../../trust/anchor-parse.ts'
import type {Panel} from '../panel.ts'
import type {StoredLicense} from '../store/store.ts'

/** Whoever showed a licence that is good now. */
export type Holder = {
  readonly id: string
  readonly product: string
  readonly license: License
  readonly channels: readonly ChannelName[]
}

type Known = {
  readonly holder: Holder
  readonly state: StoredLicense['state']
  readonly expires: number
  readonly epoch: number
  readonly changes: number
  readonly verifiedAtMs: number
}

/** How often the latest time is kept, so that a restart with a clock set back does not thaw either. */
const KEEP_SECS = 60

/** How old the panel's word on licences may be, in milliseconds; 5 s are promised. */
const EPOCH_MS = 1000
/** Keys expire too, so a signature is not believed for ever. */
const VERIFIED_MS = 600_000
/** Verified tokens that are remembered; a fleet is smaller. */
const MAX_KNOWN = 20_000

/**
 * Decides who may ask. A verified licence is remembered by the SHA-256 of its token until any
 * licence changes in any instance, or anything of its product in this one; its expiry is looked at
 * every time, against a clock that does not go back.
 */
export class LicenseGate {
  readonly #panel: Panel
  readonly #known = new Map<string, Known>()
  #epoch = -1
  #epochAtMs = Number.NEGATIVE_INFINITY
  #asking: Promise<void> | undefined
  #latest = 0
  #keptAt = Number.NEGATIVE_INFINITY
  #anchor: {readonly text: string; readonly anchor: Anchor} | undefined

  constructor(panel: Panel) {
    this.#panel = panel
  }

  /** Seconds since the epoch; a clock that is set back does not thaw a licence. */
  now(): number {
    this.#latest = Math.max(this.#latest, this.#panel.clock())
    return this.#latest
  }

  /**
   * The holder of the licence in an Authorization header, at once when it is remembered.
   * Refuses with license_missing, license_invalid, license_unknown, license_frozen, license_revoked.
   */
  admit(authorization: string | undefined): Holder | Promise<Holder> {
    const token = tokenOf(authorization)
    const key = sha256Hex(token)
    if (performance.now() - this.#epochAtMs < EPOCH_MS) {
      const known = this.#remembered(key)
      if (known !== undefined) return this.#standing(known)
    }
    return this.#admitSlowly(token, key)
  }

  async #admitSlowly(token: string, key: string): Promise<Holder> {
    await this.#askEpoch()
    return this.#standing(this.#remembered(key) ?? (await this.#verify(token, key)))
  }

  #remembered(key: string): Known | undefined {
    const known = this.#known.get(key)
    if (known === undefined) return undefined
    const current =
      known.epoch === this.#epoch &&
      known.changes === this.#panel.changes.of(known.holder.product) &&
      performance.now() - known.verifiedAtMs < VERIFIED_MS
    return current ? known : undefined
  }

  #standing({holder, state, expires}: Known): Holder {
    const standing = stateAt(expires, state, this.now())
    if (standing === 'revoked')
      throw new RelError('license_revoked', `licence ${holder.id} was revoked`)
    if (standing === 'frozen')
      throw new RelError('license_frozen', `licence ${holder.id} is frozen`)
    return holder
  }

  async #askEpoch(): Promise<void> {
    if (performance.now() - this.#epochAtMs < EPOCH_MS) return
    this.#asking ??= this.#readEpoch().finally(() => {
      this.#asking = undefined
    })
    await this.#asking
  }

  async #readEpoch(): Promise<void> {
    const askedAtMs = performance.now()
    await this.#keepTime()
    this.#epoch = await this.#panel.store.licenseEpoch()
    this.#epochAtMs = askedAtMs
  }

  /**
   * Brings the latest time of all instances, also of those before a restart, to this one. It is
   * before any licence is judged, and a store that cannot be written keeps nobody from reading.
   */
  async #keepTime(): Promise<void> {
    const now = this.now()
    if (now - this.#keptAt < KEEP_SECS) return
    try {
      this.#latest = Math.max(this.#latest, await this.#panel.store.latestTime(now))
    } catch (error) {
      if (!(error instanceof RelError)) throw error
      this.#panel.log({level: 'warn', event: 'time.not_kept', fields: {code: error.code}})
    }
    this.#keptAt = now
    const behind = this.#latest - this.#panel.clock()
    if (behind > KEEP_SECS)
      this.#panel.log({level: 'warn', event: 'clock.behind', fields: {seconds: behind}})
  }

  async #verify(token: string, key: string): Promise<Known> {
    const file = readLicense(token)
    const {license} = file
    const [epoch, verifiedAtMs] = [this.#epoch, performance.now()]
    const changes = this.#panel.changes.of(license.product)
    const [product, stored] = await Promise.all([
      this.#panel.store.product(license.product),
      this.#panel.store.license(license.id),
    ])
    this.#checkSigned(file, product?.anchor)
    if (product === undefined || stored === undefined)
      throw new RelError('license_unknown', `licence ${license.id} is not registered here`)
    if (stored.product !== license.product || stored.track !== license.track)
      throw new RelError('license_invalid', `licence ${license.id} differs from the one known here`)
    const known: Known = {
      holder: holderOf(license, stored),
      state: stored.state,
      expires: stored.serial >= license.serial ? stored.expires : license.expires,
      epoch,
      changes,
      verifiedAtMs,
    }
    this.#remember(key, known)
    return known
  }

  /** By the panel's own key, or by a key that the product's anchor gives the role license. */
  #checkSigned(file: LicenseFile, anchorText: string | undefined): void {
    const own = this.#panel.keys.license.publicKey
    try {
      if (file.signatures.some(({keyid}) => keyid === own.keyId))
        checkLicenseKeys(file, {keys: [own], threshold: 1})
      else if (anchorText === undefined)
        throw new RelError('key_unknown', 'the product has no trust anchor')
      else checkLicense(file, this.#anchorOf(anchorText), this.now())
    } catch (error) {
      // an anchor that nobody renewed is the panel's trouble, not the customer's
      if (!(error instanceof RelError) || error.code === 'anchor_expired') throw error
      throw new RelError('license_invalid', `the licence is not signed for here (${error.code})`)
    }
  }

  #anchorOf(text: string): Anchor {
    if (this.#anchor?.text !== text)
      this.#anchor = {text, anchor: parseAnchor(Buffer.from(text)).anchor}
    return this.#anchor.anchor
  }

  #remember(key: string, known: Known): void {
    this.#known.delete(key)
    this.#known.set(key, known)
    if (this.#known.size <= MAX_KNOWN) return
    const oldest = this.#known.keys().next()
    if (oldest.done !== true) this.#known.delete(oldest.value)
  }
}

/** A renewal does not change what is opened, unless the panel knows a later file. */
function holderOf(license: License, stored: StoredLicense): Holder {
  const current =
    stored.serial > license.serial ? {...license, entitlements: stored.entitlements} : license
  return {
    id: license.id,
    product: license.product,
    license: current,
    channels: channelsOf(current),
  }
}

function readLicense(token: string): LicenseFile {
  try {
    return parseLicense(token)
  } catch (error) {
    if (!(error instanceof RelError)) throw error
    throw new RelError('license_invalid', `what was sent is no licence (${error.code})`)
  }
}

/**
 * The licence of `Authorization: Bearer rel1.…`, or the password of `Basic`: what clients send that
 * only know a server's address, such as https://license:rel1.…@host (D2's updater).
 */
function tokenOf(authorization: string | undefined): string {
  if (authorization === undefined || authorization === '')
    throw new RelError('license_missing', 'the request shows no licence')
  const [, scheme = '', value = ''] = /^(Bearer|Basic) +([!-~]+)$/i.exec(authorization) ?? []
  const token = scheme.toLowerCase() === 'basic' ? passwordOf(value) : value
  if (!token.startsWith('rel1.'))
    throw new RelError('license_invalid', 'what was sent is no licence of the form rel1.…')
  return token
}

function passwordOf(basic: string): string {
  const text = Buffer.from(basic, 'base64').toString('latin1')
  return text.slice(text.indexOf(':') + 1)
}
