import {createHash} from 'node:crypto'
import {chmodSync, readdirSync, realpathSync, rmSync} from 'node:fs'
import {basename, dirname, join, relative, resolve} from 'node:path'
import {counted} from '../system/counted.ts'
import {RelError} from '../system/error.ts'
import {fileError, statIfThere, writeFileAtomic} from '../system/files.ts'
import {verifyEd25519} from '../trust/ed25519.ts'
import {addSignature} from '../trust/envelope.ts'
import type {Signer} from '../trust/signer.ts'
import {type BundleFacts, buildManifest} from './build-manifest.ts'
import type {OnProgress} from './hash-tree.ts'
import type {BundleManifest, ManifestFile} from './manifest.ts'
import {parseManifest} from './parse-manifest.ts'
import {shownPath} from './path-rules.ts'
import {
  isLeftover,
  type ModeChange,
  type ReadRules,
  readTree,
  type TreeReading,
} from './read-tree.ts'
import {readManifest, sigstoreSidecars} from './verify.ts'
import {verifyTree} from './verify-tree.ts'
import {canonicalBytes, canonicalManifest, manifestJson} from './write-manifest.ts'

export type SignRequest = {
  readonly directory: string
  /** Where the manifest goes; DIRECTORY/manifest.json when not given. */
  readonly output?: string
  readonly facts: BundleFacts
  readonly rules: ReadRules
  /** Write D2's signature over the canonical manifest as well. */
  readonly legacy: boolean
  readonly onProgress?: OnProgress
}

/** What signing will write, known without a key: the same for --dry-run and for the real run. */
export type SignPlan = {
  readonly root: string
  readonly output: string
  readonly manifest: BundleManifest
  readonly legacy: boolean
  readonly modeChanges: readonly ModeChange[]
  /** Signatures over the manifest that will be replaced. */
  readonly stale: readonly string[]
  readonly warnings: readonly string[]
}

export type Signed = {
  readonly file: ManifestFile
  readonly output: string
  readonly manifestSha256: string
  readonly warnings: readonly string[]
}

/**
 * Reads a directory and says what its manifest will be. Refuses as readTree and buildManifest do,
 * with tree_changed when anything was written there meanwhile, and with file_missing.
 */
export async function planSign(request: SignRequest): Promise<SignPlan> {
  const root = rootOf(request.directory)
  const output = outputOf(root, request.output)
  const {rules, onProgress} = request
  const reading = await readTree(root, rules, onProgress)
  const {files, links, modeChanges} = reading
  const manifest = buildManifest(request.facts, files, links)
  const warnings = directoryWarnings(reading)
  const stale = staleSidecars(output)
  return {root, output, manifest, legacy: request.legacy, modeChanges, stale, warnings}
}

function directoryWarnings({emptyDirectories, openDirectories}: TreeReading): string[] {
  const [empty, open] = [emptyDirectories.length, openDirectories.length]
  const first = shownPath(openDirectories[0]?.path || '.')
  return [
    ...(empty === 0
      ? []
      : [`not part of the bundle: ${counted(empty, 'empty directory', 'empty directories')}`]),
    ...(open === 0
      ? []
      : [`rel verify refuses set-id, sticky and world-writable directories: ${open}, as ${first}`]),
  ]
}

/**
 * Signs what was planned and writes the manifest, all or nothing; what stood there is intact until
 * then. The same plan and key give the same bytes (RFC 8032 signatures are deterministic).
 */
export async function applySign(plan: SignPlan, signer: Signer): Promise<Signed> {
  const {manifest, output, root} = plan
  const canonical = canonicalBytes(manifest)
  const d2 = manifest.rel === undefined
  const signature = plan.legacy || d2 ? await signLegacy(canonical, signer, d2) : undefined
  const signatures = d2 ? [] : await addSignature('manifest', [canonical], [], signer)
  const file = {manifest, signatures, ...(signature === undefined ? {} : {signature})}
  sweep(root)
  for (const {path, to} of plan.modeChanges) changeMode(join(root, path), to)
  const manifestSha256 = writeManifest(output, file)
  const tooLong = plan.legacy && signature === undefined ? [`${legacyTooLong(signer)}`] : []
  return {file, output, manifestSha256, warnings: [...plan.warnings, ...tooLong]}
}

/** A further signature on a manifest that exists: what it vouches for was compared with the files. */
export type CosignPlan = {
  readonly root: string
  readonly output: string
  readonly file: ManifestFile
  /** Signatures over the manifest as it is now. */
  readonly stale: readonly string[]
}

/**
 * Reads a signed bundle in order to add a signature. Refuses with manifest_missing,
 * bundle_mismatch, legacy_refused (a D2 manifest has one signature), sigstore_bundle_exists.
 */
