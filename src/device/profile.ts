import type {Device} from './device.ts'
import {swapLink} from './durable-fs.ts'
import {linkedVersion, paths, versionPath, writing} from './layout.ts'
import type {DeviceRecord, Slot} from './record.ts'

/** The version that starts when the program is started; undefined when nothing would. */
export function runningVersion({root}: Device, _record: DeviceRecord): string | undefined {
  return linkedVersion(root, 'current')
}

/** Makes `to` what starts, with `from` as the way back: durable once this returns. */
export function swapForward({world}: Device, from: Slot, to: Slot): void {
  writing(() => {
    swapLink(world.fs, paths.previous, versionPath(from.version))
    swapLink(world.fs, paths.current, versionPath(to.version))
  })
}

/** Makes `to` what starts again: durable once this returns. */
export function swapBack({world}: Device, to: Slot): void {
  writing(() => swapLink(world.fs, paths.current, versionPath(to.version)))
}
