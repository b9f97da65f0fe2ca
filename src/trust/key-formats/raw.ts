import {keyMalformed, keyTruncated} from './detect.ts'

/**
 * The 32 or 64 bytes of a raw key file: exactly that many, or their hex or base64 as one line of
 * text. A raw file with a line end behind it (33 bytes) is refused rather than guessed at.
 * Refuses with key_truncated and key_malformed.
 */
export function rawBytes(bytes: Uint8Array): Buffer {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const text = buffer.toString('latin1').trim()
  if (/^(?:[0-9a-fA-F]{64}){1,2}$/.test(text)) return Buffer.from(text, 'hex')
  if (/^(?:[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{86}==)$/.test(text)) return Buffer.from(text, 'base64')
  if (buffer.length === 32 || buffer.length === 64) return Buffer.from(buffer)
  if (buffer.length === 33 || buffer.length === 65)
    throw keyMalformed(`${buffer.length} bytes, one too many; is there a line end behind the key?`)
  const printable = /^[\t\n\r -~]*$/.test(buffer.toString('latin1'))
  if (!printable && buffer.length < 32) throw keyTruncated('raw')
  if (printable) throw keyMalformed('the text is in none of the known key formats')
  throw keyMalformed(`${buffer.length} bytes, a raw key has 32 or 64`)
}
