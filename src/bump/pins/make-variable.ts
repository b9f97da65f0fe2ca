import {matchOf, type PinMatch} from './pin-match.ts'

type Line = {readonly text: string; readonly start: number}

/**
 * Every assignment of a variable in a Makefile (GNU make manual 6.5 to 6.8): =, :=, ::=, :::= and ?=,
 * with export, override or private before. What also sets it but has no one value (+=, !=, define,
 * a target's own, undefine) is unusable. Recipes, comments, continued lines and bodies of define are
 * text; a line that begins with a tab is a recipe only behind a rule (manual 5.1).
 */
export function findMakeVariable(text: string, name: string): readonly PinMatch[] {
  const escaped = name.replaceAll('.', '\\.').replaceAll('-', '\\-')
  const words = '(?:(?:export|override|private)[ \\t]+)*'
  const assignment = new RegExp(
    `^\\uFEFF?[ ]*${words}${escaped}[ \\t]*(:{1,3}=|[?+!]?=)[ \\t]*([^#]*)`,
    'd',
  )
  const other = new RegExp(
    `^\\uFEFF?(?:[ ]*${words}(?:un)?define[ \\t]+${escaped}(?:[ \\t]|$)|[^\\t#=]*:[ \\t]*${words}${escaped}[ \\t]*(?:::?:?|[?+!])?=)`,
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
  const [, operator, value = ''] = set
  const [from = 0] = set.indices?.[2] ?? []
  const match = matchOf(text, start + from, start + from + withoutBlanks(value).length)
  if (operator !== '+=' && operator !== '!=') return match
  return {...match, unusable: `${operator} has no one value`}
}

/** By hand: a pattern for blanks at an end looks at each run of them from each of its places. */
function withoutBlanks(value: string): string {
  let end = value.length
  while (end > 0 && (value[end - 1] === ' ' || value[end - 1] === '\t')) end -= 1
  return value.slice(0, end)
}

const BLANK = /^[ \t]*(?:#.*)?$/
const CONDITIONAL = /^[ \t]*(?:ifn?eq|ifn?def|else|endif)\b/
const DEFINE = /^[ \t]*(?:(?:export|override|private)[ \t]+)*define\b/
const ENDEF = /^[ \t]*endef\b/
/** After it, recipes begin with something else than a tab. */
const PREFIX = /^[ ]*\.RECIPEPREFIX[ \t]*[:?]*=/m

/** Lines that begin a statement, without their line ends and without tabs before them. */
function logicalLines(text: string): readonly Line[] {
  const found: Line[] = []
  const hasRecipes = !PREFIX.test(text)
  let start = 0
  let isContinued = false
  let isBehindRule = false
  let depth = 0
  for (const raw of text.split('\n')) {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw
    const isRecipe = line.startsWith('\t') && isBehindRule && hasRecipes
    if (!isContinued && !isRecipe) {
      if (depth === 0) {
        found.push(statement(line, start))
        if (!BLANK.test(line) && !CONDITIONAL.test(line)) isBehindRule = isRule(line)
      }
      if (DEFINE.test(line)) depth += 1
      if (ENDEF.test(line) && depth > 0) depth -= 1
    }
    isContinued = /(?<!\\)(?:\\\\)*\\$/.test(line)
    start += raw.length + 1
  }
  return found
}

function statement(line: string, start: number): Line {
  const [before = ''] = /^(?:[ ]*\t[ \t]*)?/.exec(line) ?? []
  return {text: line.slice(before.length), start: start + before.length}
}

/** A colon outside of references and comments that begins no assignment, of a target's own neither. */
function isRule(line: string): boolean {
  let bare = line.replace(/#.*/, '')
  for (let shorter = bare; ; bare = shorter) {
    shorter = bare.replace(/\$(?:\([^()]*\)|\{[^{}]*\}|.)/g, '')
    if (shorter === bare) break
  }
  return /^[^:=]*:(?!:?:?=)[^;=]*(?:;|$)/.test(bare)
}
