import {createHash} from 'node:crypto'
import {OneMeaning} from '../../bundle/cross-protocol.ts'
import {type Missing, missingFrom} from '../../release/completeness.ts'
import type {Matrix, Release, ReleaseArtifact} from '../../release/release.ts'
import {artifactKey} from '../../release/release-manifest.ts'
import type {ErrorCode} from '../../system/codes.ts'
import {RelError} from '../../system/error.ts'
import type {JsonObject} from '../../system/json.ts'
import type {Anchor} from '../../trust/anchor.ts'
import {checkEd25519Pieces, type PublicKey} from '../../trust/ed25519.ts'
import {decodeSignature} from '../../trust/envelope.ts'
import type {BlobStore} from '../blobs/blobs.ts'

/** Something that keeps a release from being published, as the API lists it. */
export type Flaw = {
  readonly name?: string
  readonly sha256?: string
  readonly component: string
  readonly os: string
  readonly arch: string
  readonly reason:
    | Missing['reason']
    | 'size_differs'
    | 'bytes_differ'
    | 'signature_wrong'
    | ErrorCode
}

/** Artifacts that are read at the same time: one waits for the disk while another is hashed. */
const WIDTH = 4

/** Blobs that a publication found to be other bytes, until they are uploaded or found whole again. */
const damaged = new WeakMap<BlobStore, Set<string>>()

function damagedIn(blobs: BlobStore): Set<string> {
  const there = damaged.get(blobs) ?? new Set()
  damaged.set(blobs, there)
  return there
}

/**
 * Size of a blob; undefined when it is not there, or known to be damaged, so that its publisher sends
 * it again.
 */
export async function blobSize(blobs: BlobStore, sha256: string): Promise<number | undefined> {
  return damagedIn(blobs).has(sha256) ? undefined : blobs.stat(sha256)
}

/** The bytes came again and were verified. */
export function blobMended(blobs: BlobStore, sha256: string): void {
  damagedIn(blobs).delete(sha256)
}

/** What is missing by the manifest and the blobs' presence alone; nothing is read. */
export async function missingOf(
  blobs: BlobStore,
  release: Release,
  matrix: Matrix,
): Promise<readonly Flaw[]> {
  const present = new Set<string>()
  await pooled(release.artifacts, async ({sha256}) => {
    if ((await blobSize(blobs, sha256)) !== undefined) present.add(sha256)
  })
  return missingFrom(release, matrix, present).map(flawOf)
}

function flawOf(missing: Missing): Flaw {
  const {slot, reason} = missing
  if (missing.reason !== 'not_uploaded') return {...slot, reason}
  return {name: missing.name, sha256: missing.sha256, ...slot, reason}
}

/**
 * Everything that keeps a release from being published, in a fixed order: what is missing, then
 * artifacts whose stored bytes, read again from start to end, are not those that were signed by a
 * key that counts now. Memory does not grow with the size of an artifact.
 */
export async function flawsOf(
  blobs: BlobStore,
  release: Release,
  {matrix, anchor, now}: {readonly matrix: Matrix; readonly anchor: Anchor; readonly now: number},
): Promise<readonly Flaw[]> {
  for (const {sha256} of release.artifacts) blobMended(blobs, sha256) // they are read again now
  const missing = await missingOf(blobs, release, matrix)
  const absent = new Set(missing.map(({name}) => name))
  const found = new Map<string, Flaw>()
  const present = release.artifacts.filter(({name}) => !absent.has(name))
  await pooled(present, async (artifact) => {
    const reason = await reasonAgainst(blobs, release, artifact, anchor, now)
    const {name, sha256, component, os, arch} = artifact
    if (reason !== undefined) found.set(name, {name, sha256, component, os, arch, reason})
    if (reason === 'size_differs' || reason === 'bytes_differ') damagedIn(blobs).add(sha256)
  })
  return [...missing, ...present.flatMap(({name}) => found.get(name) ?? [])]
}

async function reasonAgainst(
  blobs: BlobStore,
  release: Release,
  artifact: ReleaseArtifact,
  anchor: Anchor,
  now: number,
): Promise<Flaw['reason'] | undefined> {
  let key: PublicKey
  try {
    key = artifactKey(anchor, release, artifact, now)
  } catch (error) {
    if (error instanceof RelError) return error.code
    throw error
  }
  if ((await blobs.stat(artifact.sha256)) !== artifact.size) return 'size_differs'
  const hash = createHash('sha256')
  const check = checkEd25519Pieces(key, decodeSignature(artifact.signature))
  const meaning = new OneMeaning()
  for await (const piece of blobs.read(artifact.sha256)) {
    hash.update(piece)
    meaning.add(piece)
    check.update(piece)
  }
  if (hash.digest('hex') !== artifact.sha256) return 'bytes_differ'
  if (!hasOneMeaning(meaning)) return 'cross_protocol'
  return check.verdict() ? undefined : 'signature_wrong'
}

function hasOneMeaning(meaning: OneMeaning): boolean {
  try {
    meaning.check()
    return true
  } catch (error) {
    if (error instanceof RelError && error.code === 'cross_protocol') return false
    throw error
  }
}

async function pooled<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values()
  const lanes = Array.from({length: WIDTH}, async () => {
    for (const item of waiting) await work(item)
  })
  await Promise.all(lanes)
}

/** Flaws as details of a refusal. */
export function flawDetails(flaws: readonly Flaw[]): JsonObject {
  return {missing: flaws.map((flaw) => ({...flaw}))}
}

/** The first few flaws as a person reads them. */
export function flawText(flaws: readonly Flaw[]): string {
  const shown = flaws
    .slice(0, 3)
    .map(
      ({name, component, os, arch, reason}) => `${name ?? `${component} ${os}/${arch}`}: ${reason}`,
    )
  const more = flaws.length > shown.length ? ` and ${flaws.length - shown.length} more` : ''
  return `${shown.join(', ')}${more}`
}
