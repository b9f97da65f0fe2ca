import type {GateResult} from '../gates/gate.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere} from '../system/files.ts'
import type {Git} from '../system/git.ts'
import {sha256Hex} from '../system/hash.ts'
import type {VerifiedAsset} from '../upstream/upstream.ts'
import type {RollbackPlan} from './evidence.ts'
import type {LockEntry} from './lock-file.ts'
import type {Playbook} from './playbook.ts'
import {addWorkTree, commitTree, removeWorkTree} from './repository.ts'
import {vendor} from './vendor.ts'

export type Trial = {
  readonly git: Git
  readonly playbook: Playbook
  readonly base: {readonly commit: string; readonly tree: string}
  readonly old: string
  /** Tree of the change. */
  readonly tree: string
  /** Digests that the lock has for the version before. */
  readonly previous: LockEntry['artifacts']
  /** Verified files of the version before, for its vendoring. */
  readonly assets: readonly VerifiedAsset[]
  readonly now: number
  /** Folder of the scratch work tree, which is removed at the end. */
  readonly scratch: string
  readonly log: string
}

/** The commands that take a change back, for people; what tryRollback does is the first route. */
export function rollbackPlan(trial: Trial, subject: string): RollbackPlan {
  const {playbook, base, old, previous} = trial
  const {item, rollback, vendor: vendoring} = playbook
  return {
    commands: [
      `git revert --no-edit $(git log -1 --format=%H --fixed-strings --grep='${subject}')`,
      ...(vendoring?.run ?? []).map((words) => words.map(shellWord).join(' ')),
      `rel rollback ${item}  # or, as a change of its own: rel bump ${item} NEW=${old} --rollback`,
    ],
    tree: base.tree,
    artifacts: previous,
    ...(rollback.notes === undefined ? {} : {notes: rollback.notes}),
  }
}

function shellWord(word: string): string {
  return /^[A-Za-z0-9_./=:@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/**
 * Takes the change back on a scratch work tree: git revert must give the tree from before, and
 * vendoring there the files that the lock has for the old version. Refuses with rollback_failed.
 */
export async function tryRollback(trial: Trial): Promise<GateResult> {
  const {git, base, tree, now, scratch, playbook, previous} = trial
  const draft = {tree, parent: base.commit, message: 'chore: a change to be taken back', now}
  const commit = await commitTree(git, draft, {isSigned: false})
  try {
    const inside = await addWorkTree(git, scratch, {commit, tree})
    await inside.text(['revert', '--no-commit', commit], {code: 'rollback_failed'})
    const back = await inside.text(['write-tree'])
    if (back !== base.tree)
      throw new RelError(
        'rollback_failed',
        `git revert gives tree ${back}, before was ${base.tree}`,
      )
    const {log, old, assets} = trial
    const files = await vendor({playbook, folder: scratch, version: old, assets, log})
    checkFiles(previous, files)
    return passed(trial, files.length)
  } finally {
    await removeWorkTree(git, scratch)
  }
}

function checkFiles(wanted: LockEntry['artifacts'], got: LockEntry['artifacts']): void {
  for (const {path, sha256} of wanted) {
    const file = got.find((it) => it.path === path)
    if (file?.sha256 === sha256) continue
    const seen = file === undefined ? 'nothing' : file.sha256
    throw new RelError('rollback_failed', `${path} comes back as ${seen}, the lock has ${sha256}`)
  }
}

function passed({base, previous, playbook, log}: Trial, vendored: number): GateResult {
  const unknown = playbook.vendor !== undefined && previous.length === 0
  const files = previous.length === 0 ? '' : `, ${previous.length} files with their old digests`
  return {
    gate: 'rollback',
    verdict: 'passed',
    summary: `git revert gives back tree ${base.tree.slice(0, 12)}${files}`,
    caveats: unknown
      ? [`the digests of the ${vendored} files of the old version were not recorded before`]
      : [],
    logs: statIfThere(log) === undefined ? [] : [{path: log, sha256: digestOf(log)}],
  }
}

function digestOf(path: string): string {
  return sha256Hex(readFileLimited(path, 64 * 1024 * 1024))
}
