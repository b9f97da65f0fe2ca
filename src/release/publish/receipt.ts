import {digestPattern} from '../../system/digest.ts'
import {RelError} from '../../system/error.ts'
import type {JsonObject} from '../../system/json.ts'
import {type Anchor, keysFor} from '../../trust/anchor.ts'
import {canonicalJson} from '../../trust/canonical-json.ts'
import {
  addSignature,
  checkSignatures,
  type EnvelopeSignature,
  parseSignatures,
} from '../../trust/envelope.ts'
import type {Signer} from '../../trust/signer.ts'
import {parseStrictJson} from '../../trust/strict-json.ts'
import {fieldReader, namePattern} from '../fields.ts'
import type {ReleaseFile} from '../release.ts'
import {releaseLimits} from '../release-manifest.ts'
import {parseVersion} from '../version.ts'
import type {PublishPlan} from './plan.ts'
import type {ProbeResult} from './probe.ts'
import type {GitHubState, PanelState, TargetStates} from './state.ts'

/** How the release was looked at after it was published; what was not looked at says so. */
export type Checks = {
  readonly probes: readonly ProbeResult[]
  /** The download from GitHub that was read back; absent when GitHub is no target. */
  readonly readBack?: {readonly name: string; readonly as: 'anyone' | 'token'}
  /** The commit of the tag. */
  readonly tagCommit?: string
}

/**
 * The receipt of a publication over all its targets (docs/formats/publish-receipt.md). It tells the
 * state in the end, not how many tries it took: the same publication, run again, has the same bytes.
 */
export function receiptOf(plan: PublishPlan, states: TargetStates, checks: Checks): JsonObject {
  const {product, version, channel, digest, commit, assets} = plan
  const {panel, github} = states
  const ids = new Map(
    github === undefined || github.state === 'absent'
      ? []
      : github.assets.map(({name, id}) => [name, id]),
  )
  return {
    spec: 1,
    kind: 'publish-receipt',
    product,
    version,
    channel,
    manifest_sha256: digest,
    ...(commit === undefined ? {} : {commit}),
    targets: {
      ...(panel === undefined ? {} : {panel: panelPart(plan, panel)}),
      ...(github === undefined ? {} : {github: githubPart(plan, github, checks)}),
    },
    assets: assets.map(({name, kind, size, sha256}) => {
      const id = ids.get(name)
      return {
        name,
        kind,
        size,
        sha256,
        on_panel: panel !== undefined && (kind === 'artifact' || kind === 'manifest'),
        ...(id === undefined ? {} : {github_asset_id: id}),
      }
    }),
    checks: {
      probes: checks.probes.map((probe) => ({...probe})),
      ...(checks.readBack === undefined ? {} : {github_download: {...checks.readBack}}),
    },
  }
}

function panelPart({panel}: PublishPlan, state: PanelState): JsonObject {
  const sequence = state.state === 'absent' ? undefined : state.sequence
  return {
    url: panel?.url ?? '',
    state: state.state,
    ...(sequence === undefined ? {} : {sequence}),
  }
}

function githubPart({github}: PublishPlan, state: GitHubState, {tagCommit}: Checks): JsonObject {
  if (state.state === 'absent') return {repository: github?.repository ?? '', state: state.state}
  const {id, tag, isImmutable, isPrerelease, pageUrl} = state.release
  return {
    repository: github?.repository ?? '',
    state: state.state,
    release_id: id,
    url: pageUrl,
    tag,
    ...(tagCommit === undefined ? {} : {tag_commit: tagCommit}),
    prerelease: isPrerelease,
    immutable: isImmutable,
  }
}

/** A receipt with who signed it; nobody did where `signatures` is empty. */
export type ReceiptFile = {
  readonly receipt: JsonObject
  readonly canonical: string
  readonly signatures: readonly EnvelopeSignature[]
  readonly product: string
  readonly version: string
  readonly channel: string
  /** Of the manifest's canonical form. */
  readonly digest: string
}

