import {isDeltaName} from '../bundle/delta/delta-name.ts'
import type {ErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import {checkClock, trustedNow} from './clock-mark.ts'
import {advance, type Device, recordsOf, tell} from './device.ts'
import type {GrantFile} from './grant.ts'
import {checkGrantFor, useGrant} from './grant-memory.ts'
import type {Records} from './layout.ts'
import {checkLicensed} from './license-gate.ts'
import {isSafeVersion, type Slot} from './record.ts'
import {resume} from './resume.ts'
import {checkNotDegraded, checkOpen, checkUnattended, closedGates} from './state.ts'
import {
  anchorOf,
  policyOf,
  type Signed,
  slotOf,
  upgradeError,
  verifyInstalled,
} from './verify-installed.ts'

export type StageOptions = {
  readonly isRetry: boolean
  readonly isUnattended: boolean
  /** Lets in one version that is older than what runs. */
  readonly grant?: GrantFile
  /** What a source has promised; refused with version_mismatch or channel_mismatch else. */
  readonly expect?: {readonly version?: string; readonly channel?: string}
  /** Who calls has told that it begins. */
  readonly isStarted?: boolean
  /** Who calls goes on when it fails, and tells what comes of it. */
  readonly isOneWayOfTwo?: boolean
}

/** What was verified, and what it would be called once it is staged. */
export type Candidate = {readonly slot: Slot; readonly verified: Signed}

/** Asked once the manifest is trusted and before anything is written; what it throws ends everything. */
export type Check = (verified: Signed) => void

/**
 * Puts a version in its place below the root, verified and durable once this returns, and answers
 * with what it is; whatever is refused leaves nothing.
 */
export type Place = (device: Device, check: Check) => Promise<Slot>

/**
 * Verifies a directory or an archive for this node and asks the gates; writes nothing.
 * Refuses with the codes of upgradeError and closedGates.
 */
export async function checkSource(
  device: Device,
  source: string,
  options: StageOptions,
): Promise<Candidate> {
  const records = recordsOf(device)
  if (options.isUnattended) checkUnattended(device.config.policy, 'stage')
  checkNotDegraded(records.record.state, options.isUnattended)
  try {
    const {root, config} = device
    const [now, check] = [trustedNow(device), newGates(device, records, options)]
    if (config.profile.kind === 'binary') {
      const {checkFolder} = await import('./place-binary.ts')
      const verified = await checkFolder(config, anchorOf(root), source, now, check)
      return {slot: slotOf(verified, now), verified}
    }
    const policy = policyOf(root, config, now)
    if (isDeltaName(source)) {
      const {checkDelta} = await import('./place-delta.ts')
      const verified = await checkDelta(device, source, policy, check)
      return {slot: slotOf(verified, now), verified}
    }
    const {verifyBundle} = await import('../bundle/verify.ts')
    const verified = await verifyBundle(source, policy)
    check(verified)
    return {slot: slotOf(verified, now), verified}
  } catch (error) {
    throw upgradeError(error)
  }
}

type Gating = Pick<StageOptions, 'isRetry' | 'expect' | 'grant'> & {
  /** The version that a grant which was used already lets in. */
  readonly granted?: (slot: Slot) => string | undefined
}

/** The gates, asked of what was signed. */
export function gatesOf(
  device: Device,
  records: Records,
  {isRetry, expect, grant, granted}: Gating,
): Check {
  const {config, world} = device
  const {record, floor} = records
  checkClock(device)
  return (verified) => {
    const {manifest} = verified
    const slot = slotOf(verified, world.now())
    checkPromise(slot, expect)
    if (!isSafeVersion(manifest.version))
      throw new RelError('upgrade_signature_invalid', 'the version is no name for a folder')
    if (grant !== undefined) checkGrantFor(device, records, grant, slot)
    const closed = closedGates({
      enabled: config.enabled,
      allowedChannels: config.allowedChannels,
      minVersion: config.minVersion,
      floor,
      running: record.running.version,
      failed: record.failed,
      candidate: {...slot, channel: slot.channel, minFrom: manifest.rel?.minFrom},
      isRetry,
      granted: grant === undefined ? granted?.(slot) : slot.version,
    })
    checkOpen(closed)
  }
}

/** The gates of what is not installed yet: the licence of the node must open it as well. */
function newGates(device: Device, records: Records, options: Gating): Check {
  const check = gatesOf(device, records, options)
  return (verified) => {
    check(verified)
    const {timestamp, rel} = verified.manifest
    checkLicensed(device, {
      product: device.config.product,
      channel: rel?.channel,
      signed: timestamp,
    })
  }
}

function checkPromise(slot: Slot, promised: StageOptions['expect'] = {}): void {
  for (const name of ['version', 'channel'] as const)
    if (promised[name] !== undefined && promised[name] !== slot[name])
      throw new RelError(`${name}_mismatch`, `signed as ${slot[name]}, promised ${promised[name]}`)
}

/**
 * Puts a verified tree at versions/VERSION and records it: when this returns it is on disk. What
 * runs is not touched, whatever happens.
 */
export async function stage(
  device: Device,
  source: string | Place,
  options: StageOptions,
): Promise<Records> {
  if (options.isUnattended) checkUnattended(device.config.policy, 'stage')
  const records = await resume(device)
  checkNotDegraded(records.record.state, options.isUnattended)
  const check = newGates(device, records, options)
  if (options.isStarted !== true) tell(device, 'upgrade_started', {step: 'stage'})
  try {
    const place = typeof source === 'string' ? await localPlace(device, source) : source
    const slot = await place(device, check)
    const recorded = options.grant && useGrant(device, records, options.grant, slot)
    const staged = advance(device, records, 'staged', {candidate: slot})
    recorded?.()
    tell(device, 'upgrade_staged', {version: slot.version, digest: slot.digest})
    return staged
  } catch (error) {
    const known = upgradeError(error)
    if (options.isOneWayOfTwo !== true) tell(device, 'upgrade_stage_failed', failureOf(known))
    throw known
  }
}

/** What an event says of a failure. */
export function failureOf(error: unknown): {readonly error_code: ErrorCode} {
  return {error_code: error instanceof RelError ? error.code : 'internal_error'}
}

/** A bundle on this machine or a delta to it, or the folder of a release of a node of one program. */
export async function localPlace({config}: Device, path: string): Promise<Place> {
  if (config.profile.kind !== 'tree') return (await import('./place-binary.ts')).releasePlace(path)
  if (isDeltaName(path)) return (await import('./place-delta.ts')).deltaPlace(path)
  return (await import('./place-tree.ts')).bundlePlace(path)
}

/** What is staged, verified again. Refuses with upgrade_nothing_staged, upgrade_staged_corrupt. */
export async function checkStaged(device: Device, {record}: Records): Promise<Candidate> {
  const {candidate} = record
  if (record.state !== 'staged' || candidate === undefined)
    throw new RelError('upgrade_nothing_staged', 'nothing is staged')
  try {
    return {slot: candidate, verified: await verifyInstalled(device.root, device.config, candidate)}
  } catch (error) {
    if (!(error instanceof RelError) || error.code !== 'upgrade_checksum_mismatch') throw error
    throw new RelError('upgrade_staged_corrupt', error.message, {cause: error})
  }
}
