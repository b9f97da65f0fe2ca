import {channelsOf, stateAt, type Verdict, visible} from '../../release/entitlement.ts'
import type {LicenseState, TrackName} from '../../release/license.ts'
import type {Panel} from '../panel.ts'
import type {StoredLicense, StoredRelease} from '../store/store.ts'
import {type Html, html, type Shown} from './html.ts'
import {command, csrfField, decision, facts, field, may, productTabs, table, tag} from './layout.ts'
import {releaseHref, seesReleases, stateTag} from './product-pages.ts'
import {valued} from './release-pages.ts'
import type {Session} from './session.ts'
import {dayText, distanceText, moment} from './words.ts'

const DAY = 86_400
/** Releases that are explained one by one. */
const EXPLAINED = 15

const trackText: Readonly<Record<TrackName, string>> = {
  stable: 'stable',
  prerelease: 'pre-release',
}

function standingTag(standing: LicenseState): Html {
  if (standing === 'active') return tag('good', 'active')
  return standing === 'frozen' ? tag('open', 'frozen') : tag('bad', 'revoked')
}

export type LicensePage = {
  readonly product: string
  readonly licenses: readonly StoredLicense[]
  /** The id after which the next page goes on. */
  readonly next?: string
  readonly isFirst: boolean
}

/** The licences of a product. */
export function licensesMain(
  {clock}: Panel,
  session: Session,
  {product, licenses, next, isFirst}: LicensePage,
  address: string,
): Html {
  const now = clock()
  const isEmpty = licenses.length === 0 && isFirst
  return html`<h1>${product}</h1>
${productTabs(session, product, 'Licences')}
<h2>Licences</h2>
${
  isEmpty
    ? noLicenses(product, address)
    : table(
        'Licences',
        [
          {title: 'Customer'},
          {title: 'State'},
          {title: 'Track'},
          {title: 'Entitlements'},
          {title: 'Expires', kind: 'line'},
          {title: 'Id'},
        ],
        licenses.map((license) => licenseRow(license, now)),
      )
}
<div class="actions">${!isFirst && html`<a class="button" href="/products/${product}/licenses">First</a>`}${next !== undefined && html`<a class="button" href="?after=${next}">More licences</a>`}</div>`
}

function licenseRow(license: StoredLicense, now: number): Shown[] {
  const {id, customer, track, entitlements, expires, state} = license
  return [
    html`<a href="/licenses/${id}"><bdi>${customer}</bdi></a>`,
    standingTag(stateAt(expires, state, now)),
    trackText[track],
    entitlements.join(', '),
    moment(expires),
    html`<code>${id}</code>`,
  ]
}

function noLicenses(product: string, address: string): Html {
  return html`<div class="empty"><p>There is no licence yet, so no node sees a release. Issue one here, by the panel’s key:</p>
${command(
  'issue a licence',
  `rel license issue --product ${product} --customer "Acme GmbH" --expires 365d --panel ${address}`,
)}</div>`
}

/** A licence: its terms, what it sees today and why, and what may be done with it. */
export async function licenseMain(
  panel: Panel,
  session: Session,
  license: StoredLicense,
): Promise<Html> {
  const {id, product, customer, track, entitlements, expires, serial, state, reason} = license
  const now = panel.clock()
  const standing = stateAt(expires, state, now)
  const holds = may(session, 'license')
  const because = reason === undefined || reason === '' ? undefined : html`<bdi>${reason}</bdi>`
  return html`<h1><bdi>${customer}</bdi> ${standingTag(standing)}</h1>
${facts([
  ['Product', product],
  ['Id', html`<code>${id}</code>`],
  ['Track', trackText[track]],
  ['Channels', channelsOf(license).join(', ')],
  ['Entitlements', entitlements.join(', ') || 'every component, no extra channel'],
  ['Expires', html`${moment(expires)} <span class="quiet">${distanceText(expires, now)}</span>`],
  ['Reason', because],
  ['Serial', String(serial)],
  ['Issued', moment(license.created)],
  ['File', holds && html`<a href="/licenses/${id}/file">${fileName(license)}</a>`],
])}
${holds && actions(id, standing, state)}
<h2>What it sees today</h2>
${await explained(panel, license, {standing, now, links: seesReleases(session)})}`
}

/** What the file of a licence is called when it is saved. */
export function fileName({id}: Pick<StoredLicense, 'id'>): string {
  return `${id}.license`
}

function actions(id: string, standing: LicenseState, state: LicenseState): Html | undefined {
  if (state === 'revoked') return undefined
  return html`<p class="actions"><a class="button" href="/licenses/${id}/renew">Renew…</a>
${standing === 'active' && html`<a class="button" href="/licenses/${id}/freeze">Freeze…</a>`}
<a class="button danger" href="/licenses/${id}/revoke">Revoke…</a></p>`
}

