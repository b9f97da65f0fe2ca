import {type Static, Type} from 'typebox'
import {RelError} from '../../system/error.ts'
import {sha256Hex} from '../../system/hash.ts'
import type {Panel} from '../panel.ts'
import type {PanelApp} from '../server/app.ts'
import {checkProduct, newTokenText} from '../server/token.ts'
import {type Actor, type StoredToken, type VerbName, verbNames} from '../store/store.ts'
import {exact, productName, prose, time, ulidText} from './fields.ts'
import {newUlid} from './ulid.ts'

const DAY = 86_400
/** Longest life of a token, in days. */
const MAX_DAYS = 3650

const tokenBody = Type.Object({
  id: Type.String(),
  name: Type.String(),
  verbs: Type.Array(Type.String()),
  products: Type.Optional(Type.Array(Type.String())),
  expires: time,
  revoked: Type.Boolean(),
  created: time,
  publisher: Type.Optional(Type.String({description: 'Got for the identity of a run'})),
  token: Type.Optional(Type.String({description: 'Shown once'})),
})

export type TokenTerms = {
  readonly name: string
  readonly verbs: readonly VerbName[]
  /** All products where absent. */
  readonly products?: readonly string[]
  readonly days: number
}

/** Makes a token; its text is in the answer and nowhere else. */
export async function addToken(
  {store, clock}: Pick<Panel, 'store' | 'clock'>,
  {name, verbs, products, days}: TokenTerms,
  by: Actor,
): Promise<{readonly token: StoredToken; readonly text: string}> {
  const text = newTokenText()
  const created = clock()
  const token: StoredToken = {
    id: newUlid(created * 1000),
    name,
    sha256: sha256Hex(text),
    verbs: [...new Set(verbs)].toSorted(),
    ...(products === undefined ? {} : {products: [...new Set(products)].toSorted()}),
    expires: created + days * DAY,
    revoked: false,
    created,
  }
  await store.addToken(token, by)
  return {token, text}
}

/** A token as it is listed: without its digest. */
export function tokenFacts({
  sha256: _sha256,
  verbs,
  products,
  ...rest
}: StoredToken): Static<typeof tokenBody> {
  return {...rest, verbs: [...verbs], ...(products === undefined ? {} : {products: [...products]})}
}

/** Tokens of people and pipelines (`/v1/tokens`). */
export function tokenRoutes(app: PanelApp, panel: Panel): void {
  const {store} = panel

  app.post(
    '/v1/tokens',
    {
      config: {verbs: ['admin']},
      schema: {
        summary: 'Make a token',
        body: exact({
          name: prose,
          verbs: Type.Array(Type.Union(verbNames.map((name) => Type.Literal(name))), {
            minItems: 1,
            maxItems: verbNames.length,
          }),
          products: Type.Optional(Type.Array(productName, {minItems: 1, maxItems: 100})),
          days: Type.Integer({minimum: 1, maximum: MAX_DAYS}),
        }),
        response: {201: tokenBody},
      },
    },
    async ({body, caller}, reply) => {
      checkProduct(caller, undefined)
      const {token, text} = await addToken(panel, body as TokenTerms, caller.actor)
      reply.code(201).header('cache-control', 'no-store')
      return {...tokenFacts(token), token: text}
    },
  )

  app.get(
    '/v1/tokens',
    {
      config: {verbs: ['admin']},
      schema: {
        summary: 'All tokens, without their text',
        response: {200: Type.Object({tokens: Type.Array(tokenBody)})},
      },
    },
    async ({caller}) => {
      checkProduct(caller, undefined)
      return {tokens: (await store.tokens()).map(tokenFacts)}
    },
  )

  app.delete(
    '/v1/tokens/:id',
    {
      config: {verbs: ['admin']},
      schema: {summary: 'Revoke a token', params: exact({id: ulidText})},
    },
    async ({params: {id}, caller}, reply) => {
      checkProduct(caller, undefined)
      if (id === caller.token.id)
        throw new RelError('token_not_allowed', 'a token cannot revoke itself', {
          hint: 'Revoke it with another one, or with rel panel token revoke.',
        })
      await store.revokeToken(id, caller.actor)
      return reply.code(204).send()
    },
  )

  app.get(
    '/v1/whoami',
    {
      config: {verbs: [...verbNames]},
      schema: {summary: 'What the token at hand may do', response: {200: tokenBody}},
    },
    async ({caller}) => tokenFacts(caller.token),
  )
}
