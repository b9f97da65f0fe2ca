import {matchOf, type PinMatch} from './pin-match.ts'

/** Every place in single lines where a pattern matches: its group `pin` is the value. */
export function findLinePattern(text: string, pattern: string): readonly PinMatch[] {
  const wanted = new RegExp(pattern, 'dgu')
  let start = 0
  return text.split('\n').flatMap((raw) => {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw
    const at = start
    start += raw.length + 1
    return [...line.matchAll(wanted)].map((found) => {
      const [from = 0, to = 0] = found.indices?.groups?.pin ?? []
      return matchOf(text, at + from, at + to)
    })
  })
}
