import {generateKeyPairSync} from 'node:crypto'
import {createServer, type Server} from 'node:http'
import type {AddressInfo} from 'node:net'
import {bundleToJSON} from '@sigstore/bundle'
import {
  fulcioHandler,
  type HandlerFn,
  initializeCA,
  initializeCTLog,
  initializeTLog,
  initializeTSA,
  rekorHandler,
  tsaHandler,
} from '@sigstore/mock'
import {DSSEBundleBuilder, FulcioSigner, RekorWitness} from '@sigstore/sign'
import {sha256Hex} from '../../src/system/hash.ts'
import {parseTrustedRoot, type TrustedRoot} from '../../src/trust/sigstore/trusted-root.ts'

/** A Sigstore of its own on loopback: Fulcio with certificate log, Rekor, timestamp authority. */
export type MockSigstore = {
  readonly url: string
  /** trusted_root.json of this instance. */
  readonly rootJson: MockRoot
  readonly trustedRoot: TrustedRoot
  /** Seconds since the epoch at which everything in it happens. */
  readonly now: number
  /** Paths that were asked for, in order. */
  readonly requests: readonly string[]
  /** While set, every service answers with this status. */
  failWith: number | undefined
  /** An identity token that makes Fulcio certify these claims. */
  token(claims?: Claims): string
  close(): Promise<void>
}

export type MockRoot = {
  mediaType: string
  certificateAuthorities: MockAuthority[]
  timestampAuthorities: MockAuthority[]
  tlogs: MockLog[]
  ctlogs: MockLog[]
}
type MockAuthority = {
  certChain: {certificates: {rawBytes: string}[]}
  validFor: {start?: string; end?: string}
}
type MockLog = {
  baseUrl: string
  publicKey: {rawBytes: string; keyDetails: string; validFor: {start?: string; end?: string}}
  logId: {keyId: string}
}

export type Claims = Readonly<Record<string, unknown>>

/** What GitHub says of a release workflow that a tag has started; `san` becomes the name. */
export const releaseClaims = {
  iss: 'https://token.actions.githubusercontent.com',
  sub: 'repo:acme/app:ref:refs/tags/v1.4.2',
  san: 'https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.4.2',
  repository: 'acme/app',
  repository_id: '123456',
  ref: 'refs/tags/v1.4.2',
  event_name: 'push',
  runner_environment: 'github-hosted',
} as const

const DAY_MS = 86_400_000

/** `logDelaySecs` lets log and timestamp authority see a signature that long after Fulcio. */
export async function startMockSigstore({logDelaySecs = 0} = {}): Promise<MockSigstore> {
  // whole seconds: the mock's timestamps cannot be parsed otherwise; not before its certificates
  const clock = new Date(Math.ceil(Date.now() / 1000) * 1000)
  const later = new Date(clock.getTime() + logDelaySecs * 1000)
  const handlers = new Map<string, HandlerFn>()
  const state: {failWith: number | undefined; requests: string[]} = {
    failWith: undefined,
    requests: [],
  }
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    state.requests.push(request.url ?? '')
    const handle = handlers.get(request.url ?? '')
    if (state.failWith !== undefined || handle === undefined) {
      response.writeHead(state.failWith ?? 404).end()
      return
    }
    const answer = await handle(Buffer.concat(chunks).toString('utf8'))
    response.writeHead(answer.statusCode, {'content-type': answer.contentType ?? 'text/plain'})
    response.end(answer.response)
  })
  const url = await listen(server)
  const ctlog = await initializeCTLog(p256(), clock)
  const ca = await initializeCA(p256(), ctlog, clock)
  const tlog = await initializeTLog(url, p256(), later)
  const tsa = await initializeTSA(p256(), later)
  for (const handler of [
    fulcioHandler(ca, {subjectClaim: 'san'}),
    rekorHandler(tlog),
    tsaHandler(tsa),
  ])
    handlers.set(handler.path, handler.fn)

  const validFor = {start: new Date(clock.getTime() - DAY_MS).toISOString()}
  const log = (key: Buffer, id: string): MockLog => ({
    baseUrl: url,
    publicKey: {
      rawBytes: key.toString('base64'),
      keyDetails: 'PKIX_ECDSA_P256_SHA_256',
      validFor: {...validFor},
    },
    logId: {keyId: id},
  })
  const authority = (...certificates: readonly ArrayBufferView[]): MockAuthority => ({
    certChain: {certificates: certificates.map((der) => ({rawBytes: base64(der)}))},
    validFor: {...validFor},
  })
  const rootJson: MockRoot = {
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    certificateAuthorities: [authority(ca.rootCertificate)],
    timestampAuthorities: [authority(tsa.intCertificate, tsa.rootCertificate)],
    tlogs: [log(tlog.publicKey, Buffer.from(sha256Hex(tlog.publicKey), 'hex').toString('base64'))],
    ctlogs: [log(ctlog.publicKey, base64(ctlog.logID))],
  }
  return Object.assign(state, {
    url,
    rootJson,
    trustedRoot: parseTrustedRoot(Buffer.from(JSON.stringify(rootJson))),
    now: Math.floor(later.getTime() / 1000),
    token: (claims: Claims = releaseClaims) =>
      ['{"alg":"none"}', JSON.stringify(claims), 'unsigned']
        .map((part) => Buffer.from(part).toString('base64url'))
        .join('.'),
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  })
}

/** A DSSE bundle over a payload, as a provenance generator in CI makes it. */
export async function mockDsse(
  mock: MockSigstore,
  payload: Buffer,
  {type = 'application/vnd.in-toto+json', claims = releaseClaims as Claims} = {},
): Promise<Buffer> {
  const identityProvider = {getToken: async () => mock.token(claims)}
  const builder = new DSSEBundleBuilder({
    signer: new FulcioSigner({fulcioBaseURL: mock.url, identityProvider}),
    // the mock logs a dsse entry as it was proposed, which no verifier reads
    witnesses: [new RekorWitness({rekorBaseURL: mock.url, entryType: 'intoto'})],
    certificateChain: false,
  })
  return Buffer.from(JSON.stringify(bundleToJSON(await builder.create({data: payload, type}))))
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function p256() {
  return generateKeyPairSync('ec', {namedCurve: 'P-256'})
}

function base64(view: ArrayBufferView): string {
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('base64')
}
