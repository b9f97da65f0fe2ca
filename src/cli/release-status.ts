import type {PublishPlan} from '../release/publish/plan.ts'
import {readTargets} from '../release/publish/run.ts'
import {
  type Difference,
  differencesOf,
  type GitHubState,
  type PanelState,
  type TargetStates,
} from '../release/publish/state.ts'
import {exitCodes} from '../system/codes/code.ts'
import {counted} from '../system/counted.ts'
import type {JsonObject} from '../system/json.ts'
import type {Outcome} from './base-command.ts'
import {withProgress} from './progress.ts'
import type {StatusFlagValues} from './publish-flags.ts'
import {planFromFlags, worldFor} from './publish-world.ts'

type Environment = Readonly<Record<string, string | undefined>>

type Read = {
  readonly plan: PublishPlan
  readonly states: TargetStates
  readonly differences: readonly Difference[]
}

/** `rel release status`: one line for each target. */
export async function releaseStatus(
  path: string,
  flags: StatusFlagValues,
  env: Environment,
): Promise<Outcome> {
  const read = await readAll(path, flags, env)
  const {panel, github} = read.states
  return outcomeOf(read, flags, [
    ...(panel === undefined ? [] : [panelLine(read.plan, panel)]),
    ...(github === undefined ? [] : [githubLine(read.plan, github)]),
  ])
}

/** `rel release reconcile`: one line for each difference. */
export async function releaseReconcile(
  path: string,
  flags: StatusFlagValues,
  env: Environment,
): Promise<Outcome> {
  const read = await readAll(path, flags, env)
  return outcomeOf(
    read,
    flags,
    read.differences.map(
      ({target, subject, want, have}) => `! ${target}, ${subject}: want ${want}, have ${have}`,
    ),
  )
}

/** Nothing of the targets is changed. */
async function readAll(path: string, flags: StatusFlagValues, env: Environment): Promise<Read> {
  const {plan} = await planFromFlags(path, flags, {createsTag: false}, false)
  const states = await withProgress('Reading the targets', flags, async () =>
    readTargets(plan, await worldFor(plan, flags, env)),
  )
  return {plan, states, differences: differencesOf(plan, states)}
}

function outcomeOf(
  {plan, states, differences}: Read,
  flags: StatusFlagValues,
  lines: readonly string[],
): Outcome {
  const {product, version, digest} = plan
  const isSame = differences.length === 0
  const {panel, github} = states
  return {
    result: {
      product,
      version,
      manifest_sha256: digest,
      in_step: isSame,
      targets: {
        ...(panel === undefined ? {} : {panel: panelResult(panel)}),
        ...(github === undefined ? {} : {github: githubResult(github)}),
      },
      differences: differences.map((difference) => ({...difference})),
    },
    lines: [
      isSame
        ? `✔ ${product} ${version} is published as its manifest says`
        : `${product} ${version}: ${counted(differences.length, 'difference')}`,
      ...lines,
    ],
    ...(isSame ? {} : {next: 'rel publish'}),
    ...(flags['exit-code'] && !isSame ? {exit: exitCodes.changed} : {}),
  }
}

function panelLine({panel}: PublishPlan, state: PanelState): string {
  const missing =
    state.state === 'absent' || state.missing.length === 0
      ? ''
      : `, lacks ${counted(state.missing.length, 'artifact')}`
  return `  ${panel?.url}: ${state.state}${missing}`
}

function githubLine({github, assets}: PublishPlan, state: GitHubState): string {
  const count =
    state.state === 'absent'
      ? ''
      : `, ${state.assets.length} of ${counted(assets.length, 'file')}, ${state.release.pageUrl}`
  return `  ${github?.repository} ${github?.tag}: ${state.state}${count}`
}

function panelResult(state: PanelState): JsonObject {
  if (state.state === 'absent') return {state: 'absent'}
  const {digest, sequence, missing} = state
  return {
    state: state.state,
    manifest_sha256: digest,
    ...(sequence === undefined ? {} : {sequence}),
    missing: [...missing],
  }
}

function githubResult(state: GitHubState): JsonObject {
  if (state.state === 'absent') return {state: 'absent'}
  const {id, tag, isImmutable, isPrerelease, pageUrl} = state.release
  return {
    state: state.state,
    release_id: id,
    tag,
    url: pageUrl,
    immutable: isImmutable,
    prerelease: isPrerelease,
    assets: state.assets.map(({id: asset, name, size, state: its, sha256}) => ({
      id: asset,
      name,
      size,
      state: its,
      ...(sha256 === undefined ? {} : {sha256}),
    })),
  }
}
