import {type Static, Type} from 'typebox'
import {manifestLimits} from '../../bundle/manifest.ts'
import {parseVersion} from '../../release/version.ts'
import {RelError} from '../../system/error.ts'
import {sha256Hex} from '../../system/hash.ts'
import type {Panel} from '../panel.ts'
import type {PanelApp} from '../server/app.ts'
import type {Recall, StoredRelease} from '../store/store.ts'
import {exact, headers, productParams, prose, releaseParams, time, versionText} from './fields.ts'
import {type Flaw, missingOf} from './flaws.ts'
import {
  draftRelease,
  fileOf,
  keepSigstore,
  productOf,
  publishDraft,
  storedRelease,
} from './publish-release.ts'

/** Seconds of a lease when none are given, and at most. */
const LEASE_SECS = 600
const MAX_LEASE_SECS = 3600

const fenceHeader = {'rel-fence': Type.Optional(Type.String())}

const releaseBody = Type.Object({
  product: Type.String(),
  version: Type.String(),
  channel: Type.String(),
  state: Type.String(),
  digest: Type.String(),
  created: time,
  published: Type.Optional(time),
  sequence: Type.Optional(Type.Integer()),
  recall: Type.Optional(
    Type.Object({
      reason: Type.String(),
      advisory: Type.Optional(Type.String()),
      replacement: Type.Optional(Type.String()),
    }),
  ),
  sigstore_sha256: Type.Optional(Type.String()),
  artifacts: Type.Array(Type.Object({}, {additionalProperties: true})),
  missing: Type.Array(Type.Object({}, {additionalProperties: true})),
})

type ReleaseBody = Static<typeof releaseBody>

/** Drafts, publishing, recalls and leases (`/v1/products/{product}/releases`). */
export function releaseRoutes(app: PanelApp, panel: Panel): void {
  app.register(async (scope) => draftRoute(scope as PanelApp, panel))

  app.get(
    '/v1/products/:product/releases/:version',
    {
      config: {verbs: ['publish', 'release', 'audit']},
      schema: {
        summary: 'State of a release, and what it lacks',
        params: releaseParams,
        response: {200: releaseBody},
      },
    },
    async ({params: {product, version}}) =>
      shown(panel, await storedRelease(panel, product, version)),
  )

  app.get(
    '/v1/products/:product/releases/:version/manifest.json',
    {
      config: {verbs: ['publish', 'release', 'audit']},
      schema: {summary: 'The signed manifest, byte for byte', params: releaseParams},
    },
    async ({params: {product, version}}, reply) => {
      const {envelope} = await storedRelease(panel, product, version)
      return reply.header('content-type', 'application/json').send(Buffer.from(envelope))
    },
  )

  app.delete(
    '/v1/products/:product/releases/:version',
    {
      config: {verbs: ['publish']},
      schema: {summary: 'Drop a draft', params: releaseParams},
    },
    async ({params: {product, version}, caller: {actor}}, reply) => {
      await panel.store.dropDraft(product, version, actor)
      return reply.code(204).send()
    },
  )

  app.post(
    '/v1/products/:product/releases/:version/publish',
    {
      config: {verbs: ['release']},
      schema: {
        summary: 'Publish a complete draft, for good',
        params: releaseParams,
        headers: headers({'if-match': Type.Optional(Type.String()), ...fenceHeader}),
        response: {200: releaseBody},
      },
    },
    async ({params: {product, version}, headers: given, caller: {actor}}, reply) => {
      const {release, changed} = await publishDraft(panel, product, version, {
        digest: digestOf(given['if-match']),
        actor,
        ...fenceOf(given['rel-fence']),
      })
      reply.header('rel-changed', String(changed))
      return shown(panel, release)
    },
  )

  app.post(
    '/v1/products/:product/releases/:version/recall',
    {
      config: {verbs: ['release']},
      schema: {
        summary: 'Withdraw a published release; its number is burnt',
        params: releaseParams,
        body: exact({
          reason: prose,
          advisory: Type.Optional(prose),
          replacement: Type.Optional(versionText),
        }),
        response: {200: releaseBody},
      },
    },
    async ({params: {product, version}, body, caller: {actor}}) => {
      if (body.replacement !== undefined) parseVersion(body.replacement)
      const release = await panel.store.recall(product, version, body as Recall, actor)
      panel.changes.mark(product)
      return shown(panel, release)
    },
  )

  app.post(
    '/v1/products/:product/lease',
    {
      config: {verbs: ['publish', 'release']},
      schema: {
        summary: 'A fence for a publisher: whoever leased earlier can no longer publish',
        params: productParams,
        body: exact({
          seconds: Type.Optional(Type.Integer({minimum: 1, maximum: MAX_LEASE_SECS})),
        }),
        response: {200: Type.Object({fence: Type.Integer(), expires: time})},
      },
    },
    async ({params: {product}, body, caller: {actor}}) => {
      await productOf(panel, product)
      return panel.store.lease(product, body.seconds ?? LEASE_SECS, actor)
    },
  )
}

