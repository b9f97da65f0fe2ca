import {
  codeAreas,
  codeInfo,
  codes,
  type ErrorCode,
  exitCodeOf,
  isErrorCode,
} from '../system/codes.ts'
import {RelError} from '../system/error.ts'
import type {JsonObject} from '../system/json.ts'
import {nearest} from '../system/nearest.ts'

type Page = {readonly result: JsonObject; readonly lines: readonly string[]}

/** What is known of one code. Refuses with code_unknown and suggests near ones. */
export function explainCode(text: string): Page {
  if (!isErrorCode(text)) throw codeUnknown(text)
  const {title, cause, fix} = codeInfo(text)
  const area = areaOf(text)
  const exit = exitCodeOf(text)
  return {
    result: {code: text, area, exit, title, cause, fix},
    lines: [`${text}: ${title}`, '', `  Why:  ${cause}`, `  Fix:  ${fix}`, `  Exit: ${exit}`],
  }
}

/** Every code by area, with its exit code and title. */
export function listCodes(): Page {
  const areas = Object.entries(codeAreas).map(([area, table]) => ({
    area,
    codes: Object.entries(table).map(([code, {title}]) => {
      return {code, exit: exitCodeOf(code as ErrorCode), title}
    }),
  }))
  const width = Math.max(...Object.keys(codes).map((code) => code.length))
  const lines = areas.flatMap(({area, codes: entries}) => [
    area,
    ...entries.map(({code, exit, title}) => `  ${code.padEnd(width)}  ${exit}  ${title}`),
  ])
  return {result: {areas}, lines}
}

function areaOf(code: ErrorCode): string {
  const found = Object.entries(codeAreas).find(([, table]) => Object.hasOwn(table, code))
  if (found === undefined) throw new RelError('internal_error', `code ${code} is in no area`)
  return found[0]
}

function codeUnknown(text: string): RelError {
  const near = nearest(text, Object.keys(codes), 3)
  const given = JSON.stringify(text.slice(0, 80))
  if (near.length === 0) return new RelError('code_unknown', `${given} is no code of rel`)
  const message = `${given} is no code of rel; did you mean ${near.join(' or ')}?`
  return new RelError('code_unknown', message, {
    hint: `rel explain ${near[0]}`,
    details: {suggestions: near},
  })
}
