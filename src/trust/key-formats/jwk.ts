import {RelError} from '../../system/error.ts'
import type {JsonObject} from '../../system/json.ts'
import {parseStrictJson} from '../strict-json.ts'
import {keyMalformed, MAX_KEY_FILE_BYTES} from './detect.ts'
import {keyAlgorithm} from './spki.ts'

/** An Ed25519 key as JSON (RFC 8037): its public half, and the private one when it is there. */
export type Jwk = {readonly x: Buffer; readonly d?: Buffer}

/** Refuses with key_malformed and key_algorithm; nothing of the file is in the message. */
export function parseJwk(bytes: Uint8Array): Jwk {
  const {kty, crv, x, d} = members(bytes)
  if (typeof kty !== 'string') throw keyMalformed('the JSON has no kty, so it is not a JWK')
  if (kty !== 'OKP' || crv !== 'Ed25519') throw keyAlgorithm()
  return {x: base64url(x), ...(d === undefined ? {} : {d: base64url(d)})}
}

function members(bytes: Uint8Array): JsonObject {
  try {
    const limits = {bytes: MAX_KEY_FILE_BYTES, depth: 4, profile: 'general'} as const
    const json = parseStrictJson(bytes, limits)
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as JsonObject
  } catch (error) {
    // without its cause: a parser's words may quote a private key
    if (!(error instanceof RelError)) throw error
  }
  throw keyMalformed('it begins like a JWK and is not one JSON object')
}

function base64url(value: unknown): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'base64url') : undefined
  if (bytes?.length !== 32 || bytes.toString('base64url') !== value)
    throw keyMalformed('a member of the JWK is not 32 bytes in base64url')
  return bytes
}

/** The public JWK in the member order of RFC 7638, so that equal keys are equal text. */
export function formatPublicJwk(raw: Uint8Array): string {
  const x = Buffer.from(raw).toString('base64url')
  return `${JSON.stringify({crv: 'Ed25519', kty: 'OKP', x})}\n`
}
