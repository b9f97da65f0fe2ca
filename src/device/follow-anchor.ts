import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere} from '../system/files.ts'
import {type AnchorFile, anchorLimits} from '../trust/anchor.ts'
import {parseAnchor} from '../trust/anchor-parse.ts'
import {anchorPaths, loadAnchor} from '../trust/anchor-store.ts'
import {walkAnchors} from '../trust/anchor-update.ts'
import {anchorText} from '../trust/anchor-write.ts'
import {trustedNow} from './clock-mark.ts'
import type {Device} from './device.ts'
import {replaceFile} from './durable-fs.ts'
import {paths, settle, writing} from './layout.ts'
import {anchorOf} from './verify-installed.ts'

/** The anchor of a node, and the one that it is to have; the same one when there is nothing to do. */
export type Succession = {readonly before: AnchorFile; readonly after: AnchorFile}

/**
 * That an anchor follows from the one of a node, version by version: those in between are read
 * beside it, as N.trust.json. Refuses with anchor_rollback, anchor_gap, anchor_old_root,
 * anchor_new_root, anchor_inconsistent, anchor_expired, anchor_steps, and as parseAnchor does.
 */
export function successionOf(device: Device, path: string): Succession {
  const before = anchorOf(device.root)
  const last = readFileLimited(path, anchorLimits.bytes)
  const offered = parseAnchor(last)
  const [from, to] = [before.anchor.version, offered.anchor.version]
  if (from === to) return {before, after: sameAs(before, path)}
  // nobody has vouched for the number yet: it is not counted up to
  const count = Math.min(anchorLimits.steps, Math.max(0, to - from - 1))
  const between = Array.from({length: count}, (_, at) => from + 1 + at)
  const texts = [...between.flatMap((it) => numbered(path, it)), last]
  return {before, after: walkAnchors(before, texts, trustedNow(device))}
}

function sameAs(before: AnchorFile, path: string): AnchorFile {
  const offered = loadAnchor(path)
  if (offered.canonical === before.canonical) return before
  const {version} = before.anchor
  throw new RelError('anchor_inconsistent', `it differs from version ${version} of the node`)
}

/** Without one that is missing the walk ends there, and says so. */
function numbered(path: string, version: number): Buffer[] {
  const beside = anchorPaths(path).numbered(version)
  if (statIfThere(beside) === undefined) return []
  return [readFileLimited(beside, anchorLimits.bytes)]
}

/**
 * Gives the node the anchor that follows: durable once this returns, also where a run that was killed
 * has put it there. Refuses as successionOf and writing do.
 */
export function followAnchor(device: Device, path: string): Succession {
  const {world} = device
  settle(world)
  const succession = successionOf(device, path)
  const {before, after} = succession
  if (before !== after) writing(() => replaceFile(world.fs, paths.anchor, anchorText(after)))
  return succession
}
