import {rm} from 'node:fs/promises'
import {join} from 'node:path'
import {fieldReader, namePattern} from '../../release/fields.ts'
import type {ReleaseFile} from '../../release/release.ts'
import {checkRelease, parseRelease} from '../../release/release-manifest.ts'
import {compareVersions} from '../../release/version.ts'
import {digestPattern} from '../../system/digest.ts'
import {RelError} from '../../system/error.ts'
import {fileError, readFileLimited, writeFileAtomic} from '../../system/files.ts'
import type {JsonObject, JsonValue} from '../../system/json.ts'
import {parseAnchor} from '../../trust/anchor-parse.ts'
import {canonicalJson} from '../../trust/canonical-json.ts'
import {addSignature, checkSignatures, type KeySet, parseSignatures} from '../../trust/envelope.ts'
import type {Signer} from '../../trust/signer.ts'
import {parseStrictJson} from '../../trust/strict-json.ts'
import type {BlobStore} from '../blobs/blobs.ts'
import {openFileBlobs, piecesOf} from '../blobs/files.ts'
import {MerkleTree} from '../store/merkle.ts'
import type {Actor, PanelStore, Product, Recall} from '../store/store.ts'
import {inNewFolder} from './new-folder.ts'
import {allReleases, leafTexts} from './verify.ts'

/** Manifests of a thousand releases of a hundred artifacts each. */
const MAX_INDEX_BYTES = 256 * 1024 * 1024
const MAX_LEAVES = 1_000_000

type Leaf = {
  readonly event: 'published' | 'recalled'
  readonly version: string
  readonly digest: string
  readonly time: number
}

type MirrorRelease = {
  readonly file: ReleaseFile
  readonly envelope: string
  readonly sigstore?: string
  readonly recall?: Recall
}

type MirrorProduct = {
  readonly name: string
  /** When the export was made, seconds since the epoch. */
  readonly created: number
  readonly required: Product['matrix']['required']
  readonly floor?: string
  readonly stopovers: readonly string[]
  readonly anchor: string
  /** The texts of the release log, from the first. */
  readonly log: readonly string[]
  readonly leaves: readonly Leaf[]
  readonly releases: ReadonlyMap<string, MirrorRelease>
}

export type ExportOptions = {
  /** A folder that does not exist yet. */
  readonly target: string
  /** All products when not given. Refuses with product_unknown. */
  readonly products?: readonly string[]
  /** Signs the list; the other side must trust it. */
  readonly signer: Signer
  /** Seconds since the epoch. */
  readonly now: number
}

export type MirrorReport = {
  readonly products: number
  /** New ones, in an import. */
  readonly releases: number
  readonly blobs: number
  readonly bytes: number
}

type Stores = {readonly store: PanelStore; readonly blobs: BlobStore}

/**
 * Writes what was published, with its log and its bytes, into a folder for a panel that has no
 * network; no licences, tokens or keys. Blobs of recalled releases stay here. Refuses with
 * file_exists, product_unknown, product_without_anchor, blob_missing, blob_mismatch, disk_full.
 */
export async function exportMirror(
  {store, blobs}: Stores,
  {target, products, signer, now}: ExportOptions,
): Promise<MirrorReport> {
  return inNewFolder(target, async (folder) => {
    const copy = await openFileBlobs({folder})
    const report = {products: 0, releases: 0, blobs: 0, bytes: 0}
    const list: JsonObject[] = []
    for (const product of await chosen(store, products)) {
      const entry = await productEntry(store, product)
      list.push(entry.json)
      report.products++
      report.releases += entry.releases
      for (const [sha256, size] of entry.blobs) {
        if ((await copy.blobs.stat(sha256)) !== undefined) continue
        await copy.blobs.put(sha256, size, blobs.read(sha256))
        report.blobs++
        report.bytes += size
      }
    }
    await rm(join(folder, 'uploads'), {recursive: true})
    await rm(join(folder, 'blobs', 'tmp'), {recursive: true})
    const canonical = canonicalJson({spec: 1, created: now, products: list})
    const signatures = await addSignature('mirror', canonical, [], signer)
    const text = `{"mirror":${canonical},"signatures":${canonicalJson(signatures.map((each) => ({...each})))}}\n`
    writeFileAtomic(join(folder, 'mirror.json'), text)
    return report
  })
}

