import {dateOf} from '../bundle/expectations.ts'
import {type LoadedManifest, loadManifest, sbomOf, tbsOf} from '../bundle/inspect.ts'
import {kindOfPath, readManifest, verifyBundle} from '../bundle/verify.ts'
import {verifyManifestBytes} from '../bundle/verify-manifest.ts'
import type {VerifiedManifest} from '../bundle/verify-policy.ts'
import {canonicalBytes} from '../bundle/write-manifest.ts'
import {counted} from '../system/counted.ts'
import {RelError} from '../system/error.ts'
import {writeFileAtomic} from '../system/files.ts'
import type {JsonObject} from '../system/json.ts'
import {shellWords} from '../system/shell-word.ts'
import {shortId} from '../trust/envelope.ts'
import type {Outcome} from './base-command.ts'
import {type ProgressMode, withProgress} from './progress.ts'
import type {TrustFlagValues} from './trust-flags.ts'
import {verifyPolicyFromFlags} from './verify-flags.ts'
import {verifyNext} from './verify-next.ts'

type Flags = TrustFlagValues &
  ProgressMode & {
    readonly files: boolean
    readonly tbs?: string | undefined
    readonly canonical?: string | undefined
    readonly sbom?: 'cyclonedx' | undefined
    readonly output?: string | undefined
  }

/** `rel inspect`: what a manifest says, whoever wrote it; with a trusted key, once it is verified. */
export async function inspectBundle(path: string, flags: Flags): Promise<Outcome> {
  if (flags.sbom !== undefined && flags.output === undefined)
    throw new RelError('input_required', 'no --output was given for the SBOM')
  const verdict = await verdictOf(path, flags)
  const loaded = verdict?.manifest ?? (await loadManifest(path))
  const {manifest} = loaded.file
  const written: string[] = []
  const write = (file: string | undefined, data: () => Uint8Array | Iterable<string>) => {
    if (file === undefined) return
    writeFileAtomic(file, data())
    written.push(file)
  }
  write(flags.tbs, () => tbsOf(manifest))
  write(flags.canonical, () => canonicalBytes(manifest))
  if (flags.sbom !== undefined) write(flags.output, () => sbomOf(manifest))
  return {
    result: {
      ...resultOf(loaded, flags.files),
      verified: verdict?.covers === 'bundle',
      ...(verdict === undefined ? {} : {signed_by: verdict.manifest.signedBy}),
      written,
    },
    lines: [
      ...(verdict?.lines ?? []),
      ...linesOf(loaded),
      ...(flags.files ? fileLines(loaded) : []),
    ],
    warnings: warningsOf(verdict),
    ...(verdict === undefined ? {next: verifyNext(path)} : {}),
    ...(written.length === 0 ? {} : {undo: `rm ${shellWords(written)}`}),
  }
}

type Verdict = {
  readonly manifest: VerifiedManifest
  /** A manifest.json on its own says nothing of the files. */
  readonly covers: 'bundle' | 'manifest'
  readonly lines: readonly string[]
}

/** Undefined when nobody was named whom to trust. What is shown is what was verified. */
async function verdictOf(path: string, flags: Flags): Promise<Verdict | undefined> {
  if (flags.trust === undefined && flags['public-key'] === undefined) return undefined
  const policy = await verifyPolicyFromFlags({...flags, paranoid: false}, process.env)
  const covers = kindOfPath(path) === 'file' ? 'manifest' : 'bundle'
  const manifest = await withProgress(`Verifying ${path}`, flags, (onProgress) =>
    covers === 'bundle'
      ? verifyBundle(path, policy, {onProgress})
      : verifyManifestBytes(readManifest(path), policy),
  )
  const names = manifest.signedBy.map(
    (id) => `${policy.trust.nameOf(id) ?? 'key'} (${shortId(id)})`,
  )
  const what = covers === 'bundle' ? 'the bundle is exactly as signed' : 'the manifest is as signed'
  return {manifest, covers, lines: [`✔ ${what} by ${names.join(', ')}`]}
}

function warningsOf(verdict: Verdict | undefined): string[] {
  if (verdict === undefined)
    return ['nothing was verified: this is what the manifest says, whoever wrote it']
  return verdict.covers === 'bundle' ? [] : ['only the manifest was verified, not the files']
}

function resultOf(loaded: LoadedManifest, files: boolean): JsonObject {
  const {manifest, signature, signatures} = loaded.file
  const {bundleName, version, timestamp, rel} = manifest
  const optional = {
    expires: rel?.expires,
    min_version: rel?.minVersion,
    min_from: rel?.minFrom,
    min_updater: rel?.minUpdater,
  }
  const section: JsonObject =
    rel === undefined
      ? {format: 'd2'}
      : {
          format: `rel ${rel.spec}`,
          product: rel.product,
          channel: rel.channel,
          sequence: rel.sequence,
          targets: rel.targets,
          total_size: rel.totalSize,
          links: Object.fromEntries(rel.links.map(({path, target}) => [path, target])),
          ...rel.extensions,
          ...Object.fromEntries(
            Object.entries(optional).filter(
              (pair): pair is [string, number | string] => pair[1] !== undefined,
            ),
          ),
        }
  return {
    bundle_name: bundleName,
    version,
    timestamp,
    ...section,
    file_count: manifest.files.length,
    ...(files ? {files: manifest.files.map(({path, ...facts}) => ({path, ...facts}))} : {}),
    signatures: signatures.map(({keyid}) => keyid),
    legacy_signature: signature !== undefined,
    manifest_sha256: loaded.manifestSha256,
    content_sha256: loaded.contentSha256,
  }
}

function linesOf({file, contentSha256}: LoadedManifest): string[] {
  const {manifest, signature, signatures} = file
  const {rel, files} = manifest
  const rows: [string, string | undefined][] = [
    ['bundle', manifest.bundleName],
    ['product', rel?.product],
    ['version', manifest.version],
    ['channel', rel?.channel],
    ['sequence', rel && String(rel.sequence)],
    ['signed at', dateOf(manifest.timestamp)],
    ['expires', rel && (rel.expires === undefined ? 'never' : dateOf(rel.expires))],
    ['floor', rel?.minVersion],
    ['applies to', rel?.minFrom && `${rel.minFrom} and later`],
    ['updater', rel?.minUpdater && `${rel.minUpdater} and later`],
    ['targets', rel && (rel.targets.join(', ') || 'any')],
    ['files', `${files.length}${rel === undefined ? '' : `, ${counted(rel.totalSize, 'byte')}`}`],
    ['links', rel && String(rel.links.length)],
    ['digest', contentSha256],
    [
      'format',
      rel === undefined ? 'D2: neither modes, sizes, product nor channel' : `rel ${rel.spec}`,
    ],
    ['signatures', signatures.map(({keyid}) => shortId(keyid)).join(', ') || 'none'],
    ['D2 signature', signature === undefined ? 'no' : 'yes'],
  ]
  return rows.flatMap(([name, value]) => (value ? [`${name.padEnd(13)}${value}`] : []))
}

function fileLines({file}: LoadedManifest): string[] {
  const {files, rel} = file.manifest
  return [
    ...files.map(({path, sha256, size, mode}) =>
      [mode ?? '    ', String(size ?? '').padStart(12), sha256.slice(0, 16), path].join('  '),
    ),
    ...(rel?.links.map(({path, target}) => `link  ${path} -> ${target}`) ?? []),
  ]
}
