import {parseRelease} from '../../release/release-manifest.ts'
import {sortKey} from '../../release/version.ts'
import type {ErrorCode} from '../../system/codes.ts'
import {RelError} from '../../system/error.ts'
import {canonicalJson} from '../../trust/canonical-json.ts'
import type {BlobStore} from '../blobs/blobs.ts'
import {MerkleTree} from '../store/merkle.ts'
import type {PanelStore, Product, StoredRelease} from '../store/store.ts'
import {type AuditCheckpoint, cutBy} from './audit-checkpoint.ts'

/** One thing that is not as it was written. */
export type Finding = {
  readonly code: ErrorCode
  /** What it is about: a digest, a product and version, a row. */
  readonly subject: string
  readonly message: string
}

export type VerifyReport = {
  readonly findings: readonly Finding[]
  readonly blobs: number
  readonly bytes: number
  readonly releases: number
  readonly audit: {readonly rows: number; readonly head: string}
  readonly logs: readonly {readonly product: string; readonly size: number; readonly root: string}[]
}

export type VerifyOptions = {
  /** Called after every blob, for progress. */
  readonly onBlob?: (sha256: string) => void
  /** Where the audit log once stood, signed by the panel. */
  readonly checkpoints?: readonly AuditCheckpoint[]
}

const PAGE = 200

/**
 * Reads everything again: the bytes of every blob, the manifests of all releases, the release logs
 * and the audit chain. What is wrong is a finding; only a store that cannot be read refuses.
 */
export async function verifyPanel(
  {store, blobs}: {readonly store: PanelStore; readonly blobs: BlobStore},
  {onBlob = () => undefined, checkpoints = []}: VerifyOptions = {},
): Promise<VerifyReport> {
  const findings: Finding[] = []
  const logs: {product: string; size: number; root: string}[] = []
  const wanted = new Map<string, Wanted>()
  const events: string[] = []
  let releases = 0
  for (const product of await store.products()) {
    const published: StoredRelease[] = []
    for await (const release of allReleases(store, product)) {
      releases++
      findings.push(...releaseFindings(release))
      if (release.state !== 'draft') published.push(release)
      addWanted(wanted, release)
    }
    const log = await checkLog(store, product.name, published)
    findings.push(...log.findings)
    events.push(...log.events)
    logs.push({product: product.name, size: log.size, root: log.root})
  }
  const hashed = await checkBlobs(blobs, wanted, onBlob)
  const {rows, head, broken} = await store.verifyAudit()
  if (broken !== undefined)
    findings.push(finding('audit_chain_broken', `row ${broken}`, 'it does not fit the row before'))
  for (const checkpoint of checkpoints) {
    const cut = await cutBy(store, checkpoint)
    if (cut !== undefined) findings.push(finding('audit_chain_broken', 'the tail', cut))
  }
  findings.push(...(await unaudited(store, events)))
  return {
    ...{releases, logs, audit: {rows, head}},
    blobs: hashed.count,
    bytes: hashed.bytes,
    findings: [...findings, ...hashed.findings],
  }
}

/**
 * What the release log tells and the audit log does not: a chain whose end was cut off still fits
 * together, yet nodes remember how long the release log was.
 */
async function unaudited(
  store: PanelStore,
  events: readonly string[],
): Promise<readonly Finding[]> {
  const audited = new Set<string>()
  for (let after = -1; ; ) {
    const rows = await store.audit(after, PAGE)
    for (const {event, product, subject, details} of rows)
      if (event.startsWith('release.'))
        audited.add(eventText(event, product ?? '', subject ?? '', String(details?.digest)))
    after = rows.at(-1)?.index ?? after
    if (rows.length < PAGE) break
  }
  return events
    .filter((event) => !audited.has(event))
    .map((event) => finding('audit_chain_broken', event, 'the audit log does not have it'))
}

function eventText(event: string, product: string, version: string, digest: string): string {
  return `${event} ${product} ${version} ${digest}`
}

function finding(code: ErrorCode, subject: string, message: string): Finding {
  return {code, subject, message}
}

/** All releases of a product, newest first. */
export async function* allReleases(
  store: PanelStore,
  {name}: Product,
): AsyncGenerator<StoredRelease> {
  for (let below: string | undefined; ; ) {
    const query = {limit: PAGE, ...(below === undefined ? {} : {below})}
    const page = await store.releases(name, query)
    yield* page
    below = page.at(-1)?.sortKey
    if (page.length < PAGE) return
  }
}

