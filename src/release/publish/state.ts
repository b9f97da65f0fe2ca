import {type PublishPlan, panelAssets, sigstoreAsset} from './plan.ts'

/** A release as a panel describes it. */
export type PanelState =
  | {readonly state: 'absent'}
  | {
      readonly state: 'draft' | 'published' | 'recalled'
      readonly digest: string
      readonly sequence?: number
      /** Names of what is not there, or not as it should be. */
      readonly missing: readonly string[]
      /** SHA-256 of the Sigstore bundle over the manifest, if the panel has one. */
      readonly sigstore?: string
    }

/** An asset as GitHub describes it. */
export type RemoteAsset = {
  readonly id: number
  readonly name: string
  readonly state: string
  readonly size: number
  /** 64 hex digits; absent for assets that GitHub has no digest of. */
  readonly sha256?: string
  /** Where it is downloaded by people. */
  readonly downloadUrl: string
}

export type GitHubRelease = {
  readonly id: number
  readonly tag: string
  readonly isDraft: boolean
  readonly isPrerelease: boolean
  readonly isImmutable: boolean
  readonly uploadUrl: string
  readonly pageUrl: string
}

export type GitHubState =
  | {readonly state: 'absent'}
  | {
      readonly state: 'draft' | 'published'
      readonly release: GitHubRelease
      readonly assets: readonly RemoteAsset[]
    }

export type TargetStates = {readonly panel?: PanelState; readonly github?: GitHubState}

/** One thing that is not as planned; `want` and `have` are for people. */
export type Difference = {
  readonly target: 'panel' | 'github'
  /** `release`, or the name of an asset. */
  readonly subject: string
  readonly want: string
  readonly have: string
}

/** Everything in which the targets are not as planned; empty when they are in step with the plan. */
export function differencesOf(
  plan: PublishPlan,
  {panel, github}: TargetStates,
): readonly Difference[] {
  return [
    ...(plan.panel === undefined || panel === undefined ? [] : panelDifferences(plan, panel)),
    ...(plan.github === undefined || github === undefined ? [] : githubDifferences(plan, github)),
  ]
}

function differenceOn(target: Difference['target']) {
  return (subject: string, want: string, have: string): Difference => ({
    target,
    subject,
    want,
    have,
  })
}

function panelDifferences(plan: PublishPlan, have: PanelState): readonly Difference[] {
  const of = differenceOn('panel')
  const sigstore = sigstoreAsset(plan)
  if (have.state === 'absent')
    return [
      of('release', 'published', 'absent'),
      ...panelAssets(plan).map(({name, sha256}) => of(name, sha256, 'not drafted')),
    ]
  return [
    ...(have.digest === plan.digest ? [] : [of('manifest', plan.digest, have.digest)]),
    ...(have.state === 'published' ? [] : [of('release', 'published', have.state)]),
    ...have.missing.map((name) => of(name, 'uploaded', 'missing')),
    ...(sigstore === undefined || have.sigstore === sigstore.sha256
      ? []
      : [of(sigstore.name, sigstore.sha256, have.sigstore ?? 'absent')]),
  ]
}

function githubDifferences(plan: PublishPlan, have: GitHubState): readonly Difference[] {
  const of = differenceOn('github')
  if (have.state === 'absent')
    return [
      of('release', 'published', 'absent'),
      ...plan.assets.map(({name, sha256}) => of(name, sha256, 'absent')),
    ]
  const {mustBeImmutable = false, isPrerelease = false} = plan.github ?? {}
  const {release} = have
  return [
    ...(have.state === 'published' ? [] : [of('release', 'published', have.state)]),
    ...(have.state === 'draft' || release.isPrerelease === isPrerelease
      ? []
      : [of('pre-release', String(isPrerelease), String(release.isPrerelease))]),
    ...(have.state === 'published' && mustBeImmutable && !release.isImmutable
      ? [of('release', 'immutable', 'can be changed')]
      : []),
    ...assetDifferences(plan, have.assets).map(({subject, want, have: seen}) =>
      of(subject, want, seen),
    ),
  ]
}

/** In which the assets on GitHub are not the planned ones, in the order of the plan. */
export function assetDifferences(
  {assets}: Pick<PublishPlan, 'assets'>,
  have: readonly RemoteAsset[],
): readonly Omit<Difference, 'target'>[] {
  const byName = new Map(have.map((asset) => [asset.name, asset]))
  const planned = new Set(assets.map(({name}) => name))
  return [
    ...assets.flatMap(({name, size, sha256}) => {
      const there = byName.get(name)
      const seen = there === undefined ? 'absent' : seenOf(there, size, sha256)
      return seen === undefined ? [] : [{subject: name, want: sha256, have: seen}]
    }),
    ...have
      .filter(({name}) => !planned.has(name))
      .map(({name}) => ({subject: name, want: 'absent', have: 'there, not planned'})),
  ]
}

function seenOf(there: RemoteAsset, size: number, sha256: string): string | undefined {
  if (there.state !== 'uploaded') return `only begun (${there.state})`
  if (there.size !== size) return `${there.size} bytes`
  if (there.sha256 === undefined) return 'there, without a digest'
  return there.sha256 === sha256 ? undefined : there.sha256
}
