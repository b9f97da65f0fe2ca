import {rmSync} from 'node:fs'
import {join} from 'node:path'
import type {GateResult} from '../gates/gate.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere, writeFileAtomic} from '../system/files.ts'
import type {Git} from '../system/git.ts'
import {sha256Hex} from '../system/hash.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'
import {canonicalJson} from '../trust/canonical-json.ts'
import type {BumpState} from './bump-state.ts'
import type {BumpEvidence} from './evidence.ts'
import {bumpPaths} from './journal.ts'
import {LOCK_FILE, type LockEntry} from './lock-file.ts'
import {
  type BumpPlan,
  checkAge,
  checkLevel,
  checkLockOnly,
  checkMove,
  checkOnePin,
  type Files,
  signOffStatement,
} from './plan.ts'
import type {Playbook} from './playbook.ts'
import type {GateSpec} from './playbook-gates.ts'
import {checkBranch, checkTag} from './publish-change.ts'
import {branch, commit, dispatch, pullRequest, push, tag} from './publish-steps.ts'
import {
  addWorkTree,
  filesAt,
  remoteBase,
  removeWorkTree,
  trackedIn,
  writeTree,
} from './repository.ts'
import {
  evidenceOf,
  outOfOrder,
  pathsOf,
  planOf,
  type Step,
  type StepContext,
  treeOf,
  trialOf,
} from './step-context.ts'
import {lockedEntry} from './survey.ts'
import {rollbackPlan, tryRollback} from './try-rollback.ts'
import {artifactsIn, vendor} from './vendor.ts'
import {checkWaiverFresh, readWaiver, type Waiver, waiverOf} from './waiver.ts'

/** From here on a refusal keeps what was done, so that `rel bump resume` can go on. */
export const FIRST_KEPT_STEP = 'branch'

/** The steps of a bump in their order; each is journalled once it is over. */
export function bumpSteps(playbook: Playbook): readonly Step[] {
  return [
    {name: 'identify', text: 'find the release', run: identify},
    {name: 'verify', text: 'verify its integrity', run: verify},
    {name: 'edit', run: edit},
    {name: 'checkout', run: checkout},
    {name: 'waive', run: waive},
    {name: 'vendor', ...(playbook.vendor && {text: 'vendor the new version'}), run: vendorNew},
    {name: 'lock', run: lock},
    ...playbook.gates.flatMap((spec, index) => gateSteps(spec, index)),
    {name: 'clean', run: checkNothingElse},
    {name: 'rollback', text: 'try the way back', run: tryBack},
    {name: 'sign-off', run: signOff},
    {name: 'commit', run: commit},
    {name: 'branch', run: branch},
    {name: 'tag', run: tag},
    {name: 'push', text: 'push', run: push},
    {
      name: 'pull-request',
      ...(playbook.change.forge && {text: 'open or update the pull request'}),
      run: pullRequest,
    },
    {name: 'dispatch', run: dispatch},
  ]
}

async function identify(state: BumpState, {playbook, world}: StepContext) {
  const {assignments, old, options, item} = state
  const move = {item, old, new: assignments.NEW}
  if (options.lockOnly === true) {
    const locked = await lockedEntry(world.git, item)
    checkLockOnly(move, locked, isRenewal(playbook, locked, world.hardwareEvidence))
    return {candidate: await world.upstream.find(old)}
  }
  // the same version is refused without asking
  if (move.new === old) checkMove(move, 0, options)
  const candidate = await world.upstream.find(move.new)
  checkMove(move, world.upstream.compare(move.new, old), options)
  checkAge(playbook, candidate, state.started)
  return {candidate}
}

/** A waiver ends, and evidence may be missing or come later: then a locked version is locked again. */
function isRenewal(
  {gates}: Playbook,
  locked: LockEntry | undefined,
  given: JsonObject | undefined,
): boolean {
  if ((locked?.waivers?.length ?? 0) > 0) return true
  if (!gates.some(({uses}) => uses === 'hardware_evidence')) return false
  const known = locked?.hardwareEvidence
  if (known === undefined || given === undefined) return known === undefined
  return canonicalJson(known) !== canonicalJson(given)
}

