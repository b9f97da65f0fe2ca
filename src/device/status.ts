import {RelError} from '../system/error.ts'
import type {JsonObject} from '../system/json.ts'
import {type Device, recordsOf} from './device.ts'
import {listVersions} from './layout.ts'
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
    isBelowFloor: record.running.version !== floor,
    foreign: listVersions(device.root).foreign,
  }
}

/** A status as JSON shows it. */
export function statusJson({
  state,
  record,
  floor,
  current,
  isBelowFloor,
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
  const expected = record.state === 'trial' ? [record.running, record.candidate] : [record.running]
  const runs = [...expected, record.target].find((slot) => slot?.version === current)
  if (runs === undefined)
    throw new RelError(
      'upgrade_layout_invalid',
      `current leads to ${current ?? 'nothing'}, ${record.running.version} is recorded`,
    )
  const {manifest} = await verifyInstalled(device.root, device.config, runs)
  if (status.foreign.length > 0)
    throw new RelError('upgrade_layout_invalid', `versions/ holds ${status.foreign[0]}, not ours`, {
      details: {foreign: status.foreign},
    })
  return {...statusJson(status), files: manifest.files.length}
}
