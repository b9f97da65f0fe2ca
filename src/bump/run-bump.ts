import {rmSync} from 'node:fs'
import {RelError} from '../system/error.ts'
import type {Git} from '../system/git.ts'
import {sha256Hex} from '../system/hash.ts'
import {takeLock} from './bump-lock.ts'
import type {BumpRequest, BumpState} from './bump-state.ts'
import {
  bumpSteps,
  checkChange,
  checkWaiversFresh,
  FIRST_KEPT_STEP,
  needsSignOff,
  removeWork,
  signOffMissing,
} from './bump-steps.ts'
import {branchOf} from './change-text.ts'
import type {BumpEvidence} from './evidence.ts'
import {bumpPaths, readJournal, removeJournal, writeJournal} from './journal.ts'
import {type BumpPlan, currentVersion} from './plan.ts'
import type {Playbook} from './playbook.ts'
import {checkRemoteIs, earlierBump, hasRemote} from './publish-change.ts'
import {filesAt, loadBase, refAt, removeRef} from './repository.ts'
import {evidenceOf, planOf, type StepContext} from './step-context.ts'

/** What a bump would do: nothing of it was written. */
export type Preview = {readonly plan: BumpPlan; readonly evidence: BumpEvidence}

/** Everything up to the first write. Refuses as the steps before it do. */
export async function previewBump(request: BumpRequest, context: StepContext): Promise<Preview> {
  let state = await begin(request, context)
  const steps = bumpSteps(context.playbook)
  for (const {name, text, run} of steps.slice(
    0,
    steps.findIndex((step) => step.name === 'edit'),
  )) {
    context.world.onStep?.('begin', name, text)
    state = {...state, ...(await run(state, context))}
  }
  const planned = await planOf(state, context)
  await checkChange(state, context, planned)
  const {plan} = planned
  return {plan, evidence: await evidenceOf(state, context)}
}

/**
 * Moves a pin, from preflight to pull request. The person's work tree, index and HEAD are never
 * touched: the change is made in git's object store and checked out in a work tree of its own.
 * A refusal before the branch is set leaves nothing behind but the logs; a later one keeps the
 * journal. Refuses with bump_in_progress, bump_unfinished, as a forge without access does, and as
 * the steps do.
 */
export async function startBump(request: BumpRequest, context: StepContext): Promise<BumpState> {
  const {git} = context.world
  return locked(git, request.item, async () => {
    if (readJournal(git, request.item) !== undefined)
      throw new RelError('bump_unfinished', `an earlier bump of ${request.item} was interrupted`, {
        hint: `rel bump resume ${request.item}, or rel bump abort ${request.item}`,
      })
    const state = await begin(request, context)
    await checkForge(request, context)
    rmSync(bumpPaths(git, request.item).evidence, {recursive: true, force: true})
    writeJournal(git, state)
    return finish(state, context)
  })
}

/**
 * Goes on where a bump was interrupted. Refuses with bump_not_running, playbook_changed,
 * usage_invalid for a replay that is gone on with otherwise, and as the steps do.
 */
export async function resumeBump(item: string, context: StepContext): Promise<BumpState> {
  const {git} = context.world
  return locked(git, item, async () => {
    const state = readJournal(git, item)
    if (state === undefined) throw notRunning(item)
    checkSameWorld(state, context)
    if (state.playbookSha256 !== digestOf(context.playbook))
      throw new RelError(
        'playbook_changed',
        `the playbook of ${item} changed since its bump began`,
        {
          hint: `rel bump abort ${item}, then bump it again`,
        },
      )
    checkWaiversFresh(state, context.world.now)
    return finish(state, context)
  })
}

/** What a recording said is not gone on with in the world, nor the other way round. */
function checkSameWorld({item, isReplay = false}: BumpState, {world}: StepContext): void {
  if (isReplay === (world.isReplay ?? false)) return
  const how = isReplay ? 'from a recording' : 'without a recording'
  throw new RelError('usage_invalid', `the bump of ${item} was begun ${how}`, {
    hint: isReplay ? `rel bump resume ${item} --replay DIR` : `rel bump resume ${item}`,
  })
}

export type Aborted = {
  /** What was taken back. */
  readonly done: readonly string[]
  /** What others may have seen already, and the commands that take it back. */
  readonly left: readonly string[]
}

/**
 * Takes an interrupted bump back: its branch, tag, work trees and journal. Work tree, index and
 * HEAD of the person are as they were, for they were never touched. Refuses with bump_not_running.
 */
