/**
 * Control characters, terminal escapes, line separators and direction overrides: names inside a
 * bundle are an attacker's, and must not move the cursor or reorder what a person reads
 * (CVE-2021-42574 is the same trick in source code).
 */
const UNSAFE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/** Text for people with unsafe characters spelled out; tabs and newlines stay. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escaped)
}

/** The same for printed JSON, which stays the same JSON: such characters only occur in strings. */
export function printableJson(json: string): string {
  return json.replace(UNSAFE, escaped)
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
