import {type ChannelName, channelNames} from '../../release/release.ts'
import type {StoredRelease} from '../store/store.ts'
import {type Html, html} from './html.ts'
import {current, productTabs, table} from './layout.ts'
import {releaseHref, slotText, stateTag} from './product-pages.ts'
import type {Session} from './session.ts'
import {moment, size, sizeText} from './words.ts'

export type SizePoint = {
  readonly version: string
  readonly published: number
  readonly bytes: number
  readonly isRecalled: boolean
}

export type SizeView = {
  readonly product: string
  readonly channel: ChannelName
  /** Published and recalled releases of the channel, newest first. */
  readonly releases: readonly StoredRelease[]
  /** The slot of interest, as slotText writes it; all of them when undefined. */
  readonly slot?: string
}

/** The size of releases over time, as a plot and as a table. */
export function sizesMain(session: Session, {product, channel, releases, slot}: SizeView): Html {
  const slots = [...new Set(releases.flatMap(({artifacts}) => artifacts.map(slotText)))].toSorted()
  const points = sizePoints(releases, slot)
  return html`<h1>${product}</h1>
${productTabs(session, product, 'Size history')}
<h2>Size of releases</h2>
${filters({product, channel, ...(slot === undefined ? {} : {slot})}, slots)}
${points.length === 0 ? html`<div class="empty"><p>Nothing is published on ${channel} yet. Sizes are shown from the first release on.</p></div>` : plotAndTable(points, product, channel, slot)}`
}

/** Oldest first; releases without the slot are left out. */
function sizePoints(
  releases: readonly StoredRelease[],
  slot: string | undefined,
): readonly SizePoint[] {
  return releases.toReversed().flatMap(({version, published = 0, artifacts, state}) => {
    const own = artifacts.filter((artifact) => slot === undefined || slotText(artifact) === slot)
    if (own.length === 0) return []
    const bytes = own.reduce((sum, artifact) => sum + artifact.size, 0)
    return [{version, published, bytes, isRecalled: state === 'recalled'}]
  })
}

function filters(
  {product, channel, slot}: {product: string; channel: ChannelName; slot?: string},
  slots: readonly string[],
): Html {
  const href = (at: string, of: string | undefined): string =>
    `/products/${product}/sizes?channel=${at}${of === undefined ? '' : `&slot=${encodeURIComponent(of)}`}`
  const link = (text: string, to: string, is: boolean): Html =>
    html`<li><a href="${to}"${current(is)}>${text}</a></li>`
  return html`<nav class="filter" aria-label="Channel"><span class="quiet">Channel</span><ul>${channelNames.map(
    (name) => link(name, href(name, slot), name === channel),
  )}</ul></nav>
${
  slots.length > 1 &&
  html`<nav class="filter" aria-label="Artifact"><span class="quiet">Artifact</span><ul>${link('all together', href(channel, undefined), slot === undefined)}${slots.map(
    (name) => link(name, href(channel, name), name === slot),
  )}</ul></nav>`
}`
}

function plotAndTable(
  points: readonly SizePoint[],
  product: string,
  channel: ChannelName,
  slot: string | undefined,
): Html {
  const rows = points.map((point, at) => {
    const before = points[at - 1]
    return [
      html`<a href="${releaseHref(product, point.version)}">${point.version}</a>`,
      moment(point.published),
      stateTag(point.isRecalled ? 'recalled' : 'published'),
      size(point.bytes),
      before === undefined ? '' : changeText(before.bytes, point.bytes),
    ]
  })
  return html`<div class="plot">${sizePlot(points, `${slot ?? 'All artifacts'} on ${channel}`)}</div>
${table(
  'Sizes, newest first',
  [
    {title: 'Version'},
    {title: 'Published', kind: 'line'},
    {title: 'State'},
    {title: 'Size', kind: 'number'},
    {title: 'Change', kind: 'number'},
  ],
  rows.toReversed(),
)}`
}

/** `+3.1 %` against the release before. */
export function changeText(before: number, after: number): string {
  if (before === 0) return ''
  const percent = ((after - before) / before) * 100
  const rounded = percent.toFixed(1)
  if (Number(rounded) === 0) return after === before ? '0 %' : `${after > before ? '+' : '−'}0.0 %`
  return `${percent > 0 ? '+' : '−'}${rounded.replace('-', '')} %`
}

