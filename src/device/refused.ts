import type {ErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import type {JsonValue} from '../system/json.ts'
import type {Device} from './device.ts'
import {paths} from './layout.ts'
import {readSealed, writeSealed} from './sealed-file.ts'
import type {Offer} from './source.ts'

/** Long enough that a broken release is not fetched at every poll, short enough to see it mended. */
const REMEMBERED_SECS = 86_400
const MAX_REMEMBERED = 16

/** What another fetch of the same bytes would not change. */
const final: readonly ErrorCode[] = [
  'channel_mismatch',
  'manifest_expired',
  'product_mismatch',
  'release_expired',
  'target_mismatch',
  'upgrade_channel_not_allowed',
  'upgrade_checksum_mismatch',
  'upgrade_identity_not_allowed',
  'upgrade_signature_invalid',
  'upgrade_step_missing',
  'upgrade_version_too_old',
  'version_mismatch',
]

type Refused = {readonly offer: string; readonly at: number}

/** The same bytes where a digest is signed, the same version elsewhere. */
function nameOf({sha256, version}: Pick<Offer, 'sha256' | 'version'>): string {
  return sha256 ?? version
}

function load({root, world}: Pick<Device, 'root' | 'world'>): readonly Refused[] {
  const {schema, refused} = readSealed(root, paths.refused) ?? {schema: 1, refused: []}
  const now = world.now()
  if (schema !== 1 || !Array.isArray(refused))
    throw new RelError('upgrade_state_corrupt', `${paths.refused} is malformed`)
  return refused.map(refusedOf).filter(({at}) => at <= now && at > now - REMEMBERED_SECS)
}

function refusedOf(json: JsonValue): Refused {
  const {offer, at} = (json ?? {}) as {offer?: unknown; at?: unknown}
  if (typeof offer === 'string' && Number.isSafeInteger(at)) return {offer, at: at as number}
  throw new RelError('upgrade_state_corrupt', `${paths.refused} is malformed`)
}

/** True when an offer was fetched within the last day and could not be used. */
export function wasRefused(device: Device, offer: Offer): boolean {
  return load(device).some((it) => it.offer === nameOf(offer))
}

/** Remembers an offer that was fetched in vain, so that it is not fetched at every poll. */
export function rememberRefused(device: Device, offer: Offer, error: unknown): void {
  if (!(error instanceof RelError) || !final.includes(error.code)) return
  const others = load(device).filter((it) => it.offer !== nameOf(offer))
  const refused = [...others, {offer: nameOf(offer), at: device.world.now()}]
  writeSealed(device.world.fs, paths.refused, {schema: 1, refused: refused.slice(-MAX_REMEMBERED)})
}
