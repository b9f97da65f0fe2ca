import type {GateResult} from '../gates/gate.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere} from '../system/files.ts'
import type {Git} from '../system/git.ts'
import {sha256Hex} from '../system/hash.ts'
import type {JsonValue} from '../system/json.ts'
import type {Upstream} from '../upstream/upstream.ts'
import type {OldAsset, RollbackPlan} from './evidence.ts'
import {LOCK_FILE, type LockEntry} from './lock-file.ts'
import type {Playbook} from './playbook.ts'
import {addWorkTree, commitTree, removeWorkTree} from './repository.ts'
import {differing, type Vendored, vendorPinned} from './vendor-pinned.ts'

export type Trial = {
  readonly git: Git
  readonly playbook: Playbook
  readonly upstream: Upstream
  readonly base: {readonly commit: string; readonly tree: string}
  readonly old: string
  readonly new: string
  /** Tree of the change. */
  readonly tree: string
  /** What the lock has of the version before. */
  readonly previous?: LockEntry
  readonly now: number
  /** Folder of the scratch work tree, which is removed at the end. */
  readonly scratch: string
  readonly log: string
}

/**
 * The commands that take a change back, for people. tryRollback does the first two; the last is the
 * same as a change of its own.
 */
export function rollbackPlan(trial: Trial, subject: string): RollbackPlan {
  const {playbook, base, old, previous} = trial
  const {item, rollback, vendor} = playbook
  const isMove = old !== trial.new
  return {
    commands: [
      `git revert --no-edit $(git ${findChange(playbook, subject).map(quoted).join(' ')})`,
      ...(vendor === undefined ? [] : [`rel bump vendor ${item}`]),
      ...(isMove ? [`# or, verified, gated and with a pull request: rel rollback ${item}`] : []),
    ],
    tree: base.tree,
    artifacts: previous?.artifacts ?? [],
    assets: lockedAssets(previous),
    ...(rollback.notes === undefined ? {} : {notes: rollback.notes}),
  }
}

/**
 * Arguments of git that find the last commit of a subject: no merge, whose message quotes it, and
 * only where the pin or the lock changed, whatever else quotes it. Forges add ` (#12)` to a subject.
 */
function findChange({pins}: Playbook, subject: string): readonly string[] {
  const files = new Set([...pins.map(({file}) => file), LOCK_FILE])
  return [
    ...['log', '-1', '--no-merges', '--format=%H', '--basic-regexp'],
    `--grep=^${subject.replaceAll('.', '\\.')}\\( (#[0-9]*)\\)*$`,
    ...['--', ...[...files].map((file) => `:(top,literal)${file}`)],
  ]
}

function quoted(word: string): string {
  return /^[\w.=%-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

/** Upstream's files that a lock entry names; each kind of upstream keeps its own members there. */
function lockedAssets(entry: LockEntry | undefined): readonly OldAsset[] {
  const assets = entry?.upstream.assets
  if (!Array.isArray(assets)) return []
  return (assets as readonly JsonValue[]).flatMap((asset) => {
    const {name, arch, sha256, size} = asset as Readonly<Record<string, JsonValue>>
    const isNamed = typeof name === 'string' && typeof arch === 'string'
    if (!isNamed || typeof sha256 !== 'string' || typeof size !== 'number') return []
    return [{name, arch, sha256, size}]
  })
}

/**
 * Takes the change back on a scratch work tree, as the plan of the same subject does: git revert must give the tree from before, and
 * vendoring there the files that the lock has for the old version. What came back is named, also
 * where nobody had locked it. Refuses with rollback_failed, and as vendorPinned does.
 */
export async function tryRollback(
  trial: Trial,
  subject: string,
): Promise<Pick<RollbackPlan, 'artifacts' | 'assets'> & {readonly tried: GateResult}> {
  const {git, base, tree, now, scratch, playbook} = trial
  const draft = {tree, parent: base.commit, message: subject, now}
  const commit = await commitTree(git, draft, {isSigned: false})
  try {
    const inside = await addWorkTree(git, scratch, {commit, tree})
    const found = await inside.text(findChange(playbook, subject), {
      env: {GIT_LITERAL_PATHSPECS: '0'},
    })
    if (found !== commit)
      throw new RelError(
        'rollback_failed',
        `the plan finds ${found || 'no commit'}, not the change`,
      )
    await inside.text(['revert', '--no-commit', found], {code: 'rollback_failed'})
    const back = await inside.text(['write-tree'])
    if (back !== base.tree)
      throw new RelError(
        'rollback_failed',
        `git revert gives tree ${back}, before was ${base.tree}`,
      )
    if (playbook.vendor === undefined)
      return {artifacts: [], assets: lockedAssets(trial.previous), tried: passed(trial, undefined)}
    const {upstream, log} = trial
    const vendored = await vendorPinned({playbook, upstream, folder: scratch, log})
    const other = differing(vendored)
    if (other !== undefined) throw new RelError('rollback_failed', other)
    const {artifacts, verified} = vendored
    const assets = verified.assets.map(({name, arch, sha256, size}) => ({name, arch, sha256, size}))
    return {artifacts, assets, tried: passed(trial, vendored)}
  } finally {
    await removeWorkTree(git, scratch)
  }
}

function passed({base, log, old}: Trial, vendored: Vendored | undefined): GateResult {
  const {artifacts = [], locked} = vendored ?? {}
  const names = artifacts.map(({path}) => path).join(', ')
  const isLocked = (locked?.artifacts.length ?? 0) > 0
  const files = isLocked ? `; ${old} vendored again is what was locked: ${names}` : ''
  const caveat = `nobody had locked what is vendored of ${old}, so the digests of ${names} are those of this trial`
  return {
    gate: 'rollback',
    verdict: 'passed',
    summary: `git revert gives back tree ${base.tree.slice(0, 12)}${files}`,
    caveats: vendored === undefined || isLocked ? [] : [caveat],
    logs: statIfThere(log) === undefined ? [] : [{path: log, sha256: digestOf(log)}],
  }
}

function digestOf(path: string): string {
  return sha256Hex(readFileLimited(path, 64 * 1024 * 1024))
}
