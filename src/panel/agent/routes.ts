import type {FastifyReply, FastifyRequest} from 'fastify'
import {Type} from 'typebox'
import {coversComponent} from '../../release/entitlement.ts'
import {type ChannelName, channelNames, type ReleaseArtifact} from '../../release/release.ts'
import {channelOf, parseVersion} from '../../release/version.ts'
import {RelError} from '../../system/error.ts'
import {sha256Hex} from '../../system/hash.ts'
import {nodeName} from '../../system/node-name.ts'
import type {Panel} from '../panel.ts'
import type {PanelApp} from '../server/app.ts'
import {callerOf, checkProduct, checkVerb} from '../server/token.ts'
import type {StoredRelease} from '../store/store.ts'
import {Catalog, type Entry, type View, versionOfLeaf} from './catalog.ts'
import {sendArtifact} from './download.ts'
import {type Holder, LicenseGate} from './gate.ts'
import {
  type ArtifactFilter,
  artifactsFor,
  bundleFile,
  bundleOf,
  manifestBody,
} from './manifest-body.ts'
import {highestUpTo, nextFrom} from './offer.ts'
import {type Prepared, prepare, sendPrepared} from './prepared.ts'
import {checkpointText, freshnessText, freshPeriod} from './statements.ts'

const name = Type.String({maxLength: 64})
const versionText = Type.String({maxLength: 256})

const manifestQuery = Type.Object({
  product: Type.Optional(name),
  component: Type.Optional(name),
  os: Type.Optional(name),
  arch: Type.Optional(name),
  current: Type.Optional({...versionText, description: 'What is installed; honours stop-overs.'}),
})
const checkQuery = Type.Object({
  version: Type.Optional({...versionText, description: 'What is installed; 0.0.0 by default.'}),
  channel: Type.Optional(name),
})
const bundleQuery = Type.Object({
  component: Type.Optional(name),
  os: Type.Optional(name),
  arch: Type.Optional(name),
})
const listQuery = Type.Object({
  channel: Type.Optional(name),
  limit: Type.Optional(Type.Integer({minimum: 1, maximum: 100})),
  cursor: Type.Optional(Type.String({maxLength: 1024})),
})
const logQuery = Type.Object({
  from: Type.Optional(Type.Integer({minimum: 0})),
  limit: Type.Optional(Type.Integer({minimum: 1, maximum: 1000})),
})
const size = Type.Integer({minimum: 1, maximum: Number.MAX_SAFE_INTEGER})
const proofQuery = Type.Object({first: size, second: size})
const productParams = Type.Object({product: name})
const report = Type.Object(
  {
    code: Type.String({pattern: '^[a-z][a-z0-9_]{0,63}$'}),
    version: versionText,
    phase: Type.String({pattern: '^[a-z][a-z_-]{0,31}$'}),
    node: Type.Optional(
      Type.String({pattern: nodeName.source, description: 'What the node is called.'}),
    ),
    seq: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: "The number of the node's record; it only rises.",
      }),
    ),
  },
  {additionalProperties: false},
)

/** What a node calls one report, however often it sends it. */
const idempotency = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({pattern: '^[\\x21-\\x7e]{1,128}$', description: 'Of a licence, kept once.'}),
  ),
})

const config = {by: 'license'} as const

/** A report is a code, a version and a phase; its body is read before its licence. */
const REPORT_BYTES = 4096

/** Different answers that are kept for one view; what asks for more is answered afresh. */
const MAX_PREPARED = 256
/** Together, since a node may name any version it likes as its own. */
const MAX_PREPARED_BYTES = 8 * 1024 * 1024

type Kept = Prepared & {readonly issued: number}

/**
 * What nodes call with their licence (reference: D0's manifest and downloads, D2's check and bundles,
 * D1's listing, the release log). A release that a licence may not see is absent, in every route.
 */
