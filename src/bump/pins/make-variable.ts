import {matchOf, type PinMatch} from './pin-match.ts'

type Line = {readonly text: string; readonly start: number}

/**
 * Every assignment of a variable in a Makefile (GNU make manual 6.5 to 6.8): =, :=, ::=, :::= and ?=,
 * with export, override or private before. What also sets it but has no one value (+=, !=, define,
 * a target's own) is unusable. Recipes, comments, continued lines and bodies of define are text.
 */
export function findMakeVariable(text: string, name: string): readonly PinMatch[] {
  const escaped = name.replaceAll('.', '\\.').replaceAll('-', '\\-')
  const words = '(?:(?:export|override|private)[ \\t]+)*'
  const assignment = new RegExp(
    `^\\uFEFF?[ ]*${words}${escaped}[ \\t]*(:{1,3}=|[?+!]?=)[ \\t]*([^#]*?)[ \\t]*(?:#.*)?$`,
    'd',
  )
  const other = new RegExp(
    `^\\uFEFF?[ ]*(?:${words}define[ \\t]+${escaped}(?:[ \\t]|$)|[^\\t#=]*:[ \\t]*${words}${escaped}[ \\t]*(?:::?:?|[?+!])?=)`,
  )
  return logicalLines(text).flatMap((line) => {
    const set = assignment.exec(line.text)
    if (set !== null) return [assigned(text, line, set)]
    if (!other.test(line.text)) return []
    const {start} = line
    const end = start + line.text.length
    return [{value: '', start, end, unusable: 'it is set in a way that has no one value'}]
  })
}

function assigned(text: string, {start}: Line, set: RegExpExecArray): PinMatch {
  const [, operator] = set
  const [from = 0, to = 0] = set.indices?.[2] ?? []
  const match = matchOf(text, start + from, start + to)
  if (operator !== '+=' && operator !== '!=') return match
  return {...match, unusable: `${operator} has no one value`}
}

/** Lines that begin a statement, without their line ends. */
function logicalLines(text: string): readonly Line[] {
  const found: Line[] = []
  let start = 0
  let isContinued = false
  let depth = 0
  for (const raw of text.split('\n')) {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw
    const begins = /^[ ]*(?:(?:export|override|private)[ \t]+)*define\b/.test(line)
    const ends = /^[ ]*endef\b/.test(line)
    if (!isContinued && depth === 0 && !line.startsWith('\t')) found.push({text: line, start})
    if (!isContinued && begins) depth += 1
    if (!isContinued && ends && depth > 0) depth -= 1
    isContinued = /(?<!\\)(?:\\\\)*\\$/.test(line)
    start += raw.length + 1
  }
  return found
}
