import {parseAssignments} from '../bump/assignments.ts'
import type {BumpRequest, BumpState} from '../bump/bump-state.ts'
import type {BumpEvidence} from '../bump/evidence.ts'
import {bumpPaths} from '../bump/journal.ts'
import {PULL_REQUEST_FILE} from '../bump/publish-steps.ts'
import {abortBump, previewBump, resumeBump, startBump} from '../bump/run-bump.ts'
import type {StepContext} from '../bump/step-context.ts'
import {pinnedVersion, previousVersion} from '../bump/survey.ts'
import {RelError} from '../system/error.ts'
import {openGit} from '../system/git.ts'
import type {JsonObject} from '../system/json.ts'
import type {Outcome} from './base-command.ts'
import type {BumpFlagValues, WorldFlagValues} from './bump-flags.ts'
import {openBumpWorld} from './bump-world.ts'

/** `rel bump ITEM KEY=VALUE…`: the whole bump, or with --dry-run what it would be. */
export async function bumpItem(
  [item = '', ...words]: readonly string[],
  flags: BumpFlagValues & {readonly 'dry-run': boolean},
): Promise<Outcome> {
  refuseFlags([item, ...words])
  return inWorld(item, flags, async (context) => {
    const request = requestOf(item, await wordsOf(words, flags, context), flags, context)
    if (flags['dry-run']) return previewOutcome(await previewBump(request, context), words, flags)
    return bumpedOutcome(await startBump(request, context), context)
  })
}

/** With --lock alone, NEW is what is pinned. */
async function wordsOf(
  words: readonly string[],
  {lock}: BumpFlagValues,
  {playbook, world}: StepContext,
): Promise<readonly string[]> {
  if (lock !== true || words.some((word) => word.startsWith('NEW='))) return words
  return [`NEW=${await pinnedVersion(world.git, playbook)}`, ...words]
}

/** A command that takes any number of words takes mistyped flags for words as well. */
function refuseFlags(words: readonly string[]): void {
  const flag = words.find((word) => word.startsWith('-'))
  if (flag !== undefined)
    throw new RelError('usage_invalid', `unknown flag ${flag.split('=')[0]}`, {
      hint: 'rel help bump',
    })
}

/** `rel rollback ITEM`: a bump back to the version before, or to --to. */
export async function rollbackItem(
  item: string,
  flags: BumpFlagValues & {readonly 'dry-run': boolean; readonly to?: string | undefined},
): Promise<Outcome> {
  const back = {...flags, rollback: true}
  return inWorld(item, back, async (context) => {
    const to = flags.to ?? (await previousVersion(context.world.git, context.playbook))
    const request = requestOf(item, [`NEW=${to}`], back, context)
    if (flags['dry-run']) {
      const preview = await previewBump(request, context)
      return {...previewOutcome(preview, [], flags), next: `rel rollback ${item} --to ${to}`}
    }
    return bumpedOutcome(await startBump(request, context), context)
  })
}

/** `rel bump resume ITEM`. */
export async function resumeItem(item: string, flags: WorldFlagValues): Promise<Outcome> {
  return inWorld(item, flags, async (context) => {
    return bumpedOutcome(await resumeBump(item, context), context)
  })
}

/** `rel bump abort ITEM`: needs neither network nor playbook, so that it always works. */
export async function abortItem(item: string): Promise<Outcome> {
  const {done, left} = await abortBump(item, await openGit(process.cwd()))
  return {
    result: {item, done, left},
    lines: [
      ...done.map((what) => `✔ taken back: ${what}`),
      '✔ your files, index and HEAD were not touched',
    ],
    warnings: left.map((command) => `the remote may have it already: ${command}`),
  }
}

async function inWorld(
  item: string,
  flags: WorldFlagValues,
  work: (context: StepContext) => Promise<Outcome>,
): Promise<Outcome> {
  const {context, close} = await openBumpWorld(item, flags, process.env)
  try {
    return await work(context)
  } finally {
    close()
  }
}

function requestOf(
  item: string,
  words: readonly string[],
  {rollback, critical, lock = false, push, waive = []}: BumpFlagValues,
  {playbook}: StepContext,
): BumpRequest {
  const waivers = Object.fromEntries(waive.map(waiverOf))
  const assignments = parseAssignments(words, playbook)
  const options = {rollback, critical, ...(lock ? {lockOnly: true} : {}), push, waivers}
  return {item, assignments, options}
}

function waiverOf(text: string): [gate: string, reason: string] {
  const at = text.indexOf('=')
  const [gate, reason] = [text.slice(0, at), text.slice(at + 1).trim()]
  if (at > 0 && reason !== '') return [gate, reason]
  throw new RelError('usage_invalid', '--waive wants GATE=REASON, both given')
}

