import {RelError} from '../system/error.ts'
import type {Anchor} from './anchor.ts'

/**
 * The id of a key of the anchor from its name, its id, or at least the first 8 digits of it.
 * Refuses with anchor_key_not_found when none or more than one fits.
 */
export function findKey(anchor: Anchor, wanted: string): string {
  const fitting = [...anchor.keys].filter(
    ([keyId, {name}]) => name === wanted || (wanted.length >= 8 && keyId.startsWith(wanted)),
  )
  const [found, second] = fitting
  if (found !== undefined && second === undefined) return found[0]
  const seen = second === undefined ? 'no key' : `${fitting.length} keys`
  throw new RelError('anchor_key_not_found', `${seen} of the trust anchor fit what was given`)
}
