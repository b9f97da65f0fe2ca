import {isDigest} from '../../system/digest.ts'
import {RelError} from '../../system/error.ts'
import type {BlobStore, UploadStore} from './blobs.ts'
import {checkDigest, checkedBytes, isWhole} from './checked-bytes.ts'
import {bodyOf, field, S3Client, type S3Environment, type S3Object} from './s3-client.ts'

/**
 * What is held in memory of one put, so that a part can be sent again. Smaller blobs are one PUT;
 * S3 wants parts of at least 5 MiB.
 */
const PART_BYTES = 16 * 1024 * 1024
const MAX_PARTS = 10_000

/** A piece of an upload; the store's clients send that much between two acknowledgements. */
const UPLOAD_PIECE_BYTES = 8 * 1024 * 1024

export type S3Options = {
  /** `s3://host/bucket/prefix?region=R`, or `s3+http://…` without TLS. */
  readonly url: string
  /** Holds AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if used, AWS_SESSION_TOKEN, AWS_REGION. */
  readonly env: S3Environment
}

/**
 * Blobs and uploads in a bucket, for several panel instances.
 * Refuses with store_address_invalid, store_unavailable, store_failed.
 */
export async function openS3Blobs({
  url,
  env,
}: S3Options): Promise<{blobs: BlobStore; uploads: UploadStore}> {
  const client = new S3Client(url, env)
  const answer = await client.send({method: 'HEAD'})
  if (!answer.ok) throw new RelError('store_address_invalid', `${client.label}: no such bucket`)
  return {blobs: new S3Blobs(client), uploads: new S3Uploads(client)}
}

class S3Blobs implements BlobStore {
  readonly label: string
  readonly #client: S3Client

  constructor(client: S3Client) {
    this.label = client.label
    this.#client = client
  }

  async stat(sha256: string): Promise<number | undefined> {
    const headers = await this.#head(sha256)
    return headers === undefined ? undefined : Number(headers.get('content-length'))
  }

  async storedAt(sha256: string): Promise<number | undefined> {
    const text = (await this.#head(sha256))?.get('last-modified')
    return text ? Math.floor(Date.parse(text) / 1000) : undefined
  }

  async #head(sha256: string): Promise<Headers | undefined> {
    const answer = await this.#client.send({method: 'HEAD', key: keyOf(sha256)})
    return answer.ok ? answer.headers : undefined
  }

  /** Nothing is visible before all bytes were hashed; then they are read back and hashed again. */
  async put(sha256: string, size: number, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    const key = keyOf(sha256)
    const checked = checkedBytes(sha256, size, bytes)
    if (size <= PART_BYTES) {
      const body = await collected(checked)
      await this.#client.send({method: 'PUT', key, body})
    } else await this.#putParts(key, size, checked)
    if (await this.rehash(sha256)) return
    await this.remove(sha256)
    throw new RelError('store_failed', `${this.label} does not hand out the bytes it was given`)
  }

