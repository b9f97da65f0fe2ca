import {compareVersions} from '../bundle/version.ts'
import {RelError} from '../system/error.ts'
import type {JsonObject} from '../system/json.ts'
import {type Device, recordsOf} from './device.ts'
import {grantOver} from './grant.ts'
import {readGrantMemory} from './grant-memory.ts'
import {listVersions} from './layout.ts'
import {checkRunning} from './license-gate.ts'
import {runningVersion} from './profile.ts'
import {type DeviceRecord, slotJson} from './record.ts'
import {type StateName, stateOf} from './state.ts'
import {verifyInstalled} from './verify-installed.ts'

/** What a node is, without touching it. */
export type Status = {
  readonly state: StateName
  readonly record: DeviceRecord
  readonly floor: string
  readonly current: string | undefined
  readonly isBelowFloor: boolean
  /** What has led below the floor. */
  readonly belowFloorBy?: 'grant' | 'rollback'
  /** What somebody else put into versions/; it is left alone. */
  readonly foreign: readonly string[]
}

/** Refuses with upgrade_state_corrupt, upgrade_layout_invalid. */
export function statusOf(device: Device): Status {
  const {record, floor} = recordsOf(device)
  const current = runningVersion(device, record)
  return {
    state: stateOf(record.state, current, record.running.version),
    record,
    floor,
    current,
    ...belowFloor(device.root, record, floor),
    foreign: listVersions(device.root).foreign,
  }
}

/** The gates let nothing below the floor run: a grant did, or a rollback to what ran before. */
function belowFloor(
  root: string,
  {running}: DeviceRecord,
  floor: string,
): Pick<Status, 'isBelowFloor' | 'belowFloorBy'> {
  if (compareVersions(running.version, floor) >= 0) return {isBelowFloor: false}
  const over = grantOver(readGrantMemory(root), running)
  return {isBelowFloor: true, belowFloorBy: over === undefined ? 'rollback' : 'grant'}
}

/** A status as JSON shows it. */
export function statusJson({
  state,
  record,
  floor,
  current,
  isBelowFloor,
  belowFloorBy,
  foreign,
}: Status): JsonObject {
  const {running, previous, candidate, attempts, failed} = record
  return {
    state,
    running: slotJson(running),
    ...(current === undefined ? {} : {current}),
    ...(previous === undefined ? {} : {previous: slotJson(previous)}),
    ...(candidate === undefined ? {} : {candidate: slotJson(candidate)}),
    attempts,
    floor,
    running_below_floor: isBelowFloor,
    ...(belowFloorBy === undefined ? {} : {below_floor_by: belowFloorBy}),
    failed: failed.map(({version, digest}) => ({version, digest})),
    foreign,
  }
}

/**
 * That what runs is exactly as signed and where the records say. Refuses with
 * upgrade_layout_invalid, upgrade_checksum_mismatch, upgrade_signature_invalid.
 */
export async function verifyDevice(device: Device): Promise<JsonObject> {
  const status = statusOf(device)
  const {record, current} = status
  const {state, running, candidate, target} = record
  // a rollback that was cut short may not have left the candidate yet
  const isBetween = state === 'trial' || state === 'rolling_back'
  const expected = isBetween ? [running, candidate, target] : [running]
  const runs = expected.find((slot) => slot?.version === current)
  if (runs === undefined)
    throw new RelError(
      'upgrade_layout_invalid',
      `${current ?? 'nothing known'} runs, ${running.version} is recorded`,
    )
  const {manifest} = await verifyInstalled(device.root, device.config, runs)
  checkRunning(device, {product: device.config.product, channel: runs.channel})
  if (status.foreign.length > 0)
    throw new RelError('upgrade_layout_invalid', `versions/ holds ${status.foreign[0]}, not ours`, {
      hint: 'Move it out of versions/, or remove it, once nothing runs from it.',
      details: {foreign: status.foreign},
    })
  return {...statusJson(status), files: manifest.files.length}
}
