import {Type} from 'typebox'
import type {Panel} from '../panel.ts'
import type {PanelApp} from '../server/app.ts'
import {checkProduct} from '../server/token.ts'
import {exact} from './fields.ts'

/** Rows of one page. */
const PAGE = 200

/** The audit log and the proof that nothing in it was changed (`/v1/audit`). */
export function auditRoutes(app: PanelApp, {store}: Panel): void {
  app.get(
    '/v1/audit',
    {
      config: {verbs: ['audit']},
      schema: {
        summary: 'Who did what, in order',
        querystring: exact({
          after: Type.Optional(Type.Integer({minimum: -1, maximum: 2 ** 53 - 1})),
          limit: Type.Optional(Type.Integer({minimum: 1, maximum: PAGE})),
        }),
        response: {
          200: Type.Object({
            rows: Type.Array(
              Type.Object({
                index: Type.Integer(),
                time: Type.Integer(),
                event: Type.String(),
                product: Type.Optional(Type.String()),
                subject: Type.Optional(Type.String()),
                details: Type.Optional(Type.Object({}, {additionalProperties: true})),
                actor: Type.String(),
                request_id: Type.Optional(Type.String()),
                previous: Type.String(),
                hash: Type.String(),
              }),
            ),
          }),
        },
      },
    },
    async ({query: {after, limit}, caller}) => {
      checkProduct(caller, undefined)
      const rows = await store.audit(after ?? -1, limit ?? PAGE)
      return {
        rows: rows.map(({requestId, ...row}) => ({
          ...row,
          ...(requestId === undefined ? {} : {request_id: requestId}),
        })),
      }
    },
  )

  app.get(
    '/v1/audit/verify',
    {
      config: {verbs: ['audit']},
      schema: {
        summary: 'Walk the hash chain',
        response: {
          200: Type.Object({
            rows: Type.Integer(),
            head: Type.String(),
            broken: Type.Optional(Type.Integer()),
          }),
        },
      },
    },
    async ({caller}) => {
      checkProduct(caller, undefined)
      return store.verifyAudit()
    },
  )
}
