import {mkdirSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere, writeFileAtomic} from '../system/files.ts'
import type {Git} from '../system/git.ts'
import {sha256Hex} from '../system/hash.ts'
import type {BumpState} from './bump-state.ts'

/** More than a bump of many assets needs; the changelog in it is the longest part. */
const MAX_JOURNAL_BYTES = 16 * 1024 * 1024

/** Where the parts of one item's bump lie, all below .git/rel/bump (docs/formats/journal.md). */
export type BumpPaths = {
  readonly journal: string
  readonly work: string
  readonly index: string
  readonly tree: string
  readonly scratch: string
  readonly evidence: string
}

/** The paths of one item's bump; nothing is made. */
export function bumpPaths({commonDir}: Git, item: string): BumpPaths {
  const folder = join(commonDir, 'rel', 'bump')
  const work = join(folder, item)
  return {
    journal: join(folder, `${item}.json`),
    work,
    index: join(work, 'index'),
    tree: join(work, 'tree'),
    scratch: join(work, 'rollback'),
    evidence: join(work, 'evidence'),
  }
}

/** Writes the journal, durable once this returns. Refuses with write_failed and disk_full. */
export function writeJournal(git: Git, state: BumpState): void {
  const {journal, evidence} = bumpPaths(git, state.item)
  mkdirSync(evidence, {recursive: true})
  const text = JSON.stringify(state)
  const file = {version: 1, sha256: sha256Hex(text), state}
  writeFileAtomic(journal, `${JSON.stringify(file, null, 2)}\n`)
}

/** The journal of an item, or undefined. Refuses with journal_damaged what rel did not write so. */
export function readJournal(git: Git, item: string): BumpState | undefined {
  const {journal} = bumpPaths(git, item)
  const stat = statIfThere(journal)
  if (stat === undefined) return undefined
  if (stat.size > MAX_JOURNAL_BYTES) throw damaged(journal, item)
  const text = readFileLimited(journal, MAX_JOURNAL_BYTES).toString('utf8')
  try {
    const {version, sha256, state} = JSON.parse(text) as {
      version: unknown
      sha256: unknown
      state: BumpState
    }
    if (version === 1 && sha256 === sha256Hex(JSON.stringify(state))) return state
  } catch {
    // told below: it is damaged in whatever way
  }
  throw damaged(journal, item)
}

function damaged(journal: string, item: string): RelError {
  return new RelError('journal_damaged', `${journal} is not as it was written`, {
    hint: `rel bump abort ${item}`,
  })
}

/** The bump is over, one way or the other. */
export function removeJournal(git: Git, item: string): void {
  rmSync(bumpPaths(git, item).journal, {force: true})
}
