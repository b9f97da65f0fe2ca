import type {FastifyReply, FastifyRequest} from 'fastify'
import type {Panel} from '../panel.ts'
import type {PanelApp} from '../server/app.ts'
import type {Metrics} from '../server/metrics.ts'
import {type Caller, callerOf, checkProduct, checkVerb} from '../server/token.ts'
import {auditRoutes} from './audit.ts'
import {licenseRoutes} from './licenses.ts'
import {productRoutes} from './products.ts'
import {releaseRoutes} from './releases.ts'
import {reportRoutes} from './reports.ts'
import {tokenRoutes} from './tokens.ts'
import {uploadRoutes} from './uploads.ts'

/**
 * Everything for people and pipelines. Each route names the verbs that let a token in; who calls is
 * settled before a byte of the body is read.
 */
export function adminRoutes(app: PanelApp, panel: Panel, metrics: Metrics): void {
  app.decorateRequest('caller', null as unknown as Caller)
  app.addHook('onRoute', ({config, method, url}) => {
    if (config?.verbs === undefined)
      throw new Error(`${String(method)} ${url} does not say who may call it`)
  })
  app.addHook('onRequest', async (request, reply) => {
    // licences and tokens are in these answers, and some proxies keep what does not forbid it
    reply.header('cache-control', 'no-store')
    const {verbs = []} = request.routeOptions.config
    request.caller = await callerOf(panel, request.headers.authorization, request.id)
    checkVerb(request.caller, verbs)
    const {product} = (request.params ?? {}) as {readonly product?: string}
    if (product !== undefined) checkProduct(request.caller, product)
  })
  app.addHook('onResponse', (request, reply, done) => {
    logWrite(panel, request, reply)
    done()
  })
  productRoutes(app, panel)
  releaseRoutes(app, panel)
  uploadRoutes(app, panel, metrics)
  licenseRoutes(app, panel)
  tokenRoutes(app, panel)
  reportRoutes(app, panel)
  auditRoutes(app, panel)
}

/** One line for every request that may have changed something. */
function logWrite({log}: Panel, request: FastifyRequest, reply: FastifyReply): void {
  const {method, routeOptions, caller, id} = request
  if (method === 'GET' || method === 'HEAD' || reply.statusCode >= 400) return
  log({
    level: 'info',
    event: 'request.done',
    fields: {
      request_id: id,
      method,
      route: routeOptions.url ?? null,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
      ...(caller === null ? {} : {actor: caller.token.id}),
    },
  })
}
