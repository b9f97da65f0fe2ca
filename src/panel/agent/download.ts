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
import {type Part, pump} from './pump.ts'

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
  const {sha256, size} = artifact
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
  const source = await openSource(blobs, artifact)
  if (method === 'HEAD') {
    await source.close()
    return reply.headers({...whole, 'content-length': String(size)}).send()
  }
  const answer = allowsRange(headers['if-range']?.toString(), etag)
    ? parseRange(headers.range, size)
    : ({kind: 'whole'} as const)
  if (answer.kind === 'unsatisfiable') {
    await source.close()
    return reply
      .code(416)
      .headers({...common, 'content-range': `bytes */${size}`, 'cache-control': 'no-store'})
      .send()
  }
  reply.headers(whole)
  const parts =
    answer.kind === 'whole' ? [{start: 0, end: size}] : partsOf(reply, answer.ranges, size)
  const length = parts.reduce(
    (sum, part) => sum + ('end' in part ? part.end - part.start : part.length),
    0,
  )
  return source.send(reply.header('content-length', String(length)), parts)
}

/** One range as it is, several as `multipart/byteranges`. */
function partsOf(reply: FastifyReply, ranges: readonly ByteRange[], size: number): readonly Part[] {
  reply.code(206)
  const [first, second] = ranges
  if (first !== undefined && second === undefined) {
    reply.header('content-range', `bytes ${first.start}-${first.end - 1}/${size}`)
    return [first]
  }
  const boundary = randomBytes(18).toString('hex')
  reply.header('content-type', `multipart/byteranges; boundary=${boundary}`)
  return [
    ...ranges.flatMap((range) => [Buffer.from(partHead(boundary, range, size)), range]),
    Buffer.from(partsEnd(boundary)),
  ]
}

/** Where the bytes of one answer come from; `send` closes it, whatever happens. */
type Source = {
  send(reply: FastifyReply, parts: readonly Part[]): FastifyReply
  close(): Promise<void>
}

/** Refuses with panel_failed when the stored bytes are gone or of another size: never a short file. */
async function openSource(
  blobs: BlobStore,
  {sha256, size, name}: ReleaseArtifact,
): Promise<Source> {
  const gone = () => new RelError('panel_failed', `the bytes of ${name} are not in the store`)
  if (blobs.open === undefined) {
    if ((await blobs.stat(sha256)) !== size) throw gone()
    const send = (reply: FastifyReply, parts: readonly Part[]) =>
      reply.send(Readable.from(bytesOf(blobs, sha256, parts), {objectMode: false}))
    return {send, close: async () => {}}
  }
  const file = await blobs.open(sha256).catch((error: unknown) => {
    throw error instanceof RelError && error.code === 'blob_missing' ? gone() : error
  })
  try {
    if ((await file.stat()).size !== size) throw gone()
  } catch (error) {
    await file.close()
    throw error
  }
  return {send: (reply, parts) => pump(reply, file, parts), close: () => file.close()}
}

async function* bytesOf(
  blobs: BlobStore,
  sha256: string,
  parts: readonly Part[],
): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    if ('end' in part) yield* blobs.read(sha256, part)
    else yield part
  }
}
