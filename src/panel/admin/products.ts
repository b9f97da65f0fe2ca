import {type Static, Type} from 'typebox'
import {channelOf, parseVersion} from '../../release/version.ts'
import {parseAnchor} from '../../trust/anchor-parse.ts'
import type {Panel} from '../panel.ts'
import type {PanelApp} from '../server/app.ts'
import {checkProduct} from '../server/token.ts'
import type {Actor, Product, ProductChange} from '../store/store.ts'
import {exact, productParams, slot, versionText} from './fields.ts'
import {nextAnchor} from './product-change.ts'
import {productOf} from './publish-release.ts'

/** As many slots as a release may have artifacts. */
const MAX_SLOTS = 1000
const MAX_STOPOVERS = 256

const productBody = Type.Object({
  name: Type.String(),
  matrix: Type.Object({version: Type.Integer(), required: Type.Array(slot)}),
  floor: Type.Optional(Type.String()),
  stopovers: Type.Array(Type.String()),
  anchor: Type.Optional(Type.Object({version: Type.Integer(), expires: Type.Integer()})),
  created: Type.Integer(),
})

type ProductBody = Static<typeof productBody>

/** Products: what a release of them must have, who may sign, and how low nodes may be. */
export function productRoutes(app: PanelApp, panel: Panel): void {
  const {store} = panel

  app.get(
    '/v1/products',
    {
      config: {verbs: ['publish', 'release', 'license', 'audit']},
      schema: {
        summary: 'The products that the token may see',
        response: {200: Type.Object({products: Type.Array(productBody)})},
      },
    },
    async ({caller: {token}}) => {
      const all = await store.products()
      const own = all.filter(({name}) => token.products?.includes(name) ?? true)
      return {products: own.map(productFacts)}
    },
  )

  app.put(
    '/v1/products/:product',
    {
      config: {verbs: ['admin']},
      schema: {summary: 'Make a product', params: productParams, response: {200: productBody}},
    },
    async ({params: {product}, caller}) => {
      checkProduct(caller, product)
      return productFacts(await store.addProduct(product, caller.actor))
    },
  )

  app.get(
    '/v1/products/:product',
    {
      config: {verbs: ['publish', 'release', 'license', 'audit']},
      schema: {summary: 'A product', params: productParams, response: {200: productBody}},
    },
    async ({params: {product}}) => productFacts(await productOf(panel, product)),
  )

  app.put(
    '/v1/products/:product/matrix',
    {
      config: {verbs: ['admin']},
      schema: {
        summary: 'What every release must have',
        params: productParams,
        body: exact({required: Type.Array(slot, {minItems: 1, maxItems: MAX_SLOTS})}),
        response: {200: productBody},
      },
    },
    async ({params: {product}, body, caller: {actor}}) =>
      change(product, {required: body.required}, actor),
  )

  app.put(
    '/v1/products/:product/floor',
    {
      config: {verbs: ['admin']},
      schema: {
        summary: 'The lowest version that is offered; it only rises',
        params: productParams,
        body: exact({version: versionText}),
        response: {200: productBody},
      },
    },
    async ({params: {product}, body, caller: {actor}}) =>
      change(product, {floor: parseVersion(body.version).text}, actor),
  )

  app.put(
    '/v1/products/:product/stopovers',
    {
      config: {verbs: ['admin']},
      schema: {
        summary: 'Versions that must be visited on the way up',
        params: productParams,
        body: exact({versions: Type.Array(versionText, {maxItems: MAX_STOPOVERS})}),
        response: {200: productBody},
      },
    },
    async ({params: {product}, body, caller: {actor}}) => {
      for (const version of body.versions) channelOf(version)
      return change(product, {stopovers: body.versions}, actor)
    },
  )

  app.register(async (scope) => keyRoutes(scope as PanelApp))

  /** The anchor is signed text, so it is taken byte for byte. */
  function keyRoutes(scope: PanelApp): void {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser(
      'application/json',
      {parseAs: 'buffer'},
      async (_request: unknown, body: Buffer) => body,
    )
    scope.put(
      '/v1/products/:product/keys',
      {
        config: {verbs: ['admin']},
        schema: {
          summary: 'The trust anchor whose keys sign this product',
          description: 'The body is trust.json; the next one must follow by the root rule.',
          params: productParams,
          response: {200: productBody},
        },
      },
      async ({params: {product}, body, caller: {actor}}) =>
        setAnchor(product, body as Buffer | undefined, actor),
    )
  }

  async function setAnchor(
    name: string,
    body: Buffer = Buffer.alloc(0),
    actor: Actor,
  ): Promise<ProductBody> {
    const product = await productOf(panel, name)
    const anchor = nextAnchor(product.anchor, body, panel.clock())
    return anchor === product.anchor ? productFacts(product) : change(name, {anchor}, actor)
  }

  async function change(name: string, to: ProductChange, actor: Actor): Promise<ProductBody> {
    const product = await store.setProduct(name, to, actor)
    panel.changes.mark(name)
    return productFacts(product)
  }
}

/** A product as the API and `rel panel product` show it. */
export function productFacts({
  name,
  matrix,
  floor,
  stopovers,
  anchor,
  created,
}: Product): ProductBody {
  return {
    name,
    matrix: {version: matrix.version, required: matrix.required.map((each) => ({...each}))},
    ...(floor === undefined ? {} : {floor}),
    stopovers: [...stopovers],
    ...(anchor === undefined ? {} : {anchor: anchorFacts(anchor)}),
    created,
  }
}

function anchorFacts(text: string): {version: number; expires: number} {
  const {anchor} = parseAnchor(Buffer.from(text))
  return {version: anchor.version, expires: anchor.expires}
}
