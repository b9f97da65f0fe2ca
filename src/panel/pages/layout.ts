import type {VerbName} from '../store/store.ts'
import {iconUrl, scriptUrl, stylesheetUrl} from './assets.ts'
import {type Html, html, type Shown} from './html.ts'
import type {Session} from './session.ts'

export type Page = {
  /** The heading as plain text, for the window. */
  readonly title: string
  readonly session: Session | undefined
  /** Pages above this one. */
  readonly trail?: readonly Link[]
  readonly main: Html
}

export type Link = {readonly text: string; readonly href: string}

/** A whole document. */
export function documentOf({title, session, trail = [], main}: Page): string {
  const {text} = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · rel panel</title>
<link rel="stylesheet" href="${stylesheetUrl}">
<link rel="icon" href="${iconUrl}" type="image/svg+xml">
<script src="${scriptUrl}" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header class="top"><div class="bar">
<a class="mark" href="/"><b>rel</b> panel</a>
${session !== undefined && signedIn(session, title)}
</div></header>
${trail.length > 0 && trailOf(trail, title)}
<main id="main" tabindex="-1">
${main}
</main>
<footer class="foot">${session !== undefined && 'Times are UTC.'}</footer>
</body>
</html>
`
  return text
}

function signedIn(session: Session, title: string): Html {
  const links = [
    {text: 'Products', href: '/'},
    ...(seesAudit(session) ? [{text: 'Audit log', href: '/audit'}] : []),
  ]
  return html`<nav aria-label="Main"><ul>${links.map(
    ({text, href}) => html`<li><a href="${href}"${current(text === title)}>${text}</a></li>`,
  )}</ul></nav>
<form class="who" method="post" action="/sign-out">${csrfField(session)}
<span>Token <bdi>${session.token.name}</bdi></span> <button>Sign out</button></form>`
}

function trailOf(trail: readonly Link[], title: string): Html {
  return html`<nav class="trail" aria-label="Breadcrumb"><ol>${trail.map(
    ({text, href}) => html`<li><a href="${href}">${text}</a></li>`,
  )}<li><span aria-current="page">${title}</span></li></ol></nav>`
}

/** The attribute of the link to where one is. */
export function current(is: boolean): Html {
  return is ? html` aria-current="page"` : html``
}

/** Views of one product. */
export function productTabs(session: Session, product: string, at: string): Html {
  const base = `/products/${product}`
  const tabs = [
    ...(may(session, 'publish', 'release', 'audit')
      ? [
          {text: 'Releases', href: base},
          {text: 'Size history', href: `${base}/sizes`},
        ]
      : []),
    ...(may(session, 'release', 'license', 'audit')
      ? [{text: 'Reports', href: `${base}/reports`}]
      : []),
    ...(may(session, 'license', 'audit') ? [{text: 'Licences', href: `${base}/licenses`}] : []),
  ]
  return html`<nav class="tabs" aria-label="${product}"><ul>${tabs.map(
    ({text, href}) => html`<li><a href="${href}"${current(text === at)}>${text}</a></li>`,
  )}</ul></nav>`
}

/** True when the session's token has one of these verbs; `admin` has them all. */
export function may({token: {verbs}}: Session, ...wanted: readonly VerbName[]): boolean {
  return verbs.includes('admin') || wanted.some((verb) => verbs.includes(verb))
}

/** The audit log is of all products, so a token for some of them does not see it. */
function seesAudit(session: Session): boolean {
  return may(session, 'audit') && session.token.products === undefined
}

export function csrfField({csrf}: Pick<Session, 'csrf'>): Html {
  return html`<input type="hidden" name="csrf" value="${csrf}">`
}

export type Column = {
  readonly title: string
  /** `number` is aligned to the right, `line` is not wrapped. */
  readonly kind?: 'number' | 'line'
}

const kinds = {number: 'n', line: 'w'} as const

/**
 * A table whose rows become blocks on a phone. The roles say again what `display: block` takes from
 * the elements. The first cell names its row.
 */
export function table(
  caption: string,
  columns: readonly Column[],
  rows: readonly (readonly Shown[])[],
): Html {
  const classOf = (at: number, isBlank = false): string => {
    const kind = columns[at]?.kind
    return [kind === undefined ? '' : kinds[kind], isBlank ? 'blank' : ''].join(' ').trim()
  }
  const cell = (value: Shown, at: number): Html => {
    const label = columns[at]?.title ?? ''
    const names = classOf(at, value === '' || value === undefined)
    return at === 0
      ? html`<th scope="row" role="rowheader" class="${names}" data-label="${label}"><span>${value}</span></th>`
      : html`<td role="cell" class="${names}" data-label="${label}"><div>${value}</div></td>`
  }
  return html`<table role="table"><caption class="sr">${caption}</caption>
<thead role="rowgroup"><tr role="row">${columns.map(
    ({title}, at) => html`<th scope="col" role="columnheader" class="${classOf(at)}">${title}</th>`,
  )}</tr></thead>
<tbody role="rowgroup">${rows.map((row) => html`<tr role="row">${row.map(cell)}</tr>\n`)}</tbody></table>`
}

/** Facts by name; those without a value are left out. */
export function facts(entries: readonly (readonly [string, Shown])[]): Html {
  const given = entries.filter(([, value]) => value !== undefined && value !== '')
  return html`<dl class="facts">${given.map(
    ([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>\n`,
  )}</dl>`
}

/** A command to copy; `what` names it for those who do not see it. */
export function command(what: string, text: string): Html {
  return html`<div class="command" data-what="${what}"><pre>${text}</pre></div>`
}

const tagClass = {good: 'tag on', open: 'tag', bad: 'tag off'} as const

/** A state in a word; its mark differs in shape, not in colour alone. */
export function tag(kind: keyof typeof tagClass, text: string): Html {
  return html`<span class="${tagClass[kind]}">${text}</span>`
}

/** A page's closing question: the button that does it, in the colour of what it does, and a way back. */
export function decision(text: string, isFinal: boolean, back: Link): Html {
  return html`<div class="actions"><button class="${isFinal ? 'stop' : 'go'}">${text}</button> <a class="button" href="${back.href}">${back.text}</a></div>`
}

export type Field = {
  readonly name: string
  readonly label: string
  readonly hint?: string
  readonly value?: string
  readonly wrong?: string
  readonly type?: 'text' | 'date' | 'password'
  readonly required?: boolean
  readonly maxLength?: number
}

/** A labelled input with its hint and, after a refusal, what is wrong with it. */
export function field({
  name,
  label,
  hint,
  value = '',
  wrong,
  type = 'text',
  required = false,
  maxLength = 1000,
}: Field): Html {
  const about = [
    ...(hint === undefined ? [] : [`${name}-hint`]),
    ...(wrong === undefined ? [] : [`${name}-wrong`]),
  ].join(' ')
  return html`<div class="field"><label for="${name}">${label}${!required && html` <span class="quiet">(optional)</span>`}</label>
${hint !== undefined && html`<p class="hint" id="${name}-hint">${hint}</p>`}
${wrong !== undefined && html`<p class="wrong" id="${name}-wrong">${wrong}</p>`}
<input id="${name}" name="${name}" type="${type}" value="${value}" maxlength="${maxLength}" autocomplete="off" spellcheck="false"${required && html` required`}${wrong !== undefined && html` aria-invalid="true" autofocus`}${about !== '' && html` aria-describedby="${about}"`}></div>`
}
