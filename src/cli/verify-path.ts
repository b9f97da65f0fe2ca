import {kindOfPath, verifyBundle, verifyDirectory} from '../bundle/verify.ts'
import {type VerifiedFile, verifyFile} from '../bundle/verify-file.ts'
import type {VerifiedBundle, VerifyStep} from '../bundle/verify-policy.ts'
import {counted} from '../system/counted.ts'
import type {JsonObject} from '../system/json.ts'
import {shortId} from '../trust/envelope.ts'
import type {Outcome} from './base-command.ts'
import {printMessages} from './output.ts'
import {type ProgressMode, withProgress} from './progress.ts'
import {originLines} from './trust-origin.ts'
import {type FlagPolicy, type VerifyFlagValues, verifyPolicyFromFlags} from './verify-flags.ts'

type Flags = VerifyFlagValues &
  ProgressMode & {
    readonly explain: boolean
    readonly detached: boolean
    readonly manifest?: string | undefined
  }

/** `rel verify`: one verdict on a directory, an archive, or a file with a detached signature. */
export async function verifyPath(path: string, flags: Flags): Promise<Outcome> {
  const isFile = flags.detached || kindOfPath(path) === 'file'
  const policy = await verifyPolicyFromFlags(flags, process.env, isFile ? 'artifact' : 'manifest')
  const steps: VerifyStep[] = []
  const onStep = (step: VerifyStep) => {
    steps.push(step)
    if (flags.explain) printMessages([`  ${steps.length}. ${step.check}: ${step.detail}`])
  }
  const {manifest} = flags
  const verifyAlone = () => verifyFile(path, policy, onStep)
  if (isFile)
    return fileOutcome(path, await withProgress(`Verifying ${path}`, flags, verifyAlone), policy)
  const verified = await withProgress(`Verifying ${path}`, flags, (onProgress) =>
    manifest === undefined
      ? verifyBundle(path, policy, {onStep, onProgress})
      : verifyDirectory(path, policy, {onStep, onProgress}, manifest),
  )
  return bundleOutcome(path, verified, policy, flags.explain ? steps : [])
}

function bundleOutcome(
  path: string,
  verified: VerifiedBundle,
  policy: FlagPolicy,
  steps: readonly VerifyStep[],
): Outcome {
  const {manifest, identities, fileCount, totalSize, source} = verified
  const product = manifest.rel?.product ?? manifest.bundleName
  const channel = manifest.rel?.channel
  const who = [...signersOf(verified.signedBy, policy), ...identities.map((id) => `identity ${id}`)]
  const result: JsonObject = {
    source,
    bundle_name: manifest.bundleName,
    product,
    version: manifest.version,
    ...(channel === undefined ? {} : {channel}),
    ...(manifest.rel === undefined ? {} : {sequence: manifest.rel.sequence}),
    ...(manifest.rel?.expires === undefined ? {} : {expires: manifest.rel.expires}),
    timestamp: manifest.timestamp,
    files: fileCount,
    total_size: totalSize,
    signed_by: verified.signedBy,
    threshold: verified.threshold,
    identities,
    trust: policy.trust.origin,
    manifest_sha256: verified.manifestSha256,
    content_sha256: verified.contentSha256,
    ...(steps.length === 0 ? {} : {steps: steps.map(({check, detail}) => ({check, detail}))}),
  }
  const lines = [
    `✔ ${path}: ${product} ${manifest.version}${channel === undefined ? '' : `, channel ${channel}`}`,
    ...who.map((name) => `✔ signed by ${name}`),
    ...originLines(policy.trust.origin),
    `✔ ${counted(fileCount, 'file')}, ${counted(totalSize, 'byte')}, exactly as signed`,
  ]
  const warnings =
    manifest.rel === undefined
      ? ['a D2 manifest signs neither modes, sizes, product nor channel']
      : []
  return {result, lines, warnings}
}

function signersOf(keyIds: readonly string[], {trust}: FlagPolicy): string[] {
  return keyIds.map((id) => `${trust.nameOf(id) ?? 'key'} (${shortId(id)})`)
}

function fileOutcome(path: string, verified: VerifiedFile, policy: FlagPolicy): Outcome {
  const {form, sha256, size, signedBy, label} = verified
  const said = Object.entries(label).filter(([key]) => key !== 'sha256')
  return {
    result: {
      source: 'file',
      form,
      sha256,
      size,
      signed_by: signedBy,
      trust: policy.trust.origin,
      label,
    },
    lines: [
      `✔ ${path}: ${counted(size, 'byte')}, ${form} is valid`,
      ...signersOf(signedBy, policy).map((name) => `✔ signed by ${name}`),
      ...originLines(policy.trust.origin),
      ...said.map(([key, value]) => `  ${key}: ${value}`),
    ],
    warnings: said.length === 0 ? ['nothing but the bytes is signed: no name, no version'] : [],
  }
}
