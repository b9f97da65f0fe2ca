import {codeInfo, isErrorCode} from '../../system/codes.ts'
import type {ReportCount} from '../store/store.ts'
import {type Html, html} from './html.ts'
import {current, productTabs, table} from './layout.ts'
import type {Session} from './session.ts'
import {countText, moment} from './words.ts'

/** Spans that are offered, in days; reports are kept for the longest. */
export const reportDays = ['1', '7', '30'] as const

export type ReportDays = (typeof reportDays)[number]

export type ReportsView = {
  readonly product: string
  readonly days: ReportDays
  readonly counts: readonly ReportCount[]
}

/** What nodes of a product ran into: codes by version, phase and count, the most frequent first. */
export function reportsMain(session: Session, {product, days, counts}: ReportsView): Html {
  const total = counts.reduce((sum, {reports}) => sum + reports, 0)
  return html`<h1>${product}</h1>
${productTabs(session, product, 'Reports')}
${spanFilter(product, days)}
${
  counts.length === 0
    ? html`<p class="quiet">No node has reported anything in this time.</p>`
    : html`<p>${total === 1 ? 'One report' : `${countText(total)} reports`}. They come from the nodes, so they are claims, not proof; <code>rel explain CODE</code> says what a code means.</p>
${table(
  'Reports',
  [
    {title: 'Code'},
    {title: 'Version', kind: 'line'},
    {title: 'Phase'},
    {title: 'Reports', kind: 'number'},
    {title: 'Licences', kind: 'number'},
    {title: 'Latest', kind: 'line'},
  ],
  counts.map(({code, version, phase, reports, licenses, latest}) => [
    codeText(code),
    version,
    phase,
    countText(reports),
    countText(licenses),
    moment(latest),
  ]),
)}`
}`
}

/** With what it means, when it is one of this rel's; a node may have another version, or lie. */
function codeText(code: string): Html {
  if (!isErrorCode(code)) return html`<code>${code}</code>`
  return html`<code>${code}</code><div class="quiet">${codeInfo(code).title}</div>`
}

function spanFilter(product: string, days: ReportDays): Html {
  return html`<nav class="filter" aria-label="Time"><span class="quiet">Last</span><ul>${reportDays.map(
    (each) =>
      html`<li><a href="/products/${product}/reports?days=${each}"${current(each === days)}>${each === '1' ? '1 day' : `${each} days`}</a></li>`,
  )}</ul></nav>`
}
