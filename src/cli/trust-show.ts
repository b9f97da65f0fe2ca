import {systemTime} from '../system/clock.ts'
import {readFileLimited} from '../system/files.ts'
import {type AnchorFile, anchorLimits} from '../trust/anchor.ts'
import {findPrevious, loadAnchor, readAnchor} from '../trust/anchor-store.ts'
import {anchorLines} from '../trust/anchor-text.ts'
import {isComplete, needsOf, nextAnchor} from '../trust/anchor-update.ts'
import {anchorJson} from '../trust/anchor-write.ts'
import {timeText} from '../trust/expiry.ts'
import type {Outcome} from './base-command.ts'
import {anchorPath, needJson, needLine} from './trust-change.ts'

/** `rel trust show`: one version, or a walk over several. */
export async function showAnchor(paths: readonly string[]): Promise<Outcome> {
  const [first = await anchorPath(undefined), ...later] = paths
  return later.length === 0 ? showVersion(first) : showWalk(first, later)
}

function showVersion(path: string): Outcome {
  const file = readAnchor(path)
  // whoever was given trust.json alone has no other version, and sees its own root only
  const previous = findPrevious(path, file.anchor.version)
  const needs = needsOf(file, previous)
  const complete = isComplete(needs)
  return {
    result: {
      file: path,
      complete,
      trust: anchorJson(file.anchor),
      needs: needs.map(needJson),
    },
    lines: [
      heading(path, file),
      ...anchorLines(file.anchor).map((line) => `  ${line}`),
      ...needs.map((need) => needLine(need, previous, file)),
    ],
    warnings: [
      ...expiryWarning(file),
      ...(complete ? [] : ['signatures are missing: this version is not trusted yet']),
    ],
  }
}

/** Expiry is a warning here, so that an anchor can be looked at after its end. */
function expiryWarning({anchor}: AnchorFile): string[] {
  return systemTime() > anchor.expires ? [`the anchor expired at ${timeText(anchor.expires)}`] : []
}

function showWalk(first: string, later: readonly string[]): Outcome {
  const versions = [{path: first, file: loadAnchor(first)}]
  for (const path of later) {
    const trusted = (versions.at(-1) as {file: AnchorFile}).file
    versions.push({path, file: nextAnchor(trusted, readFileLimited(path, anchorLimits.bytes))})
  }
  const last = (versions.at(-1) as {file: AnchorFile}).file
  return {
    result: {
      history: versions.map(({path, file: {anchor}}) => ({
        file: path,
        version: anchor.version,
        expires: anchor.expires,
      })),
      trust: anchorJson(last.anchor),
    },
    lines: [
      ...versions.map(({path, file}) => `✔ ${heading(path, file)}`),
      ...anchorLines(last.anchor).map((line) => `  ${line}`),
    ],
    warnings: expiryWarning(last),
  }
}

function heading(path: string, {anchor}: AnchorFile): string {
  return `${path}: version ${anchor.version}, until ${timeText(anchor.expires)}`
}
