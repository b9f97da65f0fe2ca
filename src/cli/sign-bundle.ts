import {readFileSync, realpathSync} from 'node:fs'
import {basename, dirname, join} from 'node:path'
import type {BundleFacts} from '../bundle/build-manifest.ts'
import {sbomOf} from '../bundle/inspect.ts'
import type {BundleManifest} from '../bundle/manifest.ts'
import {
  applyCosign,
  applySign,
  planCosign,
  planSign,
  type Signed,
  type SignPlan,
} from '../bundle/sign.ts'
import {type SidecarForm, signSidecars} from '../bundle/sign-file.ts'
import {sigstoreSidecars} from '../bundle/verify.ts'
import {partsOfName} from '../bundle/version.ts'
import {buildTime} from '../system/clock.ts'
import {counted} from '../system/counted.ts'
import {RelError} from '../system/error.ts'
import {fileError, statIfThere, writeFileAtomic} from '../system/files.ts'
import type {JsonObject} from '../system/json.ts'
import {shellWords} from '../system/shell-word.ts'
import {shortId} from '../trust/envelope.ts'
import {parseTime} from '../trust/expiry.ts'
import type {Signer} from '../trust/signer.ts'
import type {Outcome} from './base-command.ts'
import {openSignerFromFlags} from './key-flags.ts'
import {withProgress} from './progress.ts'
import type {SignFlagValues} from './sign-flags.ts'
import {staleWarnings} from './stale-sidecars.ts'
import {verifyNext} from './verify-next.ts'

/** `rel sign DIR`: a manifest over a tree. */
export async function signBundle(directory: string, flags: SignFlagValues): Promise<Outcome> {
  if (flags.add) return cosignBundle(directory, flags)
  const {facts, guessed} = factsFrom(directory, flags)
  const request = {
    directory,
    facts,
    rules: {allowLinks: flags['allow-links'], normaliseModes: flags['normalise-modes']},
    legacy: flags.legacy,
    ...(flags.output === undefined ? {} : {output: flags.output}),
  }
  const planned = () =>
    withProgress(`Reading ${directory}`, flags, (onProgress) => planSign({...request, onProgress}))
  if (flags['dry-run']) return dryRun(await planned(), guessed)
  const signer = await openSignerFromFlags(flags)
  try {
    const plan = await planned()
    const replaced = statIfThere(plan.output) !== undefined
    const signed = await applySign(plan, signer)
    const written = [signed.output, ...(await writeExtras(signed, signer, flags))]
    const chmod = plan.modeChanges.length
    const lines = [
      ...signedLines(signed, signer),
      ...(chmod === 0 ? [] : [`  ${counted(chmod, 'file')} changed to mode 0644 or 0755`]),
    ]
    const undo = replaced || chmod > 0 ? {} : {undo: `rm ${shellWords(written)}`}
    const stale = plan.stale.filter((path) => !written.includes(path))
    const {key} = flags
    return outcome({signed, lines: [...lines, ...guessed], written, directory, key, stale, undo})
  } finally {
    await signer.close?.()
  }
}

async function cosignBundle(directory: string, flags: SignFlagValues): Promise<Outcome> {
  const plan = await withProgress(`Reading ${directory}`, flags, (onProgress) =>
    planCosign(directory, flags.output, onProgress),
  )
  const {manifest, signatures} = plan.file
  if (flags['dry-run']) {
    const line = `would add a signature to ${plan.output}, which has ${signatures.length}`
    return {result: {...resultOf(manifest), output: plan.output}, lines: [line]}
  }
  const signer = await openSignerFromFlags(flags)
  try {
    const signed = await applyCosign(plan, signer)
    const written = [signed.output, ...(await writeExtras(signed, signer, flags))]
    const {key} = flags
    const stale = plan.stale.filter((path) => !written.includes(path))
    const lines = signedLines(signed, signer)
    return outcome({signed, lines, written, directory, key, stale, undo: {}})
  } finally {
    await signer.close?.()
  }
}

type Parts = {
  readonly signed: Signed
  readonly lines: readonly string[]
  readonly written: readonly string[]
  readonly directory: string
  readonly key: string | undefined
  /** Signatures beside the manifest that this run did not write. */
  readonly stale: readonly string[]
  readonly undo: {readonly undo?: string}
}

function outcome({signed, lines, written, directory, key, stale, undo}: Parts): Outcome {
  const {file, manifestSha256, warnings} = signed
  return {
    result: {
      ...resultOf(file.manifest),
      output: signed.output,
      written,
      manifest_sha256: manifestSha256,
      signatures: file.signatures.map(({keyid}) => keyid),
      legacy_signature: file.signature !== undefined,
    },
    lines,
    warnings: [...warnings, ...staleWarnings(stale)],
    next: verifyNext(directory, key),
    ...undo,
  }
}

