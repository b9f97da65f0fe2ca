import type {ServerResponse} from 'node:http'
import {gzipSync} from 'node:zlib'
import type {JsonObject, JsonValue} from '../../../src/system/json.ts'
import type {Reply} from './hostile-panel.ts'

/** Integers from 0 to below, the same on every machine for one seed (mulberry32). */
export type Random = (below: number) => number

export function randomOf(seed: number): Random {
  let at = seed
  return (below) => {
    at = (at + 0x6d2b79f5) | 0
    let it = Math.imul(at ^ (at >>> 15), 1 | at)
    it = (it + Math.imul(it ^ (it >>> 7), 61 | it)) ^ it
    return ((it ^ (it >>> 14)) >>> 0) % below
  }
}

export function pick<T>(random: Random, all: readonly T[]): T {
  return all[random(all.length)] as T
}

/** What a field never is: paths, other types, and numbers that are too large. */
const wrongValues: readonly JsonValue[] = [
  null,
  true,
  -1,
  0,
  2 ** 53,
  1e308,
  '',
  '../../victim',
  '/etc/passwd',
  'file:///etc/passwd',
  '99.0.0',
  '0.9.0',
  '1.1.0\u0000',
  'x'.repeat(70_000),
  [],
  {},
  ['1.1.0'],
  {toString: '1.1.0'},
]

/** One value of a document, anywhere in it, replaced by another one. */
export function withWrongValue(random: Random, json: JsonValue): JsonValue {
  if (typeof json !== 'object' || json === null || random(4) === 0) return pick(random, wrongValues)
  if (Array.isArray(json)) {
    if (json.length === 0) return [pick(random, wrongValues)]
    const at = random(json.length)
    return json.map((it, index) => (index === at ? withWrongValue(random, it) : it))
  }
  const names = Object.keys(json)
  const name = names.length === 0 ? 'version' : pick(random, names)
  return {...json, [name]: withWrongValue(random, (json as JsonObject)[name] ?? null)}
}

/** A text with one kind of damage that an honest server never makes. */
export function damaged(random: Random, text: string): Buffer {
  const bytes = Buffer.from(text)
  const at = random(bytes.length)
  const kinds: readonly (() => Buffer | string)[] = [
    () => {
      bytes[at] = (bytes[at] as number) ^ (1 << random(8))
      return bytes
    },
    () => bytes.subarray(0, at),
    () => Buffer.concat([bytes, bytes.subarray(at)]),
    () => Buffer.concat([bytes.subarray(0, at), noise(random, 20), bytes.subarray(at)]),
    () => noise(random, 1 + random(5000)),
    () => JSON.stringify(withWrongValue(random, JSON.parse(text) as JsonValue)),
    () => JSON.stringify(withWrongValue(random, JSON.parse(text) as JsonValue)),
    () => doubled(random, text),
    () => `${pick(random, ['[', '{"a":']).repeat(1 + random(50_000))}`,
    () => text.replaceAll('1.1.0', pick(random, ['99.0.0', '1.0.0', '0.9.0', '../x', ''])),
    () => `<html><body>${text}</body></html>`,
    () => '',
  ]
  return Buffer.from(pick(random, kinds)())
}

/** A key of the document twice, with two values. */
function doubled(random: Random, text: string): string {
  const keys = [...text.matchAll(/"([a-z_0-9]+)":/g)]
  const {index = 0, 1: name = ''} = pick(random, keys)
  return `${text.slice(0, index)}"${name}":${JSON.stringify(pick(random, wrongValues))},${text.slice(index)}`
}

function noise(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({length}, () => random(256)))
}

const codes = ['license_frozen', 'license_revoked', 'license_unknown', 'internal_error', '../x', '']
const statuses = [201, 202, 203, 204, 205, 206, 226, 300, 304, 305, 306, 400, 401, 402, 403, 405]
const moreStatuses = [
  406, 408, 409, 410, 413, 418, 421, 425, 429, 451, 500, 501, 502, 503, 504, 599,
]
const places = [
  'file:///etc/passwd',
  'ftp://127.0.0.1/x',
  '//127.0.0.1:9/',
  'data:,x',
  '/loop',
  '::',
]
const fields: readonly (readonly [string, readonly string[]])[] = [
  ['retry-after', ['1000000000', '-1', 'NaN', 'Fri, 31 Dec 9999 23:59:59 GMT', '1e9']],
  ['etag', ['W/"weak"', '"', '""', 'no quotes', '"a", "b"']],
  ['content-encoding', ['gzip', 'br', 'deflate', 'identity, gzip']],
  ['content-range', ['bytes 0-1/2', 'bytes */1', 'bytes 9-1/0']],
  ['x-bundle-hash', ['sha256:0', '../x', 'f'.repeat(64)]],
  ['content-type', ['text/html', 'image/png', '']],
  ['set-cookie', ['a=b']],
]

/** An answer whose body is `text` or what is left of it, under a status and with fields of any kind. */
export function hostileReply(random: Random, text: string): Reply {
  const body = random(10) < 7 ? damaged(random, text) : Buffer.from(text)
  const headers: Record<string, string> = {}
  for (let count = random(3); count > 0; count--) {
    const [name, values] = pick(random, fields)
    headers[name] = pick(random, values)
  }
  if (random(12) === 0)
    for (let at = random(400); at > 0; at--) headers[`x-flood-${at}`] = 'f'.repeat(random(200))
  const status = random(4) === 0 ? pick(random, [...statuses, ...moreStatuses]) : 200
  const way = random(20)
  return (_request, response) => {
    if (way === 0) return void response.destroy()
    if (way === 1) return endless(response, status)
    if (way === 2) return void response.writeHead(200, {'content-length': 1e9}).write(body)
    if (way === 3) {
      const location = pick(random, places)
      return void response.writeHead(pick(random, [301, 302, 303, 307, 308]), {location}).end()
    }
    if (way === 4) {
      const bomb = gzipSync(Buffer.alloc(1e6))
      return void response.writeHead(200, {'content-encoding': 'gzip'}).end(bomb)
    }
    if (way === 5) {
      const problem = JSON.stringify({code: pick(random, codes)})
      return void response.writeHead(pick(random, [401, 403, 404, 429, 503]), headers).end(problem)
    }
    response.writeHead(status, headers).end(body)
  }
}

/** Bytes for as long as somebody takes them. */
export function endless(response: ServerResponse, status = 200): void {
  const block = Buffer.alloc(65_536, '[')
  response.writeHead(status)
  // no body belongs to these: Node takes every write and sends nothing
  if (status === 204 || status === 304) return void response.end()
  const more = () => {
    while (!response.destroyed && response.write(block));
  }
  response.on('drain', more)
  response.on('error', () => undefined)
  more()
}
