import {hash} from 'node:crypto'

/** RFC 9562 appendix: the namespace of names that are URLs. */
const URL_NAMESPACE = Buffer.from('6ba7b8119dad11d180b400c04fd430c8', 'hex')

/** UUID version 5 of a URL (RFC 9562 section 5.5): the same name, the same UUID. */
export function uuidOfUrl(url: string): string {
  const digest = hash('sha1', Buffer.concat([URL_NAMESPACE, Buffer.from(url, 'utf8')]), 'buffer')
  const bytes = Buffer.from(digest.subarray(0, 16))
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return [0, 8, 12, 16, 20].map((from, at, all) => hex.slice(from, all[at + 1] ?? 32)).join('-')
}
