import {createHash} from 'node:crypto'
import {readFileSync} from 'node:fs'
import type {AddressInfo} from 'node:net'
import {join} from 'node:path'
import {type OpenPanel, openPanel, type PanelOptions} from '../../src/panel/open-panel.ts'
import type {LogEntry, PanelConfig, PanelLimits} from '../../src/panel/panel.ts'
import {type PanelApp, panelApp} from '../../src/panel/server/app.ts'
import type {VerbName} from '../../src/panel/store/store.ts'
import type {Release, ReleaseArtifact, ReleaseFile, Slot} from '../../src/release/release.ts'
import {releaseText, signRelease} from '../../src/release/release-manifest.ts'
import {channelOf} from '../../src/release/version.ts'
import {sha256Hex} from '../../src/system/hash.ts'
import type {JsonObject} from '../../src/system/json.ts'
import {signedAnchor, testAnchor, testNow, testSigner} from './anchors.ts'
import {temporaryFolder} from './tmp.ts'

/** Names of test signers by what their keys may sign in the anchor of a test panel. */
export const panelSigners = {
  root: 'panel root',
  manifest: 'panel manifest',
  artifact: 'panel artifact',
  license: 'panel license',
} as const

export type StartOptions = {
  /** An existing data folder; a new one otherwise. */
  readonly data?: string
  readonly config?: Partial<Omit<PanelConfig, 'limits'>>
  readonly limits?: Partial<PanelLimits>
  /** Seconds since the epoch; testNow otherwise, which does not move. */
  readonly clock?: () => number
  /** Made with its anchor and this matrix; none when empty. */
  readonly products?: Readonly<Record<string, readonly Slot[]>>
  readonly open?: Partial<PanelOptions>
  /** Any free one otherwise. */
  readonly listenPort?: number
}

/** A panel that listens on loopback, with what a test needs to talk to it. */
export type TestPanel = {
  readonly panel: OpenPanel
  readonly app: PanelApp
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly data: string
  readonly adminToken: string
  readonly logged: readonly LogEntry[]
  /** One request; JSON bodies are sent as JSON, bytes and text as they are. */
  ask(method: string, path: string, options?: AskOptions): Promise<Answer>
  token(verbs: readonly VerbName[], products?: readonly string[]): Promise<string>
  /** Ends the server, then the panel. */
  stop(): Promise<void>
}

export type AskOptions = {
  /** The administrator's when not given; none when null. */
  readonly token?: string | null
  readonly body?: JsonObject | Uint8Array | string
  readonly headers?: Readonly<Record<string, string>>
}

export type Answer = {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Buffer
  /** The body as JSON; an empty object when it is none. */
  readonly json: Record<string, unknown>
}

/** One product `agent` with one slot: what most tests need. */
export const agentSlot: Slot = {component: 'agent', os: 'linux', arch: 'amd64'}

/** Starts a panel; `stop` must be called. */
export async function startPanel(options: StartOptions = {}): Promise<TestPanel> {
  const {
    data = join(temporaryFolder('rel panel '), 'data'),
    clock = () => testNow,
    products = {agent: [agentSlot]},
  } = options
  const logged: LogEntry[] = []
  const panel = await openPanel({
    data,
    clock,
    log: (entry) => logged.push(entry),
    ...(options.config === undefined ? {} : {config: options.config}),
    ...(options.limits === undefined ? {} : {limits: options.limits}),
    ...options.open,
  })
  const app = panelApp(panel)
  await app.listen({host: '127.0.0.1', port: options.listenPort ?? 0})
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  const adminToken = readFileSync(panel.folder.adminToken, 'utf8').trim()
  const {ask} = clientOf(url, adminToken)
  const started: TestPanel = {
    panel,
    app,
    url,
    data,
    adminToken,
    logged,
    ask,
    async token(verbs, only) {
      const body = {name: verbs.join(' '), verbs, days: 1, ...(only ? {products: only} : {})}
      return String((await wanted(201, ask('POST', '/v1/tokens', {body}))).json.token)
    },
    async stop() {
      await app.close()
      await panel.close()
    },
  }
  for (const [product, required] of Object.entries(products))
    await addProduct(started, product, required)
  return started
}

/** Talks to a panel that runs elsewhere. */
export function clientOf(url: string, token: string): Pick<TestPanel, 'ask'> {
  return {ask: (method, path, given = {}) => send(url, method, path, {token, ...given})}
}

/** A product with the anchor of panelSigners and a matrix. */
export async function addProduct(
  {ask}: Pick<TestPanel, 'ask'>,
  product: string,
  required: readonly Slot[],
): Promise<void> {
  const path = `/v1/products/${product}`
  await wanted(200, ask('PUT', path))
  await wanted(200, ask('PUT', `${path}/keys`, {body: await panelAnchor()}))
  if (required.length > 0) await wanted(200, ask('PUT', `${path}/matrix`, {body: {required}}))
}

/** trust.json of a test panel. */
export function panelAnchor(): Promise<Buffer> {
  const {root, manifest, artifact, license} = panelSigners
  const anchor = testAnchor(
    {role: 'root', keys: [root]},
    {role: 'manifest', keys: [manifest]},
    {role: 'artifact', keys: [artifact]},
    {role: 'license', keys: [license]},
  )
  // panels in processes of their own have the machine's clock
  return signedAnchor({...anchor, expires: 4_102_444_800}, root)
}