  async #putParts(key: string, size: number, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    const begun = await this.#client.text({method: 'POST', key, query: {uploads: ''}})
    const uploadId = field(begun ?? '', 'UploadId')
    if (uploadId === '') throw new RelError('store_failed', `${this.label} began no upload`)
    try {
      const tags: string[] = []
      const partBytes = Math.max(PART_BYTES, Math.ceil(size / MAX_PARTS))
      for await (const body of piecesOfSize(bytes, partBytes)) {
        const query = {uploadId, partNumber: String(tags.length + 1)}
        const {headers} = await this.#client.send({method: 'PUT', key, query, body})
        tags.push(headers.get('etag') ?? '')
      }
      const parts = tags.map(
        (tag, at) => `<Part><PartNumber>${at + 1}</PartNumber><ETag>${tag}</ETag></Part>`,
      )
      const document = `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`
      const query = {uploadId}
      const done = await this.#client.text({
        method: 'POST',
        key,
        query,
        body: Buffer.from(document),
      })
      // S3 may begin its answer with 200 and report the failure in the document
      if (done === undefined || /<Error>/.test(done))
        throw new RelError('store_unavailable', `${this.label} did not complete an upload`)
    } catch (error) {
      await this.#client.send({method: 'DELETE', key, query: {uploadId}}).catch(() => undefined)
      throw error
    }
  }

  async *read(
    sha256: string,
    range?: {readonly start: number; readonly end: number},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const key = keyOf(sha256)
    if (range !== undefined && range.start >= range.end) return
    const headers: Record<string, string> =
      range === undefined ? {} : {range: `bytes=${range.start}-${range.end - 1}`}
    const answer = await this.#client.send({method: 'GET', key, headers})
    if (!answer.ok) {
      await answer.body?.cancel()
      throw new RelError('blob_missing', `there is no blob ${sha256}`)
    }
    if (range !== undefined && answer.status !== 206) {
      await answer.body?.cancel()
      throw new RelError('store_failed', `${this.label} does not answer ranges`)
    }
    yield* bodyOf(answer, this.label)
  }

  async rehash(sha256: string): Promise<boolean> {
    return isWhole(sha256, this.read(sha256))
  }

  async *list(): AsyncGenerator<string> {
    for await (const {key} of this.#client.list('sha256/')) {
      const sha256 = key.slice(-64)
      if (isDigest(sha256) && key === keyOf(sha256)) yield sha256
    }
  }

  async remove(sha256: string): Promise<void> {
    await this.#client.send({method: 'DELETE', key: keyOf(sha256)})
  }

  presign(sha256: string, seconds: number, fileName: string): Promise<string> {
    // names of artifacts are this plain already; anything else would end the header's quotes
    const name = fileName.replace(/[^A-Za-z0-9._+-]/g, '_')
    return this.#client.presign(keyOf(sha256), seconds, {
      'response-content-disposition': `attachment; filename="${name}"`,
      'response-content-type': 'application/octet-stream',
    })
  }

  async checkWritable(): Promise<void> {
    await this.#client.send({method: 'PUT', key: 'probe', body: Buffer.from('x')})
    await this.#client.send({method: 'DELETE', key: 'probe'})
  }

  async sweep(seconds: number): Promise<number> {
    let removed = 0
    for (const {key, uploadId, begun} of await this.#client.unfinished()) {
      if (Date.now() / 1000 - begun < seconds) continue
      await this.#client.send({method: 'DELETE', key, query: {uploadId}})
      removed++
    }
    return removed
  }

  async close(): Promise<void> {
    // fetch keeps no connection that would hold the process
  }
}

/**
 * `uploads/ID/size` and a piece for every append under its offset: any instance can go on with an
 * upload. Two that write at once end in a wrong digest at worst, which is refused.
 */
class S3Uploads implements UploadStore {
  readonly #client: S3Client
  readonly #busy = new Set<string>()

  constructor(client: S3Client) {
    this.#client = client
  }

  async create({id, size}: {readonly id: string; readonly size: number}): Promise<void> {
    const key = `${folderOf(id)}size`
    await this.#client.send({method: 'PUT', key, body: Buffer.from(String(size))})
  }

  async offset(id: string): Promise<number | undefined> {
    return isUploadId(id) ? (await this.#facts(id))?.stored : undefined
  }

  async #facts(
    id: string,
  ): Promise<{stored: number; size: number; pieces: readonly string[]} | undefined> {
    const size = await this.#client.text({method: 'GET', key: `${folderOf(id)}size`})
    if (size === undefined) return undefined
    const pieces: string[] = []
    let stored = 0
    for await (const piece of this.#client.list(folderOf(id))) {
      // what lies elsewhere was written by somebody who lost a race
      if (piece.key !== pieceKey(id, stored)) continue
      pieces.push(piece.key)
      stored += piece.size
    }
    return {stored, size: Number(size), pieces}
  }

