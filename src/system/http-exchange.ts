import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http'
import {Agent as HttpsAgent, request as httpsRequest} from 'node:https'
import {createGunzip} from 'node:zlib'
import {RelError} from './error.ts'
import type {HttpHeaders, HttpMethod, HttpPieces} from './http.ts'
import {type AnswerHead, shownUrl} from './http-rules.ts'

/** How long each part of an exchange may take, in milliseconds. */
export type HttpTimeouts = {
  readonly connectMs: number
  /** From the connection to the head of the answer. */
  readonly headersMs: number
  /** Between two pieces of the body. */
  readonly idleMs: number
  readonly totalMs: number
}

/** Connections that are kept for the next request to the same server; idle ones keep no process alive. */
export type HttpAgents = {readonly http: HttpAgent; readonly https: HttpsAgent}

export type ProxyEnv = {
  readonly HTTP_PROXY?: string
  readonly HTTPS_PROXY?: string
  readonly NO_PROXY?: string
}

/** Each is made when it is first asked for: loading TLS takes 5 ms, which a poll without it need not pay. */
export function makeAgents(proxyEnv: ProxyEnv): HttpAgents {
  const options = {keepAlive: true, proxyEnv}
  let http: HttpAgent | undefined
  let https: HttpsAgent | undefined
  return {
    get http() {
      http ??= new HttpAgent(options)
      return http
    },
    get https() {
      https ??= new HttpsAgent(options)
      return https
    },
  }
}

export type ExchangeRequest = {
  readonly method: HttpMethod
  readonly url: URL
  readonly headers: HttpHeaders
  readonly body?: Uint8Array | HttpPieces | undefined
  /** Ends it wherever it is, also within its answer: refused with interrupted. */
  readonly stop?: AbortSignal | undefined
}

/** The head of an answer; its body is still on the way and must be read or dropped. */
export type OpenAnswer = AnswerHead & {
  /** The body as it comes, with no encoding removed. */
  readonly body: AsyncIterable<Buffer>
  /** Bytes of the body, when the server has announced them. */
  readonly length: number | undefined
  drop(): void
}

/**
 * One request and the head of its answer. Refuses with http_unreachable, http_timeout,
 * http_malformed, http_certificate_refused; the body with http_truncated and http_timeout.
 */
export function exchange(
  request: ExchangeRequest,
  timeouts: HttpTimeouts,
  agents: HttpAgents,
): Promise<OpenAnswer> {
  const {method, url, headers, body, stop} = request
  const isTls = url.protocol === 'https:'
  const options = {method, headers: {...headers}, agent: isTls ? agents.https : agents.http}
  return new Promise((resolve, reject) => {
    const outgoing = isTls ? httpsRequest(url, options) : httpRequest(url, options)
    let underWay: {destroy(error: Error): unknown} = outgoing
    const late = (what: string, ms: number) => () =>
      underWay.destroy(new RelError('http_timeout', `${shownUrl(url)}: ${what} took over ${ms} ms`))
    const stopped = () => underWay.destroy(new RelError('interrupted', 'it was stopped'))
    stop?.addEventListener('abort', stopped)
    if (stop?.aborted === true) stopped()
    const patience = (what: string, ms: number) => setTimeout(late(what, ms), ms)
    let total = patience('the answer', timeouts.totalMs)
    let phase = patience('connecting', timeouts.connectMs)
    const connected = () => {
      clearTimeout(phase)
      phase = patience('the head of the answer', timeouts.headersMs)
    }
    // how long a body takes says nothing as long as it moves
    const moved = () => {
      clearTimeout(total)
      clearTimeout(phase)
      total = patience('the answer', timeouts.totalMs)
      phase = patience('sending the next bytes', timeouts.idleMs)
    }
    /** Answered or failed: nothing is waited for any more, or a timer would keep the process. */
    let isOver = false
    outgoing.on('socket', (socket) => {
      if (socket.connecting) socket.once(isTls ? 'secureConnect' : 'connect', connected)
      else connected()
    })
    const fail = (error: Error) => {
      isOver = true
      clearTimeout(phase)
      clearTimeout(total)
      stop?.removeEventListener('abort', stopped)
      reject(headError(error, url))
    }
    outgoing.on('error', fail)
    // 101 to what never asked for it: Node gives the socket away and tells nobody else
    outgoing.on('upgrade', (_message, socket) => {
      socket.destroy()
      fail(new RelError('http_malformed', `${shownUrl(url)} changes to another protocol unasked`))
    })
    outgoing.on('response', (message) => {
      clearTimeout(phase)
      isOver = true
      underWay = message
      message.on('close', () => {
        clearTimeout(total)
        stop?.removeEventListener('abort', stopped)
        // an answer to half a body: the rest is not wanted, the connection not usable
        if (!outgoing.writableEnded) outgoing.destroy()
      })
      resolve(openAnswer(message, url, timeouts.idleMs))
    })
    if (body === undefined || body instanceof Uint8Array) {
      outgoing.end(body)
      return
    }
    const step = () => {
      if (!isOver) moved()
      return !isOver
    }
    sendPieces(outgoing, body, step).then(
      () => {
        if (!isOver) connected()
      },
      (error: Error) => underWay.destroy(error),
    )
  })
}

