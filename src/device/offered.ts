import {compareVersions} from '../bundle/version.ts'
import {RelError} from '../system/error.ts'
import {clockMark, trustedNow} from './clock-mark.ts'
import {type Device, ifNotBusy, recordsOf} from './device.ts'
import {paths} from './layout.ts'
import {isSafeVersion} from './record.ts'
import {readSealed, writeSealed} from './sealed-file.ts'

const DAY_SECS = 86_400

/**
 * Since when nothing new has been signed for a node though its configuration says that it should;
 * undefined where it says nothing. For sources that say no word on what is current.
 */
export function quietSince(device: Device): number | undefined {
  const {staleAfterDays} = device.config
  if (staleAfterDays === undefined) return undefined
  const latest = clockMark(device.root) || recordsOf(device).record.running.verifiedAt
  const end = latest + staleAfterDays * DAY_SECS
  return trustedNow(device) >= end ? end : undefined
}

/**
 * Remembers the highest version that a source has offered, and answers with it where it is offered
 * no more though it would be news: a release that was taken back, or is held back.
 * Refuses with upgrade_state_corrupt.
 */
export async function noteOffered(
  device: Device,
  running: string,
  offered: string | undefined,
): Promise<string | undefined> {
  // of other channels other versions are offered: what was on those is not withdrawn
  const {source: from = null, allowedChannels} = device.config
  const source = JSON.stringify([from, allowedChannels])
  const highest = highestOffered(device.root, source)
  const isHigher = (a: string, b = running) => compareVersions(a, b) > 0
  if (offered !== undefined && (highest === undefined || isHigher(offered, highest))) {
    await ifNotBusy(device.root, () =>
      writeSealed(device.world.fs, paths.offered, {schema: 1, source, version: offered}),
    )
    return undefined
  }
  return highest !== undefined && highest !== offered && isHigher(highest) ? highest : undefined
}

function highestOffered(root: string, source: string): string | undefined {
  const json = readSealed(root, paths.offered)
  if (json === undefined || json.source !== source) return undefined
  const {schema, version} = json
  if (schema === 1 && isSafeVersion(version)) return version
  throw new RelError('upgrade_state_corrupt', `${paths.offered} holds no version`)
}
