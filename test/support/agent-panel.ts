import {fastify} from 'fastify'
import {agentRoutes} from '../../src/panel/agent/routes.ts'
import {openFileBlobs} from '../../src/panel/blobs/files.ts'
import type {Panel, PanelConfig} from '../../src/panel/panel.ts'
import type {PanelApp} from '../../src/panel/server/app.ts'
import {defaultLimits} from '../../src/panel/server/limits.ts'
import {problemOf, relErrorOf} from '../../src/panel/server/problem.ts'
import {openSqliteStore} from '../../src/panel/store/sqlite.ts'
import type {StoredLicense} from '../../src/panel/store/store.ts'
import type {LicenseFile} from '../../src/release/license.ts'
import {armouredLicense, licenseHeader} from '../../src/release/license-file.ts'
import type {ReleaseFile} from '../../src/release/release.ts'
import {releaseText} from '../../src/release/release-manifest.ts'
import {signedAnchor, testAnchor, testNow, testSigner} from './anchors.ts'
import {testBytes} from './releases.ts'
import {temporaryFolder} from './tmp.ts'

/** The anchor of the test product, with a key for every role that a panel asks about. */
export const panelAnchor = testAnchor(
  {role: 'root', keys: ['root']},
  {role: 'manifest', keys: ['manifest']},
  {role: 'artifact', keys: ['artifact']},
  {role: 'license', keys: ['license']},
)

export type AgentPanel = {
  readonly panel: Panel
  readonly app: PanelApp
  readonly folder: string
  /** Seconds since the epoch, as the panel sees them. */
  time: number
  publish(file: ReleaseFile, bytes?: ReadonlyMap<string, Uint8Array>): Promise<void>
  draft(file: ReleaseFile, bytes?: ReadonlyMap<string, Uint8Array>): Promise<void>
  recall(version: string, replacement?: string): Promise<void>
  /** Registers a licence; the answer is the Authorization header. */
  register(file: LicenseFile, change?: Partial<StoredLicense>): Promise<string>
  close(): Promise<void>
}

const by = {id: 'test'}

/** The node-facing routes alone, over a real SQLite file and a real blob folder. */
export async function agentPanel(change: Partial<PanelConfig> = {}): Promise<AgentPanel> {
  const folder = temporaryFolder()
  const state = {time: testNow}
  const store = await openSqliteStore({path: `${folder}/panel.db`, now: () => state.time})
  const {blobs, uploads} = await openFileBlobs({folder})
  const counts = new Map<string, number>()
  const panel: Panel = {
    store,
    blobs,
    uploads,
    keys: {license: testSigner('panel licence'), freshness: testSigner('panel online')},
    config: {
      downloads: {by: 'panel'},
      freshnessSecs: 7 * 86_400,
      pollSecs: 3600,
      twoPersons: false,
      proxies: [],
      limits: defaultLimits,
      ...change,
    },
    clock: () => state.time,
    log: () => {},
    changes: {
      of: (product) => counts.get(product) ?? 0,
      mark: (product) => counts.set(product, (counts.get(product) ?? 0) + 1),
    },
  }
  const app = fastify({exposeHeadRoutes: false, genReqId: () => 'id'}) as unknown as PanelApp
  app.setErrorHandler((error, request, reply) => {
    const problem = problemOf(relErrorOf(error), request.id)
    reply
      .code(problem.status)
      .headers({'content-type': 'application/problem+json', 'cache-control': 'no-store'})
      .send(JSON.stringify(problem))
  })
  await app.register(async (scope) => agentRoutes(scope as PanelApp, panel))
  await store.addProduct('edge-agent', by)
  const anchor = await signedAnchor(panelAnchor, 'root')
  await store.setProduct('edge-agent', {anchor: anchor.toString()}, by)

  const draft: AgentPanel['draft'] = async (file, bytes) => {
    const {product, version, channel, artifacts} = file.release
    for (const {name, sha256, size} of artifacts) {
      const content = bytes?.get(name) ?? testBytes(name, version)
      await blobs.put(sha256, size, pieces(content))
    }
    const envelope = releaseText(file)
    const {digest} = file
    await store.addDraft({product, version, channel, digest, envelope, artifacts}, by)
  }
  return {
    panel,
    app,
    folder,
    get time() {
      return state.time
    },
    set time(time) {
      state.time = time
    },
    draft,
    publish: async (file, bytes) => {
      await draft(file, bytes)
      const {product, version} = file.release
      const {matrix} = (await store.product(product)) ?? {matrix: {version: 0}}
      await store.publish(
        product,
        version,
        {digest: file.digest, matrixVersion: matrix.version},
        by,
      )
      panel.changes.mark(product)
    },
    recall: async (version, replacement) => {
      const reason = 'it eats disks'
      const recall = replacement === undefined ? {reason} : {reason, replacement}
      await store.recall('edge-agent', version, recall, by)
      panel.changes.mark('edge-agent')
    },
    register: async (file, changed = {}) => {
      const {license} = file
      await store.addLicense(
        {
          id: license.id,
          product: license.product,
          customer: license.customer,
          track: license.track,
          entitlements: license.entitlements,
          expires: license.expires,
          serial: license.serial,
          state: 'active',
          file: armouredLicense(file),
          created: testNow,
          ...changed,
        },
        by,
      )
      return `Bearer ${licenseHeader(file)}`
    },
    close: async () => {
      await app.close()
      await blobs.close()
      await store.close()
    },
  }
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
