import {setTimeout} from 'node:timers/promises'
import {AwsClient} from 'aws4fetch'
import type {ErrorCode} from '../../system/codes.ts'
import {RelError} from '../../system/error.ts'
import {sha256Hex} from '../../system/hash.ts'

/** Tries of a request that may pass the next time: no answer, 5xx, 429. */
const ATTEMPTS = 5
const FIRST_DELAY_MS = 100

/** For a whole small request, and for a piece of bytes on a slow line. */
const REQUEST_TIMEOUT_MS = 60_000
const PIECE_TIMEOUT_MS = 300_000

/** A server that sends nothing for so long is gone; a slow reader of ours is another matter. */
const IDLE_TIMEOUT_MS = 60_000

/** An error document is a few lines; a page of a listing some 500 KB. */
const MAX_DOCUMENT_BYTES = 8 * 1024 * 1024

export type S3Object = {
  readonly key: string
  readonly size: number
  /** Seconds since the epoch. */
  readonly modified: number
}

export type S3Request = {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  /** Below the bucket; the bucket itself when not given. */
  readonly key?: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array<ArrayBuffer>
}

export type S3Environment = Readonly<Record<string, string | undefined>>

/**
 * Signed requests to one bucket of an S3-compatible store, by path (`https://host/bucket/key`).
 * ETags are never believed: they are no digests of the bytes.
 */
export class S3Client {
  /** The address without secrets. */
  readonly label: string
  readonly #bucket: URL
  readonly #prefix: string
  readonly #aws: AwsClient

