/**
 * Control characters, terminal escapes, line separators and direction overrides: names inside a
 * bundle are an attacker's, and must not move the cursor or reorder what a person reads
 * (CVE-2021-42574 is the same trick in source code).
 */
const UNSAFE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/**
 * One line for people with unsafe characters spelled out; tabs stay. A line end would let a name
 * begin a line of its own, which some readers of logs take for a command.
 */
export function printable(line: string): string {
  return line.replace(UNSAFE, escaped).replaceAll('\n', '\\u000a')
}

/** The same for printed JSON, whose line ends are its own: it stays the same JSON. */
export function printableJson(json: string): string {
  return json.replace(UNSAFE, escaped)
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