function previewOutcome(
  {evidence}: {readonly evidence: BumpEvidence},
  words: readonly string[],
  {rollback, critical, lock}: BumpFlagValues,
): Outcome {
  const {item, subject, base, branch, rollback: back} = evidence
  const flags = {'--lock': lock, '--rollback': rollback, '--critical': critical}
  const given = Object.entries(flags).flatMap(([flag, isGiven]) => (isGiven === true ? [flag] : []))
  return {
    result: {...evidenceJson(evidence), dry_run: true},
    lines: [
      subject,
      '',
      ...evidence.diffs.flatMap(({diff}) => diff.trimEnd().split('\n')),
      '',
      ...evidenceLines(evidence),
      '',
      `A bump would run the gates, try the way back, commit on ${branch}, push it, and open a pull request into ${base}.`,
      'The way back after its merge:',
      ...back.commands.map((command) => `  ${command}`),
      'Nothing was written.',
    ],
    warnings: evidence.warnings,
    next: ['rel bump', item, ...words, ...given].join(' '),
  }
}

function evidenceLines(evidence: BumpEvidence): string[] {
  const {facts, level, minimum, advisories, breaking} = evidence
  return [
    ...facts.map(
      ({subject, check, by, level: reached}) => `✔ ${reached} ${subject}: ${check}, ${by}`,
    ),
    `✔ verified to ${level}, ${minimum} is demanded`,
    ...(advisories.length === 0 ? [] : [`! the changelog names ${advisories.join(', ')}`]),
    ...breaking.map((line) => `! ${line}`),
  ]
}

function evidenceJson(evidence: BumpEvidence): JsonObject {
  const {item, old, new: next, base, branch, subject, level, minimum} = evidence
  return {
    item,
    old,
    new: next,
    base,
    branch,
    subject,
    level,
    minimum,
    facts: evidence.facts.map((fact) => ({...fact})),
    assets: evidence.assets.map(({arch, name, sha256, size}) => ({arch, name, sha256, size})),
    gates: evidence.gates.map(({gate, verdict, summary}) => ({gate, verdict, summary})),
    diffs: evidence.diffs.map(({path, diff}) => ({path, diff})),
    rollback: {
      commands: evidence.rollback.commands,
      tree: evidence.rollback.tree,
      assets: evidence.rollback.assets.map((asset) => ({...asset})),
      artifacts: evidence.rollback.artifacts.map((file) => ({...file})),
    },
    advisories: evidence.advisories,
    breaking: evidence.breaking,
  }
}

function bumpedOutcome(state: BumpState, {playbook, world}: StepContext): Outcome {
  const {item, old, assignments, commit = '', branch = '', pullRequest, tag, gates} = state
  const {NEW} = assignments
  const {remote} = playbook.change
  const level = state.verified?.level ?? 'L0'
  const {evidence} = bumpPaths(world.git, item)
  const isPushed = state.isPushed === true
  return {
    result: {
      item,
      old,
      new: NEW,
      level,
      commit,
      branch,
      pushed: isPushed,
      gates: gates.map(({gate, verdict, summary}) => ({gate, verdict, summary})),
      evidence,
      ...(tag === undefined ? {} : {tag}),
      ...(pullRequest === undefined
        ? {}
        : {pull_request: {url: pullRequest.url, number: pullRequest.number}}),
    },
    lines: [
      `✔ ${item} ${old === NEW ? `${old} locked` : `${old} → ${NEW}`}, verified to ${level}`,
      ...gates.map(({gate, summary}) => `✔ ${gate}: ${summary}`),
      `✔ ${state.rollback?.tried?.summary ?? 'the way back was tried'}`,
      `✔ commit ${commit.slice(0, 12)} on ${branch}${isPushed ? `, pushed to ${remote}` : ''}`,
      ...(tag === undefined ? [] : [`✔ tag ${tag}`]),
      ...pullRequestLines(state, world.isReplay === true),
      `  evidence and ${PULL_REQUEST_FILE} are in ${evidence}`,
    ],
    warnings: [...state.base.warnings, ...state.warnings],
    undo: undoOf(state, remote),
    ...(pullRequest === undefined ? {next: `git show ${branch}`} : {}),
  }
}

function pullRequestLines({pullRequest}: BumpState, isReplay: boolean): string[] {
  if (pullRequest === undefined) return []
  const {url, isNew} = pullRequest
  if (isReplay) return [`  the recording opened ${url}; a replay opens and pushes nothing`]
  return [`✔ pull request ${isNew ? 'opened' : 'updated'}: ${url}`]
}

function undoOf({branch = '', tag, isPushed}: BumpState, remote: string): string {
  const gone = tag === undefined ? branch : `${branch} refs/tags/${tag}`
  return [
    `git branch -D ${branch}`,
    ...(tag === undefined ? [] : [`git tag -d ${tag}`]),
    ...(isPushed === true ? [`git push ${remote} --delete ${gone}`] : []),
  ].join(' && ')
}
