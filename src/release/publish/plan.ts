import {RelError} from '../../system/error.ts'
import type {ReleaseFile} from '../release.ts'
import {isArtifactName} from '../release-manifest.ts'

/** What GitHub takes (docs/guides/publish.md); a panel takes more. */
export const publishLimits = {
  /** 2 GiB less one byte. */
  assetBytes: 2 ** 31 - 1,
  assets: 1000,
  notesCharacters: 125_000,
} as const

/** `sigstore` is the Sigstore bundle over the manifest. */
export type AssetKind = 'artifact' | 'attachment' | 'sidecar' | 'sigstore' | 'manifest'

/** One file of a release, under the name that it is published by. */
export type PlannedAsset = {
  readonly name: string
  readonly kind: AssetKind
  /** Bytes. */
  readonly size: number
  /** 64 lower-case hex digits. */
  readonly sha256: string
  readonly path: string
}

export type PanelPlan = {
  /** Without a final slash. */
  readonly url: string
}

export type GitHubPlan = {
  /** Base URL of the REST API, without a final slash. */
  readonly apiUrl: string
  /** owner/name */
  readonly repository: string
  readonly tag: string
  /** What the tag must point at; a manifest without a commit leaves it open. */
  readonly commit?: string
  /** True: GitHub makes the tag at publication, on `commit`. */
  readonly createsTag: boolean
  readonly title: string
  readonly notes: string
  readonly isPrerelease: boolean
  /** Refuse a release that GitHub would let anybody change later. */
  readonly mustBeImmutable: boolean
}

/** All that will be done: known without a token or a network, printed by --dry-run. */
export type PublishPlan = {
  readonly product: string
  readonly version: string
  readonly channel: string
  /** SHA-256 of the manifest's canonical form: what "the same release" means. */
  readonly digest: string
  readonly commit?: string
  /** In the order in which they are sent: artifacts first, what vouches for them last. */
  readonly assets: readonly PlannedAsset[]
  readonly panel?: PanelPlan
  readonly github?: GitHubPlan
}

export type PublishFacts = {
  readonly file: ReleaseFile
  readonly assets: readonly PlannedAsset[]
  readonly panel?: PanelPlan
  readonly github?: Omit<GitHubPlan, 'isPrerelease' | 'commit'>
}

const order: readonly AssetKind[] = ['artifact', 'attachment', 'sidecar', 'sigstore', 'manifest']

/**
 * The plan of a publication. Refuses with input_required (no target), publish_name_refused,
 * publish_asset_too_large, publish_too_many_assets, publish_notes_too_long, github_tag_missing (a
 * tag is to be made and no commit is known).
 */
export function planPublish({file, assets, panel, github}: PublishFacts): PublishPlan {
  const {product, version, channel, commit} = file.release
  if (panel === undefined && github === undefined)
    throw new RelError('input_required', 'nothing says where to publish', {
      hint: 'Give --panel URL, --github OWNER/NAME, or both.',
    })
  checkAssets(assets)
  const known = commit === undefined ? {} : {commit}
  return {
    product,
    version,
    channel,
    digest: file.digest,
    ...known,
    assets: assets.toSorted(
      (a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || (a.name < b.name ? -1 : 1),
    ),
    ...(panel === undefined ? {} : {panel}),
    ...(github === undefined
      ? {}
      : {github: checkedGitHub({...github, ...known, isPrerelease: channel !== 'stable'})}),
  }
}

function checkAssets(assets: readonly PlannedAsset[]): void {
  const names = new Set<string>()
  for (const {name, size} of assets) {
    if (!isArtifactName(name)) throw refusedName(`${name} is a name that GitHub would change`)
    if (names.has(name.toLowerCase())) throw refusedName(`two files have the name ${name}`)
    names.add(name.toLowerCase())
    if (size > publishLimits.assetBytes)
      throw new RelError(
        'publish_asset_too_large',
        `${name} has ${size} bytes, at most ${publishLimits.assetBytes}`,
      )
  }
  if (assets.length > publishLimits.assets)
    throw new RelError(
      'publish_too_many_assets',
      `${assets.length} files, at most ${publishLimits.assets}`,
    )
}

function refusedName(message: string): RelError {
  return new RelError('publish_name_refused', message)
}

function checkedGitHub(plan: GitHubPlan): GitHubPlan {
  const {notes, createsTag, commit, tag} = plan
  if (notes.length > publishLimits.notesCharacters)
    throw new RelError(
      'publish_notes_too_long',
      `${notes.length} characters of notes, at most ${publishLimits.notesCharacters}`,
    )
  if (createsTag && commit === undefined)
    throw new RelError('github_tag_missing', `nothing says which commit ${tag} is to name`, {
      hint: 'Sign the manifest with --commit, or push the tag first.',
    })
  return plan
}

/** The Sigstore bundle over the manifest, if the release has one. */
export function sigstoreAsset({assets}: Pick<PublishPlan, 'assets'>): PlannedAsset | undefined {
  return assets.find(({kind}) => kind === 'sigstore')
}

/** The files that a panel keeps beside the manifest and its Sigstore bundle. */
export function panelAssets({assets}: PublishPlan): readonly PlannedAsset[] {
  return assets.filter(({kind}) => kind === 'artifact')
}
