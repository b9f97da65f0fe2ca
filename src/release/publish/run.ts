import {RelError} from '../../system/error.ts'
import type {JsonObject} from '../../system/json.ts'
import type {ReleaseFile} from '../release.ts'
import {GitHubTarget, type StepRunner} from './github-target.ts'
import {lackingOn, PanelTarget} from './panel-target.ts'
import {type PublishPlan, sigstoreAsset} from './plan.ts'
import {type ProbeResult, probeRelease} from './probe.ts'
import {type Checks, receiptOf, receiptText} from './receipt.ts'
import {type Difference, differencesOf, type GitHubState, type TargetStates} from './state.ts'
import type {PublishWorld} from './world.ts'

/** The signed manifest, as it is sent and as it was read. */
export type Manifest = {readonly bytes: Uint8Array; readonly file: ReleaseFile}

export type Published = {
  readonly states: TargetStates
  readonly receipt: JsonObject
  /** Names of what was sent in this run; everything else was there already with these bytes. */
  readonly sent: {readonly panel: readonly string[]; readonly github: readonly string[]}
  /** False when everything was published before this run. */
  readonly changed: boolean
}

type Steps = <T>(name: string, work: () => Promise<T>) => Promise<T>

/** Reads every target. Changes nothing. Refuses as the targets do. */
export async function readTargets(plan: PublishPlan, world: PublishWorld): Promise<TargetStates> {
  const panel = plan.panel === undefined ? undefined : await new PanelTarget(plan, world).read()
  const github = plan.github === undefined ? undefined : await new GitHubTarget(plan, world).read()
  return {...(panel === undefined ? {} : {panel}), ...(github === undefined ? {} : {github})}
}

/**
 * Publishes: all bytes to the panel and into a draft on GitHub, then the panel in one transaction,
 * then GitHub in one PATCH. It ends well only if every target, read afterwards, is as planned. Every
 * step may be killed and repeated: what is there with the same bytes is kept, other bytes are a named
 * conflict, nothing that is published is deleted. Refuses as the targets do, with publish_incomplete,
 * publish_readback_failed and publish_probe_failed.
 */
export async function runPublish(
  plan: PublishPlan,
  manifest: Manifest,
  world: PublishWorld,
): Promise<Published> {
  const step = stepsOf(world)
  const toPanel: string[] = []
  const panel = plan.panel === undefined ? undefined : new PanelTarget(plan, world)
  const github = plan.github === undefined ? undefined : new GitHubTarget(plan, world)

  if (github !== undefined) await step('github-tag', () => github.checkTag())
  const fence = panel && (await preparePanel(panel, plan, manifest, toPanel, step))
  const draft = github && (await step('github-draft', () => github.openDraft()))
  if (github !== undefined && draft !== undefined) {
    const onAsset: StepRunner = (name, work) => step(`github-asset ${name}`, work)
    await github.fill(draft, onAsset)
  }

  await step('probe-before', () => probes(plan, manifest, world, panel))
  // the tag may have moved while everything was sent
  if (github !== undefined) await github.checkTag()
  const onPanel =
    panel !== undefined && fence !== undefined
      ? await step('panel-publish', () => panel.publish(fence))
      : undefined
  const onGitHub =
    github !== undefined && draft !== undefined
      ? await step('github-publish', () => github.publish(draft))
      : undefined

  const tagCommit = github && (await github.checkTag())
  const states = await step('read-targets', () => readTargets(plan, world))
  checkEnd(plan, states)
  const after = await step('probe-after', () => probes(plan, manifest, world, panel))
  const readBack = github && (await step('read-back', () => readBackOne(github, plan, states)))
  const receipt = receiptOf(plan, states, {
    probes: after,
    ...(readBack === undefined ? {} : {readBack}),
    ...(tagCommit === undefined ? {} : {tagCommit}),
  })
  await step('receipt', async () =>
    world.keepReceipt(await receiptText(receipt, world.receiptSigner)),
  )
  return {
    states,
    receipt,
    sent: {panel: toPanel, github: [...(github?.sent ?? [])].toSorted()},
    changed: onPanel?.changed === true || onGitHub?.changed === true,
  }
}

function stepsOf({onStep}: PublishWorld): Steps {
  return async (name, work) => {
    onStep?.('begin', name)
    const result = await work()
    onStep?.('end', name)
    return result
  }
}

/** All bytes and the draft on the panel; the fence that the flip will show. */
async function preparePanel(
  panel: PanelTarget,
  plan: PublishPlan,
  manifest: Manifest,
  sent: string[],
  step: Steps,
): Promise<number> {
  // drafted before it is leased: who is refused here has not fenced off the one whose release it is
  const before = await step('panel-draft', () => panel.draft(manifest.bytes))
  const fence = await step('panel-lease', () => panel.lease())
  if (before.state === 'published') return fence
  const sigstore = sigstoreAsset(plan)
  if (sigstore !== undefined && before.state === 'draft' && before.sigstore !== sigstore.sha256) {
    sent.push(sigstore.name)
    await step('panel-sigstore', () => panel.putSigstore(sigstore))
  }
  for (const asset of await lackingOn(panel, plan)) {
    sent.push(asset.name)
    await step(`panel-upload ${asset.name}`, () => panel.upload(asset))
  }
  const after = await step('panel-check', () => panel.read())
  if (after.state !== 'absent' && after.missing.length > 0)
    throw new RelError('release_incomplete', `the panel lacks ${after.missing.join(', ')}`, {
      details: {missing: after.missing},
    })
  return fence
}

async function probes(
  plan: PublishPlan,
  {file}: Manifest,
  world: PublishWorld,
  panel: PanelTarget | undefined,
): Promise<readonly ProbeResult[]> {
  if (panel === undefined || plan.panel === undefined || world.probes.length === 0) return []
  const {state} = await panel.read()
  const access = {http: world.http, url: plan.panel.url}
  const seen = state === 'published' ? 'published' : 'draft'
  const results: ProbeResult[] = []
  for (const probe of world.probes)
    results.push(await probeRelease(access, file, seen, probe, world))
  return results
}

/** What the targets say decides, not what the calls said. */
function checkEnd(plan: PublishPlan, states: TargetStates): void {
  const differences = differencesOf(plan, states)
  const [first] = differences
  if (first === undefined) return
  const isOnlyMutable = differences.every(({want}) => want === 'immutable')
  throw new RelError(
    isOnlyMutable ? 'github_not_immutable' : 'publish_incomplete',
    `${first.subject} on ${first.target} is ${first.have}, want ${first.want}`,
    {details: {differences: differences.map(shown)}},
  )
}

function shown({target, subject, want, have}: Difference) {
  return {target, subject, want, have}
}

/** One download as a user makes it: the manifest, which is small and vouches for the rest. */
async function readBackOne(
  github: GitHubTarget,
  plan: PublishPlan,
  {github: state}: TargetStates,
): Promise<NonNullable<Checks['readBack']>> {
  const byTag = await github.byTag()
  const planned = plan.assets.at(-1)
  const asset = assetsOf(state).find(({name}) => name === planned?.name)
  if (byTag === undefined || byTag.isDraft || planned === undefined || asset === undefined)
    throw new RelError('publish_readback_failed', 'the release cannot be found by its tag')
  const {sha256, as} = await github.readBack(asset)
  if (sha256 === planned.sha256) return {name: planned.name, as}
  throw new RelError(
    'publish_readback_failed',
    `${planned.name} comes back from GitHub as ${sha256}, want ${planned.sha256}`,
  )
}

function assetsOf(state: GitHubState | undefined) {
  return state === undefined || state.state === 'absent' ? [] : state.assets
}