export function agentRoutes(app: PanelApp, panel: Panel): void {
  const gate = new LicenseGate(panel)
  const catalog = new Catalog(panel)
  const kept = new WeakMap<View, Map<string, Kept>>()
  const base = panel.config.publicUrl ?? ''

  app.route({
    method: ['GET', 'HEAD'],
    url: '/update/manifest.json',
    config,
    schema: {
      summary: 'The highest complete release that a licence covers (D0).',
      querystring: manifestQuery,
    },
    // five short strings: their forms are looked at where they are used
    validatorCompiler: () => () => true,
    handler: (request, reply) => {
      const holder = gate.admit(request.headers.authorization)
      if (request.headers['rel-node'] !== undefined || holder instanceof Promise)
        return manifestSlowly(holder, request, reply)
      const view = catalog.view(holder.product, holder.channels)
      if (view === undefined || view instanceof Promise)
        return manifestSlowly(holder, request, reply)
      const query = request.query as ManifestQuery
      const ready = keptManifest(view, manifestKey(holder, query))
      return ready === undefined
        ? manifestSlowly(holder, request, reply)
        : sendPrepared(request, reply, ready)
    },
  })

  async function manifestSlowly(
    admitted: Holder | Promise<Holder>,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    const holder = await admitted
    const query = queryOf(request.query)
    await note(holder, request, query.current)
    const view = await viewFor(holder, query.product ?? holder.product)
    const key = manifestKey(holder, query)
    const ready = keptManifest(view, key) ?? (await makeManifest(view, holder, query, key))
    return sendPrepared(request, reply, ready)
  }

  /** Keeps what a node that polls says of itself; its poll is answered whatever comes of it. */
  async function note(
    {id: licenseId}: Holder,
    request: FastifyRequest,
    running: string | undefined,
  ): Promise<void> {
    const stated = statedIn(request.headers)
    if (stated === undefined || running === undefined) return
    const time = gate.now()
    try {
      const version = parseVersion(running).text
      await panel.store.noteNode({licenseId, ...stated, version, phase: 'check', time})
    } catch (error) {
      if (!(error instanceof RelError)) throw error
      // a store that cannot be written keeps nobody from reading, and the next poll says it again
    }
  }

  function keptManifest(view: View, key: string): Kept | undefined {
    const ready = kept.get(view)?.get(key)
    return ready !== undefined && ready.issued === period().issued ? ready : undefined
  }

  function keep(view: View, key: string, ready: Kept): Kept {
    const those = kept.get(view) ?? new Map<string, Kept>()
    const bytes = [...those.values()].reduce((sum, {body}) => sum + body.length, ready.body.length)
    if (those.size >= MAX_PREPARED || bytes > MAX_PREPARED_BYTES) those.clear()
    kept.set(view, those.set(key, ready))
    return ready
  }

  function period(): {issued: number; expires: number} {
    return freshPeriod(panel.clock(), panel.config.freshnessSecs)
  }

  async function makeManifest(
    view: View,
    holder: Holder,
    query: ManifestQuery,
    key: string,
  ): Promise<Kept> {
    const entry = advertised(view, query.current)
    const artifacts = entry && artifactsFor(entry, holder.license, query)
    if (entry === undefined || artifacts === undefined || artifacts.length === 0) throw absent()
    const stored = await panel.store.release(holder.product, entry.version)
    if (stored === undefined) throw absent()
    const {issued, expires} = period()
    const {product, license, channels} = holder
    const freshness = await freshnessText(
      {
        product,
        track: license.track,
        channels,
        current: query.current,
        manifestSha256: entry.digest,
        sequence: entry.sequence,
        log: view.log,
        issued,
        expires,
      },
      panel.keys.freshness,
    )
    const {envelope} = stored
    const text = manifestBody({entry, product, artifacts, envelope, freshness, base})
    return keep(view, key, {...prepare(text), issued})
  }

  /** The reason is for people of the panel; the holder is told what to install instead. */
  async function checkNotRecalled({product}: Holder, {state, version}: Entry): Promise<void> {
    if (state !== 'recalled') return
    const replacement = (await panel.store.release(product, version))?.recall?.replacement
    throw new RelError('release_recalled', `${version} was recalled`, {
      ...(replacement === undefined
        ? {}
        : {hint: `Install ${replacement} instead.`, details: {replacement}}),
    })
  }

  /** A view of the holder's channels, or the one refusal when the product is not the holder's. */
  async function viewFor(holder: Holder, product: string): Promise<View> {
    const view = await catalog.view(holder.product, holder.channels)
    if (view === undefined || product !== holder.product) throw absent()
    return view
  }

  app.route({
    method: ['GET', 'HEAD'],
    url: '/download/:product/:version/:name',
    config,
    schema: {
      summary: 'The bytes of an artifact (D0).',
      params: Type.Object({
        product: name,
        version: versionText,
        name: Type.String({maxLength: 128}),
      }),
    },
    handler: async (request, reply) => {
      const holder = await gate.admit(request.headers.authorization)
      const {params} = request
      const view = await viewFor(holder, params.product)
      const entry = view.byVersion.get(params.version)
      const artifact = entry?.artifacts.find(
        (each) => each.name === params.name && coversComponent(holder.license, each.component),
      )
      if (entry === undefined || artifact === undefined) throw absent()
      await checkNotRecalled(holder, entry)
      return sendArtifact(panel, request, reply, artifact)
    },
  })

  app.route({
    method: ['GET', 'HEAD'],
    url: '/check',
    config,
    schema: {summary: 'Whether there is something newer (D2).', querystring: checkQuery},
    handler: async (request, reply) => {
      const holder = await gate.admit(request.headers.authorization)
      const current = parseVersion(request.query.version ?? '0.0.0').text
      await note(holder, request, current)
      const channels = channelsFor(holder, request.query.channel)
      const view = await catalog.view(holder.product, channels)
      if (view === undefined) throw absent()
      const {published, product} = view
      const next = nextFrom(published, product.stopovers, channels, current)
      const shown = next ?? highestUpTo(published, current)
      const told = shown?.version ?? current
      reply.headers({'cache-control': 'no-store', vary: 'Authorization'})
      return reply.send({
        available: next !== undefined,
        version: told,
        channel: shown?.channel ?? channels[0],
        ...(shown === undefined
          ? {}
          : {
              download_url: `/bundles/${encodeURIComponent(told)}.tar.gz`,
              hash_url: `/bundles/${encodeURIComponent(told)}.sha256`,
            }),
        ...(next?.minFrom === undefined ? {} : {min_from: next.minFrom}),
        poll_after: jittered(panel.config.pollSecs),
      })
    },
  })

  app.route({
    method: ['GET', 'HEAD'],
    url: '/bundles/:file',
    config,
    schema: {
      summary: 'The bundle of a release, its digest, its manifest (D2, D1).',
      params: Type.Object({file: Type.String({maxLength: 280})}),
      querystring: bundleQuery,
    },
    handler: async (request, reply) => {
      const holder = await gate.admit(request.headers.authorization)
      const view = await viewFor(holder, holder.product)
      const asked = bundleFile(request.params.file)
      const entry = asked && view.byVersion.get(asked.version)
      if (asked === undefined || entry === undefined) throw absent()
      const artifacts = artifactsFor(entry, holder.license, request.query)
      const artifact = artifactOfForm(artifacts, asked.form)
      const isOfRelease = asked.form === 'manifest.json' || asked.form === 'manifest.sig.bundle'
      if (artifact === undefined && !isOfRelease) throw absent()
      await checkNotRecalled(holder, entry)
      if (asked.form === 'sha256' && artifact !== undefined) {
        reply.header('x-bundle-hash', artifact.sha256)
        const line = `${artifact.sha256}  ${asked.version}.tar.gz\n`
        return sendPrepared(request, reply, prepare(line, 'text/plain; charset=utf-8'))
      }
      if (artifact !== undefined)
        return sendArtifact(panel, request, reply, artifact, request.params.file)
      const stored = await panel.store.release(holder.product, entry.version)
      // the bundle is over the manifest of the release, so never beside an artifact of that name
      const hasOwn = artifacts.some(({name}) => name === 'manifest.json')
      const text = asked.form === 'manifest.json' ? stored?.envelope : stored?.sigstore
      if (text === undefined || hasOwn) throw absent()
      return sendPrepared(request, reply, prepare(text))
    },
  })

  app.route({
    method: ['GET', 'HEAD'],
    url: '/v1/products/:product/checkpoint',
    config,
    schema: {summary: 'The signed head of the release log.', params: productParams},
    handler: async (request, reply) => {
      const holder = await gate.admit(request.headers.authorization)
      const {product, log} = {...(await viewFor(holder, request.params.product)), ...holder}
      const text = await checkpointText({product, log, ...period()}, panel.keys.freshness)
      return sendPrepared(request, reply, prepare(`${text}\n`))
    },
  })

  app.route({
    method: ['GET', 'HEAD'],
    url: '/v1/products/:product/log',
    config,
    schema: {
      summary: 'Leaves of the release log; of other channels, their hashes alone.',
      params: productParams,
      querystring: logQuery,
    },
    handler: async (request, reply) => {
      const holder = await gate.admit(request.headers.authorization)
      const {log} = await viewFor(holder, request.params.product)
      const {from = 0, limit = 100} = request.query
      const leaves = await panel.store.log(holder.product, from, limit)
      const shown = leaves
        .filter(({index}) => index < log.size)
        .map((leaf) =>
          holder.channels.includes(channelOf(versionOfLeaf(leaf)))
            ? {index: leaf.index, text: leaf.text}
            : {index: leaf.index, hash: leafHash(leaf.text)},
        )
      const body = JSON.stringify({size: log.size, root: log.root, leaves: shown})
      return sendPrepared(request, reply, prepare(`${body}\n`))
    },
  })

  app.route({
    method: ['GET', 'HEAD'],
    url: '/v1/products/:product/log/consistency',
    config,
    schema: {
      summary: 'That the release log has grown out of what it was (RFC 6962, 2.1.2).',
      params: productParams,
      querystring: proofQuery,
    },
    handler: async (request, reply) => {
      const holder = await gate.admit(request.headers.authorization)
      await viewFor(holder, request.params.product)
      const {first, second} = request.query
      const hashes = await panel.store.logProof(holder.product, first, second)
      if (hashes === undefined) throw absent()
      return sendPrepared(request, reply, prepare(`${JSON.stringify({first, second, hashes})}\n`))
    },
  })

  app.route({
    method: ['GET', 'HEAD'],
    url: '/update/license',
    config,
    schema: {summary: 'The newest file of the licence that is shown, after a renewal.'},
    handler: async (request, reply) => {
      const holder = await gate.admit(request.headers.authorization)
      const stored = await panel.store.license(holder.id)
      if (stored === undefined) throw absent()
      return sendPrepared(request, reply, prepare(stored.file, 'text/plain; charset=utf-8'))
    },
  })

  app.route({
    method: 'POST',
    url: '/v1/report',
    config,
    bodyLimit: REPORT_BYTES,
    schema: {summary: 'What a node ran into, by its code.', headers: idempotency, body: report},
    handler: async (request, reply) => {
      const holder = await gate.admit(request.headers.authorization)
      const {code, version: about, phase, node, seq} = request.body
      const {text} = parseVersion(about)
      const once = request.headers['idempotency-key']
      await panel.store.addReport({
        licenseId: holder.id,
        code,
        version: text,
        phase,
        time: gate.now(),
        ...(once === undefined ? {} : {once}),
        ...(node === undefined || seq === undefined ? {} : {node, seq}),
      })
      return reply.code(202).header('cache-control', 'no-store').send({accepted: true})
    },
  })

  app.route({
    method: ['GET', 'HEAD'],
    url: '/v1/products/:product/releases',
    config,
    schema: {
      summary: 'Releases, highest first: what a licence covers, or with a token all (D1).',
      params: productParams,
      querystring: listQuery,
    },
    handler: async (request, reply) => {
      const {headers, params, query, id} = request
      const read = isPanelToken(headers.authorization)
        ? await listForToken(panel, headers.authorization, id, params.product, query)
        : await listForLicense(await gate.admit(headers.authorization), params.product, query)
      const {releases, more} = read
      const last = releases.at(-1)
      const next =
        more && last !== undefined ? {next: Buffer.from(last.sortKey).toString('base64url')} : {}
      const shown = releases.map(({sortKey, ...release}) => release)
      const body = JSON.stringify({product: params.product, releases: shown, ...next})
      return sendPrepared(request, reply, prepare(`${body}\n`))
    },
  })

  async function listForLicense(
    holder: Holder,
    product: string,
    {channel, limit = 10, cursor}: ListQuery,
  ): Promise<Page> {
    await viewFor(holder, product)
    const view = await catalog.view(holder.product, channelsFor(holder, channel))
    if (view === undefined) throw absent()
    const below = belowOf(cursor)
    const rest =
      below === undefined ? view.published : view.published.filter(({sortKey}) => sortKey < below)
    return {releases: rest.slice(0, limit).map(listed), more: rest.length > limit}
  }
}

