import {type Static, Type} from 'typebox'
import {channelsOf, stateAt, visible} from '../../release/entitlement.ts'
import {type LicenseFile, type TrackName, trackNames} from '../../release/license.ts'
import {armouredLicense, issueLicense, parseLicense} from '../../release/license-file.ts'
import type {Panel} from '../panel.ts'
import type {PanelApp} from '../server/app.ts'
import {type Caller, checkProduct} from '../server/token.ts'
import type {StoredLicense} from '../store/store.ts'
import {checkGenuine, closeLicense, licenseFor, renewLicense} from './change-license.ts'
import {exact, productName, prose, time, ulidText, versionText} from './fields.ts'
import {productOf, storedRelease} from './publish-release.ts'
import {newUlid} from './ulid.ts'

/** Licences of one page. */
const PAGE = 100

const licenseParams = exact({id: ulidText})
/** Longer than any armoured licence. */
const armoured = Type.String({maxLength: 16_384})

const licenseBody = Type.Object({
  id: Type.String(),
  product: Type.String(),
  customer: Type.String(),
  track: Type.String(),
  entitlements: Type.Array(Type.String()),
  channels: Type.Array(Type.String()),
  expires: time,
  serial: Type.Integer(),
  state: Type.String(),
  reason: Type.Optional(Type.String()),
  created: time,
  file: Type.Optional(Type.String({description: 'The signed licence, armoured'})),
})

type LicenseBody = Static<typeof licenseBody>

/** Licences: issue, renew, freeze, revoke, explain (`/v1/licenses`). */
export function licenseRoutes(app: PanelApp, panel: Panel): void {
  const {store, keys, clock} = panel

  app.post(
    '/v1/licenses',
    {
      config: {verbs: ['license']},
      schema: {
        summary: 'Issue a licence by the panel’s key, or register a signed one',
        body: Type.Union([
          exact({
            product: productName,
            customer: Type.String({minLength: 1, maxLength: 128}),
            track: Type.Union(trackNames.map((name) => Type.Literal(name))),
            entitlements: Type.Optional(Type.Array(Type.String({maxLength: 128}), {maxItems: 16})),
            expires: time,
            id: Type.Optional(ulidText),
          }),
          exact({file: armoured}),
        ]),
        response: {201: licenseBody},
      },
    },
    async ({body, caller}, reply) => {
      const file = 'file' in body ? parseLicense(body.file) : await issued(body, caller)
      const {product} = file.license
      checkProduct(caller, product)
      await checkGenuine(panel, file)
      const stored = await store.addLicense(storedLicense(file), caller.actor)
      panel.changes.mark(product)
      reply.code(201)
      return {...shown(stored), file: stored.file}
    },
  )

  app.get(
    '/v1/licenses',
    {
      config: {verbs: ['license', 'audit']},
      schema: {
        summary: 'Licences of a product, by id',
        querystring: exact({
          product: productName,
          after: Type.Optional(ulidText),
          limit: Type.Optional(Type.Integer({minimum: 1, maximum: PAGE})),
        }),
        response: {200: Type.Object({licenses: Type.Array(licenseBody)})},
      },
    },
    async ({query: {product, after, limit}, caller}) => {
      checkProduct(caller, product)
      const page = await store.licenses(product, after, limit ?? PAGE)
      return {licenses: page.map(shown)}
    },
  )

  app.get(
    '/v1/licenses/:id',
    {
      config: {verbs: ['license', 'audit']},
      schema: {summary: 'A licence', params: licenseParams, response: {200: licenseBody}},
    },
    async ({params: {id}, caller}) => {
      const stored = await licenseFor(panel, id, caller)
      const mayHold = caller.token.verbs.some((verb) => verb === 'license' || verb === 'admin')
      // the file is what opens the downloads, so an auditor does not get it
      return mayHold ? {...shown(stored), file: stored.file} : shown(stored)
    },
  )

  for (const [verb, state] of [
    ['freeze', 'frozen'],
    ['revoke', 'revoked'],
  ] as const)
    app.post(
      `/v1/licenses/:id/${verb}`,
      {
        config: {verbs: ['license']},
        schema: {
          summary: verb === 'freeze' ? 'Freeze a licence until it is renewed' : 'Revoke for good',
          params: licenseParams,
          body: exact({reason: prose}),
          response: {200: licenseBody},
        },
      },
      async ({params: {id}, body: {reason}, caller}) => {
        const before = await licenseFor(panel, id, caller)
        return shown(await closeLicense(panel, before, {state, reason}, caller.actor))
      },
    )

  app.post(
    '/v1/licenses/:id/renew',
    {
      config: {verbs: ['license']},
      schema: {
        summary: 'A new file with a later expiry; a frozen licence is active again',
        params: licenseParams,
        body: Type.Union([exact({expires: time}), exact({file: armoured})]),
        response: {200: licenseBody},
      },
    },
    async ({params: {id}, body, caller}) => {
      const before = await licenseFor(panel, id, caller)
      const until = 'file' in body ? parseLicense(body.file) : body.expires
      const after = await renewLicense(panel, before, caller.actor, until)
      return {...shown(after), file: after.file}
    },
  )

  app.get(
    '/v1/licenses/:id/explain',
    {
      config: {verbs: ['license', 'audit']},
      schema: {
        summary: 'What a licence sees and why',
        params: licenseParams,
        querystring: exact({version: Type.Optional(versionText)}),
        response: {200: Type.Object({}, {additionalProperties: true})},
      },
    },
    async ({params: {id}, query: {version}, caller}) => {
      const stored = await licenseFor(panel, id, caller)
      const channels = channelsOf(stored)
      const now = clock()
      const highest = await store.highest(stored.product, channels)
      const release =
        version === undefined ? highest : await storedRelease(panel, stored.product, version)
      return {
        id,
        product: stored.product,
        state: stateAt(stored.expires, stored.state, now),
        channels: [...channels],
        expires: stored.expires,
        ...(highest === undefined ? {} : {highest: highest.version}),
        ...(release === undefined
          ? {}
          : {
              version: release.version,
              release: {...visible(stored, stored.state, release, now)},
            }),
      }
    },
  )

  async function issued(
    wanted: {
      readonly product: string
      readonly customer: string
      readonly track: TrackName
      readonly entitlements?: string[]
      readonly expires: number
      readonly id?: string
    },
    caller: Caller,
  ): Promise<LicenseFile> {
    checkProduct(caller, wanted.product)
    await productOf(panel, wanted.product)
    const {id = newUlid(clock() * 1000), entitlements = [], ...rest} = wanted
    return issueLicense({...rest, id, entitlements, issued: clock(), serial: 1}, keys.license)
  }
}

function storedLicense(file: LicenseFile): StoredLicense {
  const {id, product, customer, track, entitlements, expires, serial, issued} = file.license
  return {
    id,
    product,
    customer,
    track,
    entitlements,
    expires,
    serial,
    state: 'active',
    file: armouredLicense(file),
    created: issued,
  }
}

function shown({file: _file, ...license}: StoredLicense): LicenseBody {
  const {entitlements, reason, ...rest} = license
  return {
    ...rest,
    entitlements: [...entitlements],
    channels: [...channelsOf(license)],
    ...(reason === undefined || reason === '' ? {} : {reason}),
  }
}
