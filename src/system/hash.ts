import {createHash, hash} from 'node:crypto'

/** SHA-256 of bytes or UTF-8 text as 64 lower-case hex digits. */
export function sha256Hex(data: Uint8Array | string): string {
  return hash('sha256', data, 'hex')
}

/** SHA-512 of bytes or UTF-8 text, 64 bytes. */
export function sha512(data: Uint8Array | string): Buffer {
  return hash('sha512', data, 'buffer')
}

/** SHA-512 over bytes or UTF-8 text in pieces, so that a large canonical form is never one string. */
export function sha512Of(pieces: Iterable<string | Uint8Array>): Buffer {
  const hasher = createHash('sha512')
  for (const piece of pieces) hasher.update(piece)
  return hasher.digest()
}
