import {randomBytes} from 'node:crypto'

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** A ULID (github.com/ulid/spec): 48 bits of milliseconds, 80 random bits, 26 characters. */
export function newUlid(nowMs: number): string {
  const bytes = Buffer.concat([Buffer.alloc(6), randomBytes(10)])
  bytes.writeUIntBE(nowMs, 0, 6)
  let rest = BigInt(`0x${bytes.toString('hex')}`)
  let text = ''
  for (let at = 0; at < 26; at++) {
    text = `${alphabet[Number(rest & 31n)]}${text}`
    rest >>= 5n
  }
  return text
}
