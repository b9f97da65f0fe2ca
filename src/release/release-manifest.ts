import {checkOneMeaning} from '../bundle/cross-protocol.ts'
import {digestPattern} from '../system/digest.ts'
import {RelError} from '../system/error.ts'
import {sha256Hex} from '../system/hash.ts'
import type {JsonObject, JsonValue} from '../system/json.ts'
import {type Anchor, checkDigest, keysFor} from '../trust/anchor.ts'
import {canonicalJson} from '../trust/canonical-json.ts'
import {type PublicKey, verifyEd25519} from '../trust/ed25519.ts'
import {
  addSignature,
  checkSignatures,
  decodeSignature,
  type EnvelopeSignature,
  parseSignatures,
  shortId,
} from '../trust/envelope.ts'
import {timeText} from '../trust/expiry.ts'
import type {Signer} from '../trust/signer.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import {fieldReader, namePattern} from './fields.ts'
import {
  type ChannelName,
  channelNames,
  type Release,
  type ReleaseArtifact,
  type ReleaseFile,
} from './release.ts'
import {channelOf, parseVersion} from './version.ts'

/** Limits on a release manifest, which is read before it is trusted. */
export const releaseLimits = {
  /** 1,000 artifacts are 400 KB. */
  bytes: 1024 * 1024,
  depth: 6,
  /** As many as a release on GitHub takes. */
  artifacts: 1000,
  /** Bytes of one artifact: a bare Ed25519 signature is made over the whole of it in memory. */
  artifactBytes: 2 ** 31 - 1,
} as const

/** Whose file name it is: one path segment that GitHub would not rename, not hidden. */
const artifactName = /^[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,126}[A-Za-z0-9_+])?$/
const version = /^[0-9A-Za-z.+-]{1,256}$/
const commit = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/
const base64 = /^[A-Za-z0-9+/]{86}==$/

const read = fieldReader('release_malformed')

/** True for a file name that a release can carry. */
export function isArtifactName(name: string): boolean {
  return artifactName.test(name) && !name.includes('..')
}

/**
 * A release manifest as data: strict JSON within limits, every field of the right form, names and
 * slots unique, the channel that of the version. Nothing is trusted yet. Refuses with
 * release_limit, json_*, release_malformed, signature_malformed, signature_limit,
 * signature_duplicate, spec_unsupported, kind_unsupported, version_invalid,
 * channel_unknown_prerelease, channel_not_of_version, artifact_slot_duplicate.
 */
export function parseRelease(bytes: Uint8Array): ReleaseFile {
  const {bytes: limit, depth} = releaseLimits
  if (bytes.length > limit)
    throw new RelError('release_limit', `${bytes.length} bytes of manifest, at most ${limit}`)
  const top = read.object(parseStrictJson(bytes, {bytes: limit, depth}), 'the file')
  read.only(top, ['manifest', 'signatures'], 'the file')
  const release = releaseOf(read.object(top.manifest, 'manifest'))
  return fileOf(release, parseSignatures(top.signatures ?? []))
}

/** The file of a release: canonical form and digest are made from what was understood. */
function fileOf(release: Release, signatures: readonly EnvelopeSignature[]): ReleaseFile {
  const canonical = canonicalJson(manifestOf(release))
  return {release, canonical, signatures, digest: sha256Hex(canonical)}
}

function releaseOf(manifest: JsonObject): Release {
  const rel = read.object(manifest.rel, 'rel')
  const spec = read.integer(rel.spec, 'spec')
  // newer formats first: this version cannot say what is wrong with them
  if (spec !== 1)
    throw new RelError('spec_unsupported', `release manifest format ${spec}, 1 is known`)
  if (rel.kind !== 'release')
    throw new RelError('kind_unsupported', 'the manifest is not of kind release')
  read.only(manifest, ['bundle_name', 'version', 'timestamp', 'files', 'rel'], 'manifest')
  read.only(rel, relKeys, 'rel')
  const release: Release = {
    product: read.text(rel.product, 'product', namePattern),
    version: versionOf(manifest.version, 'version'),
    channel: read.text(rel.channel, 'channel', namePattern) as ChannelName,
    timestamp: read.integer(manifest.timestamp, 'timestamp'),
    ...(rel.expires === undefined ? {} : {expires: read.integer(rel.expires, 'expires')}),
    ...(rel.min_version === undefined
      ? {}
      : {minVersion: versionOf(rel.min_version, 'min_version')}),
    ...(rel.min_from === undefined ? {} : {minFrom: versionOf(rel.min_from, 'min_from')}),
    ...(rel.commit === undefined ? {} : {commit: read.text(rel.commit, 'commit', commit)}),
    artifacts: artifactsOf(read.object(manifest.files, 'files'), rel.artifacts),
  }
  checkChannel(release)
  if (manifest.bundle_name !== bundleName(release))
    read.refuse('bundle_name is not PRODUCT-vVERSION')
  return release
}