/** Headers in which a node that polls states its name and the number of its record. */
function statedIn(headers: FastifyRequest['headers']): {node: string; seq: number} | undefined {
  const {'rel-node': node, 'rel-seq': text} = headers
  if (typeof node !== 'string' || !nodeName.test(node)) return undefined
  if (typeof text !== 'string' || !/^\d{1,15}$/.test(text)) return undefined
  return {node, seq: Number(text)}
}

type ManifestQuery = ArtifactFilter & {readonly product?: string; readonly current?: string}

/** What was not validated by the router: each a short text, once. */
function queryOf(query: unknown): ManifestQuery {
  for (const [key, value] of Object.entries(query as object))
    if (typeof value !== 'string' || value.length > 256)
      throw new RelError('request_invalid', `${key.slice(0, 16)} is given twice or is too long`)
  return query as ManifestQuery
}

/** All that a manifest depends on besides its view. */
function manifestKey(
  {license, product: own}: Holder,
  {product = own, component, os, arch, current}: ManifestQuery,
): string {
  const covered = license.entitlements.join(' ')
  return `${product}\n${covered}\n${component ?? '*'}\n${os ?? '*'}\n${arch ?? '*'}\n${current ?? '*'}`
}

/** Without `current` the highest of all (D0); with it, what that version may go to. */
function advertised({published, product, channels}: View, current?: string): Entry | undefined {
  if (current === undefined) return published[0]
  const from = parseVersion(current).text
  return nextFrom(published, product.stopovers, channels, from) ?? highestUpTo(published, from)
}

