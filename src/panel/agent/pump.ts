import {read} from 'node:fs'
import type {FileHandle} from 'node:fs/promises'
import type {ServerResponse} from 'node:http'
import type {FastifyReply} from 'fastify'
import type {ByteRange} from './conditions.ts'

/** What a body is made of: bytes at hand, and ranges of the file. */
export type Part = Uint8Array | ByteRange

/** Bytes of one read: large enough to be cheap, small enough for many slow readers. */
const PIECE_BYTES = 256 * 1024
/** Buffers that are kept for the next download; fresh memory costs as much as the copy into it. */
const MAX_SPARE = 16

const spare: Buffer[] = []

/**
 * Sends parts of a file as the body of a reply whose headers are set. The file has one owner, this
 * call: it is closed once, after its last read has come back, also when the client went away. A
 * failure in the middle destroys the connection, so that no client takes half a body for a whole.
 */
export function pump(reply: FastifyReply, file: FileHandle, parts: readonly Part[]): FastifyReply {
  const {raw} = reply
  reply.hijack()
  raw.writeHead(reply.statusCode, reply.getHeaders() as Record<string, string>)
  sendParts(raw, file, parts)
    .then(
      () => raw.end(),
      () => raw.destroy(),
    )
    .finally(() => file.close())
    .catch(() => {})
  return reply
}

async function sendParts(
  raw: ServerResponse,
  file: FileHandle,
  parts: readonly Part[],
): Promise<void> {
  const buffer = spare.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES)
  try {
    for (const part of parts) {
      if ('end' in part) await sendRange(raw, file.fd, part, buffer)
      else await written(raw, part)
    }
  } catch (error) {
    // until its end a socket may hold the memory of a piece that it has not taken
    const {socket} = raw
    if (socket?.closed === true) keep(buffer)
    else socket?.once('close', () => keep(buffer))
    throw error
  }
  keep(buffer)
}

function keep(buffer: Buffer): void {
  if (spare.length < MAX_SPARE) spare.push(buffer)
}

/** Only when the socket has taken a piece is the next one read into the same memory. */
async function sendRange(
  raw: ServerResponse,
  fd: number,
  {start, end}: ByteRange,
  buffer: Buffer,
): Promise<void> {
  for (let position = start; position < end; ) {
    const count = await readInto(buffer, fd, position, Math.min(PIECE_BYTES, end - position))
    if (count === 0) throw new Error('the file ended before its size')
    await written(raw, buffer.subarray(0, count))
    position += count
  }
}

function readInto(buffer: Buffer, fd: number, position: number, length: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, length, position, (error, count) => {
      if (error) reject(error)
      else resolve(count)
    })
  })
}

function written(raw: ServerResponse, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(new Error('the client went away'))
    if (raw.destroyed || raw.closed) {
      gone()
      return
    }
    raw.once('close', gone)
    raw.write(bytes, (error) => {
      raw.off('close', gone)
      if (error) reject(error)
      else resolve()
    })
  })
}
