import type {Slot} from '../../release/release.ts'
import {channelOf, parseVersion} from '../../release/version.ts'
import {checkAnchor, checkAnchorFresh} from '../../trust/anchor.ts'
import {parseAnchor} from '../../trust/anchor-parse.ts'
import {checkNext} from '../../trust/anchor-update.ts'
import {canonicalJson} from '../../trust/canonical-json.ts'
import type {Product, ProductChange} from '../store/store.ts'

/** What a product is to be; what is absent stays as it is. */
export type ProductTerms = {
  readonly required?: readonly Slot[]
  readonly floor?: string
  readonly stopovers?: readonly string[]
  /** trust.json, byte for byte. */
  readonly anchor?: Uint8Array
}

/**
 * What of these terms differs from the product there is, or from a new one. Refuses with
 * version_invalid, channel_unknown_prerelease and as nextAnchor does; that a floor only rises is for
 * the store to say.
 */
export function productChange(
  before: Pick<Product, 'anchor' | 'floor' | 'matrix' | 'stopovers'> | undefined,
  {required, floor, stopovers, anchor}: ProductTerms,
  now: number,
): ProductChange {
  for (const version of stopovers ?? []) channelOf(version)
  const [slots, versions] = [before?.matrix.required ?? [], before?.stopovers ?? []]
  const lowest = floor === undefined ? undefined : parseVersion(floor).text
  const next = anchor === undefined ? undefined : nextAnchor(before?.anchor, anchor, now)
  return {
    ...(required === undefined || isSame(required, slots) ? {} : {required}),
    ...(lowest === undefined || lowest === before?.floor ? {} : {floor: lowest}),
    ...(stopovers === undefined || isSame(stopovers, versions) ? {} : {stopovers}),
    ...(next === undefined || next === before?.anchor ? {} : {anchor: next}),
  }
}

/**
 * The text of a product's trust anchor, which must follow the current one by the root rule; the
 * current one again is no change. Refuses as parseAnchor, checkAnchor, checkNext and
 * checkAnchorFresh do.
 */
export function nextAnchor(current: string | undefined, body: Uint8Array, now: number): string {
  const text = Buffer.from(body).toString('utf8')
  if (text === current) return text
  const next = parseAnchor(body)
  if (current === undefined) checkAnchor(next)
  else checkNext(parseAnchor(Buffer.from(current)), next)
  checkAnchorFresh(next.anchor, now)
  return text
}

function isSame(a: readonly (Slot | string)[], b: readonly (Slot | string)[]): boolean {
  return canonicalJson([...a]) === canonicalJson([...b])
}
