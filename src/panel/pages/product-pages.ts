import {type ChannelName, channelNames, type Slot} from '../../release/release.ts'
import {type Flaw, missingOf} from '../admin/flaws.ts'
import {fileOf} from '../admin/publish-release.ts'
import type {Panel} from '../panel.ts'
import type {Product, StoredRelease} from '../store/store.ts'
import {type Html, html, type Shown} from './html.ts'
import {command, current, facts, type Link, may, productTabs, table, tag} from './layout.ts'
import type {Session} from './session.ts'
import {moment, size} from './words.ts'

/** What is missing is spelled out for so many slots in a list; the release's page has them all. */
const LISTED = 4
/** Drafts of a list whose artifacts are looked for; a draft of 1,000 artifacts asks the store 1,000 times. */
const CHECKED = 10

/** Where a release is shown. */
export function releaseHref(product: string, version: string): string {
  return `/products/${product}/releases/${encodeURIComponent(version)}`
}

/** The products that the token may see, with their newest stable release. */
export async function productsMain(
  {store}: Panel,
  session: Session,
  address: string,
): Promise<Html> {
  const all = await store.products()
  const own = all.filter(({name}) => session.token.products?.includes(name) ?? true)
  if (own.length === 0)
    return html`<h1>Products</h1><div class="empty"><p>There is no product yet${session.token.products !== undefined && html` that this token is for`}. An administrator makes one, then sets whose signatures count and what every release must have:</p>
${command('make a product', madeProduct(address))}</div>`
  const rows: Shown[][] = []
  for (const product of own) {
    const newest = await store.highest(product.name, ['stable'])
    rows.push([
      html`<a href="${productLink(session, product.name).href}">${product.name}</a>`,
      newest === undefined ? html`<span class="quiet">none yet</span>` : newest.version,
      newest?.published === undefined ? '' : moment(newest.published),
      String(product.matrix.required.length),
      product.anchor === undefined
        ? html`<span class="lack">no trust anchor</span>`
        : tag('good', 'trust anchor set'),
    ])
  }
  return html`<h1>Products</h1>${table(
    'Products',
    [
      {title: 'Product'},
      {title: 'Newest stable'},
      {title: 'Published', kind: 'line'},
      {title: 'Required slots', kind: 'number'},
      {title: 'Keys'},
    ],
    rows,
  )}`
}

/** A token for licences alone does not see releases. */
export function seesReleases(session: Session): boolean {
  return may(session, 'publish', 'release', 'audit')
}

/** The first page of a product that the session may see. */
export function productLink(session: Session, product: string): Link {
  const base = `/products/${product}`
  return {text: product, href: seesReleases(session) ? base : `${base}/licenses`}
}

function madeProduct(address: string): string {
  return setUp('agent', address, {product: true, anchor: true, matrix: true})
}

/** Commands that give a product what it lacks. */
function setUp(
  name: string,
  address: string,
  lacks: {readonly product?: boolean; readonly anchor: boolean; readonly matrix: boolean},
): string {
  const path = `$panel/v1/products/${name}`
  const lines = [
    `panel=${address}`,
    'auth="Authorization: Bearer $(cat admin-token)"',
    "json='Content-Type: application/json'",
    lacks.product === true && `curl -H "$auth" -X PUT ${path}`,
    lacks.anchor && `curl -H "$auth" -H "$json" -X PUT ${path}/keys --data-binary @trust.json`,
    lacks.matrix &&
      `curl -H "$auth" -H "$json" -X PUT ${path}/matrix \\\n  -d '{"required":[{"component":"agent","os":"linux","arch":"amd64"}]}'`,
  ]
  return lines.filter((line) => line !== false).join('\n')
}

export type ReleasePage = {
  readonly channel?: ChannelName
  readonly releases: readonly StoredRelease[]
  /** The version after which the next page goes on. */
  readonly next?: string
  readonly isFirst: boolean
}

/** A product: what its channels offer, and its releases. */
export async function productMain(
  panel: Panel,
  session: Session,
  product: Product,
  page: ReleasePage,
  address: string,
): Promise<Html> {
  return html`<h1>${product.name}</h1>
${productTabs(session, product.name, 'Releases')}
${lacksOf(product, address)}
<h2>Channels</h2>
${await channels(panel, product)}
<h2 id="releases">Releases</h2>
${page.releases.length === 0 && page.isFirst && page.channel === undefined ? noReleases(product.name, address) : await releaseList(panel, product, page)}
<h2>What every release must have</h2>
${demands(product)}`
}

function lacksOf({name, anchor, matrix}: Product, address: string): Html | undefined {
  const lacks = [
    ...(anchor === undefined ? ['a trust anchor, which says whose signatures count'] : []),
    ...(matrix.required.length === 0 ? ['a matrix, which says what every release must have'] : []),
  ]
  if (lacks.length === 0) return undefined
  return html`<div class="note alarm"><p>Nothing can be published yet: the product lacks ${lacks.join(' and ')}. An administrator sets it:</p>${command('set up the product', setUp(name, address, {anchor: anchor === undefined, matrix: matrix.required.length === 0}))}</div>`
}

const seenBy: Readonly<Record<ChannelName, string>> = {
  stable: 'stable licences',
  rc: 'pre-release licences',
  beta: 'pre-release licences',
  canary: 'licences with channel:canary',
}