async function chosen(
  store: PanelStore,
  names: readonly string[] | undefined,
): Promise<readonly Product[]> {
  const all = await store.products()
  if (names === undefined) return all
  return names.map((name) => {
    const product = all.find((one) => one.name === name)
    if (product === undefined) throw new RelError('product_unknown', `there is no product ${name}`)
    return product
  })
}

/** The log first: releases that are published meanwhile are left for the next export. */
async function productEntry(
  store: PanelStore,
  product: Product,
): Promise<{json: JsonObject; releases: number; blobs: ReadonlyMap<string, number>}> {
  if (product.anchor === undefined)
    throw new RelError('product_without_anchor', `${product.name} has no trust anchor`)
  const log: string[] = []
  for await (const text of leafTexts(store, product.name)) log.push(text)
  const leaves = log.map((text) => JSON.parse(text) as Leaf)
  const published = new Set(leaves.map(({version}) => version))
  const recalled = new Set(
    leaves.filter(({event}) => event === 'recalled').map(({version}) => version),
  )
  const blobs = new Map<string, number>()
  const releases: JsonObject[] = []
  for await (const release of allReleases(store, product)) {
    if (!published.has(release.version)) continue
    const {envelope, sigstore, recall} = release
    const isRecalled = recalled.has(release.version)
    releases.push({
      envelope,
      ...(sigstore === undefined ? {} : {sigstore}),
      ...(isRecalled && recall !== undefined ? {recall: {...recall}} : {}),
    })
    if (isRecalled) continue
    for (const {sha256, size} of release.artifacts) blobs.set(sha256, size)
  }
  const json = {
    name: product.name,
    required: product.matrix.required.map((slot) => ({...slot})),
    ...(product.floor === undefined ? {} : {floor: product.floor}),
    stopovers: product.stopovers,
    anchor: product.anchor,
    log,
    releases,
  }
  return {json, releases: releases.length, blobs}
}

export type ImportOptions = {
  readonly from: string
  /** Who may have signed the export. */
  readonly trusted: KeySet
  readonly by: Actor
}

/**
 * Takes over an export. Its signature, every manifest's signature under the product's anchor, the
 * log and all bytes are verified before the first release becomes visible; then the releases are
 * published in the order and with the times of the log, so that this panel's log is the same. Again
 * is no change; after an interruption it goes on. Refuses with mirror_malformed, mirror_conflict,
 * key_*, signature_*, json_*, blob_mismatch, file_missing, and as the stores do.
 */
export async function importMirror(
  {store, blobs}: Stores,
  {from, trusted, by}: ImportOptions,
): Promise<MirrorReport> {
  const products = readMirror(from, trusted)
  for (const product of products) {
    checkReleases(product)
    await checkAgainst(store, product)
  }
  const moved = await takeBlobs(from, blobs, products)
  let releases = 0
  for (const product of products) releases += await replay(store, product, by)
  return {products: products.length, releases, ...moved}
}

const read = fieldReader('mirror_malformed')
const anyText = /(?:)/

function readMirror(from: string, trusted: KeySet): readonly MirrorProduct[] {
  const bytes = readFileLimited(join(from, 'mirror.json'), MAX_INDEX_BYTES)
  const limits = {bytes: MAX_INDEX_BYTES, depth: 16, values: 20_000_000}
  const document = read.object(parseStrictJson(bytes, limits), 'the export')
  read.only(document, ['mirror', 'signatures'], 'the export')
  const mirror = read.object(document.mirror, 'mirror')
  const signatures = parseSignatures(document.signatures)
  checkSignatures('mirror', canonicalJson(mirror), signatures, trusted)
  read.only(mirror, ['spec', 'created', 'products'], 'mirror')
  if (mirror.spec !== 1) read.refuse('this is not version 1 of the format')
  const created = read.integer(mirror.created, 'created')
  return read
    .list(mirror.products, 'products', 10_000)
    .map((product) => parseProduct(product, created))
}

