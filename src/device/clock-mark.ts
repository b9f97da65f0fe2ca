import {RelError} from '../system/error.ts'
import {type Device, ifNotBusy} from './device.ts'
import {paths} from './layout.ts'
import {readSealed, writeSealed} from './sealed-file.ts'

/** A clock may be behind what was signed by this much: time zones set wrongly, a dead battery less. */
const TOLERANCE_SECS = 86_400

/** A signed time is no mark when it lies further ahead than the clocks of signers may differ. */
const SKEW_SECS = 300

/** The latest signed time that this node has seen, 0 before the first. Refuses with upgrade_state_corrupt. */
export function clockMark(root: string): number {
  const {schema, latest} = readSealed(root, paths.clock) ?? {schema: 1, latest: 0}
  if (schema === 1 && Number.isSafeInteger(latest) && (latest as number) >= 0)
    return latest as number
  throw new RelError('upgrade_state_corrupt', `${paths.clock} holds no time`)
}

/**
 * Remembers a signed time, once what says it was verified. One from the future is not: who signs it
 * could stop every node by it.
 */
export function raiseMark(device: Pick<Device, 'root' | 'world'>, signed: number): void {
  if (!raisesMark(device, signed)) return
  writeSealed(device.world.fs, paths.clock, {schema: 1, latest: signed})
}

/** Whether raiseMark would write. */
export function raisesMark({root, world}: Pick<Device, 'root' | 'world'>, signed: number): boolean {
  return signed <= world.now() + SKEW_SECS && signed > clockMark(root)
}

/** raiseMark for whoever does not hold the node; not while another process acts. */
export async function noteTime(device: Device, signed: number): Promise<void> {
  if (raisesMark(device, signed)) await ifNotBusy(device.root, () => raiseMark(device, signed))
}

/** The time by which expiry is judged: never before what was signed already. */
export function trustedNow({root, world}: Pick<Device, 'root' | 'world'>): number {
  return Math.max(world.now(), clockMark(root))
}

/** Refuses with upgrade_clock_untrusted when the clock is more than a day behind a signed time. */
export function checkClock({root, world}: Pick<Device, 'root' | 'world'>): void {
  const [now, mark] = [world.now(), clockMark(root)]
  if (now >= mark - TOLERANCE_SECS) return
  throw new RelError('upgrade_clock_untrusted', `the clock shows ${now}, ${mark} was signed`, {
    details: {now, signed: mark},
  })
}