async function channels({store}: Panel, {name}: Product): Promise<Html> {
  const rows = await Promise.all(
    channelNames.map(async (channel): Promise<Shown[]> => {
      const newest = await store.highest(name, [channel])
      return [
        channel,
        newest === undefined
          ? html`<span class="quiet">nothing published</span>`
          : html`<a href="${releaseHref(name, newest.version)}">${newest.version}</a>`,
        newest?.published === undefined ? '' : moment(newest.published),
        seenBy[channel],
      ]
    }),
  )
  return table(
    'Channels',
    [{title: 'Channel'}, {title: 'Offers'}, {title: 'Since', kind: 'line'}, {title: 'Seen by'}],
    rows,
  )
}

function noReleases(product: string, address: string): Html {
  return html`<div class="empty"><p>There is no release yet. Sign a manifest of the built files, then publish them:</p>
${command(
  'publish a release',
  `rel release manifest dist --product ${product} --version 1.0.0 --key release\n${publishing(address)}`,
)}</div>`
}

/** The command that sends what is missing and publishes; it may be run again. */
export function publishing(address: string): string {
  return `REL_PANEL_TOKEN=$(cat token) rel publish dist --panel ${address}`
}

async function releaseList(panel: Panel, product: Product, page: ReleasePage): Promise<Html> {
  const rows: Shown[][] = []
  let drafts = 0
  for (const release of page.releases) {
    const isChecked = release.state !== 'draft' || ++drafts <= CHECKED
    rows.push(
      releaseRow(product.name, release, await completeness(panel, product, release, isChecked)),
    )
  }
  const {channel, next, isFirst} = page
  const query = channel === undefined ? '' : `channel=${channel}&`
  return html`${channelFilter(product.name, channel)}
${rows.length === 0 ? html`<p class="quiet">There is no ${isFirst ? '' : 'older '}release here.</p>` : releaseTable(rows)}
<div class="actions">${!isFirst && html`<a class="button" href="?${query.slice(0, -1)}#releases">Newest</a>`}${next !== undefined && html`<a class="button" href="?${query}below=${encodeURIComponent(next)}#releases">Older releases</a>`}</div>`
}

function releaseTable(rows: readonly (readonly Shown[])[]): Html {
  return table(
    'Releases',
    [
      {title: 'Version'},
      {title: 'Channel'},
      {title: 'State'},
      {title: 'Complete'},
      {title: 'Sequence', kind: 'number'},
      {title: 'Date', kind: 'line'},
      {title: 'Size', kind: 'number'},
    ],
    rows,
  )
}

function channelFilter(product: string, at: ChannelName | undefined): Html {
  const base = `/products/${product}`
  const links = [
    html`<li><a href="${base}#releases"${current(at === undefined)}>all</a></li>`,
    ...channelNames.map(
      (name) =>
        html`<li><a href="${base}?channel=${name}#releases"${current(at === name)}>${name}</a></li>`,
    ),
  ]
  return html`<nav class="filter" aria-label="Channel"><span class="quiet">Channel</span><ul>${links}</ul></nav>`
}

/** What is published was complete then, and stays so. */
async function completeness(
  {blobs}: Panel,
  {name, matrix}: Product,
  release: StoredRelease,
  isChecked: boolean,
): Promise<Shown> {
  if (!isChecked)
    return html`<a href="${releaseHref(name, release.version)}">see what is missing<span class="sr"> in ${release.version}</span></a>`
  const missing =
    release.state === 'draft' ? await missingOf(blobs, fileOf(release).release, matrix) : []
  return missing.length === 0 ? 'complete' : missingList(missing, LISTED)
}

function releaseRow(name: string, release: StoredRelease, complete: Shown): Shown[] {
  const {version, channel, state, sequence, published, created, recall} = release
  return [
    html`<a href="${releaseHref(name, version)}">${version}</a>`,
    channel,
    html`${stateTag(state)}${recall !== undefined && html`<div><bdi>${recall.reason}</bdi></div>`}`,
    complete,
    sequence === undefined ? '' : String(sequence),
    html`${published === undefined ? 'drafted ' : ''}${moment(published ?? created)}`,
    size(release.artifacts.reduce((sum, artifact) => sum + artifact.size, 0)),
  ]
}

/** The state of a release. */
export function stateTag(state: StoredRelease['state']): Html {
  if (state === 'published') return tag('good', 'published')
  return state === 'draft' ? tag('open', 'draft') : tag('bad', 'recalled')
}

const reasons: Partial<Record<Flaw['reason'], string>> = {
  no_artifact: 'no artifact in the manifest',
  not_required: 'its artifact is not marked as required',
  not_uploaded: 'not uploaded',
}

/** Exactly what is missing, slot by slot; at most so many of them. */
export function missingList(missing: readonly Flaw[], most = missing.length): Html {
  const more = missing.length - most
  return html`<ul class="lack">${missing
    .slice(0, most)
    .map(
      ({name, component, os, arch, reason}) =>
        html`<li>${name ?? slotText({component, os, arch})}: ${reasons[reason] ?? reason}</li>`,
    )}${more > 0 && html`<li>and ${more} more</li>`}</ul>`
}

export function slotText({component, os, arch}: Slot): string {
  return `${component} ${os}/${arch}`
}

function demands({matrix, floor, stopovers, created}: Product): Html {
  return facts([
    [
      'Required',
      matrix.required.length === 0
        ? 'not set'
        : html`<ul>${matrix.required.map((slot) => html`<li>${slotText(slot)}</li>`)}</ul>`,
    ],
    ['Floor', floor ?? html`<span class="quiet">none: every published version is offered</span>`],
    ['Stop-overs', stopovers.join(', ')],
    ['Product since', moment(created)],
  ])
}
