import type {JsonObject} from '../../system/json.ts'
import type {PublishPlan} from './plan.ts'
import type {ProbeResult} from './probe.ts'
import type {GitHubState, PanelState, TargetStates} from './state.ts'

/** How the release was looked at after it was published; what was not looked at says so. */
export type Checks = {
  readonly probes: readonly ProbeResult[]
  /** The download from GitHub that was read back; absent when GitHub is no target. */
  readonly readBack?: {readonly name: string; readonly as: 'anyone' | 'token'}
  /** The commit of the tag. */
  readonly tagCommit?: string
}

/**
 * The receipt of a publication over all its targets (docs/formats/publish-receipt.md). It tells the
 * state in the end, not how many tries it took: the same publication, run again, has the same bytes.
 */
export function receiptOf(plan: PublishPlan, states: TargetStates, checks: Checks): JsonObject {
  const {product, version, channel, digest, commit, assets} = plan
  const {panel, github} = states
  const ids = new Map(
    github === undefined || github.state === 'absent'
      ? []
      : github.assets.map(({name, id}) => [name, id]),
  )
  return {
    spec: 1,
    kind: 'publish-receipt',
    product,
    version,
    channel,
    manifest_sha256: digest,
    ...(commit === undefined ? {} : {commit}),
    targets: {
      ...(panel === undefined ? {} : {panel: panelPart(plan, panel)}),
      ...(github === undefined ? {} : {github: githubPart(plan, github, checks)}),
    },
    assets: assets.map(({name, kind, size, sha256}) => {
      const id = ids.get(name)
      return {
        name,
        kind,
        size,
        sha256,
        on_panel: panel !== undefined && (kind === 'artifact' || kind === 'manifest'),
        ...(id === undefined ? {} : {github_asset_id: id}),
      }
    }),
    checks: {
      probes: checks.probes.map((probe) => ({...probe})),
      github_download: checks.readBack === undefined ? null : {...checks.readBack},
    },
  }
}

function panelPart({panel}: PublishPlan, state: PanelState): JsonObject {
  const sequence = state.state === 'absent' ? undefined : state.sequence
  return {
    url: panel?.url ?? '',
    state: state.state,
    ...(sequence === undefined ? {} : {sequence}),
  }
}

function githubPart({github}: PublishPlan, state: GitHubState, {tagCommit}: Checks): JsonObject {
  if (state.state === 'absent') return {repository: github?.repository ?? '', state: state.state}
  const {id, tag, isImmutable, isPrerelease, pageUrl} = state.release
  return {
    repository: github?.repository ?? '',
    state: state.state,
    release_id: id,
    url: pageUrl,
    tag,
    ...(tagCommit === undefined ? {} : {tag_commit: tagCommit}),
    prerelease: isPrerelease,
    immutable: isImmutable,
  }
}

/** The text of a receipt. */
export function receiptText(receipt: JsonObject): string {
  return `${JSON.stringify(receipt, null, 2)}\n`
}
