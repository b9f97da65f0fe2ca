import {join} from 'node:path'
import {statIfThere} from '../system/files.ts'
import {sha256Hex} from '../system/hash.ts'
import type {FileStatus} from './file-table.ts'
import {MANIFEST_NAME, manifestLimits, sidecarNames} from './manifest.ts'
import {type Difference, differencesError, statusDifference} from './verify-tree.ts'

/** What a sidecar may allow at most: nobody runs it, and only its owner writes to it. */
const SIDECAR_MODE = 0o644

/**
 * Sidecars are not signed by the manifest, so they may be nothing but small plain files. The answer
 * is the names of those that are there. Refuses with file_hardlinked, mode_forbidden,
 * manifest_limit; what is no regular file is refused by verifyTree.
 */
export function checkSidecars(root: string): readonly string[] {
  const names: string[] = []
  const found: Difference[] = []
  for (const name of sidecarNames) {
    const stat = statIfThere(join(root, name))
    if (stat === undefined) continue
    names.push(name)
    const difference = stat.isFile() ? sidecarDifference(name, stat) : undefined
    if (difference !== undefined) found.push(difference)
  }
  if (found.length > 0) throw differencesError(found)
  return names
}

function sidecarDifference(path: string, stat: FileStatus): Difference | undefined {
  const general = statusDifference({path, sha256: ''}, stat)
  if (general !== undefined) return general
  const bits = stat.mode & 0o7777
  if ((bits & ~SIDECAR_MODE) !== 0)
    return {path, code: 'mode_forbidden', seen: `mode is ${bits.toString(8)}, at most 644`}
  const most = path === MANIFEST_NAME ? manifestLimits.bytes : manifestLimits.sidecarBytes
  if (stat.size > most)
    return {path, code: 'manifest_limit', seen: `${stat.size} bytes, at most ${most}`}
  return undefined
}

/** Whoever reads the manifest of the tree must read what was verified. Refuses with file_digest_mismatch. */
export function checkSameManifest(bytes: Uint8Array, verifiedSha256: string): void {
  const sha256 = sha256Hex(bytes)
  if (sha256 === verifiedSha256) return
  const seen = `SHA-256 is ${sha256}, the manifest that was verified has ${verifiedSha256}`
  throw differencesError([{path: MANIFEST_NAME, code: 'file_digest_mismatch', seen}])
}