  append(id: string, offset: number, bytes: AsyncIterable<Uint8Array>): Promise<number> {
    return this.#alone(id, async () => {
      const {stored, size} = await this.#known(id)
      if (stored !== offset)
        throw new RelError('upload_offset_wrong', `${stored} bytes are stored, not ${offset}`, {
          details: {offset: stored},
        })
      let position = offset
      const limited = upTo(size - offset, bytes)
      for await (const body of piecesOfSize(limited, UPLOAD_PIECE_BYTES, true)) {
        await this.#client.send({method: 'PUT', key: pieceKey(id, position), body})
        position += body.length
      }
      return position
    })
  }

  finish(id: string, sha256: string, into: BlobStore): Promise<void> {
    return this.#alone(id, async () => {
      checkDigest(sha256)
      const {stored, size, pieces} = await this.#known(id)
      if (stored !== size)
        throw new RelError('upload_incomplete', `${stored} of ${size} bytes are stored`, {
          details: {offset: stored},
        })
      try {
        await into.put(sha256, size, this.#bytes(pieces))
      } catch (error) {
        if (error instanceof RelError && error.code === 'blob_mismatch') await this.remove(id)
        throw error
      }
      await this.remove(id)
    })
  }

  async *#bytes(keys: readonly string[]): AsyncGenerator<Uint8Array> {
    for (const key of keys) {
      const answer = await this.#client.send({method: 'GET', key})
      if (!answer.ok) throw new RelError('blob_mismatch', 'a piece of the upload is gone')
      yield* bodyOf(answer, this.#client.label)
    }
  }

  /** The size last: without its pieces an upload is empty, without its size it is not there. */
  async remove(id: string): Promise<void> {
    const keys: string[] = []
    for await (const {key} of this.#client.list(folderOf(id))) keys.push(key)
    for (const key of keys) await this.#client.send({method: 'DELETE', key})
  }

  async *stale(seconds: number): AsyncGenerator<string> {
    let last: S3Object & {id: string} = {id: '', key: '', size: 0, modified: 0}
    const isStale = (): boolean =>
      isUploadId(last.id) &&
      !this.#busy.has(last.id) &&
      Date.now() / 1000 - last.modified >= seconds
    for await (const object of this.#client.list('uploads/')) {
      const id = object.key.split('/')[1] ?? ''
      if (id !== last.id && isStale()) yield last.id
      const modified = id === last.id ? Math.max(last.modified, object.modified) : object.modified
      last = {...object, id, modified}
    }
    if (isStale()) yield last.id
  }

  async #known(id: string): Promise<{stored: number; size: number; pieces: readonly string[]}> {
    const facts = isUploadId(id) ? await this.#facts(id) : undefined
    if (facts === undefined) throw new RelError('upload_unknown', 'there is no such upload')
    return facts
  }

  async #alone<Result>(id: string, body: () => Promise<Result>): Promise<Result> {
    if (this.#busy.has(id)) throw new RelError('upload_busy', `upload ${id} is being written to`)
    this.#busy.add(id)
    try {
      return await body()
    } finally {
      this.#busy.delete(id)
    }
  }
}

function keyOf(sha256: string): string {
  checkDigest(sha256)
  return `sha256/${sha256.slice(0, 2)}/${sha256}`
}

function isUploadId(id: string): boolean {
  return /^[A-Za-z0-9]{1,64}$/.test(id)
}

function folderOf(id: string): string {
  if (!isUploadId(id)) throw new RelError('upload_unknown', 'there is no such upload')
  return `uploads/${id}/`
}

/** Digits of one width, so that keys come in the order of offsets; `size` comes after them. */
function pieceKey(id: string, offset: number): string {
  return `${folderOf(id)}${String(offset).padStart(16, '0')}`
}

async function collected(bytes: AsyncIterable<Uint8Array>): Promise<Buffer<ArrayBuffer>> {
  const parts: Uint8Array[] = []
  for await (const part of bytes) parts.push(part)
  return Buffer.concat(parts)
}

/** Refuses with upload_too_long before a byte too many is handed on. */
async function* upTo(limit: number, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let seen = 0
  for await (const piece of bytes) {
    seen += piece.length
    if (seen > limit) throw new RelError('upload_too_long', `more than ${limit} bytes came`)
    yield piece
  }
}

/**
 * Bytes regrouped into pieces of one size, the last one shorter. With `keepsRest`, what came before
 * an error is handed on, and the error after it.
 */
async function* piecesOfSize(
  bytes: AsyncIterable<Uint8Array>,
  size: number,
  keepsRest = false,
): AsyncGenerator<Buffer<ArrayBuffer>> {
  let parts: Uint8Array[] = []
  let held = 0
  const failure: {error?: unknown} = {}
  try {
    for await (let piece of bytes) {
      while (held + piece.length >= size) {
        const taken = size - held
        yield Buffer.concat([...parts, piece.subarray(0, taken)])
        piece = piece.subarray(taken)
        ;[parts, held] = [[], 0]
      }
      parts.push(piece)
      held += piece.length
    }
  } catch (error) {
    if (!keepsRest) throw error
    failure.error = error
  }
  if (held > 0) yield Buffer.concat(parts)
  if (Object.hasOwn(failure, 'error')) throw failure.error
}
