/** One DER element; contents of up to 255 bytes, which is all that key files need. */
function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  const header = content.length < 128 ? [tag, content.length] : [tag, 0x81, content.length]
  return Buffer.concat([Buffer.from(header), content])
}

export function derSequence(...items: readonly Uint8Array[]): Buffer {
  return element(0x30, ...items)
}

export function derOctets(bytes: Uint8Array): Buffer {
  return element(0x04, bytes)
}

/** An object identifier from the hex of its encoded content. */
export function derOid(hex: string): Buffer {
  return element(0x06, Buffer.from(hex, 'hex'))
}

/** A positive INTEGER below 2^31, in as few bytes as DER wants. */
export function derInteger(value: number): Buffer {
  const bytes = Buffer.alloc(5)
  bytes.writeUInt32BE(value, 1)
  let start = 0
  while (start < 4 && bytes[start] === 0 && (bytes[start + 1] ?? 0) < 0x80) start++
  return element(0x02, bytes.subarray(start))
}