function resultOf(manifest: BundleManifest): JsonObject {
  const {bundleName, version, timestamp, files, rel} = manifest
  return {
    bundle_name: bundleName,
    version,
    timestamp,
    files: files.length,
    ...(rel === undefined
      ? {}
      : {
          product: rel.product,
          channel: rel.channel,
          sequence: rel.sequence,
          targets: rel.targets,
          total_size: rel.totalSize,
          links: rel.links.length,
          ...(rel.expires === undefined ? {} : {expires: rel.expires}),
        }),
  }
}

function signedLines({file, output}: Signed, signer: Signer): string[] {
  const {manifest, signatures} = file
  const {keyId} = signer.publicKey
  const count = signatures.length > 1 ? `, ${signatures.length} signatures` : ''
  return [`✔ signed ${summaryOf(manifest)}`, `  ${output}, key ${shortId(keyId)}${count}`]
}

function summaryOf({bundleName, version, files, rel}: BundleManifest): string {
  const what =
    rel === undefined ? `${bundleName} (D2)` : `${rel.product} ${version}, channel ${rel.channel}`
  const bytes = rel === undefined ? '' : `, ${counted(rel.totalSize, 'byte')}`
  return `${what}: ${counted(files.length, 'file')}${bytes}`
}

function dryRun(plan: SignPlan, guessed: readonly string[]): Outcome {
  const {manifest, output, modeChanges, warnings} = plan
  return {
    result: {
      ...resultOf(manifest),
      output,
      dry_run: true,
      mode_changes: modeChanges.map(({path, from, to}) => ({path, from, to})),
    },
    lines: [
      `would sign ${summaryOf(manifest)}`,
      `would write ${output}`,
      ...modeChanges.map(({path, from, to}) => `would chmod ${path} from ${from} to ${to}`),
      ...guessed,
    ],
    warnings,
  }
}

/** Sidecars and SBOM, after the manifest itself; the answer is what was written. */
async function writeExtras(
  {file, output}: Signed,
  signer: Signer,
  flags: SignFlagValues,
): Promise<readonly string[]> {
  const also = flags.also ?? []
  const forms = also.filter((form): form is SidecarForm => form !== 'sigstore')
  const {version, timestamp, rel} = file.manifest
  const label = {
    timestamp,
    version,
    ...(rel === undefined ? {} : {product: rel.product, channel: rel.channel}),
  }
  const written = [...(await signSidecars(output, forms, signer, label))]
  if (also.includes('sigstore')) written.push(...(await writeSigstore(output, flags)))
  if (flags.sbom !== undefined) {
    writeFileAtomic(flags.sbom, sbomOf(file.manifest))
    written.push(flags.sbom)
  }
  return written
}

async function writeSigstore(output: string, flags: SignFlagValues): Promise<readonly string[]> {
  const {signKeyless} = await import('./sign-keyless.ts')
  const {bundleBytes} = await signKeyless(readFileSync(output), flags)
  const paths = sigstoreSidecars(output)
  for (const path of paths) writeFileAtomic(path, bundleBytes)
  return paths
}

type Facts = {readonly facts: BundleFacts; readonly guessed: readonly string[]}

/** What the flags say, and what the name of the directory says where they do not. */
function factsFrom(directory: string, flags: SignFlagValues): Facts {
  const name = flags['bundle-name'] ?? nameOf(directory)
  const parts = partsOfName(name)
  const version = flags.version ?? parts.version
  if (version === undefined)
    throw new RelError('input_required', `no version in the name ${name}, and no --version`, {
      hint: 'Give --version, such as 1.4.2.',
    })
  const product = flags.product ?? parts.product
  const timestamp = flags.timestamp ?? buildTime(process.env)
  const {expires, 'min-version': minVersion, 'min-from': minFrom, 'min-updater': minUpdater} = flags
  const facts: BundleFacts = {
    bundleName: name,
    product,
    version,
    channel: flags.channel ?? 'stable',
    timestamp,
    sequence: flags.sequence ?? timestamp,
    targets: flags.target ?? [],
    d2: flags.d2,
    unicodePaths: flags['allow-unicode-paths'],
    ...(expires === undefined ? {} : {expires: parseTime(expires, timestamp)}),
    ...(minVersion === undefined ? {} : {minVersion}),
    ...(minFrom === undefined ? {} : {minFrom}),
    ...(minUpdater === undefined ? {} : {minUpdater}),
  }
  const fromName = [
    ...(flags.product === undefined ? [`product ${product}`] : []),
    ...(flags.version === undefined ? [`version ${version}`] : []),
  ]
  const guessed = fromName.length === 0 ? [] : [`  ${fromName.join(' and ')} from the name ${name}`]
  return {facts, guessed}
}

function nameOf(directory: string): string {
  try {
    return basename(realpathSync(directory))
  } catch (error) {
    throw fileError(error, join(dirname(directory), basename(directory)), 'read')
  }
}
