import {createHash} from 'node:crypto'
import {createReadStream} from 'node:fs'
import {join} from 'node:path'
import {OneMeaning} from '../bundle/cross-protocol.ts'
import {CLOCK_SKEW_SECS} from '../bundle/expectations.ts'
import type {IdentityPolicy} from '../bundle/verify-policy.ts'
import {RelError} from '../system/error.ts'
import {fileError, readFileLimited, statIfThere} from '../system/files.ts'
import type {Anchor} from '../trust/anchor.ts'
import {checkEd25519Pieces} from '../trust/ed25519.ts'
import {decodeSignature} from '../trust/envelope.ts'
import {timeText} from '../trust/expiry.ts'
import type {Release, ReleaseArtifact, ReleaseFile} from './release.ts'
import {artifactKey, checkArtifactSignature, checkReleaseExpiry} from './release-manifest.ts'
import {checkReleaseSigners, type ReleaseSigners} from './release-signers.ts'

/** Artifacts up to this size are held in memory; larger ones are read in pieces. */
export const wholeBytes = 1024 * 1024

export type ReleaseExpectations = {
  readonly product?: string
  readonly version?: string
  readonly channel?: string
}

export type ReleaseCheck = {
  readonly anchor: Anchor
  readonly expect: ReleaseExpectations
  /** Seconds since the epoch. */
  readonly now: number
  /** Sigstore identities instead of or beside keys; keys alone when absent. */
  readonly identity?: IdentityPolicy | undefined
  /** The bytes of the manifest and the Sigstore bundle over them, for identities. */
  readonly vouched?: {readonly bytes: Uint8Array; readonly sidecar: Uint8Array | undefined}
  /** Folder of the artifacts; undefined to judge the manifest alone. */
  readonly folder?: string
  readonly onFile?: (name: string, done: number) => void
}

/**
 * Everything that can be said of a release without a panel: the signatures by role, what was asked
 * for, and each artifact's size, SHA-256 and signature. Refuses as checkReleaseSigners does, with
 * release_expired, product_mismatch, version_mismatch, channel_mismatch, timestamp_future, file_missing,
 * file_unreadable, artifact_mismatch and cross_protocol.
 */
export async function verifyRelease(
  file: ReleaseFile,
  {anchor, expect, now, identity, vouched, folder, onFile}: ReleaseCheck,
): Promise<ReleaseSigners> {
  const {release} = file
  const {bytes = Buffer.alloc(0), sidecar} = vouched ?? {}
  const signed = await checkReleaseSigners(file, bytes, {anchor, identity, sidecar, now})
  checkReleaseExpiry(release, now)
  checkExpected(release, expect)
  if (release.timestamp > now + CLOCK_SKEW_SECS)
    throw new RelError(
      'timestamp_future',
      `signed at ${timeText(release.timestamp)}, now is ${timeText(now)}`,
    )
  if (folder === undefined) return signed
  for (const [at, artifact] of release.artifacts.entries()) {
    onFile?.(artifact.name, at)
    await checkArtifactFile(join(folder, artifact.name), release, artifact, anchor, now)
  }
  return signed
}

function checkExpected(release: Release, expect: ReleaseExpectations): void {
  for (const name of ['product', 'version', 'channel'] as const) {
    const [signed, wanted] = [release[name], expect[name]]
    if (wanted !== undefined && signed !== wanted)
      throw new RelError(`${name}_mismatch`, `signed as ${signed}, want ${wanted}`)
  }
}

/**
 * That a file is an artifact: size, SHA-256, and the signature over its bytes, a large one in pieces. Refuses with file_missing, file_unreadable, artifact_mismatch, cross_protocol and as
 * artifactKey does.
 */
export async function checkArtifactFile(
  path: string,
  release: Release,
  artifact: ReleaseArtifact,
  anchor: Anchor,
  now: number,
): Promise<void> {
  const stat = statIfThere(path)
  if (stat === undefined)
    throw new RelError('file_missing', `${path} does not exist, and the manifest lists it`)
  const {name, size} = artifact
  if (stat.isFile() && stat.size !== size)
    throw new RelError('artifact_mismatch', `${name} has ${stat.size} bytes, ${size} are signed`)
  if (stat.isFile() && size > wholeBytes)
    return checkLargeFile(path, release, artifact, anchor, now)
  checkArtifactSignature(anchor, release, artifact, readFileLimited(path, wholeBytes), now)
}

/**
 * The checks of checkArtifactSignature. Memory does not grow with the file, but for JSON objects up to
 * MAX_MANIFEST (128 MiB), which could be manifests and are read whole: some four times their size.
 */
async function checkLargeFile(
  path: string,
  release: Release,
  artifact: ReleaseArtifact,
  anchor: Anchor,
  now: number,
): Promise<void> {
  const {name, size, sha256, signature} = artifact
  const key = artifactKey(anchor, release, artifact, now)
  const [digest, check] = [
    createHash('sha256'),
    checkEd25519Pieces(key, decodeSignature(signature)),
  ]
  const meaning = new OneMeaning()
  let done = 0
  try {
    for await (const piece of createReadStream(path, {highWaterMark: 1024 * 1024})) {
      meaning.add(piece as Buffer)
      digest.update(piece as Buffer)
      check.update(piece as Buffer)
      done += (piece as Buffer).length
    }
  } catch (error) {
    throw error instanceof RelError ? error : fileError(error, path, 'read')
  }
  if (done !== size || digest.digest('hex') !== sha256)
    throw new RelError('artifact_mismatch', `${name} does not have the SHA-256 that is signed`)
  meaning.check()
  if (!check.verdict())
    throw new RelError('artifact_mismatch', `the signature over ${name} does not fit its bytes`)
}
