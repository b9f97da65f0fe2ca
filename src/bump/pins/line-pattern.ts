import {findGroups} from '../../system/bounded-regex.ts'
import {matchOf, type PinMatch} from './pin-match.ts'

/**
 * The first places in single lines where a pattern matches: its group `pin` is the value. Refuses
 * with pattern_too_slow.
 */
export function findLinePattern(text: string, pattern: string): readonly PinMatch[] {
  const raw = text.split('\n')
  const lines = raw.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line))
  const starts: number[] = []
  let next = 0
  for (const line of raw) {
    starts.push(next)
    next += line.length + 1
  }
  return findGroups(pattern, 'pin', lines).map(({text: line, start, end}) => {
    const at = starts[line] ?? 0
    return matchOf(text, at + start, at + end)
  })
}
