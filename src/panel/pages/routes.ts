import type {FastifyReply, FastifyRequest} from 'fastify'
import {Type} from 'typebox'
import {type ChannelName, channelNames} from '../../release/release.ts'
import {sortKey} from '../../release/version.ts'
import {RelError} from '../../system/error.ts'
import {exact, productParams, releaseParams, versionText} from '../admin/fields.ts'
import {productOf, storedRelease} from '../admin/publish-release.ts'
import type {Panel} from '../panel.ts'
import type {PanelApp} from '../server/app.ts'
import {Buckets, checkRate, networkOf} from '../server/limits.ts'
import type {Problem} from '../server/problem.ts'
import {checkProduct, checkVerb} from '../server/token.ts'
import {type StoredRelease, type VerbName, verbNames} from '../store/store.ts'
import {assetRoutes} from './assets.ts'
import {AuditPage} from './audit-page.ts'
import {licenseRoutes} from './license-routes.ts'
import {productLink, productMain, productsMain, releaseHref} from './product-pages.ts'
import {type RecallForm, recallMain, releaseMain} from './release-pages.ts'
import {type ReportDays, reportDays, reportsMain} from './reports-page.ts'
import {addressOf, hidden, pageHeaders, productsLink, send, sendProblem, typed} from './send.ts'
import {checkForm, type Session, Sessions} from './session.ts'
import {nextOf, signInMain} from './sign-in.ts'
import {sizesMain} from './size-history.ts'
import {recallOf} from './typed.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set on pages with `config.pageVerbs`. */
    session: Session
  }
  interface FastifyContextConfig {
    /** Any one of these lets a person see the page or send its form. */
    readonly pageVerbs?: readonly VerbName[]
  }
}

/** Releases of one page. */
const PAGE = 50
/** Releases in the plot and table of sizes. */
const SIZES = 60
const DAY = 86_400
/** The largest form is a recall: three texts of 1,000 characters, percent-encoded. */
const FORM_BYTES = 40 * 1024

/** Attempts to sign in from one address; a token cannot be guessed, this keeps the noise down. */
const signInLimit = {perSec: 0.5, burst: 20}

const reportSpan = Type.Union(reportDays.map((days) => Type.Literal(days)))
const channel = Type.Union(channelNames.map((name) => Type.Literal(name)))
/** What happened to a refusal before it is shown: it was counted and logged. */
export type Refused = (error: unknown, request: FastifyRequest) => Problem

/** The panel for people with a browser. Everything works without scripts. */
export function pageRoutes(app: PanelApp, panel: Panel, refused: Refused): void {
  const sessions = new Sessions(panel)
  readForms(app)
  app.decorateRequest('session', null as unknown as Session)
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(pageHeaders)
    done()
  })
  app.setErrorHandler((error, request, reply) => {
    const problem = refused(error, request)
    if (problem.status === 401) reply.header('www-authenticate', 'Bearer')
    const wait = problem.details?.retry_after
    if (typeof wait === 'number') reply.header('retry-after', String(wait))
    if (!request.raw.complete) reply.header('connection', 'close')
    return sendProblem(reply, problem, request.session ?? undefined)
  })
  assetRoutes(app)
  signInRoutes(app, panel, sessions)
  app.register(async (scope) => {
    guard(scope as PanelApp, panel, sessions)
    productRoutes(scope as PanelApp, panel)
    reportsRoute(scope as PanelApp, panel)
    releaseRoutes(scope as PanelApp, panel)
    licenseRoutes(scope as PanelApp, panel)
    auditRoute(scope as PanelApp, panel)
    signOutRoute(scope as PanelApp, sessions)
  })
}

/** Forms, each field at most once. */
function readForms(app: PanelApp): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    {parseAs: 'buffer', bodyLimit: FORM_BYTES},
    async (_request: FastifyRequest, body: Buffer) => {
      const pairs = [...new URLSearchParams(body.toString('utf8'))]
      const fields = new Map(pairs)
      if (fields.size !== pairs.length)
        throw new RelError('request_invalid', 'the form has a field twice')
      return Object.fromEntries(fields)
    },
  )
}

