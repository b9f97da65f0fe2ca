import {lstatSync} from 'node:fs'
import {join} from 'node:path'
import type {VerifyPolicy} from '../bundle/verify-policy.ts'
import type {ErrorCode} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import {statIfThere} from '../system/files.ts'
import type {AnchorFile} from '../trust/anchor.ts'
import {loadAnchor} from '../trust/anchor-store.ts'
import {anchorTrust} from '../trust/trust-source.ts'
import type {DeviceConfig} from './config.ts'
import {identityOf} from './identity.ts'
import {paths, versionPath} from './layout.ts'
import type {Slot} from './record.ts'

/** What was verified of a version: a tree, or a program with its release. */
export type Signed = {
  readonly manifest: {
    readonly version: string
    /** Seconds since the epoch. */
    readonly timestamp: number
    /** Absent in a D2 manifest. */
    readonly rel?: {readonly channel: string; readonly minFrom?: string}
    readonly files: readonly unknown[]
  }
  /** SHA-256 in hex of the canonical manifest of a tree; of the program itself (D0). */
  readonly contentSha256: string
}

/** The trust anchor of the node. Refuses with upgrade_signature_invalid, file_unreadable. */
export function anchorOf(root: string): AnchorFile {
  const path = join(root, paths.anchor)
  if (statIfThere(path)?.isFile() !== true)
    throw new RelError('upgrade_signature_invalid', `${paths.anchor} is no file`, {
      hint: 'Put the trust anchor of this product back.',
      details: {cause_code: 'file_missing'},
    })
  return anchored(() => loadAnchor(path))
}

/**
 * Whom this node trusts, for its product and target, at a time. `trusted` is its anchor, where that was
 * read already. Refuses as anchorOf does.
 */
export function policyOf(
  root: string,
  config: DeviceConfig,
  now: number,
  trusted: AnchorFile = anchorOf(root),
): VerifyPolicy {
  return policyWith(trusted, config, join(root, paths.trustedRoot), now)
}

/** policyOf for an anchor that is no node's yet. */
export function policyWith(
  file: AnchorFile,
  config: Pick<DeviceConfig, 'product' | 'target' | 'identity'>,
  trustedRootPath: string,
  now: number,
): VerifyPolicy {
  const {product, target} = config
  const {allowedSigners, legacy} = file.anchor
  const identity = identityOf(config.identity, allowedSigners, trustedRootPath, now)
  return {
    trust: anchorTrust(file, 'manifest'),
    expect: {product, ...(target === undefined ? {} : {target})},
    now,
    legacy,
    ...(identity === undefined ? {} : {identity}),
  }
}

/** A damaged anchor trusts nobody; of one that cannot be read just now nothing is known. */
function anchored<T>(load: () => T): T {
  try {
    return load()
  } catch (error) {
    if (!(error instanceof RelError) || error.code === 'file_unreadable') throw error
    throw asUpgrade(error, 'upgrade_signature_invalid')
  }
}

const shortages = ['EMFILE', 'ENFILE', 'ENOMEM']

/** Of what could not be read for want of something nothing is known. */
export function isShortage({cause}: RelError): boolean {
  return shortages.includes((cause as {code?: string} | undefined)?.code ?? '')
}

const differences: readonly ErrorCode[] = [
  'artifact_mismatch',
  'cross_protocol',
  'file_absent',
  'file_digest_mismatch',
  'file_hardlinked',
  'file_not_regular',
  'file_unlisted',
  'link_mismatch',
  'manifest_missing',
  'mode_forbidden',
  'mode_mismatch',
  'size_mismatch',
]

/** What is not about bytes or signatures keeps its own code: it says more than D1's. */
const ownCodes: readonly ErrorCode[] = [
  'product_mismatch',
  'version_mismatch',
  'channel_mismatch',
  'target_mismatch',
  'manifest_expired',
  'release_expired',
  'timestamp_future',
  'tree_changed',
  'file_missing',
  'file_unreadable',
]

/** A refusal of verifying as D1 calls it, with the exact code in its details. */
export function upgradeError(error: unknown): unknown {
  if (!(error instanceof RelError)) return error
  const {code} = error
  if (code.startsWith('upgrade_') || ownCodes.includes(code)) return error
  if (/^(?:sigstore|identity|trusted_root)_/.test(code))
    return asUpgrade(error, 'upgrade_identity_not_allowed')
  if (code === 'disk_full') return asUpgrade(error, 'upgrade_disk_full')
  if (code.startsWith('archive_') || differences.includes(code))
    return asUpgrade(error, 'upgrade_checksum_mismatch')
  if (
    /^(?:signature|key|threshold|role|anchor|digest|legacy|json|manifest|spec|path|release|kind)_/.test(
      code,
    )
  )
    return asUpgrade(error, 'upgrade_signature_invalid')
  return error
}

function asUpgrade(error: RelError, code: ErrorCode): RelError {
  const details = {...error.details, cause_code: error.code}
  return new RelError(code, error.message, {cause: error, details})
}

/** The slot of what was verified. */
export function slotOf({manifest, contentSha256}: Signed, now: number): Slot {
  const {version, rel} = manifest
  return {
    version,
    digest: contentSha256,
    verifiedAt: now,
    ...(rel === undefined ? {} : {channel: rel.channel}),
  }
}

/**
 * What is installed as a version, verified as of a time; its digest may be any. Refuses with
 * upgrade_layout_invalid, and as verifyDirectory and verifyKept do.
 */
export async function verifyVersion(
  root: string,
  config: DeviceConfig,
  version: string,
  now: number,
): Promise<Signed> {
  if (lstatSync(join(root, versionPath(version)), {throwIfNoEntry: false})?.isDirectory() !== true)
    throw new RelError('upgrade_layout_invalid', `${versionPath(version)} is no folder`)
  if (config.profile.kind === 'binary') {
    const {verifyKept} = await import('./place-binary.ts')
    return verifyKept(root, config, versionPath(version), {version, now})
  }
  const policy = policyOf(root, config, now)
  const {verifyDirectory} = await import('../bundle/verify.ts')
  const expect = {...policy.expect, version}
  return verifyDirectory(join(root, versionPath(version)), {...policy, expect})
}

/**
 * That an installed version is exactly as signed. Expiry counts as of when it was installed: a node
 * must be able to go back to what it ran. Refuses as verifyDirectory and verifyKept do, under D1's
 * codes.
 */
export async function verifyInstalled(
  root: string,
  config: DeviceConfig,
  slot: Slot,
): Promise<Signed> {
  try {
    const verified = await verifyVersion(root, config, slot.version, slot.verifiedAt)
    if (verified.contentSha256 === slot.digest) return verified
  } catch (error) {
    throw upgradeError(error)
  }
  throw new RelError('upgrade_checksum_mismatch', `${slot.version} is another bundle than recorded`)
}
