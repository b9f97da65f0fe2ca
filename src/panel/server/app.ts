import {randomBytes} from 'node:crypto'
import type {Socket} from 'node:net'
import swagger from '@fastify/swagger'
import type {TypeBoxTypeProvider} from '@fastify/type-provider-typebox'
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify'
import {Compile} from 'typebox/compile'
import {Value} from 'typebox/value'
import {RelError} from '../../system/error.ts'
import {parseStrictJson} from '../../trust/strict-json.ts'
import {adminRoutes} from '../admin/routes.ts'
import {agentRoutes} from '../agent/routes.ts'
import {oidcRoutes} from '../oidc/exchange.ts'
import {pageRoutes} from '../pages/routes.ts'
import {isPerson, sendProblem} from '../pages/send.ts'
import type {Panel} from '../panel.ts'
import type {VerbName} from '../store/store.ts'
import {healthRoutes} from './health.ts'
import {Buckets, networkOf} from './limits.ts'
import {Metrics} from './metrics.ts'
import {openapiOptions} from './openapi.ts'
import {type Problem, problemOf, relErrorOf} from './problem.ts'
import {type SlowPeers, watchPeers} from './slow-peers.ts'
import type {Caller} from './token.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set on routes with `config.verbs`. */
    caller: Caller
  }
  interface FastifyContextConfig {
    /** Any one of these lets a token in. */
    readonly verbs?: readonly VerbName[]
    /** Who is asked for otherwise, for the OpenAPI document. */
    readonly by?: 'license' | 'token'
  }
}

/** What a plugin of routes is given. */
export type PanelApp = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

/** How often connections that have become idle are closed while the server stops. */
const CLOSE_IDLE_MS = 20

/** Depth of JSON bodies; a release manifest has 5. */
const JSON_DEPTH = 16

/**
 * The HTTP server of a panel, not listening yet. It owns nothing that the panel does not: closing it
 * ends what is under way and leaves the panel open.
 */
export function panelApp(panel: Panel): PanelApp {
  const {limits, proxies} = panel.config
  const newId = requestIds()
  const metrics = new Metrics()
  const app: PanelApp = fastify({
    logger: false,
    genReqId: newId,
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestSecs * 1000,
    keepAliveTimeout: limits.idleSecs * 1000,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    exposeHeadRoutes: false,
    ...(proxies.length === 0 ? {} : {trustProxy: [...proxies]}),
    routerOptions: {maxParamLength: 256, caseSensitive: true, ignoreTrailingSlash: false},
    http: {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headerSecs * 1000,
      connectionsCheckingInterval: Math.min(5000, limits.headerSecs * 250),
    },
    frameworkErrors: (error, request, reply) => refuse(error, request, reply as FastifyReply),
    clientErrorHandler: (error, socket) => refuseRaw(error as NodeJS.ErrnoException, socket),
  }).withTypeProvider<TypeBoxTypeProvider>()
  app.server.maxConnections = limits.connections
  const peers = watchPeers(app.server, limits, (direction) =>
    panel.log({level: 'warn', event: 'peer.cut', fields: {direction}}),
  )
  metrics.gauge('rel_panel_connections', 'Connections that are open.', peers.open)

  app.setValidatorCompiler(validator)
  app.setSerializerCompiler(() => JSON.stringify)
  app.setErrorHandler((error, request, reply) => refuse(error, request, reply))
  app.setNotFoundHandler((request, reply) => {
    const {method} = request
    const known = /^[A-Z]{1,10}$/.test(method) ? method : 'this method'
    const error = new RelError('route_unknown', `no route for ${known} and this path`)
    if (isPerson(request)) return sendProblem(reply, noted(error, request), undefined)
    return refuse(error, request, reply)
  })
  readStrictJson(app, limits.bodyBytes)
  watchRoutes(app, metrics, peers)
  stopGently(app, () => {
    peers.stop()
    metrics.stop()
  })
  limitRates(app, panel)
  app.register(swagger, openapiOptions)
  app.register(async (scope) => healthRoutes(scope as PanelApp, panel, metrics))
  app.register(async (scope) => agentRoutes(scope as PanelApp, panel))
  app.register(async (scope) => oidcRoutes(scope as PanelApp, panel))
  app.register(async (scope) => adminRoutes(scope as PanelApp, panel, metrics))
  app.register(async (scope) => pageRoutes(scope as PanelApp, panel, noted))
  return app

  /** Counts and logs a refusal. */
  function noted(error: unknown, request: FastifyRequest): Problem {
    const refusal = relErrorOf(error)
    const problem = problemOf(refusal, request.id)
    const {code, status} = problem
    metrics.problem(code, status)
    const {method, routeOptions} = request
    const fields = {request_id: request.id, method, route: routeOptions.url ?? null, status, code}
    const caller = request.caller ?? request.session
    const actor = caller === undefined || caller === null ? {} : {actor: caller.token.id}
    if (status >= 500)
      panel.log({
        level: 'error',
        event: 'request.failed',
        fields: {...fields, ...actor, detail: refusal.message, trace: traceOf(refusal)},
      })
    else panel.log({level: 'info', event: 'request.refused', fields: {...fields, ...actor}})
    return problem
  }

  function refuse(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const problem = noted(error, request)
    const {status, details} = problem
    if (status === 401) reply.header('www-authenticate', 'Bearer')
    const wait = details?.retry_after
    if (typeof wait === 'number') reply.header('retry-after', String(wait))
    // the rest of a body that nobody will read
    if (!request.raw.complete) reply.header('connection', 'close')
    // bytes pass by every response schema, whose required fields would turn a refusal into a 500
    return reply
      .code(status)
      .header('content-type', 'application/problem+json')
      .header('cache-control', 'no-store')
      .header('x-request-id', request.id)
      .send(Buffer.from(JSON.stringify(problem)))
  }

  /** What is no HTTP, or too large or too slow to become a request. */
  function refuseRaw(error: NodeJS.ErrnoException, socket: Socket): void {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy()
      return
    }
    const refusal = clientError(error.code)
    const problem = problemOf(refusal, newId())
    metrics.problem(problem.code, problem.status)
    const body = JSON.stringify(problem)
    const head = [
      `HTTP/1.1 ${problem.status} ${rawReasons[problem.status] ?? 'Bad Request'}`,
      'content-type: application/problem+json',
      'cache-control: no-store',
      `content-length: ${Buffer.byteLength(body)}`,
      'connection: close',
    ]
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
  }
}

