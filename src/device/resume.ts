import {join} from 'node:path'
import {MANIFEST_NAME} from '../bundle/manifest.ts'
import {parseManifest} from '../bundle/parse-manifest.ts'
import {readManifest} from '../bundle/verify.ts'
import type {ErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import {statIfThere} from '../system/files.ts'
import {advance, type Device, recordsOf, tell} from './device.ts'
import {removeTree} from './durable-fs.ts'
import {endTrial, forgetTrial, isAskedBack, isTakenBack, watchTrial} from './guard.ts'
import {
  keepReserve,
  linkedVersion,
  listVersions,
  paths,
  type Records,
  settle,
  unfinishedPath,
  versionPath,
  writeFloor,
  writing,
} from './layout.ts'
import {hasWayBack, runningVersion, swapBack, swapForward} from './profile.ts'
import {isKept} from './program.ts'
import {type DeviceRecord, type Slot, withFailure} from './record.ts'
import {checkTransition, higher, stateOf} from './state.ts'
import {anchorOf, isShortage, verifyInstalled} from './verify-installed.ts'

/** Records at rest; `problem` is why what was led back to could not be started again. */
export type Rested = Records & {readonly problem?: string}

/**
 * Brings a node that was interrupted anywhere to rest: a trial is judged, a rollback ended, a floor
 * raised, what is unfinished removed. Does nothing to a node at rest.
 * Refuses with upgrade_rolled_back where the trial failed, with upgrade_degraded where nothing could
 * be brought back, and with upgrade_state_corrupt, upgrade_layout_invalid.
 */
export async function resume(device: Device): Promise<Rested> {
  settle(device.world)
  const records = recordsOf(device)
  if (statIfThere(join(device.root, paths.grants)) !== undefined) {
    const {closeGrants} = await import('./grant-memory.ts')
    closeGrants(device, records)
  }
  const {record} = records
  if (record.state === 'trial') return continueTrial(device, records)
  if (record.state === 'rolling_back') return finishRollback(device, records)
  if (record.state === 'degraded') {
    // nothing is known to be good: what is there stays as it is, for a person to look at
    forgetTrial(device)
    return records
  }
  const current = runningVersion(device, record)
  if (current !== record.running.version)
    throw new RelError(
      'upgrade_layout_invalid',
      `current leads to ${current ?? 'nothing'}, ${record.running.version} was committed`,
    )
  writeFloor(device.world.fs, records.floor)
  forgetTrial(device)
  collectGarbage(device, records)
  keepReserve(device.world.fs)
  return records
}

const TAKEN_BACK = 'the guard took it back'
const ASKED_BACK = 'an operator asked for it'

/** Counts the attempt first, so that a version which takes the machine down is given up. */
async function continueTrial(device: Device, records: Records): Promise<Records> {
  const {record} = records
  const candidate = candidateOf(records)
  if (isTakenBack(device.root)) return giveUp(device, records, TAKEN_BACK)
  if (isAskedBack(device.root, candidate.digest)) return giveUp(device, records, ASKED_BACK)
  if (record.attempts >= device.config.maxBootAttempts)
    return giveUp(device, records, 'no attempts are left')
  const fault = await faultOf(device, candidate)
  if (fault !== undefined) return giveUp(device, records, fault)
  const counted = advance(device, records, 'trial', {candidate, attempts: record.attempts + 1})
  return runTrial(device, counted)
}

/** Why a candidate would not be staged any more: revoked since then, or damaged; what is unknown is thrown. */
async function faultOf({root, config}: Device, candidate: Slot): Promise<string | undefined> {
  anchorOf(root)
  try {
    await verifyInstalled(root, config, candidate)
    return undefined
  } catch (error) {
    if (!(error instanceof RelError) || isShortage(error)) throw error
    return error.message
  }
}

function candidateOf({record}: Records): Slot {
  if (record.candidate !== undefined) return record.candidate
  throw new RelError('upgrade_state_corrupt', 'a trial without a candidate')
}

/** Tells the guard, swaps the links if they are not yet, starts the candidate and judges it. */
export async function runTrial(device: Device, records: Records): Promise<Records> {
  const {world} = device
  const {running} = records.record
  const candidate = candidateOf(records)
  const current = runningVersion(device, records.record)
  if (current !== running.version && current !== candidate.version)
    throw new RelError('upgrade_layout_invalid', `current leads to ${current ?? 'nothing'}`)
  watchTrial(device, records.record)
  // asked after `current` was read: what the guard leads back is never swapped forward again
  if (isTakenBack(device.root)) return giveUp(device, records, TAKEN_BACK)
  if (stateOf('trial', current, running.version) === 'applying') {
    checkTransition('applying', 'trial')
    swapForward(device, running, candidate)
  }
  const reason = (await world.restart()) ?? (await world.health(candidate.version))
  if (isAskedBack(device.root, candidate.digest)) return giveUp(device, records, ASKED_BACK)
  if (reason !== undefined) return giveUp(device, records, reason)
  // from here on the guard can no longer lead back, or it has: then the old version has answered
  return endTrial(device) ? commit(device, records) : giveUp(device, records, TAKEN_BACK)
}

/** The record first, then the floor: a floor without its record would be a lie after a crash. */
function commit(device: Device, records: Records): Records {
  const {running} = records.record
  const candidate = candidateOf(records)
  const floor = higher(records.floor, candidate.version)
  const change = {running: candidate, previous: running, floor}
  const committed = advance(device, records, 'committed', change)
  writeFloor(device.world.fs, floor)
  forgetTrial(device)
  tell(device, 'upgrade_completed', {version: candidate.version, digest: candidate.digest})
  collectGarbage(device, committed)
  return committed
}

async function giveUp(device: Device, records: Records, reason: string): Promise<Records> {
  const {failed, running} = records.record
  const candidate = candidateOf(records)
  const {version} = candidate
  const change = {
    candidate,
    target: running,
    failed: withFailure(failed, candidate),
  }
  await targetOrDegraded(device, records, running, change.failed)
  const begun = advance(device, records, 'rolling_back', change)
  const {problem} = await swapToTarget(device, begun)
  const details = {version, running: running.version, reason}
  const message = `${version} was taken back: ${reason}`
  if (problem === undefined) throw new RelError('upgrade_rolled_back', message, {details})
  throw new RelError('upgrade_rolled_back', `${message}; ${notStarted(running, problem)}`, {
    details: {...details, problem},
  })
}

/** What a person must know who reads that a version runs again. */
export function notStarted({version}: Pick<Slot, 'version'>, problem: string): string {
  return `${version} was not started again: ${problem}`
}

/** What the program before may make up for, kept beside the one that runs; a revocation it may not. */
const wayBackCodes: readonly ErrorCode[] = ['upgrade_checksum_mismatch', 'upgrade_layout_invalid']

/** What a process may run out of: no word on a version. */
/** That a version can be run again. Refuses with upgrade_rollback_failed, file_unreadable. */
export async function checkTarget(device: Device, target: Slot): Promise<void> {
  try {
    await verifyInstalled(device.root, device.config, target)
  } catch (error) {
    if (!(error instanceof RelError) || isShortage(error)) throw error
    if (wayBackCodes.includes(error.code) && hasWayBack(device, target)) return
    const details = {version: target.version, cause_code: error.code}
    tell(device, 'upgrade_rollback_failed', details, 'critical')
    throw new RelError('upgrade_rollback_failed', `${target.version}: ${error.message}`, {
      cause: error,
      details,
    })
  }
}

/**
 * That the way back of a trial, or of a rollback that has begun, can be run again. Else the record
 * says degraded: the node keeps what it has, since a second guess could be worse than a bad version
 * that runs. Refuses with upgrade_degraded.
 */
async function targetOrDegraded(
  device: Device,
  records: Records,
  target: Slot,
  failed: DeviceRecord['failed'],
): Promise<void> {
  try {
    await checkTarget(device, target)
  } catch (error) {
    if (!(error instanceof RelError) || error.code !== 'upgrade_rollback_failed') throw error
    const {record} = records
    endTrial(device)
    const current = runningVersion(device, record)
    const {running, candidate} = record
    const left = [running, candidate, target].find((slot) => slot?.version === current) ?? running
    advance(device, records, 'degraded', {running: left, previous: undefined, failed})
    // what the guard took back stays known until the record is there: it would be swapped again
    forgetTrial(device)
    const details = {...error.details, running: left.version}
    throw new RelError('upgrade_degraded', error.message, {cause: error, details})
  }
}

/**
 * Leads current back to the target that was recorded, however often it is interrupted. The old
 * version then runs whatever its health: there is never a second swap. Refuses with
 * upgrade_degraded when the target is missing or damaged.
 */
async function finishRollback(device: Device, records: Records): Promise<Rested> {
  const {record} = records
  await targetOrDegraded(device, records, targetOf(record), record.failed)
  return swapToTarget(device, records)
}

function targetOf({target}: DeviceRecord): Slot {
  if (target !== undefined) return target
  throw new RelError('upgrade_state_corrupt', 'a rollback without a target')
}

/** The second half of a rollback, of a target that this process has verified under the same lock. */
export async function swapToTarget(device: Device, records: Records): Promise<Rested> {
  const {world} = device
  const {record} = records
  const {candidate, previous} = record
  const target = targetOf(record)
  if (runningVersion(device, record) !== target.version) swapBack(device, target)
  // before the restart, which the guard would count
  forgetTrial(device)
  const problem = await world.restart()
  const isTrial = target.digest === record.running.digest
  const left = (isTrial ? candidate : record.running)?.version ?? ''
  const done = advance(device, records, 'rolled_back', {
    running: target,
    previous: isTrial ? previous : undefined,
  })
  const details = {
    from: left,
    version: target.version,
    error_code: 'upgrade_rolled_back',
    ...(problem === undefined ? {} : {problem}),
  }
  tell(device, 'upgrade_rolled_back', details, 'critical')
  return problem === undefined ? done : {...done, problem}
}

/**
 * Removes what crashes left, and versions that no record and no link names. What is not ours stays.
 * Half a removal is harmless: nothing refers to it, and staging replaces it.
 */
function collectGarbage(device: Device, {record}: Records): void {
  const {root, world} = device
  const {versions, unfinished} = listVersions(root)
  const kept = new Set([
    linkedVersion(root, 'current'),
    linkedVersion(root, 'previous'),
    ...[record.running, record.previous, record.candidate, record.target].map((it) => it?.version),
  ])
  writing(() => {
    for (const name of unfinished) removeTree(world.fs, `${paths.versions}/${name}`)
    for (const version of versions) {
      if (kept.has(version) || !isOurs(device, version)) continue
      const trash = unfinishedPath(version, 'trash')
      world.fs.run({op: 'rename', path: versionPath(version), to: trash})
      removeTree(world.fs, trash)
    }
  })
}

/** Only what says of itself that it is this version is removed; a folder of somebody else is not. */
function isOurs({root, config}: Device, version: string): boolean {
  return config.profile.kind === 'binary' ? isKept(root, version) : isBundle(root, version)
}

function isBundle(root: string, version: string): boolean {
  try {
    const path = join(root, versionPath(version), MANIFEST_NAME)
    return parseManifest(readManifest(path)).manifest.version === version
  } catch (error) {
    if (error instanceof RelError) return false
    throw error
  }
}
