import type {IncomingMessage, ServerResponse} from 'node:http'
import {freshnessText} from '../../../src/panel/agent/statements.ts'
import {channelOf} from '../../../src/release/version.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {testNow, testSigner} from '../anchors.ts'
import {type LoopbackServer, loopbackServer} from '../http/loopback-server.ts'
import type {TestRelease} from '../panel.ts'

/** Answers one request itself, whatever it likes. */
export type Reply = (request: IncomingMessage, response: ServerResponse, count: number) => void

/** The routes that a node asks; `count` is how often this one was asked before. */
export type Script = {
  manifest?: Reply
  download?: Reply
  license?: Reply
  check?: Reply
  bundle?: Reply
  report?: Reply
  log?: Reply
  /** Asked before all others, for every request. */
  any?: Reply
}

export type HostilePanel = LoopbackServer & {
  /** What answers instead of an honest panel; tests set and change it. */
  readonly script: Script
  /** Bodies of the reports that were sent. */
  readonly reports: readonly string[]
}

const routes: readonly [keyof Script, RegExp][] = [
  ['manifest', /^\/update\/manifest\.json/],
  ['license', /^\/update\/license/],
  ['download', /^\/download\//],
  ['check', /^\/check/],
  ['bundle', /^\/bundles\//],
  ['report', /^\/v1\/report/],
  ['log', /^\/v1\/products\/[^/]+\/log/],
]

/**
 * A panel that is honest about one release, signed by the keys of the tests, until its script says
 * otherwise: it is the imitation of a panel that fell into wrong hands, with its online key.
 */
export async function hostilePanel(
  release: TestRelease,
  script: Script = {},
): Promise<HostilePanel> {
  const counts = new Map<string, number>()
  const reports: string[] = []
  const [bytes = Buffer.alloc(0)] = release.bytes.values()
  const honest: Required<Omit<Script, 'any'>> = {
    manifest: (request, response) => {
      const {searchParams} = new URL(request.url ?? '', 'http://localhost')
      const current = searchParams.get('current') ?? ''
      void manifestBodyOf(release, {current}).then((body) => sendBody(request, response, body))
    },
    license: (_request, response) => sendStatus(response, 404),
    log: (_request, response) => sendStatus(response, 404),
    download: (request, response) => {
      const name = decodeURIComponent(request.url?.split('/').at(-1) ?? '')
      sendRange(request, response, release.bytes.get(name) ?? bytes)
    },
    bundle: (request, response) => sendRange(request, response, bytes),
    check: (_request, response) =>
      sendJson(response, {
        available: true,
        version: release.file.release.version,
        channel: release.file.release.channel,
      }),
    report: (request, response) => {
      let text = ''
      request.on('data', (chunk: Buffer) => {
        text += chunk.toString('utf8')
      })
      request.on('end', () => {
        reports.push(text)
        sendStatus(response, 202)
      })
    },
  }
  const server = await loopbackServer((request, response, count) => {
    if (script.any !== undefined) return script.any(request, response, count)
    const route = routes.find(([, pattern]) => pattern.test(request.url ?? ''))?.[0]
    if (route === undefined || route === 'any') return sendStatus(response, 404)
    const before = counts.get(route) ?? 0
    counts.set(route, before + 1)
    return (script[route] ?? honest[route])(request, response, before)
  })
  return {...server, script, reports}
}

/** What a statement on a release says; each can be another one than is true. */
export type FreshnessTerms = {
  readonly product?: string
  readonly track?: 'stable' | 'prerelease'
  readonly channels?: Parameters<typeof freshnessText>[0]['channels']
  readonly current?: string
  readonly digest?: string
  readonly issued?: number
  readonly expires?: number
  readonly log?: {readonly size: number; readonly root: string}
  readonly signer?: string
}

/** D0's manifest of a release, with flat fields that nobody should look at. */
export async function manifestBodyOf(
  {file, text}: Pick<TestRelease, 'file' | 'text'>,
  terms: FreshnessTerms = {},
): Promise<string> {
  const {issued = testNow - 3600, expires = issued + 7 * 86_400, signer = 'online'} = terms
  const {release, digest} = file
  const freshness = await freshnessText(
    {
      product: terms.product ?? release.product,
      track: terms.track ?? 'stable',
      channels: terms.channels ?? [channelOf(release.version)],
      current: terms.current ?? '1.0.0',
      manifestSha256: terms.digest ?? digest,
      sequence: 1,
      log: terms.log ?? {size: 2, root: sha256Hex('log of 2')},
      issued,
      expires,
    },
    testSigner(signer),
  )
  const flat = {version: '99.0.0', url: 'http://127.0.0.1:9/evil', sha256: '0'.repeat(64)}
  return `{"release":{"version":"99.0.0"},"artifacts":[${JSON.stringify(flat)}],"envelope":${text.trim()},"freshness":${freshness}}\n`
}

/** 200 with a strong entity tag over the body, or 304. */
export function sendBody(
  request: IncomingMessage,
  response: ServerResponse,
  body: string | Buffer,
): void {
  const etag = `"${sha256Hex(body)}"`
  const isSame = request.headers['if-none-match'] === etag
  response.writeHead(isSame ? 304 : 200, {etag, 'content-type': 'application/json'})
  response.end(isSame ? undefined : body)
}

export function sendJson(response: ServerResponse, json: object): void {
  response.writeHead(200, {'content-type': 'application/json'})
  response.end(JSON.stringify(json))
}

export function sendStatus(
  response: ServerResponse,
  status: number,
  code?: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, {'content-type': 'application/problem+json', ...headers})
  response.end(code === undefined ? '' : JSON.stringify({code}))
}

/** Bytes as an honest server sends them: ranges under If-Range and a strong entity tag. */
export function sendRange(request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
  const etag = etagOf(bytes)
  const {range = '', 'if-range': ifRange} = request.headers
  const start = Number(/^bytes=(\d+)-$/.exec(range)?.[1] ?? -1)
  if (start < 0 || (ifRange !== undefined && ifRange !== etag)) {
    response.writeHead(200, {etag, 'content-length': bytes.length})
    response.end(bytes)
    return
  }
  if (start >= bytes.length) {
    response.writeHead(416, {'content-range': `bytes */${bytes.length}`})
    response.end()
    return
  }
  response.writeHead(206, {
    etag,
    'content-length': bytes.length - start,
    'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}`,
  })
  response.end(bytes.subarray(start))
}

export function etagOf(bytes: Buffer): string {
  return `"sha256:${sha256Hex(bytes)}"`
}

/** The head of the whole, its first bytes, and then the connection is gone. */
export function cutAfter(response: ServerResponse, bytes: Buffer, count: number): void {
  response.writeHead(200, {etag: etagOf(bytes), 'content-length': bytes.length})
  response.flushHeaders()
  if (count === 0) setImmediate(() => response.destroy())
  else response.write(bytes.subarray(0, count), () => setImmediate(() => response.destroy()))
}
