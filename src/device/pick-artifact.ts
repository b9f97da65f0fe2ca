import {deltaBase, isDeltaName} from '../bundle/delta/delta-name.ts'
import type {Release, ReleaseArtifact} from '../release/release.ts'
import {RelError} from '../system/error.ts'

/** Which artifact of a release is for a node. */
export type Wanted = {readonly component: string; readonly os: string; readonly arch: string}

/** How Node's names of processors are called in releases. */
const architectures: Readonly<Record<string, string>> = {x64: 'amd64', ia32: '386'}

/** The system and processor of a node: of its target, such as linux-arm64, or of this machine. */
export function machineOf(
  target: string | undefined,
  here: {readonly platform: string; readonly arch: string},
): Pick<Wanted, 'os' | 'arch'> {
  const [, os, arch] = /^([^-]+)-(.+)$/.exec(target ?? '') ?? []
  if (os !== undefined && arch !== undefined) return {os, arch}
  return {os: here.platform, arch: architectures[here.arch] ?? here.arch}
}

/** An artifact that makes the version out of another one. */
export type DeltaArtifact = {readonly from: string; readonly artifact: ReleaseArtifact}

/**
 * The artifact of a verified release for a node, and its deltas. Of several the required one counts.
 * Refuses with upgrade_source_invalid when there is none, or more than one could be meant.
 */
export function pickArtifact(
  {artifacts, version}: Pick<Release, 'artifacts' | 'version'>,
  {component, os, arch}: Wanted,
): {readonly whole: ReleaseArtifact; readonly deltas: readonly DeltaArtifact[]} {
  const ours = artifacts.filter(
    (artifact) =>
      artifact.component === component &&
      [os, 'any'].includes(artifact.os) &&
      [arch, 'any'].includes(artifact.arch),
  )
  const deltas = ours.flatMap((artifact) => {
    const from = deltaBase(artifact.name)
    return from === undefined ? [] : [{from, artifact}]
  })
  const wholes = ours.filter(({name}) => !isDeltaName(name))
  const required = wholes.filter((artifact) => artifact.required)
  const [whole, second] = wholes.length > 1 ? required : wholes
  if (whole !== undefined && second === undefined) return {whole, deltas}
  const count = whole === undefined ? 'nothing' : 'several artifacts'
  throw new RelError(
    'upgrade_source_invalid',
    `${version} holds ${count} of ${component} for ${os} ${arch}`,
    {details: {component, os, arch}},
  )
}
