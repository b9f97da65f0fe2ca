import {readdirSync} from 'node:fs'
import {basename, join} from 'node:path'
import {digestsOfFile, type FileDigests, readMessage} from '../bundle/sign-file.ts'
import {RelError} from '../system/error.ts'
import {fileError, readFileLimited, statIfThere, writeFileAtomic} from '../system/files.ts'
import {verifyEd25519} from '../trust/ed25519.ts'
import type {Signer} from '../trust/signer.ts'
import type {Release, ReleaseArtifact, ReleaseFile, Slot} from './release.ts'
import {assign, isIgnored, type ReleaseConfig} from './release-config.ts'
import {
  checkArtifacts,
  isArtifactName,
  parseRelease,
  releaseLimits,
  releaseText,
  signRelease,
} from './release-manifest.ts'
import {releaseSidecar} from './release-signers.ts'
import {channelOf} from './version.ts'

export type ReleaseFacts = Omit<Release, 'channel' | 'artifacts'>

export type ReleaseRequest = {
  /** Files, and directories whose files are meant. */
  readonly paths: readonly string[]
  readonly facts: ReleaseFacts
  readonly config: ReleaseConfig
  /** What --component, --os and --arch say of every file that no rule speaks of. */
  readonly slot: Partial<Slot>
  readonly output: string
  readonly onFile?: (name: string) => void
}

export type PlannedArtifact = Omit<ReleaseArtifact, 'signature' | 'keyId'> & {
  readonly path: string
  readonly digests: FileDigests
}

/** What a release manifest will say, known without a key: the same for --dry-run and the real run. */
export type ReleasePlan = {
  readonly release: Omit<Release, 'artifacts'>
  readonly artifacts: readonly PlannedArtifact[]
  readonly output: string
  /** Files and folders that were passed over. */
  readonly ignored: readonly string[]
}

/**
 * Reads the files of a release and says what its manifest will be. Refuses with file_missing,
 * file_unreadable, release_empty, release_malformed (a name), artifact_unassigned,
 * artifact_slot_duplicate, artifact_too_large, version_invalid, channel_unknown_prerelease.
 */
export async function planRelease(request: ReleaseRequest): Promise<ReleasePlan> {
  const {facts, config, slot, output, onFile} = request
  const channel = channelOf(facts.version)
  const {files, ignored} = filesOf(request)
  if (files.length === 0) throw new RelError('release_empty', 'there is no file to release')
  const artifacts: PlannedArtifact[] = []
  for (const path of files) {
    const name = basename(path)
    if (!isArtifactName(name))
      throw new RelError('release_malformed', `${name} cannot be the name of an artifact`, {
        hint: 'Names are letters, digits, dots, dashes, underscores and plus signs.',
      })
    const assigned = assign(config, slot, name, facts.version)
    onFile?.(name)
    const digests = await digestsOfFile(path)
    const {size, sha256} = digests
    if (size > releaseLimits.artifactBytes)
      throw new RelError(
        'artifact_too_large',
        `${name} has ${size} bytes, at most ${releaseLimits.artifactBytes} are signed`,
      )
    artifacts.push({name, ...assigned, size, sha256, path, digests})
  }
  artifacts.sort((a, b) => (a.name < b.name ? -1 : 1))
  checkArtifacts(artifacts)
  return {release: {...facts, channel}, artifacts, output, ignored}
}

function filesOf({paths, config, facts, output}: ReleaseRequest): {
  readonly files: readonly string[]
  readonly ignored: readonly string[]
} {
  const files: string[] = []
  const ignored: string[] = []
  const own = [output, releaseSidecar(output)]
  for (const path of paths) {
    const stat = statIfThere(path)
    if (stat === undefined) throw new RelError('file_missing', `${path} does not exist`)
    // a file that was named is meant, whatever release.yaml ignores
    if (!stat.isDirectory()) files.push(path)
    else
      for (const entry of entriesOf(path)) {
        const file = join(path, entry.name)
        const isMeant = entry.isFile() && !isIgnored(config, entry.name, facts.version)
        if (isMeant && !own.includes(file)) files.push(file)
        else if (!entry.name.startsWith('.')) ignored.push(entry.isDirectory() ? `${file}/` : file)
      }
  }
  return {files, ignored}
}

function entriesOf(path: string) {
  try {
    return readdirSync(path, {withFileTypes: true}).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  } catch (error) {
    throw fileError(error, path, 'read')
  }
}

/**
 * Signs every artifact's bytes, then the manifest, and writes it, all or nothing. The same plan and
 * keys give the same bytes. Refuses with tree_changed, cross_protocol, artifact_too_large (the
 * holder of the key takes no message that long) and what the signers refuse with.
 */
export async function applyRelease(
  {release, artifacts, output}: ReleasePlan,
  signers: {readonly manifest: Signer; readonly artifact: Signer},
  onFile?: (name: string) => void,
): Promise<ReleaseFile> {
  const signed: ReleaseArtifact[] = []
  for (const artifact of artifacts) {
    onFile?.(artifact.name)
    signed.push(await signArtifact(artifact, signers.artifact))
  }
  const file = await signRelease({...release, artifacts: signed}, signers.manifest)
  writeFileAtomic(output, releaseText(file))
  return file
}

async function signArtifact(
  {path, digests, ...artifact}: PlannedArtifact,
  signer: Signer,
): Promise<ReleaseArtifact> {
  const {maxMessageBytes = Number.POSITIVE_INFINITY, publicKey, label} = signer
  if (artifact.size > maxMessageBytes)
    throw new RelError(
      'artifact_too_large',
      `${label} signs ${maxMessageBytes} bytes at most, ${artifact.name} has ${artifact.size}`,
    )
  const message = readMessage(path, digests, releaseLimits.artifactBytes)
  const signature = await signer.sign(message)
  if (!verifyEd25519(publicKey, message, signature))
    throw new RelError('signature_invalid', `${label} made a signature that does not fit`)
  return {
    ...artifact,
    signature: Buffer.from(signature).toString('base64'),
    keyId: publicKey.keyId,
  }
}

/** The release manifest in a file, its signatures not checked. Refuses as parseRelease does. */
function readRelease(path: string): ReleaseFile {
  return parseRelease(readFileLimited(path, releaseLimits.bytes))
}

/**
 * Adds a signature to the manifest that a plan would write, once the files were compared with it.
 * Refuses with artifact_mismatch.
 */
export async function cosignRelease(
  {release, artifacts, output}: ReleasePlan,
  signer: Signer,
): Promise<{readonly file: ReleaseFile; readonly added: boolean}> {
  const before = readRelease(output)
  const {product, version} = before.release
  if (product !== release.product || version !== release.version)
    throw new RelError('artifact_mismatch', `${output} is of ${product} ${version}`)
  const planned = new Map(artifacts.map((artifact) => [artifact.name, artifact]))
  const different = [
    ...before.release.artifacts.filter(({name, sha256}) => planned.get(name)?.sha256 !== sha256),
    ...artifacts.filter(({name}) => !before.release.artifacts.some((each) => each.name === name)),
  ][0]
  if (different !== undefined)
    throw new RelError('artifact_mismatch', `${different.name} is not as ${output} says`)
  const file = await signRelease(before.release, signer, before.signatures)
  const added = file.signatures.length > before.signatures.length
  if (added) writeFileAtomic(output, releaseText(file))
  return {file, added}
}