  /**
   * `s3://host/bucket/prefix?region=R` (https) or `s3+http://…`; the key pair is in the environment
   * as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Refuses with store_address_invalid.
   */
  constructor(address: string, env: S3Environment) {
    if (!URL.canParse(address)) throw badAddress('it is no URL')
    const url = new URL(address)
    const scheme = {'s3:': 'https', 's3+http:': 'http'}[url.protocol]
    const [bucket = '', ...prefix] = url.pathname.split('/').filter((part) => part !== '')
    if (scheme === undefined || url.host === '' || bucket === '')
      throw badAddress('it is not s3://host/bucket')
    if (url.username !== '' || url.password !== '')
      throw badAddress('secrets belong into the environment')
    const {AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN} = env
    if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY)
      throw badAddress('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set')
    this.label = `${url.protocol}//${url.host}${url.pathname}`
    this.#bucket = new URL(`${scheme}://${url.host}/${bucket}`)
    this.#prefix = prefix.map((part) => `${part}/`).join('')
    this.#aws = new AwsClient({
      accessKeyId: AWS_ACCESS_KEY_ID,
      secretAccessKey: AWS_SECRET_ACCESS_KEY,
      ...(AWS_SESSION_TOKEN ? {sessionToken: AWS_SESSION_TOKEN} : {}),
      service: 's3',
      region: url.searchParams.get('region') ?? env.AWS_REGION ?? 'us-east-1',
    })
  }

  /** The answer when it is 2xx or 404; refuses with store_*. Its body must be read or cancelled. */
  async send(request: S3Request): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#try(request)
      if (answer instanceof Response && (answer.ok || answer.status === 404)) return answer
      const mayPass = answer instanceof Error || answer.status >= 500 || answer.status === 429
      if (!mayPass || attempt === ATTEMPTS || isFull(answer))
        throw await this.#refusal(request, answer)
      if (answer instanceof Response) await answer.body?.cancel()
      await setTimeout(Math.random() * FIRST_DELAY_MS * 2 ** attempt)
    }
  }

  async #try({method, key, query, headers, body}: S3Request): Promise<Response | Error> {
    const signed = await this.#aws.sign(this.#urlOf(key, query), {
      method,
      headers: {
        ...headers,
        'x-amz-content-sha256': sha256Hex(body ?? ''),
      },
      ...(body === undefined ? {} : {body}),
    })
    const limit = body === undefined ? REQUEST_TIMEOUT_MS : PIECE_TIMEOUT_MS
    // for an answer to begin: a body is read by whoever asked, who knows how long that may take
    const controller = new AbortController()
    const timer = globalThis.setTimeout(() => controller.abort(), limit)
    try {
      return await fetch(signed, {signal: controller.signal, redirect: 'manual'})
    } catch (error) {
      return error instanceof Error ? error : new Error('fetch failed')
    } finally {
      clearTimeout(timer)
    }
  }

  #urlOf(key: string | undefined, query: Readonly<Record<string, string>> = {}): URL {
    const url = new URL(this.#bucket)
    if (key !== undefined) url.pathname += `/${this.#prefix}${key}`
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
    return url
  }

  async #refusal({method}: S3Request, answer: Response | Error): Promise<RelError> {
    if (answer instanceof Error)
      return new RelError('store_unavailable', `${this.label} does not answer`, {cause: answer})
    const text = method === 'HEAD' ? '' : await textOf(answer, this.label)
    const s3Code = /<Code>([A-Za-z]{1,64})<\/Code>/.exec(text)?.[1] ?? 'no code'
    const code = codeOf(method, answer.status, s3Code)
    return new RelError(code, `${this.label}: ${method} answered ${answer.status} (${s3Code})`)
  }

  /** send, and the text of a 2xx answer; undefined for 404. */
  async text(request: S3Request): Promise<string | undefined> {
    const answer = await this.send(request)
    if (answer.ok) return textOf(answer, this.label)
    await answer.body?.cancel()
    return undefined
  }

  /** Objects below a prefix in the order of their keys; names are without the store's own prefix. */
  async *list(below: string): AsyncGenerator<S3Object> {
    const prefix = this.#prefix + below
    for (let after = ''; ; ) {
      const query = {'list-type': '2', prefix, ...(after === '' ? {} : {'start-after': after})}
      const page = await this.text({method: 'GET', query})
      if (page === undefined) throw new RelError('store_failed', `${this.label}: no such bucket`)
      for (const [, entry = ''] of page.matchAll(/<Contents>([\s\S]*?)<\/Contents>/g)) {
        after = field(entry, 'Key')
        yield {
          key: after.slice(this.#prefix.length),
          size: Number(field(entry, 'Size')),
          modified: Math.floor(Date.parse(field(entry, 'LastModified')) / 1000),
        }
      }
      if (field(page, 'IsTruncated') !== 'true') return
    }
  }

  /** Multipart uploads that were begun and not ended. */
  async unfinished(): Promise<readonly {key: string; uploadId: string; begun: number}[]> {
    const query = {uploads: '', prefix: this.#prefix}
    const page = (await this.text({method: 'GET', query})) ?? ''
    return [...page.matchAll(/<Upload>([\s\S]*?)<\/Upload>/g)].map(([, entry = '']) => ({
      key: field(entry, 'Key').slice(this.#prefix.length),
      uploadId: field(entry, 'UploadId'),
      begun: Math.floor(Date.parse(field(entry, 'Initiated')) / 1000),
    }))
  }

  /** An address that anybody may GET for so many seconds. */
  async presign(
    key: string,
    seconds: number,
    query: Readonly<Record<string, string>>,
  ): Promise<string> {
    const url = this.#urlOf(key, {...query, 'X-Amz-Expires': String(seconds)})
    const signed = await this.#aws.sign(url, {method: 'GET', aws: {signQuery: true}})
    return signed.url
  }
}

function badAddress(message: string): RelError {
  return new RelError('store_address_invalid', `the address of the object store: ${message}`)
}

function isFull(answer: Response | Error): boolean {
  return answer instanceof Response && answer.status === 507
}

function codeOf(method: string, status: number, s3Code: string): ErrorCode {
  if (status === 507 || s3Code === 'QuotaExceeded') return 'store_full'
  if (status >= 500 || status === 429) return 'store_unavailable'
  const isWrite = method !== 'GET' && method !== 'HEAD'
  return isWrite && s3Code === 'AccessDenied' ? 'store_read_only' : 'store_failed'
}

async function textOf(answer: Response, label: string): Promise<string> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of bodyOf(answer, label)) {
    size += part.length
    if (size > MAX_DOCUMENT_BYTES) throw new RelError('store_failed', `${label}: a long answer`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

/** The body of an answer; refuses with store_unavailable when it stops coming. */
export async function* bodyOf(answer: Response, label: string): AsyncGenerator<Uint8Array> {
  const reader = answer.body?.getReader()
  if (reader === undefined) return
  const wanted = Number(answer.headers.get('content-length') ?? Number.NaN)
  let seen = 0
  try {
    for (;;) {
      const {promise, reject} = Promise.withResolvers<never>()
      const timer = globalThis.setTimeout(() => reject(new Error('idle')), IDLE_TIMEOUT_MS)
      const next = await Promise.race([reader.read(), promise]).finally(() => clearTimeout(timer))
      if (next.done) break
      seen += next.value.length
      yield next.value
    }
  } catch (error) {
    throw new RelError('store_unavailable', `${label}: bytes stopped coming`, {cause: error})
  } finally {
    await reader.cancel().catch(() => undefined)
  }
  if (Number.isFinite(wanted) && seen !== wanted)
    throw new RelError('store_unavailable', `${label}: ${seen} of ${wanted} bytes came`)
}

const entities: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
}

/** The text of the first element of a name; the documents are flat where we look. */
export function field(xml: string, name: string): string {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? ''
  return text.replace(/&(amp|lt|gt|quot|apos);/g, (_, entity: string) => entities[entity] ?? '')
}
