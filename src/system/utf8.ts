import {isUtf8} from 'node:buffer'

/** True for valid UTF-8 (RFC 3629): complete, no overlong form, no surrogate, up to U+10FFFF. */
export function isValidUtf8(bytes: Uint8Array): boolean {
  return isUtf8(bytes)
}
