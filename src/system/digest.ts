/** A SHA-256 as it is written everywhere: 64 lower-case hex digits. */
export const digestPattern = /^[0-9a-f]{64}$/

export function isDigest(text: string): boolean {
  return digestPattern.test(text)
}
