import {realpathSync} from 'node:fs'
import {join} from 'node:path'
import {RelError} from '../system/error.ts'
import {fileError, readFileLimited, statIfThere} from '../system/files.ts'
import {freeMemory} from '../system/free-memory.ts'
import type {OnProgress} from './hash-tree.ts'
import {MANIFEST_NAME, manifestLimits} from './manifest.ts'
import {checkSameManifest, checkSidecars} from './sidecars.ts'
import {verifyManifestBytes} from './verify-manifest.ts'
import type {OnStep, VerifiedBundle, VerifiedManifest, VerifyPolicy} from './verify-policy.ts'
import {verifyTree} from './verify-tree.ts'

/** Who is told how a verification goes. */
export type VerifyWatch = {
  readonly onStep?: OnStep | undefined
  readonly onProgress?: OnProgress | undefined
}

export type BundleKind = 'tree' | 'archive' | 'file'

/** What a path on the command line is, by its type and its name. Refuses with file_missing. */
export function kindOfPath(path: string): BundleKind {
  const stat = statIfThere(path)
  if (stat === undefined) throw new RelError('file_missing', `${path} does not exist`)
  if (isDirectory(path)) return 'tree'
  return /\.(?:tar|tar\.gz|tgz|tar\.zst|tzst)$/.test(path) ? 'archive' : 'file'
}

function isDirectory(path: string): boolean {
  try {
    return statIfThere(realpathSync(path))?.isDirectory() === true
  } catch (error) {
    throw fileError(error, path, 'read')
  }
}

/**
 * The verdict on a whole bundle, directory or archive: its manifest first, then every file against
 * it. There is no way to a VerifiedBundle but this one. Refuses as verifyManifestBytes and
 * verifyTree do, and with manifest_missing; archives also with archive_*.
 */
export async function verifyBundle(
  path: string,
  policy: VerifyPolicy,
  {onStep, onProgress}: VerifyWatch = {},
): Promise<VerifiedBundle> {
  if (kindOfPath(path) === 'tree') return verifyDirectory(path, policy, {onStep, onProgress})
  const {verifyArchive} = await import('./archive/verify-archive.ts')
  return verifyArchive(path, policy, onStep)
}

/**
 * As verifyBundle, for a directory whose manifest may be kept elsewhere; one that is in the
 * directory as well must be the same. Everything is read below one resolved root, so that a link
 * to the directory may be changed meanwhile.
 */
export async function verifyDirectory(
  path: string,
  policy: VerifyPolicy,
  {onStep, onProgress}: VerifyWatch = {},
  manifestPath?: string,
): Promise<VerifiedBundle> {
  const root = realpathSync(path)
  const verified = await verifyManifestAt(manifestPath ?? join(root, MANIFEST_NAME), policy, onStep)
  const sidecars = checkSidecars(root)
  if (manifestPath !== undefined && sidecars.includes(MANIFEST_NAME))
    checkSameManifest(readManifest(join(root, MANIFEST_NAME)), verified.manifestSha256)
  const facts = await verifyTree(root, verified.manifest, {onProgress})
  onStep?.({check: 'files', detail: `${facts.fileCount} as signed, nothing missing, nothing more`})
  return {...verified, source: 'tree', ...facts}
}

/** The bytes of a large manifest are gone when the files are read. */
async function verifyManifestAt(
  path: string,
  policy: VerifyPolicy,
  onStep: OnStep | undefined,
): Promise<VerifiedManifest> {
  const sidecar = policy.identity === undefined ? undefined : readSidecar(path)
  const bytes = readManifest(path)
  const verified = await verifyManifestBytes(bytes, policy, onStep, sidecar)
  freeMemory(bytes)
  return verified
}

/** The bytes of manifest.json, a regular file. Refuses with manifest_missing, file_not_regular. */
export function readManifest(path: string): Buffer {
  const stat = statIfThere(path)
  if (stat === undefined) throw new RelError('manifest_missing', `${path} does not exist`)
  if (!stat.isFile()) throw new RelError('file_not_regular', `${path} is not a regular file`)
  if (stat.size > manifestLimits.bytes)
    throw new RelError(
      'manifest_limit',
      `${path} has ${stat.size} bytes, at most ${manifestLimits.bytes}`,
    )
  return readFileLimited(path, manifestLimits.bytes)
}

/** The names under which the Sigstore bundle of a manifest is looked for, in this order. */
export function sigstoreSidecars(manifestPath: string): readonly string[] {
  const beside = manifestPath.replace(/\.json$/, '')
  return [`${beside}.sig.bundle`, `${manifestPath}.sigstore.json`]
}

function readSidecar(manifestPath: string): Buffer | undefined {
  const path = sigstoreSidecars(manifestPath).find((name) => statIfThere(name) !== undefined)
  return path === undefined ? undefined : readFileLimited(path, manifestLimits.sidecarBytes)
}