/** The text of a receipt, signed when there is a signer (docs/formats/publish-receipt.md). */
export async function receiptText(receipt: JsonObject, signer?: Signer): Promise<string> {
  const signatures =
    signer === undefined
      ? []
      : await addSignature('publish-receipt', canonicalJson(receipt), [], signer)
  const envelope = {receipt, signatures: signatures.map((each) => ({...each}))}
  return `${JSON.stringify(envelope, null, 2)}\n`
}

/** A release of 1000 files is 300 KB; a panel alone takes them all and the manifest. */
export const receiptLimits = {
  bytes: 1024 * 1024,
  depth: 8,
  assets: 4 * releaseLimits.artifacts,
} as const

/**
 * A receipt as it stands in a file; nothing in it is believed yet.
 * Refuses with json_*, signature_malformed, receipt_malformed.
 */
export function parseReceipt(bytes: Uint8Array): ReceiptFile {
  const {object, only, text, list, integer, boolean, refuse} = fieldReader('receipt_malformed')
  const envelope = object(parseStrictJson(bytes, receiptLimits), 'the receipt')
  only(envelope, ['receipt', 'signatures'], 'the receipt')
  const receipt = object(envelope.receipt, 'receipt')
  only(receipt, fields, 'receipt')
  if (receipt.spec !== 1 || receipt.kind !== 'publish-receipt')
    refuse('receipt is none of spec 1 and kind publish-receipt')
  const assets = list(receipt.assets, 'receipt.assets', receiptLimits.assets)
  for (const entry of assets) {
    const asset = object(entry, 'an asset')
    text(asset.name, 'asset.name', /^[^/\\\0]{1,255}$/)
    text(asset.sha256, 'asset.sha256', digestPattern)
    integer(asset.size, 'asset.size')
    boolean(asset.on_panel, 'asset.on_panel')
  }
  const targets = object(receipt.targets, 'receipt.targets')
  only(targets, ['panel', 'github'], 'receipt.targets')
  object(receipt.checks, 'receipt.checks')
  return {
    receipt,
    canonical: canonicalJson(receipt),
    signatures: parseSignatures(envelope.signatures),
    product: text(receipt.product, 'receipt.product', namePattern),
    version: parseVersion(text(receipt.version, 'receipt.version', /^.{1,256}$/)).text,
    channel: text(receipt.channel, 'receipt.channel', namePattern),
    digest: text(receipt.manifest_sha256, 'receipt.manifest_sha256', digestPattern),
  }
}

const fields: readonly string[] = [
  'spec',
  'kind',
  'product',
  'version',
  'channel',
  'manifest_sha256',
  'commit',
  'targets',
  'assets',
  'checks',
]

/**
 * Who signed a receipt: keys that may sign manifests of the product. A receipt that is of another
 * release than `release`, where that is given, is refused, also when a file is not as it says.
 * Refuses as checkSignatures and keysFor do, with receipt_mismatch.
 */
export function checkReceipt(
  file: ReceiptFile,
  anchor: Anchor,
  now: number,
  release?: ReleaseFile,
): {readonly signedBy: readonly string[]} {
  const {product, channel, canonical, signatures} = file
  const keys = keysFor(anchor, 'manifest', {product, channel, now})
  const signed = checkSignatures('publish-receipt', canonical, signatures, keys)
  if (release !== undefined) checkSame(file, release)
  return signed
}

function checkSame({receipt, digest}: ReceiptFile, {release, digest: wanted}: ReleaseFile): void {
  if (digest !== wanted)
    throw new RelError('receipt_mismatch', `the receipt is of ${digest}, the manifest is ${wanted}`)
  const assets = receipt.assets as readonly JsonObject[]
  const known = new Map(assets.map(({name, sha256}) => [name, sha256]))
  const other = release.artifacts.find(({name, sha256}) => known.get(name) !== sha256)
  if (other !== undefined)
    throw new RelError('receipt_mismatch', `the receipt has other bytes for ${other.name}, or none`)
}
