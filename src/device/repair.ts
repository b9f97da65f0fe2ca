import {RelError} from '../system/error.ts'
import type {Device} from './device.ts'
import {replaceFile} from './durable-fs.ts'
import {forgetTrial} from './guard.ts'
import {
  linkedVersion,
  listVersions,
  paths,
  type Readable,
  readableRecords,
  settle,
  writeRecord,
  writing,
} from './layout.ts'
import {swapBack} from './profile.ts'
import {programDigest} from './program.ts'
import {floorText, type Slot} from './record.ts'
import {forgetDamaged} from './sealed-file.ts'
import {higher} from './state.ts'
import {slotOf, upgradeError, verifyInstalled, verifyVersion} from './verify-installed.ts'

/** What should run; `isMoved` when it has to be put back. */
type Found = {readonly slot: Slot; readonly isMoved: boolean}

/** What runs after a repair; `isFailuresLost` when no record could be read that would name them. */
export type Repaired = Found & {readonly isFailuresLost: boolean}

/**
 * Rebuilds records that are damaged from what runs, if that verifies. Where nothing runs that does,
 * the one version is put back that the readable records say has run, that never failed and that
 * verifies; with two of them, or none, nothing is guessed. A trial or a rollback that is unfinished ends
 * where it would lead back to: what never proved itself is not committed by a repair. What failed is
 * still known. The floor is the highest that can still be
 * read, and never below what runs. Nobody can go back to an earlier version after it. Refuses with
 * upgrade_layout_invalid, upgrade_checksum_mismatch, upgrade_signature_invalid.
 */
export async function repair(device: Device): Promise<Repaired> {
  const {world} = device
  settle(world)
  const known = readableRecords(device.root)
  const {slot, isMoved} = await whatShouldRun(device, known)
  // else a guard would go on to count the starts of what is committed here
  forgetTrial(device)
  if (isMoved) swapBack(device, slot)
  const floor = known.floors.reduce(higher, slot.version)
  writing(() => replaceFile(world.fs, paths.floor, floorText(floor), 0o600))
  const {failed = []} = known
  const record = {state: 'committed', running: slot, attempts: 0, floor, failed} as const
  writeRecord(world.fs, {...record, seq: known.seq + 1})
  forgetDamaged(world.fs)
  return {slot, isMoved, isFailuresLost: known.failed === undefined}
}

async function whatShouldRun(device: Device, {slots, wayBack}: Readable): Promise<Found> {
  if (wayBack !== undefined) {
    const found = await ifGood(() => verifyInstalled(device.root, device.config, wayBack))
    if (found !== undefined) return {slot: wayBack, isMoved: true}
  }
  try {
    return {slot: await whatRuns(device, slots), isMoved: false}
  } catch (error) {
    const reason = upgradeError(error)
    if (!(reason instanceof RelError)) throw error
    return {slot: await onlyOne(device, slots, reason), isMoved: true}
  }
}

async function whatRuns(device: Device, slots: readonly Slot[]): Promise<Slot> {
  const {root, config} = device
  if (config.profile.kind === 'tree') {
    const version = linkedVersion(root, 'current')
    if (version !== undefined) return verified(device, version, slots)
    throw new RelError('upgrade_layout_invalid', 'current is missing: nothing says what runs')
  }
  const digest = programDigest(device)
  for (const version of listVersions(root).versions) {
    const slot = await ifGood(() => verified(device, version, slots))
    if (slot !== undefined && slot.digest === digest) return slot
  }
  throw new RelError('upgrade_checksum_mismatch', 'the program is of no version that is kept here')
}

async function verified(device: Device, version: string, slots: readonly Slot[]): Promise<Slot> {
  const {root, config, world} = device
  const recorded = slots.find((slot) => slot.version === version)
  const at = recorded?.verifiedAt ?? world.now()
  return slotOf(await verifyVersion(root, config, version, at), at)
}

async function onlyOne(device: Device, slots: readonly Slot[], reason: RelError): Promise<Slot> {
  const {root, config} = device
  const good: Slot[] = []
  for (const slot of slots) {
    const isKnown = good.some(({version}) => version === slot.version)
    const found = await ifGood(() => verifyInstalled(root, config, slot))
    if (!isKnown && found !== undefined) good.push(slot)
  }
  const [only, other] = good
  if (only === undefined) throw reason
  if (other === undefined) return only
  const versions = good.map(({version}) => version)
  throw new RelError('upgrade_layout_invalid', `${reason.message}; ${versions.join(', ')} verify`, {
    hint: `Say which one is to run: ln -sfn versions/${only.version} DIR/current`,
    details: {versions},
    cause: reason,
  })
}

async function ifGood<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof RelError) return undefined
    throw error
  }
}
