import {Type} from 'typebox'
import {freshPeriod} from '../agent/statements.ts'
import type {Panel} from '../panel.ts'
import type {PanelApp} from './app.ts'
import type {Metrics} from './metrics.ts'
import {relErrorOf} from './problem.ts'

/** Below this a node that polls rarely could meet an expired freshness statement. */
const LEAST_FRESHNESS_SECS = 48 * 3600

/** Seconds for which the answer of /readyz is kept, so that asking it costs the store nothing. */
const READY_KEPT_SECS = 1

/** /livez, /readyz, /metrics and /openapi.json. */
export function healthRoutes(app: PanelApp, panel: Panel, metrics: Metrics): void {
  const status = Type.Object({status: Type.String()})
  app.get(
    '/livez',
    {schema: {summary: 'The process answers', response: {200: status}}},
    async () => ({status: 'alive'}),
  )
  const failures = kept(() => failuresOf(panel))
  app.get(
    '/readyz',
    {
      schema: {
        summary: 'The panel can serve and take releases',
        response: {
          200: status,
          503: Type.Object({status: Type.String(), failures: Type.Array(Type.String())}),
        },
      },
    },
    async (_request, reply) => {
      const found = await failures()
      reply.header('cache-control', 'no-store')
      if (found.length === 0) return {status: 'ready'}
      return reply.code(503).send({status: 'not ready', failures: [...found]})
    },
  )
  app.get('/metrics', {schema: {summary: 'Prometheus metrics'}}, async (_request, reply) => {
    const isReady = (await failures()).length === 0
    return reply
      .header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
      .send(`${metrics.text()}${readyText(isReady)}`)
  })
  let document: string | undefined
  app.get('/openapi.json', {schema: {summary: 'This document'}}, async (_request, reply) => {
    document ??= openapiText(app) // anybody may ask, and the routes stay as they are
    return reply.header('content-type', 'application/json').send(document)
  })
}

/** Asks again only when the last answer is older than READY_KEPT_SECS. */
function kept<T>(ask: () => Promise<T>): () => Promise<T> {
  let last: {readonly at: number; readonly answer: Promise<T>} | undefined
  return () => {
    const now = performance.now() / 1000
    if (last === undefined || now - last.at > READY_KEPT_SECS) last = {at: now, answer: ask()}
    return last.answer
  }
}

/** The OpenAPI document as it is served and committed. */
export function openapiText(app: PanelApp): string {
  return `${JSON.stringify(app.swagger(), null, 2)}\n`
}

function readyText(ready: boolean): string {
  return `# HELP rel_panel_ready Whether /readyz says so.\n# TYPE rel_panel_ready gauge\nrel_panel_ready ${ready ? 1 : 0}\n`
}

/** Codes of what keeps the panel from its work. */
async function failuresOf({store, blobs, config, clock}: Panel): Promise<readonly string[]> {
  const failures: string[] = []
  for (const check of [() => store.checkWritable(), () => blobs.checkWritable()]) {
    try {
      await check()
    } catch (error) {
      failures.push(relErrorOf(error).code)
    }
  }
  const now = clock()
  const {expires} = freshPeriod(now, config.freshnessSecs)
  if (expires - now < LEAST_FRESHNESS_SECS) failures.push('freshness_short')
  return failures
}
