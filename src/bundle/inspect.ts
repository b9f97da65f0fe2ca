import {join} from 'node:path'
import {sha256Hex} from '../system/hash.ts'
import {toBeSigned} from '../trust/payload-type.ts'
import type {BundleManifest, ManifestFile} from './manifest.ts'
import {parseManifest} from './parse-manifest.ts'
import {cycloneDx} from './sbom.ts'
import {uuidOfUrl} from './uuid.ts'
import {kindOfPath, readManifest} from './verify.ts'
import {canonicalBytes} from './write-manifest.ts'

/** A manifest that was read and not verified. */
export type LoadedManifest = {
  readonly file: ManifestFile
  /** SHA-256 of the exact bytes of manifest.json. */
  readonly manifestSha256: string
  /** SHA-256 of the canonical manifest. */
  readonly contentSha256: string
}

/**
 * The manifest of a directory, of an archive, or a manifest.json itself. Nothing is verified.
 * Refuses as parseManifest does, and with file_missing, manifest_missing, archive_*.
 */
export async function loadManifest(path: string): Promise<LoadedManifest> {
  const bytes = await manifestBytes(path)
  const file = parseManifest(bytes)
  const contentSha256 = sha256Hex(canonicalBytes(file.manifest))
  return {file, manifestSha256: sha256Hex(bytes), contentSha256}
}

async function manifestBytes(path: string): Promise<Buffer> {
  const kind = kindOfPath(path)
  if (kind === 'tree') return readManifest(join(path, 'manifest.json'))
  if (kind === 'file') return readManifest(path)
  const {readManifestOfArchive} = await import('./archive/verify-archive.ts')
  return readManifestOfArchive(path)
}

/** The bytes that `signatures` cover: what openssl and every HSM verify or sign. */
export function tbsOf(manifest: BundleManifest): Buffer {
  return toBeSigned('manifest', [canonicalBytes(manifest)])
}

/** The CycloneDX document of a bundle in pieces; the same for every signature on it. */
export function sbomOf(manifest: BundleManifest): Generator<string> {
  const digest = sha256Hex(canonicalBytes(manifest))
  return cycloneDx(manifest, uuidOfUrl(`urn:sha256:${digest}`))
}
