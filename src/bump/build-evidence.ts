import type {GateResult} from '../gates/gate.ts'
import {RelError} from '../system/error.ts'
import {changelogFacts} from '../upstream/changelog.ts'
import type {BumpState} from './bump-state.ts'
import type {BumpEvidence, BumpWaiver, RollbackPlan} from './evidence.ts'
import type {BumpPlan} from './plan.ts'
import type {Playbook} from './playbook.ts'
import {readWaiver} from './waiver.ts'

/** A changelog is read to here; nobody reads more in a pull request. */
const MAX_NOTES = 200_000

/** The evidence of a bump as far as it has come. */
export function buildEvidence(
  playbook: Playbook,
  state: BumpState,
  plan: BumpPlan,
  rollback: RollbackPlan,
): BumpEvidence {
  const {verified, candidate, base} = state
  if (verified === undefined || candidate === undefined)
    throw new RelError('internal_error', 'evidence is asked for before anything was verified')
  const notes = candidate.notes?.slice(0, MAX_NOTES)
  const named = changelogFacts(notes ?? '')
  const {signOff} = state
  return {
    item: playbook.item,
    title: playbook.title,
    old: plan.old,
    new: plan.new,
    base: base.branch,
    branch: plan.branch,
    subject: plan.subject,
    candidate,
    // paths of this machine say nothing to others, and would make the evidence differ by machine
    assets: verified.assets.map((asset) => ({...asset, path: asset.name})),
    facts: verified.facts,
    level: verified.level,
    minimum: playbook.verify.min,
    gates: state.gates.map(withoutPaths),
    diffs: plan.diffs,
    rollback:
      rollback.tried === undefined ? rollback : {...rollback, tried: withoutPaths(rollback.tried)},
    waivers: waiversOf(state),
    ...(signOff === undefined ? {} : {signOff}),
    ...(notes === undefined ? {} : {changelog: notes}),
    advisories: named.advisories,
    breaking: named.breaking,
    warnings: [...base.warnings, ...state.warnings],
  }
}

/** What a gate decided, without places of this machine and measures that differ by run. */
function withoutPaths({gate, verdict, code, summary, caveats, logs}: GateResult): GateResult {
  const named = logs.map(({path, sha256}) => ({path: path.split('/').at(-1) ?? '', sha256}))
  return {gate, verdict, ...(code === undefined ? {} : {code}), summary, caveats, logs: named}
}

function waiversOf({waivers = []}: BumpState): BumpWaiver[] {
  return waivers.map(({envelope, by}) => {
    const {gate, reason, expires_at: expires} = readWaiver(envelope)
    return {gate, reason, by, expires}
  })
}
