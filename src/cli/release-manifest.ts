import {readFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {
  applyRelease,
  cosignRelease,
  type PlannedArtifact,
  planRelease,
  type ReleaseFacts,
  type ReleasePlan,
} from '../release/make-release.ts'
import type {ReleaseFile} from '../release/release.ts'
import {noConfig, parseReleaseConfig, type ReleaseConfig} from '../release/release-config.ts'
import {releaseSidecar} from '../release/release-signers.ts'
import {buildTime, systemTime} from '../system/clock.ts'
import {counted} from '../system/counted.ts'
import {RelError} from '../system/error.ts'
import {readFileLimited, statIfThere, writeFileAtomic} from '../system/files.ts'
import type {JsonObject} from '../system/json.ts'
import {shellWords} from '../system/shell-word.ts'
import {shortId} from '../trust/envelope.ts'
import {parseTime} from '../trust/expiry.ts'
import type {Outcome} from './base-command.ts'
import {openSignerFromFlags} from './key-flags.ts'
import {withProgress} from './progress.ts'
import type {ReleaseManifestFlagValues} from './release-flags.ts'
import {staleWarnings} from './stale-sidecars.ts'

const MAX_CONFIG = 256 * 1024

/** `rel release manifest`: a signed release manifest over files. */
export async function releaseManifest(
  paths: readonly string[],
  flags: ReleaseManifestFlagValues,
): Promise<Outcome> {
  if (paths.length === 0)
    throw new RelError('input_required', 'nothing was named to release', {
      hint: 'Give a directory or files.',
    })
  const config = configFrom(flags)
  const request = {
    paths,
    config,
    facts: factsFrom(config, flags),
    slot: {
      ...(flags.component === undefined ? {} : {component: flags.component}),
      ...(flags.os === undefined ? {} : {os: flags.os}),
      ...(flags.arch === undefined ? {} : {arch: flags.arch}),
    },
    output: outputOf(paths, flags),
  }
  const plan = await withProgress('Reading the artifacts', flags, () => planRelease(request))
  if (flags['dry-run']) return dryRun(plan, flags)
  const replaced = statIfThere(plan.output) !== undefined
  const signer = await openSignerFromFlags(flags)
  try {
    if (flags.add) {
      checkNoSidecar(plan, flags)
      const {file, added} = await cosignRelease(plan, signer)
      return cosigned(plan, {file, added, vouched: await vouch(plan, added, flags)})
    }
    const {'artifact-key': key} = flags
    const artifact = key === undefined ? signer : await openSignerFromFlags(onlyKey(flags, key))
    try {
      const file = await withProgress('Signing the artifacts', flags, () =>
        applyRelease(plan, {manifest: signer, artifact}),
      )
      return written(plan, {file, replaced, vouched: await vouch(plan, true, flags)})
    } finally {
      if (artifact !== signer) await artifact.close?.()
    }
  } finally {
    await signer.close?.()
  }
}

/** The Sigstore bundle over the manifest: what it says, or that an earlier one no longer fits. */
type Vouched = {
  readonly result: JsonObject
  readonly written: readonly string[]
  readonly lines: readonly string[]
  readonly warnings: readonly string[]
}

async function vouch(
  {output}: ReleasePlan,
  hasChanged: boolean,
  flags: ReleaseManifestFlagValues,
): Promise<Vouched> {
  const path = releaseSidecar(output)
  if (flags.also?.includes('sigstore') !== true) {
    const isStale = hasChanged && statIfThere(path) !== undefined
    return {result: {}, written: [], lines: [], warnings: staleWarnings(isStale ? [path] : [])}
  }
  const {signKeyless} = await import('./sign-keyless.ts')
  const {bundleBytes, identity} = await signKeyless(readFileSync(output), flags)
  writeFileAtomic(path, bundleBytes)
  const {san, issuer} = identity
  return {
    result: {sigstore: {output: path, identity: san, issuer}},
    written: [path],
    lines: [`  ${path}, identity ${san}`],
    warnings: [],
  }
}

/** A further signature changes the bytes that the bundle is over. */
function checkNoSidecar({output}: ReleasePlan, {also}: ReleaseManifestFlagValues): void {
  const path = releaseSidecar(output)
  if (also?.includes('sigstore') === true || statIfThere(path) === undefined) return
  throw new RelError('sigstore_bundle_exists', `${path} covers the manifest as it is`)
}

/** --signer and --public-key speak of the manifest's key. */
function onlyKey(flags: ReleaseManifestFlagValues, key: string): ReleaseManifestFlagValues {
  return {...flags, key, signer: undefined, 'public-key': undefined}
}

function configFrom({config: named}: ReleaseManifestFlagValues): ReleaseConfig {
  const path = named ?? 'release.yaml'
  if (named === undefined && statIfThere(path) === undefined) return noConfig
  return parseReleaseConfig(readFileLimited(path, MAX_CONFIG).toString('utf8'), path)
}

function factsFrom(config: ReleaseConfig, flags: ReleaseManifestFlagValues): ReleaseFacts {
  const product = flags.product ?? config.product
  if (product === undefined)
    throw new RelError('input_required', 'no product was named', {
      hint: 'Give --product, or product: in release.yaml.',
    })
  const {version, expires, commit, 'min-version': minVersion, 'min-from': minFrom} = flags
  return {
    product,
    version,
    timestamp: flags.timestamp ?? buildTime(process.env),
    ...(expires === undefined ? {} : {expires: parseTime(expires, systemTime())}),
    ...(minVersion === undefined ? {} : {minVersion}),
    ...(minFrom === undefined ? {} : {minFrom}),
    ...(commit === undefined ? {} : {commit}),
  }
}

function outputOf(paths: readonly string[], {output}: ReleaseManifestFlagValues): string {
  if (output !== undefined) return output
  const [first = ''] = paths
  const isDirectory = paths.length === 1 && statIfThere(first)?.isDirectory() === true
  return isDirectory ? join(first, 'release.json') : 'release.json'
}

function dryRun(plan: ReleasePlan, {add}: ReleaseManifestFlagValues): Outcome {
  const {release, artifacts, output} = plan
  return {
    result: {...resultOf(plan), dry_run: true},
    lines: [
      `${release.product} ${release.version} for channel ${release.channel}`,
      ...artifacts.map(artifactLine),
      add ? `would add a signature to ${output}` : `would write ${output}`,
    ],
    warnings: warningsOf(plan),
  }
}

function artifactLine({name, component, os, arch, size, required}: PlannedArtifact): string {
  return `  ${name}: ${component} ${os}/${arch}, ${counted(size, 'byte')}${required ? '' : ', not required'}`
}

type Signed = {readonly file: ReleaseFile; readonly vouched: Vouched}

function written(
  plan: ReleasePlan,
  {file, replaced, vouched}: Signed & {readonly replaced: boolean},
): Outcome {
  const {release, output, artifacts} = plan
  const keyId = file.signatures[0]?.keyid ?? ''
  return {
    result: {...signedResult(plan, file), ...vouched.result},
    lines: [
      `✔ signed ${release.product} ${release.version} (${release.channel}), ${counted(artifacts.length, 'artifact')}`,
      ...artifacts.map(artifactLine),
      `  ${output}, key ${shortId(keyId)}, digest ${shortId(file.digest)}`,
      ...vouched.lines,
    ],
    warnings: [...warningsOf(plan), ...vouched.warnings],
    ...(replaced ? {} : {undo: `rm ${shellWords([output, ...vouched.written])}`}),
    next: verifyWords(plan),
  }
}

function verifyWords({output, artifacts}: ReleasePlan): string {
  const folder = dirname(artifacts[0]?.path ?? output)
  const artifactFlag = dirname(output) === folder ? '' : ` --artifacts ${shellWords([folder])}`
  const trust = statIfThere('trust.json') === undefined ? 'FILE' : 'trust.json'
  return `rel release verify ${shellWords([output])}${artifactFlag} --trust ${trust}`
}

function cosigned(
  plan: ReleasePlan,
  {file, added, vouched}: Signed & {readonly added: boolean},
): Outcome {
  const count = counted(file.signatures.length, 'signature')
  return {
    result: {...signedResult(plan, file), ...vouched.result},
    lines: [`✔ ${plan.output} has ${count}`, ...vouched.lines],
    warnings: [...(added ? [] : ['this key had signed already']), ...vouched.warnings],
  }
}

function signedResult(plan: ReleasePlan, {digest, signatures}: ReleaseFile) {
  return {
    ...resultOf(plan),
    manifest_sha256: digest,
    signatures: signatures.map(({keyid}) => keyid),
  }
}

function resultOf({release, artifacts, output, ignored}: ReleasePlan) {
  return {
    product: release.product,
    version: release.version,
    channel: release.channel,
    output,
    artifacts: artifacts.map(({name, component, os, arch, size, sha256, required}) => ({
      name,
      component,
      os,
      arch,
      size,
      sha256,
      required,
    })),
    ignored: [...ignored],
  }
}

function warningsOf({ignored}: ReleasePlan): string[] {
  const folders = ignored.filter((path) => path.endsWith('/'))
  return folders.length === 0
    ? []
    : [`not part of the release: ${counted(folders.length, 'folder')}, as ${folders[0]}`]
}
