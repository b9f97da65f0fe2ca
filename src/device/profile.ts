import {RelError} from '../system/error.ts'
import type {Device} from './device.ts'
import {swapLink} from './durable-fs.ts'
import {linkedVersion, mustWrite, paths, versionPath} from './layout.ts'
import {backUp, isBackup, programDigest, putBackup, putProgram, settleProgram} from './program.ts'
import type {DeviceRecord, Slot} from './record.ts'

// What differs between the profiles: which version starts, and how another one is made to.

/**
 * The version that starts when the program is started; undefined when nothing would, or something
 * that no record names. Refuses with upgrade_layout_invalid.
 */
export function runningVersion(device: Device, record: DeviceRecord): string | undefined {
  if (device.config.profile.kind === 'tree') return linkedVersion(device.root, 'current')
  const digest = programDigest(device)
  // what was committed first: two versions may have the same bytes
  const {running, candidate, target, previous} = record
  return [running, candidate, target, previous].find((slot) => slot?.digest === digest)?.version
}

/**
 * That nothing else is in the place of a first version. Refuses with upgrade_checksum_mismatch,
 * upgrade_layout_invalid.
 */
export function checkFirstStart(device: Device, digest: string): void {
  if (device.config.profile.kind === 'tree') return
  const there = programDigest(device)
  if (there === undefined || there === digest) return
  throw new RelError(
    'upgrade_checksum_mismatch',
    'the program that is there is not of the release',
    {
      hint: 'Give the release that it is of, or move it away.',
    },
  )
}

/** Makes a first version what starts: durable once this returns. */
export function firstStart(device: Device, {version, digest}: Slot): void {
  if (device.config.profile.kind === 'tree')
    swapLink(device.world.fs, paths.current, versionPath(version))
  else if (programDigest(device) === digest) settleProgram(device)
  else putProgram(device, version, digest)
}

/** Makes `to` what starts, with `from` as the way back: durable once this returns. */
export function swapForward(device: Device, from: Slot, to: Slot): void {
  const {world, config} = device
  mustWrite(world.fs, () => {
    if (config.profile.kind === 'binary') {
      backUp(device, from.digest)
      putProgram(device, to.version, to.digest)
      return
    }
    swapLink(world.fs, paths.previous, versionPath(from.version))
    swapLink(world.fs, paths.current, versionPath(to.version))
  })
}

/** Makes `to` what starts again: durable once this returns. */
export function swapBack(device: Device, to: Slot): void {
  const {world, config} = device
  mustWrite(world.fs, () => {
    if (config.profile.kind === 'tree')
      return swapLink(world.fs, paths.current, versionPath(to.version))
    // both are hashed on the way; the one beside the program is there when versions/ is damaged
    if (hasWayBack(device, to)) putBackup(device, to.digest)
    else putProgram(device, to.version, to.digest)
  })
}

/** True when the way back beside the program has the bytes of a version, whatever versions/ has. */
export function hasWayBack(device: Device, {digest}: Slot): boolean {
  return device.config.profile.kind === 'binary' && isBackup(device, digest)
}