const relKeys = [
  'spec',
  'kind',
  'product',
  'channel',
  'expires',
  'min_version',
  'min_from',
  'commit',
  'artifacts',
]
const artifactKeys = ['component', 'os', 'arch', 'size', 'signature', 'key_id', 'required']

function checkChannel({version: text, channel}: Release): void {
  const own = channelOf(text)
  if (channel === own) return
  const stated = channelNames.includes(channel) ? channel : 'of another name'
  throw new RelError(
    'channel_not_of_version',
    `${text} is for channel ${own}, the manifest says ${stated}`,
  )
}

function versionOf(value: JsonValue | undefined, what: string): string {
  return parseVersion(read.text(value, what, version)).text
}

function artifactsOf(files: JsonObject, value: JsonValue | undefined): readonly ReleaseArtifact[] {
  const entries = read.object(value, 'artifacts')
  const names = Object.keys(entries).toSorted()
  if (names.length === 0) throw new RelError('release_empty', 'the release lists no artifact')
  if (names.length > releaseLimits.artifacts)
    throw new RelError(
      'release_limit',
      `${names.length} artifacts, at most ${releaseLimits.artifacts}`,
    )
  if (Object.keys(files).length !== names.length || names.some((name) => files[name] === undefined))
    read.refuse('files and artifacts list different names')
  const artifacts = names.map((name) => artifactOf(name, files[name], entries[name]))
  checkArtifacts(artifacts)
  return artifacts
}

function artifactOf(
  name: string,
  digest: JsonValue | undefined,
  value: JsonValue | undefined,
): ReleaseArtifact {
  if (!isArtifactName(name)) read.refuse('the name of an artifact has another form than is allowed')
  const entry = read.object(value, name)
  read.only(entry, artifactKeys, name)
  const signature = read.text(entry.signature, `${name}: signature`, base64)
  decodeSignature(signature)
  return {
    name,
    component: read.text(entry.component, `${name}: component`, namePattern),
    os: read.text(entry.os, `${name}: os`, namePattern),
    arch: read.text(entry.arch, `${name}: arch`, namePattern),
    size: sizeOf(entry.size, name),
    sha256: read.text(digest, `${name}: SHA-256`, digestPattern),
    signature,
    keyId: read.text(entry.key_id, `${name}: key_id`, digestPattern),
    required: read.boolean(entry.required, `${name}: required`),
  }
}

function sizeOf(value: JsonValue | undefined, name: string): number {
  const size = read.integer(value, `${name}: size`)
  if (size <= releaseLimits.artifactBytes) return size
  throw new RelError(
    'release_limit',
    `${name} has ${size} bytes, at most ${releaseLimits.artifactBytes}`,
  )
}

/**
 * That names stay apart on every file system, and that no two required artifacts claim one slot.
 * Refuses with release_malformed, artifact_slot_duplicate.
 */
export function checkArtifacts(
  artifacts: readonly Omit<ReleaseArtifact, 'signature' | 'keyId'>[],
): void {
  const folded = new Set<string>()
  const slots = new Map<string, string>()
  for (const {name, component, os, arch, required} of artifacts) {
    const lower = name.toLowerCase()
    if (folded.has(lower)) read.refuse(`${name} differs from another name only in case`)
    folded.add(lower)
    if (!required) continue
    const slot = `${component} ${os}/${arch}`
    const other = slots.get(slot)
    if (other !== undefined)
      throw new RelError('artifact_slot_duplicate', `${other} and ${name} are both for ${slot}`)
    slots.set(slot, name)
  }
}

function bundleName({product, version: text}: Release): string {
  return `${product}-v${text}`
}

/** The signed part, from which the canonical form is made (docs/formats/release-manifest.md). */
function manifestOf(release: Release): JsonObject {
  const {product, channel, timestamp, expires, minVersion, minFrom, artifacts} = release
  return {
    bundle_name: bundleName(release),
    version: release.version,
    timestamp,
    files: Object.fromEntries(artifacts.map(({name, sha256}) => [name, sha256])),
    rel: {
      spec: 1,
      kind: 'release',
      product,
      channel,
      ...(expires === undefined ? {} : {expires}),
      ...(minVersion === undefined ? {} : {min_version: minVersion}),
      ...(minFrom === undefined ? {} : {min_from: minFrom}),
      ...(release.commit === undefined ? {} : {commit: release.commit}),
      artifacts: Object.fromEntries(
        artifacts.map(({name, component, os, arch, size, signature, keyId, required}) => [
          name,
          {component, os, arch, size, signature, key_id: keyId, required},
        ]),
      ),
    },
  }
}

