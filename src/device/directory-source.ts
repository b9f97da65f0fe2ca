import {createHash} from 'node:crypto'
import {createReadStream, readdirSync, realpathSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {MANIFEST_NAME, manifestLimits} from '../bundle/manifest.ts'
import {readManifest, sigstoreSidecars} from '../bundle/verify.ts'
import {verifyManifestBytes} from '../bundle/verify-manifest.ts'
import {compareVersions} from '../bundle/version.ts'
import type {ReleaseArtifact} from '../release/release.ts'
import {RelError} from '../system/error.ts'
import {fileError, readFileLimited, statIfThere} from '../system/files.ts'
import type {JsonValue} from '../system/json.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import {type Claim, claimOf, inOrder, releaseNames} from './candidate.ts'
import {noteTime, trustedNow} from './clock-mark.ts'
import type {SourceConfig} from './config.ts'
import type {Device} from './device.ts'
import {machineOf, pickArtifact} from './pick-artifact.ts'
import {checkReleaseManifest} from './release-check.ts'
import type {Answer, Offer, Question, Source} from './source.ts'
import {anchorOf, policyOf, upgradeError} from './verify-installed.ts'

type DirectoryConfig = Extract<SourceConfig, {kind: 'directory'}>

const limits = {
  /** A stick may hold photographs as well; with more names than this it is not made for updates. */
  entries: 4096,
  /** Folders below the source that are looked into: products, then releases. */
  depth: 2,
  /** Manifests that are read. */
  manifests: 256,
} as const

const archiveName = /\.(?:tar|tar\.gz|tgz|tar\.zst|tzst)$/

/** Which artifact of a release is a bundle, where the configuration has no word for it. */
const DEFAULT_COMPONENT = 'bundle'

/** Something that says it is ours. */
type Found = {
  readonly claim: Claim
  readonly kind: 'tree' | 'archive' | 'release'
  /** The bundle, or the manifest of the release. */
  readonly path: string
}

/**
 * A mount, a stick or a share with bundles, archives and releases (D4): names and what is not
 * signed only say where to look, and nothing is followed out of the folder.
 */
export function directorySource(device: Device, config: DirectoryConfig): Source {
  return {find: (question) => find(device, config, question)}
}

async function find(device: Device, config: DirectoryConfig, question: Question): Promise<Answer> {
  let refusal: unknown
  /** Versions that a release keeps back: its own bundle, which stands beside it, says less. */
  const kept = new Set<string>()
  const isProgram = device.config.profile.kind === 'binary'
  const all = await scan(config.path, device.config.product)
  const releasesFirst = all.toSorted((a, b) => rankOf(a) - rankOf(b))
  for (const found of inOrder(releasesFirst, question)) {
    // one program is a part of a release; a bundle is of no use to it
    if (isProgram && found.kind !== 'release') continue
    if (kept.has(found.claim.version)) continue
    try {
      const {offer, isOpen} = await offerOf(device, found, question)
      if (isOpen || question.version !== undefined) return {offer}
      if (found.kind === 'release') kept.add(offer.version)
    } catch (error) {
      const known = upgradeError(error)
      if (!(known instanceof RelError)) throw known
      if (known.code === 'upgrade_source_unreachable') throw known
      refusal ??= known
    }
  }
  // what is ours and not good is worth a word, where nothing else is
  if (refusal !== undefined) throw refusal
  return {}
}

function rankOf({kind}: Found): number {
  return kind === 'release' ? 0 : 1
}

/** What claims to be of a product. Refuses with upgrade_source_unreachable, upgrade_source_invalid. */
async function scan(path: string, product: string): Promise<readonly Found[]> {
  const root = reading(() => realpathSync(path))
  const found: Found[] = []
  let [entries, manifests] = [0, 0]
  const count = (isManifest: boolean) => {
    if (isManifest) manifests++
    else entries++
    if (entries <= limits.entries && manifests <= limits.manifests) return
    const message = `more than ${limits.entries} names or ${limits.manifests} manifests`
    throw new RelError('upgrade_source_invalid', message, {details: {...limits}})
  }
  const walk = async (folder: string, depth: number): Promise<void> => {
    const names = reading(() => readdirSync(folder, {withFileTypes: true}))
    for (const _ of names) count(false)
    const isFile = (name: string) => names.some((each) => each.name === name && each.isFile())
    for (const name of releaseNames.filter(isFile)) {
      count(true)
      const path = join(folder, name)
      const claim = await claimAt(() => readManifest(path), product)
      if (claim?.kind === 'release') found.push({claim, kind: 'release', path})
      if (claim?.kind !== 'bundle' || name !== MANIFEST_NAME) continue
      found.push({claim, kind: 'tree', path: folder})
      return // its archives and folders are its own
    }
    for (const entry of names.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      const below = join(folder, entry.name)
      if (entry.isDirectory() && depth < limits.depth) await walk(below, depth + 1)
      else if (entry.isFile() && archiveName.test(entry.name)) {
        count(true)
        const {readManifestOfArchive} = await import('../bundle/archive/verify-archive.ts')
        const claim = await claimAt(() => readManifestOfArchive(below), product)
        if (claim?.kind === 'bundle') found.push({claim, kind: 'archive', path: below})
      }
    }
  }
  await walk(root, 0)
  return found
}

/** What has no manifest that can be read is not ours; what cannot be read at all is an end. */
async function claimAt(
  read: () => Promise<Buffer> | Buffer,
  product: string,
): Promise<Claim | undefined> {
  try {
    return claimOf(jsonOf(await read()), product)
  } catch (error) {
    if (isGone(error)) throw gone(error)
    if (error instanceof RelError) return undefined
    throw error
  }
}

function jsonOf(bytes: Uint8Array): JsonValue {
  return parseStrictJson(bytes, {bytes: manifestLimits.bytes, depth: manifestLimits.depth})
}

async function offerOf(
  device: Device,
  found: Found,
  question: Question,
): Promise<{readonly offer: Offer; readonly isOpen: boolean}> {
  try {
    return found.kind === 'release'
      ? await releaseOffer(device, found, question)
      : await bundleOffer(device, found, question)
  } catch (error) {
    throw isGone(error) ? gone(error) : error
  }
}

async function bundleOffer(
  device: Device,
  {kind, path, claim}: Found,
  question: Question,
): Promise<{readonly offer: Offer; readonly isOpen: boolean}> {
  const plain = policyOf(device.root, device.config, trustedNow(device))
  const policy = {...plain, expect: {...plain.expect, version: claim.version}}
  const {manifest} =
    kind === 'tree' ? await verifyTreeManifest(path, policy) : await verifyArchived(path, policy)
  await noteTime(device, manifest.timestamp)
  const {version, rel} = manifest
  const offer: Offer = {
    version,
    ...(rel === undefined ? {} : {channel: rel.channel}),
    deltas: [],
    fetch: async () => {
      if (statIfThere(path) === undefined) throw gone(undefined)
      return path
    },
  }
  return {offer, isOpen: isOpen(question, rel?.channel, rel?.minFrom)}
}

type Policy = ReturnType<typeof policyOf>

function verifyTreeManifest(folder: string, policy: Policy) {
  const path = join(folder, MANIFEST_NAME)
  const name = sigstoreSidecars(path).find((each) => statIfThere(each)?.isFile() === true)
  const sidecar =
    policy.identity === undefined || name === undefined
      ? undefined
      : readFileLimited(name, manifestLimits.sidecarBytes)
  return verifyManifestBytes(readManifest(path), policy, undefined, sidecar)
}

/** Only with an identity is the whole archive read here: its sidecar may come after the manifest. */
async function verifyArchived(path: string, policy: Policy) {
  const {readManifestOfArchive, verifyArchive} = await import('../bundle/archive/verify-archive.ts')
  if (policy.identity !== undefined) return verifyArchive(path, policy)
  return verifyManifestBytes(await readManifestOfArchive(path), policy)
}

/** Whether the gates of channel and stop-over would let it in. */
function isOpen(
  {running, channels}: Question,
  channel: string | undefined,
  minFrom: string | undefined,
): boolean {
  if (channel === undefined || !channels.includes(channel)) return false
  return minFrom === undefined || compareVersions(running, minFrom) >= 0
}

async function releaseOffer(
  device: Device,
  {path: manifestPath, claim}: Found,
  question: Question,
): Promise<{readonly offer: Offer; readonly isOpen: boolean}> {
  const {root, config} = device
  const now = trustedNow(device)
  const path = dirname(manifestPath)
  const bytes = readManifest(manifestPath)
  const trusted = anchorOf(root)
  const {identity} = policyOf(root, config, now, trusted)
  const name = sigstoreSidecars(manifestPath).find((each) => statIfThere(each)?.isFile() === true)
  const sidecar =
    name === undefined ? undefined : readFileLimited(name, manifestLimits.sidecarBytes)
  const terms = {
    anchor: trusted.anchor,
    identity,
    product: config.product,
    version: claim.version,
    now,
  }
  const {release} = await checkReleaseManifest(bytes, sidecar, terms)
  await noteTime(device, release.timestamp)
  const {profile, target} = config
  const component = profile.kind === 'binary' ? profile.component : DEFAULT_COMPONENT
  const {whole, deltas} = pickArtifact(release, {component, ...machineOf(target, process)})
  const fetchOf = (artifact: ReleaseArtifact) => () => fetchFrom(path, artifact)
  const {version, channel, minFrom} = release
  const offer: Offer = {
    version,
    channel,
    size: whole.size,
    sha256: whole.sha256,
    deltas: deltas
      .filter(({artifact}) => statIfThere(join(path, artifact.name))?.isFile() === true)
      .map(({from, artifact}) => ({
        from,
        size: artifact.size,
        sha256: artifact.sha256,
        fetch: fetchOf(artifact),
      })),
    releaseText: bytes.toString('utf8'),
    fetch: fetchOf(whole),
  }
  return {offer, isOpen: isOpen(question, channel, minFrom)}
}

/** An artifact beside its release, exactly as signed. */
async function fetchFrom(folder: string, {name, size, sha256}: ReleaseArtifact): Promise<string> {
  const path = join(folder, name)
  const stat = statIfThere(path)
  if (stat === undefined && statIfThere(folder) === undefined) throw gone(undefined)
  if (stat?.isFile() !== true)
    throw new RelError('upgrade_source_invalid', `the release has no file ${name} beside it`, {
      details: {cause_code: 'asset_missing', asset: name},
    })
  const digest = createHash('sha256')
  try {
    if (stat.size === size)
      for await (const piece of createReadStream(path, {highWaterMark: 1024 * 1024}))
        digest.update(piece as Buffer)
  } catch (error) {
    throw gone(fileError(error, path, 'read'))
  }
  if (stat.size === size && digest.digest('hex') === sha256) return path
  throw new RelError('upgrade_checksum_mismatch', `${name} is not as the release signs it`)
}

/** What a stick that was pulled out answers with. */
function isGone(error: unknown): boolean {
  return error instanceof RelError && ['file_missing', 'file_unreadable'].includes(error.code)
}

function gone(error: unknown): RelError {
  const details = error instanceof RelError ? {details: {cause_code: error.code}} : {}
  return new RelError('upgrade_source_unreachable', 'the folder of the source cannot be read', {
    cause: error,
    ...details,
  })
}

function reading<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw gone(fileError(error, 'the folder of the source', 'read'))
  }
}