async function explained(
  {store}: Panel,
  license: StoredLicense,
  {standing, now, links}: {readonly standing: LicenseState; now: number; links: boolean},
): Promise<Html> {
  const {product, state} = license
  const channels = channelsOf(license)
  const highest = await store.highest(product, channels)
  const releases = await store.releases(product, {limit: EXPLAINED})
  const sees = releases.map((release): Shown[] => [
    links
      ? html`<a href="${releaseHref(product, release.version)}">${release.version}</a>`
      : release.version,
    release.channel,
    stateTag(release.state),
    verdictText(visible(license, state, release, now)),
  ])
  return html`<p>${standingText(standing, license, now)} ${standing === 'active' && offerText(highest)}</p>
${sees.length > 0 && table('What the licence sees', [{title: 'Release'}, {title: 'Channel'}, {title: 'State'}, {title: 'To this licence'}], sees)}`
}

function standingText(standing: LicenseState, {state}: StoredLicense, now: number): string {
  if (standing === 'revoked') return 'Nothing: the licence is revoked, for good.'
  if (standing === 'active') return `On ${dayText(now)} the licence is active.`
  const why = state === 'frozen' ? 'it was frozen' : 'it has expired'
  return `Nothing new: ${why}. Its nodes keep what they have until it is renewed.`
}

function offerText(highest: StoredRelease | undefined): Html {
  return highest === undefined
    ? html`Nothing is published on its channels yet.`
    : html`It is offered <strong>${highest.version}</strong>, the highest release on its channels.`
}

function verdictText(verdict: Verdict): string {
  switch (verdict.verdict) {
    case 'visible':
      return 'visible'
    case 'recalled':
      return 'recalled: downloads are refused'
    case 'refused':
      return verdict.code === 'license_revoked'
        ? 'refused: licence revoked'
        : 'refused: licence frozen'
    case 'hidden':
      return hidden[verdict.reason]
  }
}

const hidden = {
  draft: 'hidden: a draft',
  other_channel: 'hidden: not on its channels',
  other_product: 'hidden: another product',
} as const

export const licenseDeeds = ['freeze', 'revoke', 'renew'] as const

export type LicenseDeed = (typeof licenseDeeds)[number]

export type LicenseForm = {readonly value?: string; readonly wrong?: string}

/** What is about to be done to a licence, and its form. */
export function licenseDeedMain(
  {clock}: Panel,
  session: Session,
  {id, customer, expires}: StoredLicense,
  deed: LicenseDeed,
  {value, wrong}: LicenseForm,
): Html {
  const {title, text, button} = deeds[deed]
  const shown = valued(value, wrong)
  const later = dayText(Math.max(expires, clock()) + 365 * DAY)
  const asked =
    deed === 'renew'
      ? field({
          name: 'until',
          label: 'Good through',
          hint: 'The last day, by UTC. A new file is signed by the panel’s key.',
          type: 'date',
          required: true,
          ...{value: later, ...shown},
        })
      : field({
          name: 'reason',
          label: 'Reason',
          hint: 'For people of this panel.',
          required: true,
          ...shown,
        })
  return html`<h1>${title} the licence of <bdi>${customer}</bdi>?</h1>
<p>${text}</p>
<form class="sheet" method="post" action="/licenses/${id}/${deed}">${csrfField(session)}
${asked}
${decision(button, deed === 'revoke', {text: 'Leave it as it is', href: `/licenses/${id}`})}</form>`
}

const deeds: Readonly<Record<LicenseDeed, {title: string; text: string; button: string}>> = {
  freeze: {
    title: 'Freeze',
    text: 'Its nodes keep what they have and are offered nothing new. Renewing the licence undoes this.',
    button: 'Freeze licence',
  },
  revoke: {
    title: 'Revoke',
    text: 'Every request with it is refused from now on. There is no undo: a revoked licence cannot be renewed.',
    button: 'Revoke licence',
  },
  renew: {
    title: 'Renew',
    text: 'The licence gets a later expiry and a higher serial, and is active again if it was frozen. Nodes fetch the new file by themselves; until then the panel takes the old one for it.',
    button: 'Renew licence',
  },
}

/** The first second after a day (`2026-12-31`, UTC) that is over later than now; else undefined. */
export function endOfDay(day: string, now: number): number | undefined {
  const start = /^\d{4}-\d{2}-\d{2}$/.test(day) ? Date.parse(`${day}T00:00:00Z`) / 1000 : Number.NaN
  if (Number.isNaN(start) || dayText(start) !== day || start + DAY <= now) return undefined
  return start + DAY
}