/** The text of a release manifest as it is written, indented so that people and diff can read it. */
export function releaseText({
  release,
  signatures,
}: Pick<ReleaseFile, 'release' | 'signatures'>): string {
  const signed = signatures.map(({keyid, sig}) => ({keyid, sig}))
  return `${JSON.stringify({manifest: manifestOf(release), signatures: signed}, null, 2)}\n`
}

/**
 * A release with one more signature. The artifacts' own signatures are in it already.
 * Refuses with what parseRelease refuses (so nothing is signed that could not be read back),
 * signature_invalid, signature_limit and what the signer refuses with.
 */
export async function signRelease(
  release: Release,
  signer: Signer,
  existing: readonly EnvelopeSignature[] = [],
): Promise<ReleaseFile> {
  const sorted = {...release, artifacts: release.artifacts.toSorted(byName)}
  const {canonical} = fileOf(sorted, [])
  const signatures = await addSignature('manifest', canonical, existing, signer)
  return parseRelease(Buffer.from(releaseText({release: sorted, signatures})))
}

function byName(a: ReleaseArtifact, b: ReleaseArtifact): number {
  return a.name < b.name ? -1 : 1
}

/**
 * That a release is signed by the manifest keys of its product and channel, and that every artifact
 * names a key with the role artifact. The artifacts' bytes are not looked at: checkArtifactSignature.
 * Refuses with anchor_expired, digest_revoked, signature_*, key_*, role_missing, threshold_not_met,
 * release_expired.
 */
export function checkRelease(
  file: ReleaseFile,
  anchor: Anchor,
  now: number,
): {readonly signedBy: readonly string[]} {
  const {release, canonical, signatures, digest} = file
  const question = {product: release.product, channel: release.channel, now}
  checkDigest(anchor, digest)
  const signed = checkSignatures(
    'manifest',
    canonical,
    signatures,
    keysFor(anchor, 'manifest', question),
  )
  for (const artifact of release.artifacts) artifactKey(anchor, release, artifact, now)
  checkReleaseExpiry(release, now)
  return signed
}

/** Refuses with release_expired. */
export function checkReleaseExpiry({expires}: Pick<Release, 'expires'>, now: number): void {
  if (expires === undefined || now <= expires) return
  throw new RelError('release_expired', `the release expired at ${timeText(expires)}`, {
    details: {expires, now},
  })
}

/**
 * The key that signed an artifact, when it counts. One detached signature cannot meet a higher
 * threshold than one. Refuses with key_unknown, key_*, role_missing, threshold_not_met.
 */
export function artifactKey(
  anchor: Anchor,
  {product, channel}: Pick<Release, 'product' | 'channel'>,
  {name, keyId}: Pick<ReleaseArtifact, 'name' | 'keyId'>,
  now: number,
): PublicKey {
  const {keys, threshold, refused} = keysFor(anchor, 'artifact', {product, channel, now})
  const key = keys.find((candidate) => candidate.keyId === keyId)
  if (key === undefined)
    throw (
      refused?.get(keyId) ??
      new RelError('key_unknown', `${name} is signed by ${shortId(keyId)}, which is not trusted`)
    )
  if (threshold === 1) return key
  throw new RelError('threshold_not_met', `${name} has 1 signature, ${threshold} are needed`)
}

/**
 * That bytes are those of an artifact, signed by a key that counts.
 * Refuses with artifact_mismatch, cross_protocol, and as artifactKey does.
 */
export function checkArtifactSignature(
  anchor: Anchor,
  release: Pick<Release, 'product' | 'channel'>,
  artifact: ReleaseArtifact,
  bytes: Uint8Array,
  now: number,
): void {
  const key = artifactKey(anchor, release, artifact, now)
  const {name, size, sha256, signature} = artifact
  if (bytes.length !== size)
    throw new RelError('artifact_mismatch', `${name} has ${bytes.length} bytes, ${size} are signed`)
  if (sha256Hex(bytes) !== sha256)
    throw new RelError('artifact_mismatch', `${name} does not have the SHA-256 that is signed`)
  checkOneMeaning(bytes)
  if (!verifyEd25519(key, bytes, decodeSignature(signature)))
    throw new RelError('artifact_mismatch', `the signature over ${name} does not fit its bytes`)
}
