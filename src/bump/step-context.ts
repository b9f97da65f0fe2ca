import {join} from 'node:path'
import {RelError} from '../system/error.ts'
import {buildEvidence} from './build-evidence.ts'
import type {BumpState} from './bump-state.ts'
import type {BumpEvidence} from './evidence.ts'
import {type BumpPaths, bumpPaths} from './journal.ts'
import {LOCK_FILE} from './lock-file.ts'
import {type BumpPlan, type Files, planBump} from './plan.ts'
import type {Playbook} from './playbook.ts'
import {filesAt} from './repository.ts'
import {rollbackPlan, type Trial} from './try-rollback.ts'
import type {BumpWorld} from './world.ts'

/** What steps work with beside the state. */
export type StepContext = {
  readonly playbook: Playbook
  /** Playbooks of other items, whose pins must not move. */
  readonly others: readonly Playbook[]
  readonly world: BumpWorld
}

export type Step = {
  readonly name: string
  /** What it does, for people; absent for what takes no time worth showing. */
  readonly text?: string
  /** Does it and returns what is new. Can be done again after it was interrupted anywhere. */
  run(state: BumpState, context: StepContext): Promise<Partial<BumpState>>
}

/** The plan of a state, made anew from what is known: the journal keeps facts, not texts. */
export async function planOf(
  state: BumpState,
  {playbook, world}: StepContext,
): Promise<{plan: BumpPlan; before: Files}> {
  const {verified, assignments, options, artifacts, madeAt} = state
  if (verified === undefined) throw outOfOrder('plan')
  const paths = [...playbook.pins.map(({file}) => file), LOCK_FILE]
  const files = await filesAt(world.git, state.base.tree, paths)
  const {waivers = [], hardwareEvidence} = state
  const proofs = {
    ...(waivers.length === 0 ? {} : {waivers: waivers.map(({envelope}) => envelope)}),
    ...(hardwareEvidence === undefined ? {} : {hardwareEvidence}),
  }
  const facts = {playbook, assignments, options, files, verified, artifacts, proofs, now: madeAt}
  return {plan: planBump(facts), before: files}
}

/** The evidence as it stands; before a rollback was tried, with the plan of one. */
export async function evidenceOf(state: BumpState, context: StepContext): Promise<BumpEvidence> {
  const {plan} = await planOf(state, context)
  if (state.rollback !== undefined)
    return buildEvidence(context.playbook, state, plan, state.rollback)
  const {trial} = await trialOf({...state, tree: state.tree ?? ''}, context)
  return buildEvidence(context.playbook, state, plan, rollbackPlan(trial, plan.subject))
}

/** What a rollback is tried with, and the plan it takes back. */
export async function trialOf(state: BumpState, context: StepContext) {
  const {plan} = await planOf(state, context)
  const paths = pathsOf(state, context)
  const trial: Trial = {
    git: context.world.git,
    playbook: context.playbook,
    base: state.base,
    old: state.old,
    new: state.assignments.NEW,
    tree: treeOf(state),
    upstream: context.world.upstream,
    ...(plan.previous?.version === state.old ? {previous: plan.previous} : {}),
    now: state.madeAt,
    scratch: paths.scratch,
    log: join(paths.evidence, 'rollback.log'),
  }
  return {trial, plan}
}

/** The tree of the change; it is there from the step edit on. */
export function treeOf({tree}: BumpState): string {
  if (tree === undefined) throw outOfOrder('tree')
  return tree
}

/** Where the parts of this bump lie. */
export function pathsOf({item}: BumpState, {world}: StepContext): BumpPaths {
  return bumpPaths(world.git, item)
}

/** A bug: a step ran before what it needs. */
export function outOfOrder(step: string): RelError {
  return new RelError('internal_error', `the step ${step} came before what it needs`)
}
