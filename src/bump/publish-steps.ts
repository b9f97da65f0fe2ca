import {join} from 'node:path'
import {writeFileAtomic} from '../system/files.ts'
import type {Git} from '../system/git.ts'
import type {BumpState} from './bump-state.ts'
import type {BumpPlan} from './plan.ts'
import {checkTag, hasRemote, placeBranch, placeTag, pushBranch, pushTag} from './publish-change.ts'
import {pullRequestBody} from './pull-request.ts'
import {commitTree, refAt} from './repository.ts'
import {evidenceOf, outOfOrder, pathsOf, planOf, type StepContext, treeOf} from './step-context.ts'

/**
 * Makes the commit; nothing points at it yet. An earlier run's commit of the same change is taken
 * again. The branch's place before is noted for an abort. Refuses with tag_taken.
 */
export async function commit(state: BumpState, context: StepContext) {
  const {plan} = await planOf(state, context)
  const draft = {
    tree: treeOf(state),
    parent: state.base.commit,
    message: messageOf(state, plan),
    now: state.madeAt,
  }
  const {git} = context.world
  const before = await refAt(git, `refs/heads/${plan.branch}`)
  const made = (await againOf(state, plan, git)) ?? (await commitTree(git, draft, {isSigned: true}))
  if (plan.tag !== undefined) await checkTag(git, plan.tag, made)
  return {
    commit: made,
    ...(before === undefined ? {} : {branchBefore: before}),
  }
}

/** The commit of an earlier run of the same change; a replay leaves the real one where it is. */
async function againOf(state: BumpState, plan: BumpPlan, git: Git): Promise<string | undefined> {
  const {earlier} = state
  if (earlier === undefined) return undefined
  if (state.isReplay === true) {
    const tree = await git.text(['rev-parse', `${earlier}^{tree}`])
    return tree === treeOf(state) ? earlier : undefined
  }
  const wanted = {tree: treeOf(state), message: messageOf(state, plan)}
  return (await isCommitOf(git, earlier, wanted)) ? earlier : undefined
}

/** Two signatures of one change differ, so a signed commit is compared by what it says. */
async function isCommitOf(
  git: Git,
  commit: string,
  {tree, message}: {readonly tree: string; readonly message: string},
): Promise<boolean> {
  return (await git.text(['log', '-1', '--format=%T%n%B', commit])) === `${tree}\n${message}`
}

/** The trailer of a commit that stands on a recording; `rel bump audit` refuses a pin that has it. */
export const REPLAY_TRAILER = 'Rel-Replay'

function messageOf({verified, signOff, isReplay}: BumpState, plan: BumpPlan): string {
  const files = verified?.assets.map(({name, sha256}) => `${sha256}  ${name}`) ?? []
  const trailers = [
    `Rel-Level: ${verified?.level ?? 'L0'}`,
    ...(isReplay === true ? [`${REPLAY_TRAILER}: nothing was asked or run anew`] : []),
    ...(signOff === undefined
      ? []
      : [
          `Rel-Evidence: sha256:${signOff.evidenceSha256}`,
          `Rel-Sign-Off: ${signOff.keyId} ${signOff.signature}`,
        ]),
  ]
  const body = files.length === 0 ? [] : [files.join('\n'), '']
  return `${[plan.subject, '', ...body, ...trailers].join('\n')}\n`
}

/** Sets the branch, if it still is where it was. Refuses with branch_taken. */
export async function branch(state: BumpState, {world}: StepContext) {
  await placeBranch(world.git, publicationOf(state), state.branchBefore)
  return {}
}

function publicationOf({item, base, branch: name, commit: id}: BumpState) {
  if (name === undefined || id === undefined) throw outOfOrder('branch')
  return {item, base: base.branch, branch: name, commit: id}
}

/** Sets the tag, when the change gets one. Refuses with tag_taken. */
export async function tag({tag: name, commit: id}: BumpState, {world}: StepContext) {
  if (name !== undefined && id !== undefined) await placeTag(world.git, name, id)
  return {}
}

/**
 * Pushes branch and tag, where there is a remote; a replay does not. Refuses as pushBranch and
 * pushTag do.
 */
export async function push(state: BumpState, {playbook, world}: StepContext) {
  const {remote} = playbook.change
  if (!state.options.push || world.isReplay === true) return {}
  if (!(await hasRemote(world.git, remote)))
    return {warnings: [...state.warnings, `nothing was pushed: there is no remote ${remote}`]}
  const publication = publicationOf(state)
  await pushBranch(world.git, remote, publication)
  if (state.tag !== undefined) await pushTag(world.git, remote, state.tag, publication.commit)
  return {isPushed: true}
}

/** Where the text of the pull request is kept, beside the logs of the gates. */
export const PULL_REQUEST_FILE = 'pull-request.md'

/**
 * Opens or updates the pull request of what was pushed; its text is kept in any case. Refuses as
 * the forge does.
 */
export async function pullRequest(state: BumpState, context: StepContext) {
  const {pullRequests} = context.world
  const evidence = await evidenceOf(state, context)
  const {evidence: folder} = pathsOf(state, context)
  writeFileAtomic(join(folder, PULL_REQUEST_FILE), pullRequestBody(evidence))
  if (pullRequests === undefined || !isPublic(state, context)) return {}
  const {warnings = [], ...opened} = await pullRequests.openOrUpdate(evidence)
  return {pullRequest: opened, warnings: [...state.warnings, ...warnings]}
}

/** On the remote, or there when the recording was made that is replayed. */
function isPublic({options, isPushed}: BumpState, {world}: StepContext): boolean {
  return isPushed === true || (options.push && world.isReplay === true)
}

/** Starts the playbook's workflow on the branch that was pushed. Refuses as the forge does. */
export async function dispatch(state: BumpState, context: StepContext) {
  const {playbook, world} = context
  const {dispatch: wanted} = playbook.change
  if (wanted === undefined || !isPublic(state, context)) return {}
  const inputs = Object.entries(wanted.inputs).map(([name, value]) => {
    return [
      name,
      value.replaceAll(/\{([A-Z0-9_]+|new|old)\}/g, (_, word: string) => inputValue(state, word)),
    ]
  })
  const {branch: name} = publicationOf(state)
  await world.pullRequests?.dispatch?.(wanted.workflow, name, Object.fromEntries(inputs))
  return {}
}

function inputValue({assignments, old}: BumpState, word: string): string {
  if (word === 'old') return old
  return (word === 'new' ? assignments.NEW : assignments[word]) ?? ''
}