type Shape = {
  readonly name: 'wide' | 'narrow'
  readonly width: number
  readonly height: number
  /** Versions named under the plot; more would overlap. */
  readonly named: number
}

/** One for a desk and one for a phone; the stylesheet shows the one that fits. */
const shapes: readonly Shape[] = [
  {name: 'wide', width: 720, height: 250, named: 8},
  {name: 'narrow', width: 340, height: 220, named: 4},
]

const LEFT = 62
const RIGHT = 8
const TOP = 16
const BOTTOM = 34
/** Room for half a version beside the first and the last release. */
const SIDE = 28
const STEPS = 4

/** A line over releases, oldest first, from zero up; recalled ones are hollow squares. */
export function sizePlot(points: readonly SizePoint[], what: string): Html {
  return html`${shapes.map((shape) => drawn(points, what, shape))}`
}

function drawn(
  points: readonly SizePoint[],
  what: string,
  {name, width, height, named}: Shape,
): Html {
  const top = niceTop(Math.max(...points.map(({bytes}) => bytes)))
  const [first, last] = [LEFT + SIDE, width - RIGHT - SIDE]
  const x = (at: number): number =>
    points.length === 1 ? (first + last) / 2 : first + (at * (last - first)) / (points.length - 1)
  const y = (bytes: number): number => height - BOTTOM - (bytes / top) * (height - TOP - BOTTOM)
  const grid = Array.from({length: STEPS + 1}, (_, step) => {
    const bytes = (top * step) / STEPS
    const at = rounded(y(bytes))
    return html`<line class="${step === 0 ? 'base' : 'grid'}" x1="${LEFT}" x2="${width - RIGHT}" y1="${at}" y2="${at}"/><text x="${LEFT - 8}" y="${rounded(y(bytes) + 4)}" text-anchor="end">${sizeText(bytes)}</text>`
  })
  const line = points.map(({bytes}, at) => `${rounded(x(at))},${rounded(y(bytes))}`).join(' ')
  const every = Math.ceil(points.length / named)
  const names = points.map(
    ({version}, at) =>
      (points.length - 1 - at) % every === 0 &&
      html`<text x="${rounded(x(at))}" y="${height - 10}" text-anchor="middle">${shortened(version)}</text>`,
  )
  return html`<svg class="${name}" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="${name}-title ${name}-desc">
<title id="${name}-title">${what}: size of each release</title>
<desc id="${name}-desc">${described(points)}</desc>
${grid}<polyline class="trace" points="${line}"/>
${points.map((point, at) => dot(point, x(at), y(point.bytes)))}${names}</svg>`
}

function dot({version, bytes, isRecalled}: SizePoint, x: number, y: number): Html {
  const title = html`<title>${version}: ${sizeText(bytes)}${isRecalled && ', recalled'}</title>`
  return isRecalled
    ? html`<rect class="dot recalled" x="${rounded(x - 4)}" y="${rounded(y - 4)}" width="8" height="8">${title}</rect>`
    : html`<circle class="dot" cx="${rounded(x)}" cy="${rounded(y)}" r="4">${title}</circle>`
}

function described(points: readonly SizePoint[]): string {
  const [first] = points
  const last = points.at(-1)
  if (first === undefined || last === undefined) return ''
  if (points.length === 1) return `One release, ${last.version}, of ${sizeText(last.bytes)}.`
  const from = `${sizeText(first.bytes)} in ${first.version}`
  return `${points.length} releases, from ${from} to ${sizeText(last.bytes)} in ${last.version}. The table below has every number.`
}

/** The next of 1, 2, 4, 6, 8, 10, 16 … times a power of 1024 that four steps divide well. */
function niceTop(bytes: number): number {
  const unit = 1024 ** Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  const steps = [1, 2, 4, 8, 12, 16, 20, 40, 60, 80, 100, 160, 200, 400, 600, 800, 1024]
  return unit * (steps.find((step) => step * unit >= bytes) ?? 2048)
}

const rounded = (value: number): string => String(Math.round(value * 10) / 10)

const shortened = (version: string): string =>
  version.length > 12 ? `${version.slice(0, 11)}…` : version