async function verify(state: BumpState, {playbook, world}: StepContext) {
  const {candidate} = state
  if (candidate === undefined) throw outOfOrder('verify')
  const verified = await world.upstream.verify(candidate, playbook.verify.min)
  checkLevel(playbook, verified)
  return {verified}
}

async function edit(state: BumpState, context: StepContext) {
  const {git} = context.world
  const {plan, before} = await planOf(state, context)
  await checkChange(state, context, {plan, before})
  const {index} = pathsOf(state, context)
  const tree = await writeTree(git, {from: state.base.tree, files: plan.files, index})
  return {tree, branch: plan.branch, ...(plan.tag === undefined ? {} : {tag: plan.tag})}
}

/**
 * What is known of a change before it is written: it moves one pin, and its branch and tag are
 * free. Refuses with second_pin, branch_taken, tag_taken.
 */
export async function checkChange(
  state: BumpState,
  context: StepContext,
  {plan, before}: {readonly plan: BumpPlan; readonly before: Files},
): Promise<void> {
  const {git} = context.world
  await checkOthers(state, context, before, plan)
  await checkBranch(git, {item: state.item, base: state.base.branch, branch: plan.branch})
  if (plan.tag !== undefined) await checkTag(git, plan.tag, state.earlier)
}

async function checkOthers(
  {base}: BumpState,
  {others, playbook, world}: StepContext,
  before: Files,
  plan: BumpPlan,
): Promise<void> {
  const {git} = world
  const paths = others.flatMap(({pins}) => pins.map(({file}) => file))
  const here = await filesAt(git, base.tree, paths)
  const published = await remoteBase(git, playbook.change.remote, base.branch)
  const there = published === undefined ? here : await filesAt(git, published, paths)
  checkOnePin(others, there, new Map([...here, ...before, ...plan.files]))
}

async function checkout(state: BumpState, context: StepContext) {
  const {tree, commit} = {tree: treeOf(state), commit: state.base.commit}
  await addWorkTree(context.world.git, pathsOf(state, context).tree, {commit, tree})
  return {}
}

async function vendorNew(state: BumpState, context: StepContext) {
  const paths = pathsOf(state, context)
  const {playbook, world} = context
  if (playbook.vendor === undefined) return {}
  // again from a clean checkout, should an interrupted run have left half of it
  await addWorkTree(world.git, paths.tree, {commit: state.base.commit, tree: treeOf(state)})
  const artifacts = await vendor({
    playbook,
    folder: paths.tree,
    version: state.assignments.NEW,
    assets: state.verified?.assets ?? [],
    log: join(paths.evidence, 'vendor.log'),
  })
  return {artifacts, warnings: [...state.warnings, ...unverified(artifacts, state)]}
}

/** Nothing but a digest tells whether a command took the verified file or fetched another one. */
function unverified(artifacts: LockEntry['artifacts'], {verified}: BumpState): readonly string[] {
  const known = new Set(verified?.assets.map(({sha256}) => sha256))
  return artifacts
    .filter(({sha256}) => !known.has(sha256))
    .map(({path}) => `${path} is none of the verified files: the playbook's commands made it`)
}

/**
 * Signs what is waived, before the lock that keeps it is written; the lock keeps a run on hardware as
 * well. Refuses with usage_invalid both at once, and as signWaiver does.
 */
async function waive(state: BumpState, {world}: StepContext): Promise<Partial<BumpState>> {
  const {item, assignments, options, madeAt} = state
  const evidence = world.hardwareEvidence
  const wanted = Object.entries(options.waivers)
  if (evidence !== undefined && options.waivers.hardware_evidence !== undefined)
    throw new RelError('usage_invalid', 'hardware_evidence is waived and there is evidence of it')
  const waivers: {envelope: JsonObject; by: string}[] = []
  for (const [gate, reason] of wanted) {
    if (world.signWaiver === undefined) throw signOffMissing(item)
    const waiver = waiverOf({item, version: assignments.NEW, gate, reason}, madeAt)
    checkWaiverFresh(waiver, world.now)
    waivers.push(await world.signWaiver(waiver))
  }
  return {waivers, ...(evidence === undefined ? {} : {hardwareEvidence: evidence})}
}

