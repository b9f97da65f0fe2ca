import {RelError} from '../system/error.ts'
import type {Device} from './device.ts'
import {paths} from './layout.ts'
import {readSealed, writeSealed} from './sealed-file.ts'

/** The first failure may be a bad transfer; a second one says that the delta is bad. */
const MAX_FAILURES = 2

/**
 * Whether deltas to a version are still worth fetching on this node: false where they are switched
 * off, and after the second failure for that version, also in later runs.
 */
export function mayTakeDelta({root, config}: Device, version: string): boolean {
  return config.deltaMaxBytes > 0 && failuresOf(root, version) < MAX_FAILURES
}

/** Remembers one more failure for a version; those for another are forgotten. */
export function countDeltaFailure({root, world}: Device, version: string): void {
  const failures = failuresOf(root, version) + 1
  writeSealed(world.fs, paths.deltas, {schema: 1, version, failures})
}

/** A damaged record says nothing: the worst that comes of it is one more try. */
function failuresOf(root: string, wanted: string): number {
  try {
    const {version, failures} = readSealed(root, paths.deltas) ?? {}
    return version === wanted && typeof failures === 'number' ? failures : 0
  } catch (error) {
    if (error instanceof RelError && error.code === 'upgrade_state_corrupt') return 0
    throw error
  }
}
