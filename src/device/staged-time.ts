import {join} from 'node:path'
import {MANIFEST_NAME} from '../bundle/manifest.ts'
import {parseManifest} from '../bundle/parse-manifest.ts'
import {readManifest} from '../bundle/verify.ts'
import {parseRelease, releaseLimits} from '../release/release-manifest.ts'
import {readFileLimited} from '../system/files.ts'
import {raiseMark} from './clock-mark.ts'
import {type Device, recordsOf} from './device.ts'
import {versionPath} from './layout.ts'
import {kept} from './program.ts'

/**
 * Remembers when what is staged was signed; it was verified when it was staged. For a node that takes
 * its bundles by hand nothing else says how late it is.
 */
export function rememberTimes(device: Device): void {
  const {candidate, running} = recordsOf(device).record
  raiseMark(device, signedTime(device, (candidate ?? running).version))
}

function signedTime({root, config}: Device, version: string): number {
  const folder = join(root, versionPath(version))
  if (config.profile.kind === 'tree')
    return parseManifest(readManifest(join(folder, MANIFEST_NAME))).manifest.timestamp
  const bytes = readFileLimited(join(folder, kept.release), releaseLimits.bytes)
  return parseRelease(bytes).release.timestamp
}