function waiversOf({waivers = []}: BumpState): readonly Waiver[] {
  return waivers.map(({envelope}) => readWaiver(envelope))
}

/** A waiver that no gate asked for would stand in the lock for nothing. Refuses with waiver_unused. */
function checkWaiversUsed(state: BumpState): void {
  const asked = state.gates.filter(({verdict}) => verdict === 'needs_evidence')
  const unused = waiversOf(state).find(({gate: name}) => !asked.some((it) => it.gate === name))
  if (unused !== undefined)
    throw new RelError('waiver_unused', `no gate asks for a waiver of ${unused.gate}`)
}

/** What was waived must still stand when a bump goes on. Refuses with waiver_expired. */
export function checkWaiversFresh(state: BumpState, now: number): void {
  for (const waiver of waiversOf(state)) checkWaiverFresh(waiver, now)
}

/** The tree for good: pin, lock with the digests of what was vendored, tracked vendored files. */
async function lock(state: BumpState, context: StepContext) {
  const {git} = context.world
  const {tree: folder, index} = pathsOf(state, context)
  const {plan} = await planOf(state, context)
  const vendored = state.artifacts.map(({path}) => path)
  const tracked = await trackedIn(git, state.base.tree, vendored)
  const files = new Map(plan.files)
  for (const path of tracked)
    files.set(path, readFileLimited(join(folder, path), MAX_TRACKED_BYTES))
  const tree = await writeTree(git, {from: state.base.tree, files, index})
  const inside = git.at(folder)
  await inside.text(['read-tree', tree])
  await inside.text(['checkout-index', '--force', '--', LOCK_FILE])
  return {tree}
}

/** git keeps a tracked file in memory while it is added. */
const MAX_TRACKED_BYTES = 512 * 1024 * 1024

function gateSteps(spec: GateSpec, index: number): Step[] {
  if (spec.uses === 'sign_off') return []
  const name = `gate-${index + 1}`
  return [{name, text: gateText(spec), run: (state, context) => gate(spec, state, context)}]
}

function gateText(spec: GateSpec): string {
  return `gate ${spec.uses === 'command' ? spec.name : spec.uses.replaceAll('_', ' ')}`
}

async function gate(spec: GateSpec, state: BumpState, context: StepContext) {
  const {playbook, world} = context
  const {tree, evidence} = pathsOf(state, context)
  const {old, assignments, verified} = state
  const result = await world.runGate(spec, {
    playbook,
    old,
    new: assignments.NEW,
    inputs: assignments,
    folder: tree,
    evidenceFolder: evidence,
    assets: verified?.assets ?? [],
    now: state.started,
    ...(state.hardwareEvidence === undefined ? {} : {hardwareEvidence: state.hardwareEvidence}),
  })
  checkGate(result, state, world.now)
  return {gates: [...state.gates, result]}
}

/** Only 'passed' passes; 'needs_evidence' does with a waiver that stands now. */
function checkGate(result: GateResult, state: BumpState, now: number): void {
  const {gate: name, verdict, summary, logs, code} = result
  if (verdict === 'passed') return
  const details = {gate: name, verdict, logs: logs.map(({path}) => path)}
  if (verdict !== 'needs_evidence')
    throw new RelError(code ?? 'gate_unavailable', `gate ${name}: ${summary}`, {details})
  const waiver = waiversOf(state).find((it) => it.gate === name)
  if (waiver !== undefined) {
    checkWaiverFresh(waiver, now)
    return
  }
  throw new RelError('gate_needs_evidence', `gate ${name}: ${summary}`, {
    hint: `Give --hardware-evidence FILE (rel smoke hardware makes it), or --waive '${name}=REASON'; both with --sign-off KEY.`,
    details,
  })
}