function parseProduct(value: JsonValue, created: number): MirrorProduct {
  const product = read.object(value, 'a product')
  const known = ['name', 'required', 'floor', 'stopovers', 'anchor', 'log', 'releases']
  read.only(product, known, 'a product')
  const log = read
    .list(product.log, 'log', MAX_LEAVES)
    .map((text) => read.text(text, 'a leaf', anyText))
  const releases = read.list(product.releases, 'releases', MAX_LEAVES).map(parseMirrorRelease)
  const name = read.text(product.name, 'name', namePattern)
  return {
    name,
    created,
    required: read.list(product.required, 'required', 10_000).map((slot) => {
      const {component, os, arch} = read.object(slot, 'a slot')
      return {
        component: read.text(component, 'component', namePattern),
        os: read.text(os, 'os', namePattern),
        arch: read.text(arch, 'arch', namePattern),
      }
    }),
    ...(product.floor === undefined ? {} : {floor: read.text(product.floor, 'floor', anyText)}),
    stopovers: read
      .list(product.stopovers, 'stopovers', 10_000)
      .map((version) => read.text(version, 'a stopover', anyText)),
    anchor: read.text(product.anchor, 'anchor', anyText),
    log,
    leaves: log.map((text) => parseLeaf(text, name)),
    releases: new Map(releases.map((release) => [release.file.release.version, release])),
  }
}

function parseLeaf(text: string, name: string): Leaf {
  const limits = {bytes: 4096, depth: 2, values: 16}
  const leaf = read.object(parseStrictJson(Buffer.from(text), limits), 'a leaf')
  if (canonicalJson(leaf) !== text || leaf.product !== name) read.refuse('a leaf has another form')
  const {event, time} = leaf
  if (event !== 'published' && event !== 'recalled') return read.refuse('a leaf is of another kind')
  return {
    event,
    version: read.text(leaf.version, 'version', anyText),
    digest: read.text(leaf.digest, 'digest', digestPattern),
    time: read.integer(time, 'time'),
  }
}

function parseMirrorRelease(value: JsonValue): MirrorRelease {
  const release = read.object(value, 'a release')
  read.only(release, ['envelope', 'sigstore', 'recall'], 'a release')
  const envelope = read.text(release.envelope, 'envelope', anyText)
  const file = parseRelease(Buffer.from(envelope))
  const sigstore =
    release.sigstore === undefined
      ? {}
      : {sigstore: read.text(release.sigstore, 'sigstore', anyText)}
  if (release.recall === undefined) return {file, envelope, ...sigstore}
  const recall = read.object(release.recall, 'recall')
  read.only(recall, ['reason', 'advisory', 'replacement'], 'recall')
  const optional = (key: 'advisory' | 'replacement'): JsonObject =>
    recall[key] === undefined ? {} : {[key]: read.text(recall[key], key, anyText)}
  const reason = read.text(recall.reason, 'reason', anyText)
  return {
    file,
    envelope,
    ...sigstore,
    recall: {reason, ...optional('advisory'), ...optional('replacement')},
  }
}

/** Every leaf has its release, and every release that is offered the publisher's signature. */
function checkReleases({name, anchor: anchorText, leaves, releases}: MirrorProduct): void {
  const {anchor} = parseAnchor(Buffer.from(anchorText))
  const published = new Map<string, Leaf>()
  const recalled = new Set<string>()
  for (const leaf of leaves) {
    const release = releases.get(leaf.version)
    const isTheirs = release?.file.digest === leaf.digest && release.file.release.product === name
    if (!isTheirs) read.refuse('a leaf of the log has no release')
    const isKnown = published.has(leaf.version) && !recalled.has(leaf.version)
    if (leaf.event === 'recalled' ? !isKnown : published.has(leaf.version))
      read.refuse('the log tells of a release twice, or of a recall alone')
    if (leaf.event === 'recalled') recalled.add(leaf.version)
    else published.set(leaf.version, leaf)
  }
  for (const [version, {file, recall}] of releases) {
    const leaf = published.get(version)
    if (leaf === undefined || (recall !== undefined) !== recalled.has(version))
      throw new RelError('mirror_malformed', 'a release is not what the log says')
    // what was recalled may be on the anchor's list of refused digests; nobody is offered it
    if (recall === undefined) checkRelease(file, anchor, leaf.time)
  }
}

