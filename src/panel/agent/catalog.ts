import type {ChannelName, ReleaseArtifact} from '../../release/release.ts'
import {parseRelease} from '../../release/release-manifest.ts'
import {sortKey} from '../../release/version.ts'
import {RelError} from '../../system/error.ts'
import type {Panel} from '../panel.ts'
import type {LogLeaf, Product, StoredRelease} from '../store/store.ts'

/** A published or recalled release, as much of it as routes decide on. */
export type Entry = {
  readonly version: string
  readonly sortKey: string
  readonly channel: ChannelName
  readonly state: 'published' | 'recalled'
  readonly digest: string
  readonly sequence: number
  readonly published: number
  readonly minFrom?: string
  readonly minFromKey?: string
  readonly artifacts: readonly ReleaseArtifact[]
}

/** What licences of the same channels see of a product. */
export type View = {
  readonly product: Product
  readonly channels: readonly ChannelName[]
  /** Every release of these channels at or above the floor, recalled ones as well. */
  readonly byVersion: ReadonlyMap<string, Entry>
  /** The published ones, descending. */
  readonly published: readonly Entry[]
  readonly log: {readonly size: number; readonly root: string}
  /** Rises whenever anything in it may have changed. */
  readonly generation: number
}

/** How long another instance's publication may go unseen, in milliseconds. */
const FRESH_MS = 1000
const PAGE = 500

type Shelf = {
  product: Product
  readonly entries: Map<string, Entry>
  log: {size: number; root: string}
  /** What this process had changed when it was read. */
  changes: number
  readAtMs: number
  generation: number
  views: Map<string, View>
}

/**
 * The published releases of every product, in memory, so that a release that a licence may not see
 * and one that does not exist are found absent in the same way and the same time. What this process
 * changes is seen at once, what another instance changes within a second, by the release log.
 */
export class Catalog {
  readonly #panel: Panel
  readonly #shelves = new Map<string, Shelf>()
  readonly #reading = new Map<string, Promise<Shelf | undefined>>()
  #generation = 0

  constructor(panel: Panel) {
    this.#panel = panel
  }

  /** The view of these channels; undefined for a product that is unknown. */
  view(
    product: string,
    channels: readonly ChannelName[],
  ): View | undefined | Promise<View | undefined> {
    const shelf = this.#shelves.get(product)
    if (shelf !== undefined && this.#isFresh(shelf)) return viewOf(shelf, channels)
    return this.#refresh(product).then((read) => read && viewOf(read, channels))
  }

  #isFresh({product, changes, readAtMs}: Shelf): boolean {
    return (
      performance.now() - readAtMs < FRESH_MS && changes === this.#panel.changes.of(product.name)
    )
  }

  /** One reading at a time and product; whoever comes meanwhile, with an older change, waits again. */
  async #refresh(product: string): Promise<Shelf | undefined> {
    for (;;) {
      const under = this.#reading.get(product)
      const reading = under ?? this.#read(product)
      if (under === undefined) {
        this.#reading.set(product, reading)
        reading.then(
          () => this.#reading.delete(product),
          () => this.#reading.delete(product),
        )
      }
      const shelf = await reading
      if (shelf === undefined || shelf.changes === this.#panel.changes.of(product)) return shelf
    }
  }

  async #read(name: string): Promise<Shelf | undefined> {
    const {store, changes} = this.#panel
    const [changed, readAtMs] = [changes.of(name), performance.now()]
    const product = await store.product(name)
    if (product === undefined) {
      this.#shelves.delete(name)
      return undefined
    }
    const before = this.#shelves.get(name)
    const log = await store.logHead(name)
    const known = before !== undefined && log.size >= before.log.size ? before : undefined
    const entries = known?.entries ?? new Map<string, Entry>()
    if (known === undefined) await this.#readAll(name, entries)
    else await this.#readSince(name, entries, known.log.size, log.size)
    const same = known !== undefined && isSame(known, product, log)
    const shelf: Shelf = {
      product,
      entries,
      log,
      changes: changed,
      readAtMs,
      generation: same ? known.generation : ++this.#generation,
      views: same ? known.views : new Map(),
    }
    this.#shelves.set(name, shelf)
    return shelf
  }

  async #readAll(name: string, entries: Map<string, Entry>): Promise<void> {
    for (let below: string | undefined; ; ) {
      const page = await this.#panel.store.releases(name, {
        states: ['published', 'recalled'],
        limit: PAGE,
        ...(below === undefined ? {} : {below}),
      })
      for (const release of page) entries.set(release.version, entryOf(release))
      below = page.at(-1)?.sortKey
      if (page.length < PAGE) return
    }
  }

  async #readSince(
    name: string,
    entries: Map<string, Entry>,
    from: number,
    size: number,
  ): Promise<void> {
    for (let at = from; at < size; ) {
      const leaves = await this.#panel.store.log(name, at, PAGE)
      if (leaves.length === 0) throw new RelError('store_damaged', `the log of ${name} has a gap`)
      for (const leaf of leaves) {
        const release = await this.#panel.store.release(name, versionOfLeaf(leaf))
        if (release !== undefined) entries.set(release.version, entryOf(release))
      }
      at += leaves.length
    }
  }
}

function isSame(known: Shelf, product: Product, log: Shelf['log']): boolean {
  return (
    known.log.root === log.root &&
    known.product.floor === product.floor &&
    known.product.anchor === product.anchor &&
    known.product.stopovers.join(' ') === product.stopovers.join(' ')
  )
}

/** The version that a leaf of the release log speaks of. */
export function versionOfLeaf({text}: LogLeaf): string {
  const {version} = JSON.parse(text) as {version: string}
  return version
}

function entryOf(stored: StoredRelease): Entry {
  const {minFrom} = parseRelease(Buffer.from(stored.envelope)).release
  return {
    version: stored.version,
    sortKey: stored.sortKey,
    channel: stored.channel,
    state: stored.state === 'recalled' ? 'recalled' : 'published',
    digest: stored.digest,
    sequence: stored.sequence ?? 0,
    published: stored.published ?? 0,
    ...(minFrom === undefined ? {} : {minFrom, minFromKey: sortKey(minFrom)}),
    artifacts: stored.artifacts,
  }
}

function viewOf(shelf: Shelf, channels: readonly ChannelName[]): View {
  const key = channels.join(' ')
  const there = shelf.views.get(key)
  if (there !== undefined) return there
  const {product, log, generation} = shelf
  const floor = product.floor === undefined ? '' : sortKey(product.floor)
  const seen = [...shelf.entries.values()]
    .filter((entry) => channels.includes(entry.channel) && entry.sortKey >= floor)
    .toSorted((a, b) => (a.sortKey < b.sortKey ? 1 : -1))
  const view: View = {
    product,
    channels,
    byVersion: new Map(seen.map((entry) => [entry.version, entry])),
    published: seen.filter(({state}) => state === 'published'),
    log,
    generation,
  }
  shelf.views.set(key, view)
  return view
}