async function send(
  url: string,
  method: string,
  path: string,
  {token, body, headers}: AskOptions,
): Promise<Answer> {
  const isRaw = body === undefined || typeof body === 'string' || body instanceof Uint8Array
  const response = await fetch(url + path, {
    method,
    redirect: 'manual',
    headers: {
      ...(token === null || token === undefined ? {} : {authorization: `Bearer ${token}`}),
      ...(body === undefined ? {} : {'content-type': 'application/json'}),
      ...headers,
    },
    ...(body === undefined
      ? {}
      : {body: isRaw ? Buffer.from(body as string) : JSON.stringify(body)}),
  })
  const bytes = Buffer.from(await response.arrayBuffer())
  return {status: response.status, headers: response.headers, bytes, json: jsonOf(bytes)}
}

function jsonOf(bytes: Buffer): Record<string, unknown> {
  try {
    return JSON.parse(bytes.toString('utf8')) as Record<string, unknown>
  } catch {
    return {}
  }
}

/** The answer, which must have this status. */
export async function wanted(status: number, asked: Promise<Answer>): Promise<Answer> {
  const answer = await asked
  if (answer.status === status) return answer
  throw new Error(`${answer.status} instead of ${status}: ${answer.bytes.toString('utf8')}`)
}

export type TestRelease = {
  readonly file: ReleaseFile
  /** The envelope as it is sent. */
  readonly text: string
  /** Bytes by the name of the artifact. */
  readonly bytes: ReadonlyMap<string, Buffer>
}

export type ReleaseTerms = {
  readonly product?: string
  readonly version: string
  readonly slots?: readonly Slot[]
  /** Distinguishes the bytes of two releases of one version. */
  readonly seed?: string
  readonly size?: number
  readonly signers?: Partial<Record<'manifest' | 'artifact', string>>
  readonly terms?: Partial<Release>
}

/** A release, signed by panelSigners, with bytes that follow from its terms. */
export async function makeRelease({
  product = 'agent',
  version,
  slots = [agentSlot],
  seed = '',
  size = 1000,
  signers = {},
  terms = {},
}: ReleaseTerms): Promise<TestRelease> {
  const artifactSigner = testSigner(signers.artifact ?? panelSigners.artifact)
  const bytes = new Map<string, Buffer>()
  const artifacts: ReleaseArtifact[] = []
  for (const {component, os, arch} of slots) {
    const name = `${component}_${version.replaceAll('+', '_')}_${os}_${arch}.tar.gz`
    const content = filler(`${product} ${name} ${seed}`, size)
    bytes.set(name, content)
    const signature = Buffer.from(await artifactSigner.sign(content)).toString('base64')
    artifacts.push({
      name,
      component,
      os,
      arch,
      size: content.length,
      sha256: sha256Hex(content),
      signature,
      keyId: artifactSigner.publicKey.keyId,
      required: true,
    })
  }
  const release: Release = {
    product,
    version,
    channel: channelOf(version),
    timestamp: testNow,
    artifacts,
    ...terms,
  }
  const file = await signRelease(release, testSigner(signers.manifest ?? panelSigners.manifest))
  return {file, text: releaseText(file), bytes}
}

/** Bytes that look random and follow from a name. */
function filler(name: string, size: number): Buffer {
  return createHash('shake256', {outputLength: size}).update(name).digest()
}

type Client = Pick<TestPanel, 'ask'>

/** Sends bytes as one upload, in one piece. */
export async function upload(
  {ask}: Client,
  content: Uint8Array,
  token?: string,
  sha256 = sha256Hex(content),
): Promise<Answer> {
  const as = token === undefined ? {} : {token}
  const begun = await ask('POST', '/v1/uploads', {
    ...as,
    headers: {
      'tus-resumable': '1.0.0',
      'upload-length': String(content.length),
      'upload-metadata': `sha256 ${Buffer.from(sha256).toString('base64')}`,
    },
  })
  if (begun.status !== 201) return begun
  return ask('PATCH', begun.headers.get('location') ?? '', {
    ...as,
    body: content,
    headers: {
      'tus-resumable': '1.0.0',
      'upload-offset': '0',
      'content-type': 'application/offset+octet-stream',
    },
  })
}

/** Draft and uploads; not published yet. */
export async function draft(client: Client, release: TestRelease, token?: string): Promise<void> {
  const as = token === undefined ? {} : {token}
  const {product} = release.file.release
  const answer = await client.ask('POST', `/v1/products/${product}/releases`, {
    ...as,
    body: release.text,
  })
  if (answer.status !== 201 && answer.status !== 200)
    throw new Error(`draft: ${answer.status} ${answer.bytes}`)
  for (const content of release.bytes.values()) {
    const sent = await upload(client, content, token)
    if (sent.status !== 204 && sent.status !== 200)
      throw new Error(`upload: ${sent.status} ${sent.bytes}`)
  }
}

/** The flip alone. */
export function flip({ask}: Client, {file}: TestRelease, token?: string): Promise<Answer> {
  const {product, version} = file.release
  return ask('POST', `/v1/products/${product}/releases/${encodeURIComponent(version)}/publish`, {
    ...(token === undefined ? {} : {token}),
    headers: {'if-match': `"${file.digest}"`},
  })
}

/** Draft, uploads and the flip, which must succeed. */
export async function publish(client: Client, release: TestRelease): Promise<void> {
  await draft(client, release)
  await wanted(200, flip(client, release))
}