/** The columns are copies of what the envelope says; the envelope's own signature is what counts. */
function releaseFindings(release: StoredRelease): readonly Finding[] {
  const subject = `${release.product} ${release.version}`
  try {
    const file = parseRelease(Buffer.from(release.envelope))
    const {version, product, channel, artifacts} = file.release
    const isSame =
      file.digest === release.digest &&
      version === release.version &&
      product === release.product &&
      channel === release.channel &&
      release.sortKey === sortKey(version) &&
      canonicalJson([...artifacts]) === canonicalJson([...release.artifacts])
    if (isSame) return []
    return [finding('release_malformed', subject, 'the database contradicts the signed manifest')]
  } catch (error) {
    if (error instanceof RelError) return [finding(error.code, subject, error.message)]
    throw error
  }
}

type Wanted = {readonly size: number; readonly by: string; readonly isPublished: boolean}

function addWanted(wanted: Map<string, Wanted>, release: StoredRelease): void {
  // the bytes of a recalled release are nobody's any more: a mirror does not have them
  const isPublished = release.state === 'published'
  for (const {sha256, size} of release.artifacts) {
    if (wanted.get(sha256)?.isPublished === true) continue
    wanted.set(sha256, {size, isPublished, by: `${release.product} ${release.version}`})
  }
}

async function checkBlobs(
  blobs: BlobStore,
  wanted: ReadonlyMap<string, Wanted>,
  onBlob: (sha256: string) => void,
): Promise<{count: number; bytes: number; findings: readonly Finding[]}> {
  const findings: Finding[] = []
  const there = new Set<string>()
  let bytes = 0
  for await (const sha256 of blobs.list()) {
    there.add(sha256)
    bytes += (await blobs.stat(sha256)) ?? 0
    if (!(await blobs.rehash(sha256)) && (await blobs.stat(sha256)) !== undefined) {
      const by = wanted.get(sha256)?.by
      const message = by === undefined ? 'no release names it' : `it is of ${by}`
      findings.push(finding('blob_mismatch', sha256, message))
    }
    onBlob(sha256)
  }
  for (const [sha256, {by, isPublished}] of wanted) {
    if (isPublished && !there.has(sha256))
      findings.push(finding('blob_missing', sha256, `it is of ${by}`))
  }
  return {count: there.size, bytes, findings}
}

type LeafFacts = {
  readonly event: string
  readonly product: string
  readonly version: string
  readonly digest: string
  readonly sequence: number
  readonly time: number
}

/**
 * The log read from its beginning, its root computed anew, and every leaf against its release. A
 * panel may publish meanwhile: what does not fit is looked at once more as it is now.
 */
async function checkLog(
  store: PanelStore,
  product: string,
  releases: readonly StoredRelease[],
): Promise<{
  size: number
  root: string
  findings: readonly Finding[]
  events: readonly string[]
}> {
  const head = await store.logHead(product)
  const tree = new MerkleTree()
  const findings: Finding[] = []
  const events: string[] = []
  const seen = {published: new Set<string>(), recalled: new Set<string>()}
  let root = tree.root()
  for await (const text of leafTexts(store, product)) {
    tree.append(text)
    if (tree.size === head.size) root = tree.root()
    const leaf = JSON.parse(text) as LeafFacts
    events.push(eventText(`release.${leaf.event}`, leaf.product, leaf.version, leaf.digest))
    if (leaf.event === 'published') seen.published.add(leaf.version)
    else seen.recalled.add(leaf.version)
    const release = await store.release(product, leaf.version)
    const isTheirs = leaf.product === product && leaf.digest === release?.digest
    const isInOrder = leaf.sequence === release?.sequence && isNext(leaf, seen.published.size)
    if (!isTheirs || !isInOrder || !isState(leaf, release))
      findings.push(
        finding('log_inconsistent', `${product} leaf ${tree.size - 1}`, 'no release fits it'),
      )
  }
  for (const {version, state} of releases) {
    const isLogged =
      seen.published.has(version) && (state !== 'recalled' || seen.recalled.has(version))
    if (!isLogged)
      findings.push(
        finding('log_inconsistent', `${product} ${version}`, `${state}, unlike the log`),
      )
  }
  if (tree.size < head.size || root !== head.root)
    findings.push(finding('log_inconsistent', product, 'the head is not the root of the leaves'))
  return {size: tree.size, root: tree.root(), findings, events}
}

function isNext({event, sequence}: LeafFacts, published: number): boolean {
  return event === 'published' ? sequence === published : sequence <= published
}

function isState({event}: LeafFacts, {state}: StoredRelease): boolean {
  return state === 'recalled' || (event === 'published' && state === 'published')
}

/** The texts of a product's log, from the first. */
export async function* leafTexts(store: PanelStore, product: string): AsyncGenerator<string> {
  for (let from = 0; ; ) {
    const leaves = await store.log(product, from, PAGE)
    for (const leaf of leaves) yield leaf.text
    from += leaves.length
    if (leaves.length < PAGE) return
  }
}
