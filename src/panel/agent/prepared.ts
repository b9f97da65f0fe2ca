import {hash} from 'node:crypto'
import type {FastifyReply, FastifyRequest} from 'fastify'
import {matchesNone} from './conditions.ts'

/** A body that many requests get, with its strong entity tag. */
export type Prepared = {
  readonly body: Buffer
  readonly etag: string
  readonly type: string
}

/** A body made ready; the entity tag is over its bytes. */
export function prepare(text: string, type = 'application/json; charset=utf-8'): Prepared {
  const body = Buffer.from(text)
  return {body, etag: `"${hash('sha256', body, 'base64url')}"`, type}
}

/** 200, or 304 when the client has it; every client asks again, and nobody else may keep it. */
export function sendPrepared(
  request: FastifyRequest,
  reply: FastifyReply,
  {body, etag, type}: Prepared,
): FastifyReply {
  reply
    .header('etag', etag)
    .header('cache-control', 'private, no-cache')
    .header('vary', 'Authorization')
  if (matchesNone(request.headers['if-none-match'], etag)) return reply.code(304).send()
  return reply.header('content-type', type).send(body)
}