/** One of the two logs is the beginning of the other, and the anchor is not another one. */
async function checkAgainst(store: PanelStore, mirror: MirrorProduct): Promise<void> {
  const product = await store.product(mirror.name)
  if (product === undefined) return
  let at = 0
  for await (const text of leafTexts(store, mirror.name)) {
    if (at < mirror.log.length && mirror.log[at] !== text)
      throw new RelError('mirror_conflict', `the logs of ${mirror.name} differ at leaf ${at}`)
    at++
  }
  for (const [version, {file}] of mirror.releases) {
    const release = await store.release(mirror.name, version)
    if (release !== undefined && release.digest !== file.digest)
      throw new RelError('mirror_conflict', `${mirror.name} ${version} has other content here`)
  }
  if (product.anchor !== undefined && product.anchor !== mirror.anchor)
    throw new RelError('mirror_conflict', `${mirror.name} has another trust anchor here`, {
      hint: 'bring the anchor of the product up to date on both sides first',
    })
}

async function takeBlobs(
  from: string,
  blobs: BlobStore,
  products: readonly MirrorProduct[],
): Promise<{blobs: number; bytes: number}> {
  const moved = {blobs: 0, bytes: 0}
  const seen = new Set<string>()
  for (const {releases} of products) {
    for (const {file, recall} of releases.values()) {
      for (const {sha256, size} of recall === undefined ? file.release.artifacts : []) {
        if (seen.has(sha256)) continue
        seen.add(sha256)
        if ((await blobs.stat(sha256)) === size && (await blobs.rehash(sha256))) continue
        await blobs.put(sha256, size, bytesIn(from, sha256))
        moved.blobs++
        moved.bytes += size
      }
    }
  }
  return moved
}

async function* bytesIn(from: string, sha256: string): AsyncGenerator<Uint8Array> {
  const path = join(from, 'blobs', 'sha256', sha256.slice(0, 2), sha256)
  try {
    yield* piecesOf(path)
  } catch (error) {
    throw fileError(error, path, 'read')
  }
}

/** Publishes what is new, leaf by leaf, and sets what the product demands; its floor last. */
async function replay(store: PanelStore, mirror: MirrorProduct, by: Actor): Promise<number> {
  const {name, floor} = mirror
  await store.addProduct(name, by)
  const {size} = await store.logHead(name)
  const {matrix} = await setDemands(store, mirror, size, by)
  let added = 0
  for (const leaf of mirror.leaves.slice(size)) {
    const release = mirror.releases.get(leaf.version)
    if (release === undefined) continue
    if (leaf.event === 'recalled') {
      const recall = release.recall ?? {reason: ''}
      await store.recall(name, leaf.version, recall, by, leaf.time)
      continue
    }
    const {channel, artifacts} = release.file.release
    const {envelope} = release
    const {version, digest, time} = leaf
    await store.addDraft({product: name, version, channel, digest, envelope, artifacts}, by)
    if (release.sigstore !== undefined)
      await store.setSigstore(name, version, {sigstore: release.sigstore, digest}, by)
    const expected = {digest, matrixVersion: matrix.version, logTime: time}
    await store.publish(name, version, expected, by)
    added++
  }
  if (floor !== undefined) await raiseFloor(store, name, floor, by)
  await checkHead(store, mirror)
  return added
}

/** An export older than one that was imported, or than the log here, takes nothing back. */
async function setDemands(
  store: PanelStore,
  {name, created, log, required, anchor, stopovers}: MirrorProduct,
  size: number,
  by: Actor,
): Promise<Product> {
  const setting = `mirror/${name}`
  const last = Number((await store.setting(setting)) ?? '0')
  if (created < last || log.length < size) return store.setProduct(name, {anchor}, by)
  const product = await store.setProduct(name, {required, anchor, stopovers}, by)
  await store.setSetting(setting, String(created))
  return product
}

/** A floor that is higher here already stays. */
async function raiseFloor(
  store: PanelStore,
  name: string,
  floor: string,
  by: Actor,
): Promise<void> {
  const here = (await store.product(name))?.floor
  if (here !== undefined && compareVersions(floor, here) <= 0) return
  await store.setProduct(name, {floor}, by)
}

async function checkHead(store: PanelStore, {name, log}: MirrorProduct): Promise<void> {
  const tree = new MerkleTree()
  for (const text of log) tree.append(text)
  const head = await store.logHead(name)
  if (head.size === tree.size && head.root !== tree.root())
    throw new RelError('mirror_conflict', `the log of ${name} came out different`)
}