/** Sends what is read as fast as it is taken; ends early when `goesOn` says so or the other side went. */
async function sendPieces(
  outgoing: ClientRequest,
  {open}: HttpPieces,
  goesOn: () => boolean,
): Promise<void> {
  for await (const piece of open()) {
    if (!goesOn() || outgoing.destroyed) return
    if (!outgoing.write(piece)) await drained(outgoing)
  }
  if (goesOn() && !outgoing.destroyed) outgoing.end()
}

function drained(outgoing: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const event of events) outgoing.off(event, done)
      resolve()
    }
    const events = ['drain', 'close', 'error', 'response'] as const
    for (const event of events) outgoing.on(event, done)
  })
}

function openAnswer(message: IncomingMessage, url: URL, idleMs: number): OpenAnswer {
  const announced = message.headers['content-length']
  const length = announced === undefined ? undefined : Number(announced)
  const status = message.statusCode ?? 0
  return {
    status,
    headers: flatHeaders(message),
    length,
    body: bodyOf(message, url, idleMs),
    drop: () => {
      if (status === 304 || length === 0)
        message.resume() // the connection stays usable
      else message.destroy()
    },
  }
}

function flatHeaders(message: IncomingMessage): HttpHeaders {
  return Object.fromEntries(
    Object.entries(message.headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : (value ?? ''),
    ]),
  )
}

async function* bodyOf(message: IncomingMessage, url: URL, idleMs: number): AsyncGenerator<Buffer> {
  const {socket} = message
  const late = () =>
    message.destroy(new RelError('http_timeout', `${shownUrl(url)}: no bytes for ${idleMs} ms`))
  socket.setTimeout(idleMs, late)
  try {
    for await (const chunk of message) yield chunk as Buffer
  } catch (cause) {
    if (cause instanceof RelError) throw cause
    throw new RelError('http_truncated', `${shownUrl(url)} broke off within its answer`, {cause})
  } finally {
    socket.setTimeout(0)
    socket.off('timeout', late)
  }
}

/**
 * The whole body, decompressed, within `maxBytes`. Refuses with http_too_large, http_truncated,
 * http_malformed.
 */
export async function readWhole(answer: OpenAnswer, url: URL, maxBytes: number): Promise<Buffer> {
  if ((answer.length ?? 0) > maxBytes) {
    answer.drop()
    throw tooLarge(url, maxBytes)
  }
  const bytes = await collect(answer.body, url, maxBytes, answer)
  const encoding = answer.headers['content-encoding'] ?? 'identity'
  if (encoding === 'identity' || bytes.length === 0) return bytes
  if (encoding !== 'gzip')
    throw new RelError('http_malformed', `${shownUrl(url)} answers in the encoding ${encoding}`)
  const gunzip = createGunzip()
  gunzip.end(bytes)
  try {
    return await collect(gunzip, url, maxBytes)
  } catch (cause) {
    if (cause instanceof RelError) throw cause
    throw new RelError('http_malformed', `${shownUrl(url)} answers with damaged gzip`, {cause})
  }
}

async function collect(
  pieces: AsyncIterable<Buffer>,
  url: URL,
  maxBytes: number,
  answer?: OpenAnswer,
): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of pieces) {
    size += chunk.length
    if (size > maxBytes) {
      answer?.drop()
      throw tooLarge(url, maxBytes)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

export function tooLarge(url: URL, maxBytes: number): RelError {
  return new RelError('http_too_large', `${shownUrl(url)} gives more than ${maxBytes} bytes`)
}

/** Codes of node:tls that say something about the certificate of the other side. */
const certificateCode =
  /^(?:CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_|HOSTNAME_|INVALID_CA)/

function headError(error: Error & {code?: string}, url: URL): RelError {
  if (error instanceof RelError) return error
  const {code = 'unknown error'} = error
  const cause = {cause: error}
  if (code.startsWith('HPE_'))
    return new RelError('http_malformed', `${url.host} does not speak HTTP: ${code}`, cause)
  if (certificateCode.test(code))
    return new RelError(
      'http_certificate_refused',
      `the certificate of ${url.host}: ${code}`,
      cause,
    )
  return new RelError('http_unreachable', `cannot reach ${url.host}: ${code}`, cause)
}
