import {createReadStream, existsSync, mkdirSync, readdirSync, rmSync} from 'node:fs'
import {basename, dirname, join, resolve} from 'node:path'
import {digestsOfFile} from '../../bundle/sign-file.ts'
import {isDigest} from '../../system/digest.ts'
import {RelError} from '../../system/error.ts'
import {readFileLimited, statIfThere, writeFileAtomic} from '../../system/files.ts'
import {sha256Hex} from '../../system/hash.ts'
import type {HttpPieces} from '../../system/http.ts'
import {parseRelease, releaseLimits} from '../release-manifest.ts'
import {readReleaseSidecar, releaseSidecar} from '../release-signers.ts'
import type {PlannedAsset} from './plan.ts'
import type {Manifest} from './run.ts'
import type {UploadJournal} from './world.ts'

/** Read and sent at a time. */
const CHUNK = 256 * 1024
/** More than the uploads of 1000 artifacts need. */
const MAX_JOURNAL = 1024 * 1024
/** Files beside an artifact that say something about it. */
const sidecarEndings = ['.sig', '.minisig', '.sha256', '.sigstore.json', '.spdx.json'] as const

export type PublishFiles = {
  /** The release manifest; artifacts lie beside it. */
  readonly manifest: string
  /** Further files for GitHub. */
  readonly attachments: readonly string[]
  readonly withSidecars: boolean
  /** Whether the Sigstore bundle beside the manifest, if there is one, is published with it. */
  readonly withSigstore: boolean
  /** False to compare targets with the manifest alone, without the artifacts. */
  readonly readsArtifacts: boolean
}

export type LoadedRelease = {
  readonly manifest: Manifest
  readonly assets: readonly PlannedAsset[]
}

/**
 * Everything that is to be published, hashed. Refuses with file_missing, file_unreadable, what
 * parseRelease refuses with, artifact_mismatch (a file is not what the manifest says), and with
 * sigstore_digest_mismatch, sigstore_bundle_malformed and json_* for a Sigstore bundle that is not
 * over this manifest.
 */
export async function loadRelease(files: PublishFiles): Promise<LoadedRelease> {
  const bytes = readFileLimited(files.manifest, releaseLimits.bytes)
  const file = parseRelease(bytes)
  const folder = dirname(files.manifest)
  const artifacts = file.release.artifacts.map(({name, size, sha256}) => ({
    name,
    kind: 'artifact' as const,
    size,
    sha256,
    path: join(folder, name),
  }))
  if (files.readsArtifacts) for (const artifact of artifacts) await checkArtifact(artifact)
  const names = artifacts.map(({name}) => name)
  const sidecars = files.withSidecars ? sidecarsOf(folder, names) : []
  const sigstore = files.withSigstore ? await sigstoreOf(files.manifest, bytes) : []
  const own = new Set(sigstore.map(({path}) => resolve(path)))
  // named by hand too: once is enough
  const attachments = files.attachments.filter((path) => !own.has(resolve(path)))
  return {
    manifest: {bytes, file},
    assets: [
      ...artifacts,
      ...(await Promise.all(attachments.map((path) => assetAt(path, 'attachment')))),
      ...(await Promise.all(sidecars.map((path) => assetAt(path, 'sidecar')))),
      ...sigstore,
      {
        name: basename(files.manifest),
        kind: 'manifest',
        size: bytes.length,
        sha256: sha256Hex(bytes),
        path: files.manifest,
      },
    ],
  }
}

/** An old bundle beside a manifest that was signed anew would be refused by every node. */
async function sigstoreOf(manifest: string, bytes: Uint8Array): Promise<readonly PlannedAsset[]> {
  const path = releaseSidecar(manifest)
  const bundle = readReleaseSidecar(manifest)
  if (bundle === undefined || statIfThere(path) === undefined) return []
  const {checkBundleDigest} = await import('../../trust/sigstore/check-bundle.ts')
  await checkBundleDigest(bundle, bytes)
  return [
    {
      name: basename(path),
      kind: 'sigstore',
      size: bundle.length,
      sha256: sha256Hex(bundle),
      path,
    },
  ]
}

async function checkArtifact({name, path, size, sha256}: PlannedAsset): Promise<void> {
  if (statIfThere(path) === undefined)
    throw new RelError('file_missing', `${path} does not exist, and the manifest lists it`)
  const seen = await digestsOfFile(path)
  if (seen.size === size && seen.sha256 === sha256) return
  throw new RelError(
    'artifact_mismatch',
    `${name} has SHA-256 ${seen.sha256}, signed was ${sha256}`,
  )
}

async function assetAt(path: string, kind: 'attachment' | 'sidecar'): Promise<PlannedAsset> {
  if (statIfThere(path) === undefined) throw new RelError('file_missing', `${path} does not exist`)
  const {size, sha256} = await digestsOfFile(path)
  return {name: basename(path), kind, size, sha256, path}
}

function sidecarsOf(folder: string, artifacts: readonly string[]): readonly string[] {
  const wanted = new Set(artifacts.flatMap((name) => sidecarEndings.map((end) => name + end)))
  const own = new Set(artifacts)
  return readdirSync(folder)
    .filter((name) => wanted.has(name) && !own.has(name))
    .toSorted()
    .map((name) => join(folder, name))
}

/** A part of a file, read while it is sent. */
export function readFrom(path: string, offset: number, length: number): HttpPieces {
  return {
    size: length,
    async *open() {
      if (length === 0) return
      const range = {start: offset, end: offset + length - 1, highWaterMark: CHUNK}
      yield* createReadStream(path, range) as AsyncIterable<Buffer>
    },
  }
}

/**
 * Unfinished uploads of one publication, in a file that another run finds. They save bytes only: a
 * journal that is lost or damaged costs a second upload, never a wrong one.
 */
export function openUploadJournal(path: string): UploadJournal & {close(): void} {
  const uploads = new Map(Object.entries(readUploads(path)))
  const save = () => {
    mkdirSync(dirname(path), {recursive: true, mode: 0o700})
    writeFileAtomic(path, `${JSON.stringify({version: 1, uploads: Object.fromEntries(uploads)})}\n`)
  }
  return {
    location: (sha256) => uploads.get(sha256),
    remember(sha256, location) {
      uploads.set(sha256, location)
      save()
    },
    forget(sha256) {
      if (uploads.delete(sha256)) save()
    },
    /** Everything arrived. */
    close() {
      rmSync(path, {force: true})
    },
  }
}

function readUploads(path: string): Record<string, string> {
  if (!existsSync(path)) return {}
  try {
    const text = readFileLimited(path, MAX_JOURNAL).toString('utf8')
    const {version, uploads} = JSON.parse(text) as {version: unknown; uploads: object}
    if (version !== 1) return {}
    return Object.fromEntries(
      Object.entries(uploads).filter(
        ([sha256, location]) =>
          isDigest(sha256) && /^\/v1\/uploads\/[0-9A-Z]{26}$/.test(String(location)),
      ),
    )
  } catch {
    return {}
  }
}
