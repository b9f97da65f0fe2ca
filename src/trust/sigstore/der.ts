/**
 * The content of bytes that are exactly one DER element of this tag (X.690 8.1.3, 10.1), shorter
 * than 64 KiB; undefined for anything else, such as trailing bytes or a length that is not minimal.
 */
export function derContent(bytes: Uint8Array, tag: number): Uint8Array | undefined {
  if (bytes[0] !== tag) return undefined
  const header = headerLength(bytes)
  const content = bytes.subarray(header)
  return content.length === contentLength(bytes, header) ? content : undefined
}

function headerLength(bytes: Uint8Array): number {
  if (bytes[1] === 0x81) return 3
  return bytes[1] === 0x82 ? 4 : 2
}

/** The declared length, or -1 when it could have been written shorter. */
function contentLength(bytes: Uint8Array, header: number): number {
  const [, first = 0xff, second = 0, third = 0] = bytes
  if (header === 2) return first < 0x80 ? first : -1
  if (header === 3) return second >= 0x80 ? second : -1
  return second > 0 ? second * 256 + third : -1
}