async function checkNothingElse(state: BumpState, context: StepContext) {
  checkWaiversUsed(state)
  const {tree: folder} = pathsOf(state, context)
  const inside = context.world.git.at(folder)
  await inside.run(['update-index', '-q', '--refresh'])
  const changed = await inside.text(['diff', '--name-only', '-z', '--no-ext-diff', treeOf(state)])
  const tracked = changed.split('\0').filter((path) => path !== '')
  const files = [...tracked, ...(await changedArtifacts(folder, state))]
  if (files.length === 0) return {}
  throw new RelError('change_escaped', `a command also changed ${files.slice(0, 5).join(', ')}`, {
    details: {files: files.slice(0, 100)},
  })
}

/** What was vendored is mostly ignored by git: the gates must have seen what the lock has. */
async function changedArtifacts(
  folder: string,
  {artifacts}: BumpState,
): Promise<readonly string[]> {
  const paths = artifacts.map(({path}) => path)
  const now = await artifactsIn(folder, paths)
  return paths.filter((_, at) => now[at]?.sha256 !== artifacts[at]?.sha256)
}

async function tryBack(state: BumpState, context: StepContext) {
  const {trial, plan} = await trialOf(state, context)
  const tried = await tryRollback(trial, plan.subject)
  return {rollback: {...rollbackPlan(trial, plan.subject), ...tried}}
}

/** True when a release engineer must sign: the playbook says so, or something was waived. */
export function needsSignOff({gates}: Playbook, {options}: Pick<BumpState, 'options'>): boolean {
  const asks = gates.some(({uses}) => uses === 'sign_off' || uses === 'hardware_evidence')
  return asks || Object.keys(options.waivers).length > 0
}

async function signOff(state: BumpState, context: StepContext) {
  const {playbook, world} = context
  if (!needsSignOff(playbook, state)) return {}
  const {plan} = await planOf(state, context)
  const evidence = await evidenceOf(state, context)
  const digest = sha256Hex(canonicalJson(signable(evidence)))
  if (world.signOff === undefined) throw signOffMissing(state.item)
  const replayed = world.isReplay === true ? {replay: true} : {}
  const {envelope, ...signed} = await world.signOff({
    ...signOffStatement(plan, digest),
    ...replayed,
  })
  const {evidence: folder} = pathsOf(state, context)
  writeFileAtomic(join(folder, 'sign-off.json'), `${JSON.stringify(envelope, null, 2)}\n`)
  writeFileAtomic(join(folder, 'evidence.json'), `${canonicalJson(signable(evidence))}\n`)
  const result: GateResult = {
    gate: 'sign_off',
    verdict: 'passed',
    summary: `signed off by ${signed.by}`,
    caveats: [],
    logs: [
      {path: join(folder, 'sign-off.json'), sha256: fileDigest(join(folder, 'sign-off.json'))},
    ],
  }
  return {signOff: signed, gates: [...state.gates, result]}
}

/** Nobody was named to sign: gate_sign_off_missing. */
export function signOffMissing(item: string): RelError {
  return new RelError(
    'gate_sign_off_missing',
    `${item} asks for the signature of a release engineer`,
    {
      hint: 'Run it again with --sign-off KEY.',
    },
  )
}

/** Without absent members, which JSON has no word for. */
function signable(evidence: BumpEvidence): JsonValue {
  return JSON.parse(JSON.stringify(evidence)) as JsonValue
}

function fileDigest(path: string): string {
  return statIfThere(path) === undefined ? '' : sha256Hex(readFileLimited(path, 16 * 1024 * 1024))
}

/** Removes the work trees and the index of a bump; its evidence stays. */
export async function removeWork(git: Git, item: string): Promise<void> {
  const {tree, scratch, index} = bumpPaths(git, item)
  await removeWorkTree(git, tree)
  await removeWorkTree(git, scratch)
  rmSync(index, {force: true})
  rmSync(`${index}.lock`, {force: true})
}
