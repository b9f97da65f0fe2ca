import {keyMalformed, keyTruncated} from './detect.ts'

/** One armoured block (RFC 7468): its label and its DER, to be overwritten when it is secret. */
export type PemBlock = {readonly label: string; readonly der: Buffer}

/**
 * The only block of a PEM file; text around it, headers and further blocks are refused.
 * Refuses with key_truncated and key_malformed.
 */
export function parsePem(bytes: Uint8Array): PemBlock {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  const lines = text.trim().split(/\r?\n/)
  const label = /^-----BEGIN ([A-Z0-9 ]+)-----$/.exec(lines[0] ?? '')?.[1]
  if (label === undefined) throw keyMalformed('its BEGIN line is damaged')
  const end = lines.findIndex((line) => line.startsWith('-----END'))
  if (end === -1) throw keyTruncated('PEM')
  if (lines[end] !== `-----END ${label}-----`) throw keyMalformed('its END line is damaged')
  if (end !== lines.length - 1) throw keyMalformed('there is text after its END line')
  const base64 = lines.slice(1, end).join('')
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) throw keyMalformed('its body is not base64')
  const der = Buffer.from(base64, 'base64')
  if (der.length === 0 || base64.length % 4 !== 0) throw keyTruncated('PEM')
  return {label, der}
}

/** DER as one armoured block with lines of 64 characters, RFC 7468 section 2. */
export function formatPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}
