import {Lexer} from 'yaml'

/** Deeper than any file that people edit, and far from where a recursive reader ends. */
const MAX_DEPTH = 100
/** Spaces before the first word of a line, each of which may be a level. */
const MAX_INDENT = 400
/** What yaml's lexer puts before the text of a scalar. */
const SCALAR = '\x1f'

/**
 * Why a YAML text is not to be parsed: more than `maxParts` signs, words and line ends, or nested
 * too deep; undefined otherwise. One pass without recursion that ends where the limit is.
 */
export function yamlExcess(text: string, maxParts: number): string | undefined {
  let parts = 0
  let flow = 0
  let inLine = 0
  let isScalar = false
  for (const lexeme of new Lexer().lex(text)) {
    parts += 1
    if (parts > maxParts) return `more than ${maxParts} signs and words`
    if (isScalar) {
      isScalar = false
      continue
    }
    isScalar = lexeme === SCALAR
    if (lexeme === '[' || lexeme === '{') flow += 1
    else if (lexeme === ']' || lexeme === '}') flow = Math.max(0, flow - 1)
    else if (lexeme === '-' || lexeme === '?' || lexeme === ':') inLine += 1
    else if (lexeme.endsWith('\n')) inLine = 0
    const isDeep = flow > MAX_DEPTH || (flow === 0 && inLine > MAX_DEPTH)
    if (isDeep || (lexeme.length > MAX_INDENT && /^ +$/.test(lexeme)))
      return `more than ${isDeep ? `${MAX_DEPTH} levels` : `${MAX_INDENT} spaces`}`
  }
  return undefined
}