/** A channel that the licence does not open and one that does not exist look alike. */
function channelsFor({channels}: Holder, asked: string | undefined): readonly ChannelName[] {
  if (asked === undefined) return channels
  const channel = channelNames.find((each) => each === asked)
  if (channel === undefined || !channels.includes(channel)) throw absent()
  return [channel]
}

function artifactOfForm(
  artifacts: readonly ReleaseArtifact[],
  form: 'tar.gz' | 'sha256' | 'manifest.json' | 'manifest.sig.bundle',
): ReleaseArtifact | undefined {
  if (form === 'tar.gz' || form === 'sha256') return bundleOf(artifacts)
  return artifacts.find((artifact) => artifact.name === form)
}

function isPanelToken(authorization: string | undefined): boolean {
  return /^Bearer relp_/i.test(authorization ?? '')
}

/** Every release of a product, drafts as well, for people and pipelines. */
async function listForToken(
  panel: Panel,
  authorization: string | undefined,
  requestId: string,
  product: string,
  {channel, limit = 10, cursor}: ListQuery,
): Promise<Page> {
  const caller = await callerOf(panel, authorization, requestId)
  checkVerb(caller, ['publish', 'release', 'audit'])
  checkProduct(caller, product)
  const below = belowOf(cursor)
  const channels = channelNames.filter((each) => channel === undefined || each === channel)
  if ((await panel.store.product(product)) === undefined)
    throw new RelError('product_unknown', `the panel has no product ${product}`)
  const found = await panel.store.releases(product, {
    channels,
    limit: limit + 1,
    ...(below === undefined ? {} : {below}),
  })
  const releases = found
    .slice(0, limit)
    .map((release) => ({...listed(release), state: release.state}))
  return {releases, more: found.length > limit}
}

type ListQuery = {
  readonly channel?: string
  readonly limit?: number
  readonly cursor?: string
}

type Page = {readonly releases: readonly Listed[]; readonly more: boolean}

type Listed = ReturnType<typeof listed>

function belowOf(cursor: string | undefined): string | undefined {
  return cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString()
}

function listed(entry: Entry | StoredRelease) {
  const {sortKey, version: text, channel, published, sequence, digest, artifacts} = entry
  return {
    sortKey,
    version: text,
    channel,
    ...(published === undefined ? {} : {published}),
    ...(sequence === undefined ? {} : {sequence}),
    manifest_sha256: digest,
    size: artifacts.reduce((sum, {size}) => sum + size, 0),
  }
}

/** One text for everything that is not there, or not there for this licence. */
function absent(): RelError {
  return new RelError('no_release', 'there is no such release for this licence')
}

/** RFC 6962 section 2.1: a leaf is hashed with a zero byte in front. */
function leafHash(text: string): string {
  return sha256Hex(Buffer.concat([Buffer.from([0]), Buffer.from(text)]))
}

/** Up to a tenth later, so that a fleet which started together does not stay together. */
function jittered(secs: number): number {
  return secs + Math.floor((Math.random() * secs) / 10)
}
