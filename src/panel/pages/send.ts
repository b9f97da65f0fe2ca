import type {FastifyReply, FastifyRequest} from 'fastify'
import {Type} from 'typebox'
import type {Panel} from '../panel.ts'
import type {Problem} from '../server/problem.ts'
import {type Html, html} from './html.ts'
import {documentOf, type Link, type Page} from './layout.ts'
import type {Session} from './session.ts'

/** A field as it was typed; what it must be is said on the page. */
export const typed = Type.String({maxLength: 4000})

/** Pages are not in the OpenAPI document. */
export const hidden = {hide: true} as const

export const productsLink: Link = {text: 'Products', href: '/'}

/** Sends a page. */
export function send(reply: FastifyReply, page: Page): FastifyReply {
  return reply.header('content-type', 'text/html; charset=utf-8').send(documentOf(page))
}

/** Nothing from elsewhere, nothing inline: hostile text that got through would still be dead. */
export const pageHeaders = {
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'cache-control': 'no-store',
} as const

/** Sends a refusal as a page. */
export function sendProblem(
  reply: FastifyReply,
  problem: Problem,
  session: Session | undefined,
): FastifyReply {
  return send(reply.code(problem.status).headers(pageHeaders), {
    title: 'Refused',
    session,
    main: problemMain(problem),
  })
}

/** True for somebody who follows a link, not for a program. */
export function isPerson({method, headers: {accept = ''}}: FastifyRequest): boolean {
  return method === 'GET' && accept.includes('text/html')
}

/** A refusal as a person reads it, with its permanent code. */
function problemMain({title, detail, hint, code, request_id: id}: Problem): Html {
  return html`<h1>${capital(title)}</h1>
<p>${capital(detail)}.</p><p>${hint}</p>
<p class="quiet">Code <code>${code}</code>, request <code>${id}</code></p>
<p class="actions"><a class="button" href="/">Products</a></p>`
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** How commands on a page reach the panel. The Host header is the browser's own, yet not trusted. */
export function addressOf(
  {config: {publicUrl}}: Pick<Panel, 'config'>,
  {protocol, host}: FastifyRequest,
): string {
  if (publicUrl !== undefined) return publicUrl
  return /^[A-Za-z0-9.-]+(?::\d{1,5})?$|^\[[0-9a-f:]+\](?::\d{1,5})?$/.test(host)
    ? `${protocol}://${host}`
    : 'http://127.0.0.1:8420'
}