/** The body is kept byte for byte, so it is not read as JSON on the way in. */
function draftRoute(app: PanelApp, panel: Panel): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/json',
    {parseAs: 'buffer'},
    async (_request: unknown, body: Buffer) => body,
  )
  app.post(
    '/v1/products/:product/releases',
    {
      config: {verbs: ['publish']},
      schema: {
        summary: 'Draft a release from its signed manifest',
        description: 'The body is the release manifest (docs/formats/release-manifest.md).',
        params: productParams,
        headers: headers(fenceHeader),
        response: {200: releaseBody, 201: releaseBody},
      },
    },
    async ({params: {product}, body, headers: given, caller: {actor}}, reply) => {
      if (!Buffer.isBuffer(body)) throw new RelError('request_invalid', 'the body is missing')
      const fence = fenceOf(given['rel-fence'])
      const {release, created} = await draftRelease(panel, product, body, {actor, ...fence})
      reply.code(created ? 201 : 200)
      return shown(panel, release)
    },
  )
  app.put(
    '/v1/products/:product/releases/:version/manifest.sig.bundle',
    {
      bodyLimit: manifestLimits.sidecarBytes,
      config: {verbs: ['publish']},
      schema: {
        summary: 'Give a draft the Sigstore bundle over its manifest',
        description: 'The body is kept byte for byte (docs/formats/sigstore.md).',
        params: releaseParams,
        response: {200: releaseBody},
      },
    },
    async ({params: {product, version}, body, caller: {actor}}) => {
      if (!Buffer.isBuffer(body)) throw new RelError('request_invalid', 'the body is missing')
      return shown(panel, await keepSigstore(panel, product, version, body, actor))
    },
  )
}

/** `If-Match: "SHA256"`, strong and one. Refuses with precondition_missing, request_invalid. */
function digestOf(header: string | undefined): string {
  if (header === undefined)
    throw new RelError('precondition_missing', 'the request has no If-Match header')
  const [, digest] = /^"([0-9a-f]{64})"$/.exec(header) ?? []
  if (digest === undefined)
    throw new RelError('request_invalid', 'If-Match is not one SHA-256 in quotes')
  return digest
}

/** Refuses with request_invalid. */
function fenceOf(header: string | undefined): {readonly fence?: number} {
  if (header === undefined) return {}
  if (!/^(?:0|[1-9][0-9]{0,14})$/.test(header))
    throw new RelError('request_invalid', 'Rel-Fence is not a number')
  return {fence: Number(header)}
}

async function shown(panel: Panel, stored: StoredRelease): Promise<ReleaseBody> {
  const {product, version, channel, state, digest, created, published, sequence, recall} = stored
  const missing = state === 'draft' ? await lacking(panel, stored) : []
  return {
    product,
    version,
    channel,
    state,
    digest,
    created,
    ...(published === undefined ? {} : {published}),
    ...(sequence === undefined ? {} : {sequence}),
    ...(recall === undefined ? {} : {recall: {...recall}}),
    ...(stored.sigstore === undefined ? {} : {sigstore_sha256: sha256Hex(stored.sigstore)}),
    artifacts: stored.artifacts.map(({keyId, ...artifact}) => ({...artifact, key_id: keyId})),
    missing: missing.map((flaw) => ({...flaw})),
  }
}

async function lacking(panel: Panel, stored: StoredRelease): Promise<readonly Flaw[]> {
  const {matrix} = await productOf(panel, stored.product)
  return missingOf(panel.blobs, fileOf(stored).release, matrix)
}