/** Who looks is settled before a byte of a form is read, that the form is theirs before it acts. */
function guard(app: PanelApp, panel: Panel, sessions: Sessions): void {
  const credentials = new Buckets(panel.config.limits.perCredential)
  app.addHook('onRoute', ({config, method, url}) => {
    if (config?.pageVerbs === undefined)
      throw new Error(`${String(method)} ${url} does not say who may see it`)
  })
  app.addHook('onRequest', async (request, reply) => {
    const session = await sessions.find(request)
    if (session === undefined) {
      const next = request.method === 'GET' ? nextOf(request.url) : '/'
      const query = next === '/' ? '' : `?next=${encodeURIComponent(next)}`
      return reply.redirect(`/sign-in${query}`, 303)
    }
    request.session = session
    checkRate(credentials, session.token.id)
    checkVerb(session, request.routeOptions.config.pageVerbs ?? [])
    const {product} = (request.params ?? {}) as {readonly product?: string}
    if (product !== undefined) checkProduct(session, product)
  })
  app.addHook('preHandler', async (request) => {
    if (request.method === 'GET') return
    const {csrf = ''} = (request.body ?? {}) as {readonly csrf?: string}
    checkForm(request, request.session.csrf, csrf)
  })
}

function signInRoutes(app: PanelApp, panel: Panel, sessions: Sessions): void {
  const attempts = new Buckets(signInLimit)

  app.get(
    '/sign-in',
    {schema: {...hidden, querystring: Type.Object({next: Type.Optional(typed)})}},
    async (request, reply) => {
      const csrf = await sessions.formToken(request, reply)
      const main = signInMain({csrf, next: nextOf(request.query.next)})
      return send(reply, {title: 'Sign in', session: undefined, main})
    },
  )

  app.post(
    '/sign-in',
    {schema: {...hidden, body: exact({csrf: typed, next: Type.Optional(typed), token: typed})}},
    async (request, reply) => {
      checkRate(attempts, networkOf(request.ip))
      const {csrf, token} = request.body
      const next = nextOf(request.body.next)
      await sessions.checkFormToken(request, csrf)
      try {
        reply.header('set-cookie', await sessions.begin(request, token.trim()))
      } catch (error) {
        if (!(error instanceof RelError) || error.code !== 'token_invalid') throw error
        panel.log({level: 'info', event: 'sign-in.refused', fields: {request_id: request.id}})
        const wrong = 'This token is unknown, expired or revoked.'
        const main = signInMain({csrf, next, wrong})
        return send(reply.code(422), {title: 'Sign in', session: undefined, main})
      }
      return reply.redirect(next, 303)
    },
  )
}

function signOutRoute(app: PanelApp, sessions: Sessions): void {
  app.post(
    '/sign-out',
    {config: {pageVerbs: [...verbNames]}, schema: {...hidden, body: exact({csrf: typed})}},
    async (request, reply) =>
      reply
        .header('set-cookie', await sessions.end(request, request.session))
        .redirect('/sign-in', 303),
  )
}

function productRoutes(app: PanelApp, panel: Panel): void {
  const {store} = panel
  const seen = {pageVerbs: ['publish', 'release', 'audit']} as const

  app.get('/', {config: {pageVerbs: [...verbNames]}, schema: hidden}, async (request, reply) => {
    const main = await productsMain(panel, request.session, addressOf(panel, request))
    return send(reply, {title: 'Products', session: request.session, main})
  })

  app.get(
    '/products/:product',
    {
      config: seen,
      schema: {
        ...hidden,
        params: productParams,
        querystring: Type.Object({
          channel: Type.Optional(channel),
          below: Type.Optional(versionText),
        }),
      },
    },
    async (request, reply) => {
      const {
        params,
        query: {channel: only, below},
        session,
      } = request
      const product = await productOf(panel, params.product)
      const found = await store.releases(product.name, {
        limit: PAGE + 1,
        ...(only === undefined ? {} : {channels: [only]}),
        ...(below === undefined ? {} : {below: sortKey(below)}),
      })
      const releases = found.slice(0, PAGE)
      const last = found.length > PAGE ? releases.at(-1)?.version : undefined
      const main = await productMain(
        panel,
        session,
        product,
        {
          releases,
          isFirst: below === undefined,
          ...(only === undefined ? {} : {channel: only}),
          ...(last === undefined ? {} : {next: last}),
        },
        addressOf(panel, request),
      )
      return send(reply, {title: product.name, session, trail: [productsLink], main})
    },
  )

  app.get(
    '/products/:product/sizes',
    {
      config: seen,
      schema: {
        ...hidden,
        params: productParams,
        querystring: Type.Object({
          channel: Type.Optional(channel),
          slot: Type.Optional(Type.String({maxLength: 200})),
        }),
      },
    },
    async ({params, query, session}, reply) => {
      const {name} = await productOf(panel, params.product)
      const {slot} = query
      const on: ChannelName = query.channel ?? 'stable'
      const releases = await store.releases(name, {
        channels: [on],
        states: ['published', 'recalled'],
        limit: SIZES,
      })
      const view = {product: name, channel: on, releases, ...(slot === undefined ? {} : {slot})}
      return send(reply, {
        title: 'Size history',
        session,
        trail: [productsLink, productLink(session, name)],
        main: sizesMain(session, view),
      })
    },
  )
}