const rawReasons: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
}

function clientError(code: string | undefined): RelError {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new RelError('headers_too_large', 'the head of the request is larger than the limit')
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new RelError('request_timeout', 'the request did not arrive in time')
  return new RelError('request_invalid', 'this is no HTTP request')
}

/** Ids of equal length, unique over instances: 8 random characters, then a count. */
function requestIds(): () => string {
  const instance = randomBytes(6).toString('base64url')
  let count = 0
  return () => {
    count += 1
    return `${instance}${count.toString(36).padStart(8, '0')}`
  }
}

/** Checks by TypeBox: nothing is dropped or changed in a body; numbers in addresses become numbers. */
function validator({schema, httpPart}: {schema: unknown; httpPart?: string}) {
  const type = schema as Parameters<typeof Compile>[0]
  const compiled = Compile(type)
  return (value: unknown) => {
    const converted = httpPart === 'body' ? value : Value.Convert(type, value)
    if (compiled.Check(converted)) return {value: converted}
    return {error: compiled.Errors(converted) as unknown as Error}
  }
}

/** One reader of JSON for everything: duplicate keys, bad UTF-8 and depth are refused. */
function readStrictJson(app: PanelApp, bytes: number): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/json',
    {parseAs: 'buffer'},
    async (_request: FastifyRequest, body: Buffer) =>
      parseStrictJson(body, {bytes, depth: JSON_DEPTH}),
  )
}

/** Counts requests by route, and watches those that bring a body. */
function watchRoutes(app: PanelApp, metrics: Metrics, peers: SlowPeers): void {
  app.addHook('onRoute', (route) => {
    const method = String(route.method)
    const url = route.url
    const count = (_request: unknown, _reply: unknown, done: () => void): void => {
      metrics.request(method, url)
      done()
    }
    route.onRequest = [count, ...[route.onRequest ?? []].flat()]
    if (!['POST', 'PUT', 'PATCH'].includes(method)) return
    const watch = (
      {raw}: FastifyRequest,
      _reply: unknown,
      payload: unknown,
      done: (error: null, payload: never) => void,
    ): void => {
      const over = peers.receiving(raw.socket)
      raw.once('end', over).once('close', over)
      done(null, payload as never)
    }
    route.preParsing = [watch, ...[route.preParsing ?? []].flat()] as never
  })
}

/** New requests on connections that stay open are told to go elsewhere while old ones are ended. */
function stopGently(app: PanelApp, stop: () => void): void {
  let stopping = false
  app.addHook('preClose', async () => {
    stopping = true
    // a connection whose answer ends after the server was closed would be kept alive otherwise
    const idle = setInterval(() => app.server.closeIdleConnections(), CLOSE_IDLE_MS)
    app.server.once('close', () => {
      clearInterval(idle)
      stop()
    })
  })
  app.addHook('onClose', async () => {
    if (!app.server.listening) stop()
  })
  app.addHook('onRequest', (_request, reply, done) => {
    if (!stopping) return done()
    reply.header('connection', 'close')
    done(new RelError('panel_stopping', 'the panel is shutting down', {details: {retry_after: 1}}))
  })
}

/** Addresses first, so that made-up credentials do not fill the other table. */
function limitRates(app: PanelApp, {config: {limits}}: Panel): void {
  const addresses = new Buckets(limits.perAddress)
  const credentials = new Buckets(limits.perCredential)
  app.addHook('onRequest', (request, _reply, done) => {
    const now = performance.now()
    const {authorization} = request.headers
    const wait =
      addresses.take(networkOf(request.ip), now) ||
      (authorization === undefined ? 0 : credentials.take(authorization, now))
    if (wait === 0) return done()
    const message = `too many requests, wait ${wait} s`
    done(new RelError('rate_limited', message, {details: {retry_after: wait}}))
  })
}

/** Frames and names of a failure, without its message, which may quote what was sent. */
function traceOf(error: Error): string {
  const cause = error.cause instanceof Error ? error.cause : error
  const frames = (cause.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return [
    `${cause.name} ${(cause as NodeJS.ErrnoException).code ?? ''}`,
    ...frames.slice(0, 12),
  ].join('\n')
}
