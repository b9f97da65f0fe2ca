import {RelError} from '../system/error.ts'
import {advance, type Device, recordsOf, tell} from './device.ts'
import type {GrantFile} from './grant.ts'
import {checkGrantFor, grantedVersion, useGrant} from './grant-memory.ts'
import type {Records} from './layout.ts'
import {checkRunning} from './license-gate.ts'
import {type Slot, withFailure} from './record.ts'
import {checkTarget, type Rested, resume, runTrial, swapToTarget} from './resume.ts'
import {type Candidate, checkStaged, gatesOf} from './stage.ts'
import {checkUnattended} from './state.ts'

export type ApplyOptions = {readonly isRetry: boolean; readonly isUnattended: boolean}

/**
 * Whether what is staged could be applied now; changes nothing. Refuses with
 * upgrade_nothing_staged, upgrade_staged_corrupt, app_running and those of closedGates.
 */
export async function checkApply(device: Device, options: ApplyOptions): Promise<Candidate> {
  const {policy, product} = device.config
  if (options.isUnattended) checkUnattended(policy, 'apply')
  const records = recordsOf(device)
  const candidate = await checkStaged(device, records)
  const granted = (slot: Slot) => grantedVersion(device, records, slot)
  gatesOf(device, records, {...options, granted})(candidate.verified)
  // what is staged was opened when it was: an end of the licence since then takes nothing away
  checkRunning(device, {product, channel: candidate.slot.channel})
  if (options.isUnattended && policy !== 'auto' && !(await device.world.isStopped()))
    throw new RelError(
      'app_running',
      'the stopped command does not say that the program is stopped',
    )
  return candidate
}

/**
 * Makes the staged version the one that runs, or ends with what ran before. A trial that was
 * interrupted is ended first, and is the outcome. Refuses with upgrade_rolled_back.
 */
export async function apply(device: Device, options: ApplyOptions): Promise<Records> {
  const before = recordsOf(device).record
  const records = await resume(device)
  if (before.state === 'trial') return records
  try {
    const {slot} = await checkApply(device, options)
    tell(device, 'upgrade_started', {step: 'apply', version: slot.version})
    return await runTrial(device, advance(device, records, 'trial', {candidate: slot, attempts: 1}))
  } catch (error) {
    // a trial that was left to the next run has not failed
    const isTold = (code: string) => code === 'upgrade_rolled_back' || code === 'interrupted'
    if (error instanceof RelError && !isTold(error.code))
      tell(device, 'upgrade_apply_failed', {error_code: error.code})
    throw error
  }
}

/**
 * Where an operator may go back to, or whoever has a grant for it, verified. Refuses with
 * upgrade_no_previous, upgrade_grant_invalid, upgrade_rollback_failed.
 */
export async function checkRollback(device: Device, grant?: GrantFile): Promise<Slot> {
  const records = recordsOf(device)
  const {state, running, previous} = records.record
  // a trial has committed nothing: what ran before it is recorded as what runs
  const target = state === 'trial' && grant === undefined ? running : previous
  if (target === undefined)
    throw new RelError('upgrade_no_previous', 'no version before this one is recorded')
  if (grant !== undefined) checkGrantFor(device, records, grant, target)
  await checkTarget(device, target)
  return target
}

/**
 * Goes back to the version before the last commit; data is not touched and the floor stays. A
 * rollback that was interrupted is ended first, and is the outcome. A grant is used up.
 */
export async function rollback(device: Device, grant?: GrantFile): Promise<Rested> {
  const before = recordsOf(device).record
  const records = await resume(device)
  if (before.state === 'rolling_back') return records
  const target = await checkRollback(device, grant)
  const recorded = grant && useGrant(device, records, grant, target)
  const {running, failed} = records.record
  const change = {
    target,
    failed: withFailure(failed, running),
  }
  const begun = advance(device, records, 'rolling_back', change)
  recorded?.()
  return swapToTarget(device, begun)
}
