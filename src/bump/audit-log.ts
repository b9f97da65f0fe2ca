import {mkdirSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {readFileLimited, statIfThere, writeFileAtomic} from '../system/files.ts'
import type {Git} from '../system/git.ts'

/** When an item was audited here last, in seconds since the epoch, and what came of it. */
export type LastAudit = {readonly at: number; readonly verdict: 'unchanged' | 'drifted' | 'unknown'}

const MAX_BYTES = 1024 * 1024

/** The last audits in this clone, by item. It only informs, so a damaged file is an empty one. */
export function readAudits(git: Git): ReadonlyMap<string, LastAudit> {
  const path = auditPath(git)
  if (statIfThere(path) === undefined) return new Map()
  try {
    const audits = JSON.parse(readFileLimited(path, MAX_BYTES).toString('utf8')) as object
    return new Map(Object.entries(audits) as [string, LastAudit][])
  } catch {
    return new Map()
  }
}

/** Adds audits to those of other items. Refuses with write_failed and disk_full. */
export function writeAudits(git: Git, audits: ReadonlyMap<string, LastAudit>): void {
  const path = auditPath(git)
  const all = Object.fromEntries([...readAudits(git), ...audits])
  mkdirSync(dirname(path), {recursive: true})
  writeFileAtomic(path, `${JSON.stringify(all, null, 2)}\n`)
}

function auditPath({commonDir}: Git): string {
  return join(commonDir, 'rel', 'audits.json')
}
