import type {FastifyReply} from 'fastify'
import {Type} from 'typebox'
import {RelError} from '../../system/error.ts'
import {closeLicense, licenseFor, renewLicense} from '../admin/change-license.ts'
import {exact, productParams, ulidText} from '../admin/fields.ts'
import {productOf} from '../admin/publish-release.ts'
import type {Panel} from '../panel.ts'
import type {PanelApp} from '../server/app.ts'
import type {StoredLicense} from '../store/store.ts'
import type {Link} from './layout.ts'
import {
  endOfDay,
  fileName,
  type LicenseDeed,
  type LicenseForm,
  licenseDeedMain,
  licenseDeeds,
  licenseMain,
  licensesMain,
} from './license-pages.ts'
import {productLink} from './product-pages.ts'
import {addressOf, hidden, productsLink, send, typed} from './send.ts'
import type {Session} from './session.ts'
import {reasonFlaw} from './typed.ts'

/** Licences of one page. */
const PAGE = 50

const licenseParams = exact({id: ulidText})

const renewal = exact({csrf: typed, until: typed})
const closing = exact({csrf: typed, reason: typed})

/** Licences of a product, one licence, and what may be done with it. */
export function licenseRoutes(app: PanelApp, panel: Panel): void {
  const {store} = panel
  const seen = {pageVerbs: ['license', 'audit']} as const
  const holds = {pageVerbs: ['license']} as const

  app.get(
    '/products/:product/licenses',
    {
      config: seen,
      schema: {
        ...hidden,
        params: productParams,
        querystring: Type.Object({after: Type.Optional(ulidText)}),
      },
    },
    async (request, reply) => {
      const {params, query, session} = request
      const {name} = await productOf(panel, params.product)
      const found = await store.licenses(name, query.after, PAGE + 1)
      const licenses = found.slice(0, PAGE)
      const last = found.length > PAGE ? licenses.at(-1)?.id : undefined
      const page = {
        product: name,
        licenses,
        isFirst: query.after === undefined,
        ...(last === undefined ? {} : {next: last}),
      }
      return send(reply, {
        title: 'Licences',
        session,
        trail: [productsLink, productLink(session, name)],
        main: licensesMain(panel, session, page, addressOf(panel, request)),
      })
    },
  )

  app.get(
    '/licenses/:id',
    {config: seen, schema: {...hidden, params: licenseParams}},
    async ({params: {id}, session}, reply) => {
      const license = await licenseFor(panel, id, session)
      const main = await licenseMain(panel, session, license)
      return send(reply, {title: license.customer, session, trail: trailTo(session, license), main})
    },
  )

  app.get(
    '/licenses/:id/file',
    {config: holds, schema: {...hidden, params: licenseParams}},
    async ({params: {id}, session}, reply) => {
      const license = await licenseFor(panel, id, session)
      return reply
        .header('content-type', 'text/plain; charset=utf-8')
        .header('content-disposition', `attachment; filename="${fileName(license)}"`)
        .send(license.file)
    },
  )

  for (const deed of licenseDeeds) {
    const url = `/licenses/:id/${deed}`
    app.get(
      url,
      {config: holds, schema: {...hidden, params: licenseParams}},
      async ({params: {id}, session}, reply) =>
        sendDeed(panel, reply, session, await openLicense(id, session), deed, {}),
    )

    app.post(
      url,
      {
        config: holds,
        schema: {
          ...hidden,
          params: licenseParams,
          body: deed === 'renew' ? renewal : closing,
        },
      },
      async ({params: {id}, body, session}, reply) => {
        const before = await openLicense(id, session)
        const form = await done(panel, session, before, deed, body)
        if (form.wrong === undefined) return reply.redirect(`/licenses/${id}`, 303)
        return sendDeed(panel, reply.code(422), session, before, deed, form)
      },
    )
  }

  /** Refuses with license_not_here, license_revoked. */
  async function openLicense(id: string, session: Session): Promise<StoredLicense> {
    const license = await licenseFor(panel, id, session)
    if (license.state !== 'revoked') return license
    throw new RelError('license_revoked', `licence ${id} was revoked, which is for good`)
  }
}

/** Does it, unless the form is wrong. Refuses as closeLicense and renewLicense do. */
async function done(
  panel: Panel,
  {actor}: Session,
  before: StoredLicense,
  deed: LicenseDeed,
  body: {readonly until?: string; readonly reason?: string},
): Promise<LicenseForm> {
  if (deed === 'renew') {
    const {until = ''} = body
    const expires = endOfDay(until, panel.clock())
    if (expires === undefined) return {value: until, wrong: 'A day from today on, as YYYY-MM-DD.'}
    await renewLicense(panel, before, actor, expires)
    return {}
  }
  const reason = (body.reason ?? '').trim()
  const wrong = reasonFlaw(reason)
  if (wrong !== undefined) return {value: reason, wrong}
  const state = deed === 'freeze' ? 'frozen' : 'revoked'
  await closeLicense(panel, before, {state, reason}, actor)
  return {}
}

function trailTo(session: Session, {product}: StoredLicense): readonly Link[] {
  const licenses = {text: 'Licences', href: `/products/${product}/licenses`}
  return [productsLink, productLink(session, product), licenses]
}

function sendDeed(
  panel: Panel,
  reply: FastifyReply,
  session: Session,
  license: StoredLicense,
  deed: LicenseDeed,
  form: LicenseForm,
): FastifyReply {
  return send(reply, {
    title: `${deed.charAt(0).toUpperCase()}${deed.slice(1)}`,
    session,
    trail: [
      ...trailTo(session, license),
      {text: license.customer, href: `/licenses/${license.id}`},
    ],
    main: licenseDeedMain(panel, session, license, deed, form),
  })
}
