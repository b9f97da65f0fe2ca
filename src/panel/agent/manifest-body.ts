import {coversComponent} from '../../release/entitlement.ts'
import type {License} from '../../release/license.ts'
import type {ReleaseArtifact} from '../../release/release.ts'
import type {Entry} from './catalog.ts'

/** Which artifacts a node wants; all that its licence covers where absent. */
export type ArtifactFilter = {
  readonly component?: string
  readonly os?: string
  readonly arch?: string
}

/** The artifacts of a release that a licence covers and a node asks for. */
export function artifactsFor(
  {artifacts}: Pick<Entry, 'artifacts'>,
  license: Pick<License, 'entitlements'>,
  {component, os, arch}: ArtifactFilter,
): readonly ReleaseArtifact[] {
  return artifacts.filter(
    (artifact) =>
      (component === undefined || artifact.component === component) &&
      (os === undefined || artifact.os === os) &&
      (arch === undefined || artifact.arch === arch) &&
      coversComponent(license, artifact.component),
  )
}

/** Where an artifact is downloaded from; `base` has no slash at its end. */
function downloadPath(base: string, product: string, version: string, name: string): string {
  return `${base}/download/${product}/${encodeURIComponent(version)}/${encodeURIComponent(name)}`
}

export type ManifestInput = {
  readonly entry: Entry
  readonly product: string
  readonly artifacts: readonly ReleaseArtifact[]
  /** Text of the signed envelope, as it was published. */
  readonly envelope: string
  /** Text of the signed freshness statement. */
  readonly freshness: string
  readonly base: string
}

/**
 * D0's `/update/manifest.json`: the fields that D0's agents read, the signed envelope that says the
 * same, and the panel's word that it is current. Both are JSON texts, embedded byte for byte.
 */
export function manifestBody(input: ManifestInput): string {
  const {entry, product, artifacts, envelope, freshness, base} = input
  const {version, channel, digest, sequence, published, minFrom} = entry
  const release = {
    product,
    version,
    channel,
    sequence,
    published,
    manifest_sha256: digest,
    ...(minFrom === undefined ? {} : {min_from: minFrom}),
  }
  const flat = artifacts.map((artifact) => ({
    name: artifact.name,
    component: artifact.component,
    os: artifact.os,
    arch: artifact.arch,
    version,
    url: downloadPath(base, product, version, artifact.name),
    size: artifact.size,
    sha256: artifact.sha256,
    signature: artifact.signature,
    key_id: artifact.keyId,
  }))
  return `{"release":${JSON.stringify(release)},"artifacts":${JSON.stringify(flat)},"envelope":${envelope.trim()},"freshness":${freshness}}\n`
}

/**
 * The one artifact that D2's `/bundles/VERSION.tar.gz` means: the only .tar.gz there is, or else the
 * only one of the component `bundle`. Undefined when that is none, or several.
 */
export function bundleOf(artifacts: readonly ReleaseArtifact[]): ReleaseArtifact | undefined {
  const archives = artifacts.filter(({name}) => name.endsWith('.tar.gz'))
  const bundles = archives.filter(({component}) => component === 'bundle')
  if (archives.length === 1) return archives[0]
  return bundles.length === 1 ? bundles[0] : undefined
}

/** The forms of D2's and D1's addresses below `/bundles/`. */
const bundleForms = ['tar.gz', 'sha256', 'manifest.json', 'manifest.sig.bundle'] as const

export type BundleForm = (typeof bundleForms)[number]

/** `1.4.2.tar.gz` as version and form; undefined for another ending. */
export function bundleFile(
  file: string,
): {readonly version: string; readonly form: BundleForm} | undefined {
  const form = bundleForms.find((ending) => file.endsWith(`.${ending}`))
  return form === undefined ? undefined : {version: file.slice(0, -form.length - 1), form}
}
