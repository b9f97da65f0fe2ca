import type {ReleaseFile} from '../../release/release.ts'
import {checkRelease, parseRelease} from '../../release/release-manifest.ts'
import {RelError} from '../../system/error.ts'
import type {Anchor} from '../../trust/anchor.ts'
import {parseAnchor} from '../../trust/anchor-parse.ts'
import {checkBundleDigest} from '../../trust/sigstore/check-bundle.ts'
import type {Panel} from '../panel.ts'
import {personOf} from '../server/token.ts'
import type {Actor, Product, StoredRelease} from '../store/store.ts'
import {flawDetails, flawsOf, flawText, missingOf} from './flaws.ts'

/** Audit rows that are read at once. */
const AUDIT_PAGE = 1000

type Ready = {readonly product: Product; readonly anchor: Anchor}

/** Refuses with product_unknown. */
export async function productOf(panel: Pick<Panel, 'store'>, name: string): Promise<Product> {
  const product = await panel.store.product(name)
  if (product === undefined)
    throw new RelError('product_unknown', `the panel has no product ${name}`)
  return product
}

/** Refuses with product_unknown, product_without_anchor, product_without_matrix. */
async function readyProduct(panel: Panel, name: string): Promise<Ready> {
  const product = await productOf(panel, name)
  if (product.anchor === undefined)
    throw new RelError('product_without_anchor', `${name} has no trust anchor`)
  if (product.matrix.required.length === 0)
    throw new RelError('product_without_matrix', `${name} has no matrix`)
  const {anchor} = parseAnchor(Buffer.from(product.anchor))
  return {product, anchor}
}

/**
 * Takes a signed release manifest as a draft. Refuses with what parseRelease and checkRelease refuse
 * with, product_*, matrix_unmet, request_invalid (another product), and as the store's addDraft does.
 */
export async function draftRelease(
  panel: Panel,
  name: string,
  envelope: Uint8Array,
  {actor, fence}: {readonly actor: Actor; readonly fence?: number},
): Promise<{readonly release: StoredRelease; readonly created: boolean}> {
  const {product, anchor} = await readyProduct(panel, name)
  const file = parseRelease(envelope)
  const {release, digest} = file
  if (release.product !== name)
    throw new RelError('request_invalid', `the manifest is of ${release.product}, not of ${name}`)
  checkRelease(file, anchor, panel.clock())
  const unmet = (await missingOf(panel.blobs, release, product.matrix)).filter(
    ({reason}) => reason !== 'not_uploaded',
  )
  if (unmet.length > 0)
    throw new RelError('matrix_unmet', flawText(unmet), {details: flawDetails(unmet)})
  return panel.store.addDraft(
    {
      product: name,
      version: release.version,
      channel: release.channel,
      digest,
      envelope: Buffer.from(envelope).toString('utf8'),
      artifacts: release.artifacts,
    },
    actor,
    fence,
  )
}

/**
 * Keeps the Sigstore bundle over a draft's manifest. That it is over exactly these bytes is all that
 * is checked: whose signature counts is the nodes' business, and nobody here decides by it. Refuses
 * with json_*, sigstore_bundle_malformed, sigstore_digest_mismatch, and as the store's setSigstore.
 */
export async function keepSigstore(
  panel: Panel,
  name: string,
  version: string,
  bundle: Uint8Array,
  actor: Actor,
): Promise<StoredRelease> {
  const {envelope, digest} = await storedRelease(panel, name, version)
  await checkBundleDigest(bundle, Buffer.from(envelope))
  const sigstore = Buffer.from(bundle).toString('utf8')
  return panel.store.setSigstore(name, version, {sigstore, digest}, actor)
}

/** The release manifest of a stored release; it was checked when it was drafted. */
export function fileOf({envelope}: Pick<StoredRelease, 'envelope'>): ReleaseFile {
  return parseRelease(Buffer.from(envelope))
}

/**
 * Publishes a draft after everything was checked again: the manifest's signatures, and of every
 * artifact its key, size, digest and signature, over the bytes as they are stored now. The flip
 * itself is one transaction, in which digest, matrix, keys, floor and fence are compared once more.
 * Refuses with release_unknown, precondition_failed, release_recalled, release_incomplete (what is
 * missing is in the details), same_person, product_*, what checkRelease refuses with, and as the
 * store's publish does.
 */
export async function publishDraft(
  panel: Panel,
  name: string,
  version: string,
  {digest, actor, fence}: {readonly digest: string; readonly actor: Actor; readonly fence?: number},
): Promise<{readonly release: StoredRelease; readonly changed: boolean}> {
  const stored = await storedRelease(panel, name, version)
  if (stored.digest !== digest)
    throw new RelError('precondition_failed', `the manifest of ${version} is ${stored.digest}`)
  if (stored.state === 'published') return {release: stored, changed: false}
  if (stored.state === 'recalled')
    throw new RelError('release_immutable', `${name} ${version} was recalled`)
  await checkPersons(panel, stored, actor)
  const {product, anchor} = await readyProduct(panel, name)
  const file = fileOf(stored)
  const now = panel.clock()
  // the artifacts' keys are looked at one by one below, so that all flaws are named at once
  checkRelease({...file, release: {...file.release, artifacts: []}}, anchor, now)
  const flaws = await flawsOf(panel.blobs, file.release, {matrix: product.matrix, anchor, now})
  if (flaws.length > 0)
    throw new RelError('release_incomplete', flawText(flaws), {details: flawDetails(flaws)})
  const published = await panel.store.publish(
    name,
    version,
    {
      digest,
      matrixVersion: product.matrix.version,
      ...(product.anchor === undefined ? {} : {anchor: product.anchor}),
      ...(fence === undefined ? {} : {fence}),
    },
    actor,
  )
  panel.changes.mark(name)
  return published
}

/** Refuses with release_unknown. */
export async function storedRelease(
  panel: Pick<Panel, 'store'>,
  product: string,
  version: string,
): Promise<StoredRelease> {
  const release = await panel.store.release(product, version)
  if (release === undefined)
    throw new RelError('release_unknown', `${product} has no release ${version}`)
  return release
}

async function checkPersons(
  {store, config}: Panel,
  {product, version}: StoredRelease,
  actor: Actor,
): Promise<void> {
  if (!config.twoPersons) return
  const drafter = await drafterOf(store, product, version)
  if (drafter === undefined) return
  const tokens = new Map((await store.tokens()).map((token) => [token.id, personOf(token)]))
  if ((tokens.get(drafter) ?? drafter) !== (tokens.get(actor.id) ?? actor.id)) return
  throw new RelError('same_person', `${version} was drafted with this token, or by this publisher`)
}

/** Who drafted it last: the audit row is written in the transaction of the draft. */
async function drafterOf(
  store: Panel['store'],
  product: string,
  version: string,
): Promise<string | undefined> {
  let drafter: string | undefined
  let after = -1
  for (;;) {
    const rows = await store.audit(after, AUDIT_PAGE)
    for (const {event, product: of, subject, actor} of rows)
      if (event === 'release.drafted' && of === product && subject === version) drafter = actor
    const last = rows.at(-1)
    if (last === undefined) return drafter
    after = last.index
  }
}