export async function abortBump(item: string, git: Git): Promise<Aborted> {
  return locked(git, item, async () => {
    const state = journalForAbort(git, item)
    if (state === undefined) throw notRunning(item)
    const done = state === 'damaged' ? [] : await removeRefs(git, state)
    await removeWork(git, item)
    removeJournal(git, item)
    return {
      done: [...done, 'work trees and journal'],
      left: state === 'damaged' ? [] : leftOf(state),
    }
  })
}

/** From the step before the push on, a killed process may have pushed without saying so. */
function leftOf({done, options, remote, branch = '', tag}: BumpState): string[] {
  if (!options.push || !done.includes('tag')) return []
  const names = tag === undefined ? branch : `${branch} refs/tags/${tag}`
  return [`git push ${remote} --delete ${names}`]
}

/** A damaged journal is no reason not to clean up. */
function journalForAbort(git: Git, item: string): BumpState | 'damaged' | undefined {
  try {
    return readJournal(git, item)
  } catch (error) {
    if (error instanceof RelError && error.code === 'journal_damaged') return 'damaged'
    throw error
  }
}

async function removeRefs(git: Git, state: BumpState): Promise<string[]> {
  const {commit, branch, branchBefore, tag} = state
  if (commit === undefined) return []
  const done: string[] = []
  const heads = `refs/heads/${branch}`
  if (branchBefore !== undefined && (await refAt(git, heads)) === commit) {
    await git.text(['update-ref', heads, branchBefore, commit])
    done.push(`branch ${branch} as it was`)
  } else if (branch !== undefined && (await removeRef(git, heads, commit))) {
    done.push(`branch ${branch}`)
  }
  if (tag !== undefined && (await removeRef(git, `refs/tags/${tag}`, commit)))
    done.push(`tag ${tag}`)
  return done
}

async function begin(request: BumpRequest, context: StepContext): Promise<BumpState> {
  const {playbook, world} = context
  if (needsSignOff(playbook, request) && world.signOff === undefined)
    throw signOffMissing(request.item)
  const base = await loadBase(world.git, playbook)
  const files = await filesAt(
    world.git,
    base.tree,
    playbook.pins.map(({file}) => file),
  )
  const {item, assignments} = request
  const {remote} = playbook.change
  const old = currentVersion(playbook, files)
  const branch = branchOf(playbook, {item, old, new: assignments.NEW})
  const name = {item, base: base.branch, branch}
  const earlier = await earlierBump(world.git, remote, name, world.now)
  return {
    ...request,
    started: world.now,
    madeAt: earlier?.madeAt ?? world.now,
    ...(earlier === undefined ? {} : {earlier: earlier.commit}),
    base,
    ...(world.isReplay === true ? {isReplay: true} : {}),
    playbookSha256: digestOf(playbook),
    remote,
    old,
    done: [],
    gates: [],
    warnings: [],
    artifacts: [],
  }
}

/** A pull request that cannot be opened is told before anything is fetched, not after the push. */
async function checkForge({options}: BumpRequest, {playbook, world}: StepContext): Promise<void> {
  if (!options.push || world.pullRequests === undefined) return
  const {remote, forge} = playbook.change
  if (!(await hasRemote(world.git, remote))) return
  if (forge !== undefined) await checkRemoteIs(world.git, remote, forge.repository)
  await world.pullRequests.checkAccess()
}

function digestOf(playbook: Playbook): string {
  return sha256Hex(JSON.stringify(playbook))
}

async function finish(start: BumpState, context: StepContext): Promise<BumpState> {
  const {world} = context
  let state = start
  try {
    for (const {name, text, run} of bumpSteps(context.playbook)) {
      if (state.done.includes(name)) continue
      world.onStep?.('begin', name, text)
      state = {...state, ...(await run(state, context)), done: [...state.done, name]}
      world.onStep?.('end', name, text)
      writeJournal(world.git, state)
    }
  } catch (error) {
    if (!isKept(state, context)) {
      await removeWork(world.git, state.item)
      removeJournal(world.git, state.item)
    }
    throw error
  }
  await removeWork(world.git, state.item)
  removeJournal(world.git, state.item)
  return state
}

/** Everything before the branch was done: what failed is publishing, which can be tried again. */
function isKept({done}: BumpState, {playbook}: StepContext): boolean {
  const names = bumpSteps(playbook).map(({name}) => name)
  return names.slice(0, names.indexOf(FIRST_KEPT_STEP)).every((name) => done.includes(name))
}

async function locked<T>(git: Git, item: string, work: () => Promise<T>): Promise<T> {
  const release = await takeLock(git, item)
  try {
    return await work()
  } finally {
    await release()
  }
}

function notRunning(item: string): RelError {
  return new RelError('bump_not_running', `no bump of ${item} was interrupted`)
}
