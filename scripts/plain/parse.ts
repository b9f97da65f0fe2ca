/** What is read of the definition of a flag; what else oclif knows is not plain. */
export type PlainFlag = {
  readonly type: 'boolean' | 'option'
  readonly char?: string
  readonly allowNo?: boolean
  readonly default?: unknown
  readonly dependsOn?: readonly string[]
  readonly env?: string
  readonly exclusive?: readonly string[]
  /** Set by the stand-in's Flags.integer. */
  readonly integer?: boolean
  readonly max?: number
  readonly min?: number
  readonly multiple?: boolean
  readonly multipleNonGreedy?: boolean
  readonly options?: readonly string[]
  readonly required?: boolean
}

export type PlainArg = {
  readonly default?: unknown
  readonly options?: readonly string[]
  readonly required?: boolean
}

export type PlainCommand = {
  readonly args: Readonly<Record<string, PlainArg>>
  readonly baseFlags: Readonly<Record<string, PlainFlag>>
  readonly flags?: Readonly<Record<string, PlainFlag>>
  readonly strict: boolean
}

export type Parsed = {
  readonly args: Record<string, string>
  readonly argv: string[]
  readonly flags: Record<string, unknown>
}

type Environment = Readonly<Record<string, string | undefined>>
type Tokens = {readonly given: Map<string, (string | boolean)[]>; readonly positional: string[]}

/**
 * The command line as oclif's parser would read it, without loading that; undefined when it would
 * refuse it, and whenever that is in doubt: then oclif itself looks (docs/decisions/start-up.md).
 */
export function plainParse(
  command: PlainCommand,
  argv: readonly string[],
  env: Environment,
): Parsed | undefined {
  const known: Record<string, PlainFlag> = {
    json: {type: 'boolean'},
    ...command.baseFlags,
    ...command.flags,
  }
  const tokens = tokensOf(known, argv)
  if (tokens === undefined) return undefined
  const flags = flagValues(known, tokens.given, env)
  const args = argValues(command, tokens.positional)
  if (flags === undefined || args === undefined) return undefined
  // oclif's own order, also where a word is given twice
  const words = [...tokens.positional].sort((a, b) => argv.indexOf(a) - argv.indexOf(b))
  return {args, argv: words, flags}
}

function tokensOf(
  known: Readonly<Record<string, PlainFlag>>,
  argv: readonly string[],
): Tokens | undefined {
  const given = new Map<string, (string | boolean)[]>()
  const positional: string[] = []
  let greedy: string | undefined
  const add = (name: string, value: string | boolean) => {
    given.set(name, [...(given.get(name) ?? []), value])
  }
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] as string
    if (!word.startsWith('-')) {
      if (word === '') return undefined
      if (greedy === undefined) positional.push(word)
      else add(greedy, word)
      continue
    }
    const [, spelling = '', , attached] = /^(--?[a-z][a-z0-9-]*)(=([\s\S]*))?$/.exec(word) ?? []
    const found = flagOf(known, spelling)
    if (found === undefined) return undefined
    const {name, flag} = found
    if (flag.type === 'boolean') {
      if (attached !== undefined) return undefined
      add(name, found.value)
      continue
    }
    const value = attached ?? argv[++at]
    if (value === undefined || value === '' || value.startsWith('-')) return undefined
    if (flag.multiple !== true && given.has(name)) return undefined
    greedy = flag.multiple === true && flag.multipleNonGreedy !== true ? name : undefined
    add(name, value)
  }
  return {given, positional}
}

function flagOf(known: Readonly<Record<string, PlainFlag>>, spelling: string) {
  if (!spelling.startsWith('--')) {
    const found = Object.entries(known).find(([, flag]) => `-${flag.char}` === spelling)
    return found && {name: found[0], flag: found[1], value: true}
  }
  const name = spelling.slice(2)
  const flag = ownFlag(known, name)
  if (flag !== undefined) return {name, flag, value: true}
  if (!name.startsWith('no-')) return undefined
  const negated = ownFlag(known, name.slice(3))
  if (negated?.allowNo !== true) return undefined
  return {name: name.slice(3), flag: negated, value: false}
}

function ownFlag(known: Readonly<Record<string, PlainFlag>>, name: string): PlainFlag | undefined {
  return Object.hasOwn(known, name) ? known[name] : undefined
}

function flagValues(
  known: Readonly<Record<string, PlainFlag>>,
  given: ReadonlyMap<string, readonly (string | boolean)[]>,
  env: Environment,
): Record<string, unknown> | undefined {
  const values: Record<string, unknown> = {}
  for (const [name, flag] of Object.entries(known)) {
    const words = given.get(name)
    if (words === undefined && flag.env !== undefined && env[flag.env]) return undefined
    const value = words === undefined ? flag.default : valueFrom(flag, words)
    if (typeof value === 'function' || (words !== undefined && value === undefined))
      return undefined
    if (value !== undefined) values[name] = value
    else if (flag.required === true) return undefined
  }
  const isAllowed = Object.entries(known).every(([name, {dependsOn = [], exclusive = []}]) => {
    if (given.has(name) && exclusive.some((other) => given.has(other))) return false
    return values[name] === undefined || dependsOn.every((other) => values[other] !== undefined)
  })
  return isAllowed ? values : undefined
}

function valueFrom(flag: PlainFlag, words: readonly (string | boolean)[]): unknown {
  if (flag.type === 'boolean') return words.at(-1)
  const values = (words as readonly string[]).map((word) => optionValue(flag, word))
  if (values.includes(undefined)) return undefined
  return flag.multiple === true ? values : values[0]
}

function optionValue({options, integer, min, max}: PlainFlag, word: string) {
  if (options !== undefined && !options.includes(word)) return undefined
  if (integer !== true) return word
  if (!/^\d{1,15}$/.test(word)) return undefined
  const number = Number(word)
  return number < (min ?? 0) || number > (max ?? number) ? undefined : number
}

function argValues(
  {args, strict}: PlainCommand,
  words: readonly string[],
): Record<string, string> | undefined {
  const defined = Object.entries(args)
  if (strict && words.length > defined.length) return undefined
  const values: Record<string, string> = {}
  for (const [index, [name, arg]] of defined.entries()) {
    const word = words[index]
    if (word === undefined && (arg.required === true || arg.default !== undefined)) return undefined
    if (word !== undefined && arg.options !== undefined && !arg.options.includes(word))
      return undefined
    if (word !== undefined) values[name] = word
  }
  return values
}
