import {randomBytes} from 'node:crypto'
import {Readable} from 'node:stream'
import type {FastifyReply, FastifyRequest} from 'fastify'
import type {ReleaseArtifact} from '../../release/release.ts'
import {RelError} from '../../system/error.ts'
import type {BlobStore} from '../blobs/blobs.ts'
import type {Panel} from '../panel.ts'
import {
  allowsRange,
  type ByteRange,
  matchesNone,
  parseRange,
  partHead,
  partsEnd,
} from './conditions.ts'

/**
 * Answers with an artifact's bytes: 200, 206 (also of several ranges), 304 or 416, from here, from
 * nginx, or from the object store. HEAD has the header fields of GET. The bytes of one version never
 * change, so they may be kept for ever, by the node alone.
 */
export async function sendArtifact(
  {blobs, config}: Pick<Panel, 'blobs' | 'config'>,
  request: FastifyRequest,
  reply: FastifyReply,
  artifact: ReleaseArtifact,
  fileName = artifact.name,
): Promise<FastifyReply> {
  const {sha256, size, name} = artifact
  const etag = `"sha256:${sha256}"`
  const {headers, method} = request
  const {downloads} = config
  const common = {
    etag,
    'cache-control': 'private, max-age=31536000, immutable',
    vary: 'Authorization',
    'repr-digest': `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`,
    'x-bundle-hash': sha256,
  }
  if (matchesNone(headers['if-none-match'], etag)) return reply.code(304).headers(common).send()
  if (method === 'GET' && downloads.by === 'redirect' && blobs.presign !== undefined) {
    const location = await blobs.presign(sha256, downloads.seconds, fileName)
    return reply
      .code(307)
      .headers({...common, location, 'cache-control': 'no-store'})
      .send()
  }
  const whole = {
    ...common,
    'accept-ranges': 'bytes',
    'content-type': 'application/octet-stream',
    'content-disposition': `attachment; filename="${fileName}"`,
  }
  if (downloads.by === 'accel' && blobs.localPath !== undefined) {
    const path = `${downloads.prefix}/${blobs.localPath(sha256)}`
    return reply.headers({...whole, 'x-accel-redirect': path}).send()
  }
  if ((await blobs.stat(sha256)) !== size)
    throw new RelError('panel_failed', `the bytes of ${name} are not in the store`)
  if (method === 'HEAD') return reply.headers({...whole, 'content-length': String(size)}).send()
  const answer = allowsRange(headers['if-range']?.toString(), etag)
    ? parseRange(headers.range, size)
    : ({kind: 'whole'} as const)
  if (answer.kind === 'unsatisfiable')
    return reply
      .code(416)
      .headers({...common, 'content-range': `bytes */${size}`, 'cache-control': 'no-store'})
      .send()
  reply.headers(whole)
  if (answer.kind === 'whole')
    return reply.header('content-length', String(size)).send(streamOf(blobs.read(sha256)))
  const [first, second] = answer.ranges
  if (first !== undefined && second === undefined) return sendRange(blobs, reply, artifact, first)
  return sendRanges(blobs, reply, artifact, answer.ranges)
}

function sendRange(
  blobs: BlobStore,
  reply: FastifyReply,
  {sha256, size}: ReleaseArtifact,
  range: ByteRange,
): FastifyReply {
  const {start, end} = range
  return reply
    .code(206)
    .headers({
      'content-range': `bytes ${start}-${end - 1}/${size}`,
      'content-length': String(end - start),
    })
    .send(streamOf(blobs.read(sha256, range)))
}

function sendRanges(
  blobs: BlobStore,
  reply: FastifyReply,
  {sha256, size}: ReleaseArtifact,
  ranges: readonly ByteRange[],
): FastifyReply {
  const boundary = randomBytes(18).toString('hex')
  const heads = ranges.map((range) => Buffer.from(partHead(boundary, range, size)))
  const tail = Buffer.from(partsEnd(boundary))
  const length = ranges.reduce(
    (sum, {start, end}, at) => sum + (heads[at]?.length ?? 0) + end - start,
    tail.length,
  )
  return reply
    .code(206)
    .headers({
      'content-type': `multipart/byteranges; boundary=${boundary}`,
      'content-length': String(length),
    })
    .send(streamOf(parts()))

  async function* parts(): AsyncGenerator<Uint8Array> {
    for (const [at, range] of ranges.entries()) {
      yield heads[at] as Buffer
      yield* blobs.read(sha256, range)
    }
    yield tail
  }
}

/** An aborted download destroys the stream, which ends the reading and closes its descriptor. */
function streamOf(bytes: AsyncIterable<Uint8Array>): Readable {
  return Readable.from(bytes, {objectMode: false, highWaterMark: 1})
}
