import {Type} from 'typebox'
import type {Panel} from '../panel.ts'
import type {PanelApp} from '../server/app.ts'
import {exact, productParams, time} from './fields.ts'
import {productOf} from './publish-release.ts'

const DAY = 86_400
/** As long as reports are kept. */
const MAX_DAYS = 30

/** What nodes of a product ran into (`/v1/products/{product}/reports`). */
export function reportRoutes(app: PanelApp, panel: Panel): void {
  app.get(
    '/v1/products/:product/reports',
    {
      config: {verbs: ['release', 'license', 'audit']},
      schema: {
        summary: 'What nodes reported, counted by code, version and phase',
        params: productParams,
        querystring: exact({days: Type.Optional(Type.Integer({minimum: 1, maximum: MAX_DAYS}))}),
        response: {
          200: Type.Object({
            since: time,
            counts: Type.Array(
              Type.Object({
                code: Type.String(),
                version: Type.String(),
                phase: Type.String(),
                reports: Type.Integer(),
                licenses: Type.Integer({description: 'Licences that they came with'}),
                latest: time,
              }),
            ),
          }),
        },
      },
    },
    async ({params: {product}, query: {days = 7}}) => {
      await productOf(panel, product)
      const since = panel.clock() - days * DAY
      const counts = await panel.store.reportCounts(product, since)
      return {since, counts: counts.map((count) => ({...count}))}
    },
  )
}