function reportsRoute(app: PanelApp, {store, clock}: Panel): void {
  app.get(
    '/products/:product/reports',
    {
      config: {pageVerbs: ['release', 'license', 'audit']},
      schema: {
        ...hidden,
        params: productParams,
        querystring: Type.Object({
          days: Type.Optional(reportSpan),
        }),
      },
    },
    async ({params, query, session}, reply) => {
      const days: ReportDays = query.days ?? '7'
      const {name} = await productOf({store}, params.product)
      const counts = await store.reportCounts(name, clock() - Number(days) * DAY)
      return send(reply, {
        title: 'Reports',
        session,
        trail: [productsLink, productLink(session, name)],
        main: reportsMain(session, {product: name, days, counts}),
      })
    },
  )
}

function releaseRoutes(app: PanelApp, panel: Panel): void {
  const seen = {pageVerbs: ['publish', 'release', 'audit']} as const
  const url = '/products/:product/releases/:version'

  app.get(
    url,
    {config: seen, schema: {...hidden, params: releaseParams}},
    async (request, reply) => {
      const {params, session} = request
      const product = await productOf(panel, params.product)
      const stored = await storedRelease(panel, params.product, params.version)
      return send(reply, {
        title: stored.version,
        session,
        trail: [productsLink, productLink(session, product.name)],
        main: await releaseMain(panel, session, product, stored, addressOf(panel, request)),
      })
    },
  )

  app.get(
    `${url}/manifest.json`,
    {config: seen, schema: {...hidden, params: releaseParams}},
    async ({params: {product, version}}, reply) => {
      const {envelope} = await storedRelease(panel, product, version)
      return reply
        .header('content-type', 'application/json')
        .header('content-disposition', 'attachment; filename="release.json"')
        .send(Buffer.from(envelope))
    },
  )

  app.get(
    `${url}/recall`,
    {config: {pageVerbs: ['release']}, schema: {...hidden, params: releaseParams}},
    async ({params, session}, reply) => {
      const stored = await published(params)
      return sendRecall(reply, session, stored, {})
    },
  )

  app.post(
    `${url}/recall`,
    {
      config: {pageVerbs: ['release']},
      schema: {
        ...hidden,
        params: releaseParams,
        body: exact({csrf: typed, reason: typed, advisory: typed, replacement: typed}),
      },
    },
    async ({params, body: {csrf: _csrf, ...body}, session}, reply) => {
      const stored = await published(params)
      const asked = recallOf(body)
      if ('wrong' in asked)
        return sendRecall(reply.code(422), session, stored, {...body, wrong: asked.wrong})
      const {product, version} = stored
      await panel.store.recall(product, version, asked, session.actor)
      panel.changes.mark(product)
      return reply.redirect(releaseHref(product, version), 303)
    },
  )

  /** Refuses with release_unknown, release_not_published. */
  async function published(params: {product: string; version: string}): Promise<StoredRelease> {
    const stored = await storedRelease(panel, params.product, params.version)
    if (stored.state === 'published') return stored
    throw new RelError('release_not_published', `${stored.version} is ${stored.state}`)
  }
}

function sendRecall(
  reply: FastifyReply,
  session: Session,
  stored: StoredRelease,
  form: RecallForm,
): FastifyReply {
  const {product, version} = stored
  return send(reply, {
    title: 'Recall',
    session,
    trail: [
      productsLink,
      productLink(session, product),
      {text: version, href: releaseHref(product, version)},
    ],
    main: recallMain(session, stored, form),
  })
}

function auditRoute(app: PanelApp, panel: Panel): void {
  const page = new AuditPage(panel)
  app.get(
    '/audit',
    {
      config: {pageVerbs: ['audit']},
      schema: {
        ...hidden,
        querystring: Type.Object({
          before: Type.Optional(Type.Integer({minimum: 1, maximum: 2 ** 53 - 1})),
        }),
      },
    },
    async ({query: {before}, session}, reply) => {
      checkProduct(session, undefined)
      return send(reply, {title: 'Audit log', session, main: await page.main(before)})
    },
  )
}
