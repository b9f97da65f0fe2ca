import {compareVersions} from '../bundle/version.ts'
import type {ErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'

/** Everything an update can be. What is not kept on disk is `volatile`: a crash forgets it. */
const stateNames = [
  'detected',
  'downloaded',
  'verified',
  'staged',
  'applying',
  'trial',
  'committed',
  'rolling_back',
  'rolled_back',
  'degraded',
  'refused',
] as const

export type StateName = (typeof stateNames)[number]

/** The states that state.json holds; `applying` is a trial whose link has not changed yet. */
export const keptStates = [
  'committed',
  'staged',
  'trial',
  'rolling_back',
  'rolled_back',
  'degraded',
] as const

export type KeptState = (typeof keptStates)[number]

type Transition = {
  readonly from: StateName
  readonly to: StateName
  /** What makes it happen. */
  readonly when: string
  /** What is true on disk once it has happened. */
  readonly promise: string
}

/** The whole machine; `rel device status --explain` prints it and the updater asks it. */
export const transitions: readonly Transition[] = [
  row('detected', 'downloaded', 'fetched, or a local path', 'only .rel/downloads was written'),
  row('detected', 'refused', 'a gate is closed before anything is fetched', 'nothing was fetched'),
  row('downloaded', 'verified', 'signatures, expectations and gates pass', 'nothing was written'),
  row('downloaded', 'refused', 'a check or a gate says no', 'the offer alone is remembered'),
  row('verified', 'staged', 'the tree is on disk and verifies', 'versions/VERSION is complete'),
  row('verified', 'refused', 'the bytes are not as signed', 'the partial tree is removed'),
  row('staged', 'staged', 'another bundle is staged', 'the candidate is the new one'),
  row('staged', 'applying', 'apply, and the tree verifies again', 'the trial record is durable'),
  row('staged', 'refused', 'a gate closed, or the tree was changed', 'what runs is untouched'),
  row('applying', 'trial', 'previous, then current are swapped', 'current leads to the candidate'),
  row('trial', 'trial', 'interrupted, fewer attempts than allowed', 'the attempt is counted first'),
  row('trial', 'committed', 'healthy within the window', 'record first, then the floor'),
  row(
    'trial',
    'rolling_back',
    'not healthy, or the guard or an operator took it back',
    'the version is remembered',
  ),
  row('trial', 'degraded', 'not healthy, and no way back', 'nothing changes it by itself'),
  row('committed', 'staged', 'stage', 'what runs is untouched'),
  row('committed', 'rolling_back', 'an operator asks', 'the target verified first'),
  row('staged', 'rolling_back', 'an operator asks', 'the candidate is forgotten'),
  row('rolling_back', 'rolled_back', 'current is swapped back', 'the floor stays where it is'),
  row('rolling_back', 'degraded', 'the target does not verify', 'nothing changes it by itself'),
  row('rolled_back', 'staged', 'stage', 'what runs is untouched'),
  row('rolled_back', 'rolling_back', 'an operator asks', 'the target verified first'),
  row('degraded', 'staged', 'stage, by hand', 'what runs is untouched'),
  row('degraded', 'committed', 'init --repair', 'what runs verifies'),
]

function row(from: StateName, to: StateName, when: string, promise: string): Transition {
  return {from, to, when, promise}
}

/** Throws for a move that the table does not have: a bug, not a refusal. */
export function checkTransition(from: StateName, to: StateName): void {
  if (transitions.some((it) => it.from === from && it.to === to)) return
  throw new RelError('internal_error', `an update cannot go from ${from} to ${to}`)
}

/** What the record and the link say together. */
export function stateOf(kept: KeptState, current: string | undefined, running: string): StateName {
  return kept === 'trial' && current === running ? 'applying' : kept
}

export const policies = ['manual', 'stage', 'apply_when_stopped', 'auto'] as const

export type Policy = (typeof policies)[number]

/**
 * What may be done without a person: nothing, staging, also applying while the program is stopped, or
 * applying whenever it is staged, as D0, D1 and D2 do.
 */
export function checkUnattended(policy: Policy, step: 'stage' | 'apply'): void {
  if (policy === 'apply_when_stopped' || policy === 'auto') return
  if (policy === 'stage' && step === 'stage') return
  throw new RelError('upgrade_policy_manual', `upgrade.policy is ${policy}, which does not ${step}`)
}

/**
 * A node without a version that is known to be good waits for a person. Refuses with
 * upgrade_degraded.
 */
export function checkNotDegraded(state: KeptState, isUnattended: boolean): void {
  if (state === 'degraded' && isUnattended)
    throw new RelError('upgrade_degraded', 'the node is degraded and is not changed by itself')
}

/** What the gates look at; all of the candidate is signed. */
export type GateFacts = {
  readonly enabled: boolean
  readonly allowedChannels: readonly string[]
  /** Of the node's configuration. */
  readonly minVersion: string | undefined
  readonly floor: string
  readonly running: string
  readonly failed: readonly {readonly version: string; readonly digest: string}[]
  readonly candidate: {
    readonly version: string
    readonly digest: string
    readonly channel: string | undefined
    readonly minFrom: string | undefined
  }
  readonly isRetry: boolean
  /** Opens what closes on older versions, for this one alone: a signed grant, already checked. */
  readonly granted: string | undefined
}

export type Closed = {readonly code: ErrorCode; readonly message: string}

/** The closed gates in a fixed order; the first one is the code of the refusal. */
export function closedGates(facts: GateFacts): readonly Closed[] {
  const {candidate, floor, running, minVersion} = facts
  const {version, channel, minFrom} = candidate
  const closed: Closed[] = []
  const isGranted = version === facts.granted
  const close = (code: ErrorCode, message: string) => closed.push({code, message})
  if (!facts.enabled) close('upgrade_disabled', 'upgrade.enabled is not true')
  if (channel === undefined || !facts.allowedChannels.includes(channel))
    close('upgrade_channel_not_allowed', `the channel is ${channel ?? 'not signed'}`)
  if (minVersion !== undefined && compareVersions(version, minVersion) < 0)
    close('upgrade_version_too_old', `${version} is below upgrade.min_version ${minVersion}`)
  if (!isGranted && compareVersions(version, floor) < 0)
    close('upgrade_version_too_old', `${version} is below the floor ${floor}`)
  if (compareVersions(version, running) === 0)
    close('upgrade_not_newer', `${version} is what runs already`)
  else if (!isGranted && compareVersions(version, running) < 0)
    close('upgrade_version_too_old', `${version} is older than ${running}, which runs`)
  if (minFrom !== undefined && compareVersions(running, minFrom) < 0)
    close('upgrade_step_missing', `${version} needs at least ${minFrom}, ${running} runs`)
  if (!facts.isRetry && facts.failed.some(({digest}) => digest === candidate.digest))
    close('upgrade_blocked', `${version} was taken back here before`)
  return closed
}

/** Refuses with the first closed gate; all of them are in the details. */
export function checkOpen(closed: readonly Closed[]): void {
  const [first] = closed
  if (first === undefined) return
  const details = {closed: closed.map(({code, message}) => ({code, message}))}
  throw new RelError(first.code, first.message, {details})
}

/** The higher of two versions: floors only rise. */
export function higher(a: string, b: string): string {
  return compareVersions(a, b) >= 0 ? a : b
}