export async function planCosign(
  directory: string,
  manifestPath?: string,
  onProgress?: OnProgress,
): Promise<CosignPlan> {
  const root = rootOf(directory)
  const output = outputOf(root, manifestPath)
  const file = parseManifest(readManifest(output))
  if (file.manifest.rel === undefined)
    throw new RelError('legacy_refused', 'a D2 manifest has room for one signature only')
  const sidecar = sigstoreSidecars(output).find((path) => statIfThere(path) !== undefined)
  if (sidecar !== undefined)
    throw new RelError('sigstore_bundle_exists', `${sidecar} covers the manifest as it is`)
  await checkTreeIs(root, file.manifest, onProgress)
  return {root, output, file, stale: staleSidecars(output)}
}

async function checkTreeIs(
  root: string,
  manifest: BundleManifest,
  onProgress?: OnProgress,
): Promise<void> {
  try {
    await verifyTree(root, manifest, {isIgnored: isLeftover, onProgress})
  } catch (error) {
    if (!(error instanceof RelError)) throw error
    const {details} = error
    throw new RelError('bundle_mismatch', `${error.message} (${error.code})`, {
      cause: error,
      ...(details === undefined ? {} : {details}),
    })
  }
}

/** Adds one signature and writes the manifest, all or nothing. A key that has signed changes nothing. */
export async function applyCosign(plan: CosignPlan, signer: Signer): Promise<Signed> {
  const {root, output, file} = plan
  const canonical = canonicalManifest(file.manifest)
  const signatures = await addSignature('manifest', canonical, file.signatures, signer)
  const cosigned = {...file, signatures}
  sweep(root)
  const warnings = signatures.length > file.signatures.length ? [] : ['this key had signed already']
  return {file: cosigned, output, manifestSha256: writeManifest(output, cosigned), warnings}
}

/** D2's signature; undefined when the holder of the key takes no message that long. */
async function signLegacy(
  message: Uint8Array,
  signer: Signer,
  required: boolean,
): Promise<string | undefined> {
  const {maxMessageBytes = Number.POSITIVE_INFINITY, publicKey} = signer
  if (message.length > maxMessageBytes) {
    if (required) throw new RelError('usage_invalid', legacyTooLong(signer))
    return undefined
  }
  const bytes = await signer.sign(message)
  if (!verifyEd25519(publicKey, message, bytes))
    throw new RelError('signature_invalid', `${signer.label} made a signature that does not fit`)
  return Buffer.from(bytes).toString('base64')
}

function legacyTooLong({label, maxMessageBytes}: Signer): string {
  return `no D2 signature: ${label} signs ${maxMessageBytes} bytes at most, and D2 signs the whole manifest`
}

function rootOf(directory: string): string {
  const stat = statIfThere(directory)
  if (stat === undefined) throw new RelError('file_missing', `${directory} does not exist`)
  try {
    return realpathSync(directory)
  } catch (error) {
    throw fileError(error, directory, 'read')
  }
}

/** Inside the bundle only manifest.json at the root, which is no part of it. */
function outputOf(root: string, output = join(root, 'manifest.json')): string {
  const absolute = join(realParent(output), basename(output))
  const inside = relative(root, absolute)
  if (!inside.startsWith('..') && inside !== 'manifest.json')
    throw new RelError('usage_invalid', 'inside a bundle the manifest is named manifest.json')
  return absolute
}

function realParent(path: string): string {
  const parent = dirname(resolve(path))
  try {
    return realpathSync(parent)
  } catch (error) {
    throw fileError(error, parent, 'read')
  }
}

function staleSidecars(output: string): string[] {
  if (statIfThere(output) === undefined) return []
  const names = [
    ...sigstoreSidecars(output),
    `${output}.minisig`,
    `${output}.sshsig`,
    `${output}.sig`,
  ]
  return names.filter((path) => statIfThere(path) !== undefined)
}

/** Removes what interrupted runs left at the root, or the tree would hold unlisted files. */
function sweep(root: string): void {
  for (const name of readdirSync(root)) if (isLeftover(name)) rmSync(join(root, name))
}

function changeMode(path: string, mode: string): void {
  try {
    chmodSync(path, Number.parseInt(mode, 8))
  } catch (error) {
    throw fileError(error, path, 'write')
  }
}

/** Writes piece by piece, so that a large manifest is never held; the answer is its SHA-256. */
function writeManifest(path: string, file: ManifestFile): string {
  const hasher = createHash('sha256')
  writeFileAtomic(path, hashed(manifestJson(file)))
  return hasher.digest('hex')

  function* hashed(pieces: Iterable<string>): Generator<string> {
    for (const piece of pieces) {
      hasher.update(piece, 'utf8')
      yield piece
    }
  }
}
