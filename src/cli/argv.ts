/** What the words on the command line ask for; ids have colons inside, as oclif writes them. */
export type Request =
  | {readonly ask: 'command'; readonly id: string; readonly argv: readonly string[]}
  | {readonly ask: 'help'; readonly words: readonly string[]}
  | {readonly ask: 'version'}
  | {readonly ask: 'unknown'; readonly words: readonly string[]}
  | {readonly ask: 'unknown-flag'; readonly flag: string}

/** Flags that every command has, so that they may also stand before its name. */
const globalFlags = new Set([
  ...['--json', '--quiet', '-q', '--input', '--no-input', '--color', '--no-color'],
])
const helpFlags = new Set(['--help', '-h'])
const versionFlags = new Set(['--version', '-v'])

/** The flags before `--`: what stands after it is data. */
function ownWords(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--')
  return end === -1 ? argv : argv.slice(0, end)
}

/** True when the one document on stdout is JSON: decided before anything is parsed, so that every failure is too. */
export function wantsJson(argv: readonly string[]): boolean {
  return ownWords(argv).includes('--json')
}

/** True when --no-color is given and no later --color takes it back. */
export function refusesColor(argv: readonly string[]): boolean {
  const own = ownWords(argv)
  return own.lastIndexOf('--no-color') > own.lastIndexOf('--color')
}

/** Finds the command with the longest name that the leading words spell. */
export function readRequest(argv: readonly string[], ids: ReadonlySet<string>): Request {
  const first = argv.findIndex((word) => !globalFlags.has(word))
  const leading = first === -1 ? argv : argv.slice(0, first)
  const rest = first === -1 ? [] : argv.slice(first)
  const end = rest.findIndex((word) => word.startsWith('-'))
  const words = end === -1 ? rest : rest.slice(0, end)
  const asksHelp = ownWords(rest).some((word) => helpFlags.has(word))
  if (words.length === 0) return withoutWords(rest[0], asksHelp)
  if (words[0] === 'version' && words.length === 1) return {ask: 'version'}
  if (words[0] === 'help') return {ask: 'help', words: words.slice(1)}
  const length = nameLength(words, ids)
  const id = words.slice(0, length).join(':')
  if (length > 0 && asksHelp) return {ask: 'help', words: words.slice(0, length)}
  if (length > 0) return {ask: 'command', id, argv: [...leading, ...rest.slice(length)]}
  return isTopic(words, ids) ? {ask: 'help', words} : {ask: 'unknown', words}
}

function withoutWords(flag: string | undefined, asksHelp: boolean): Request {
  if (asksHelp || flag === undefined) return {ask: 'help', words: []}
  return versionFlags.has(flag) ? {ask: 'version'} : {ask: 'unknown-flag', flag}
}

function nameLength(words: readonly string[], ids: ReadonlySet<string>): number {
  const spaced = words.findIndex((word) => word.includes(':')) // keys:new is oclif's spelling, not ours
  for (let length = spaced === -1 ? words.length : spaced; length > 0; length--)
    if (ids.has(words.slice(0, length).join(':'))) return length
  return 0
}

/** A word that only begins names of commands, such as `keys`. */
export function isTopic(words: readonly string[], ids: ReadonlySet<string>): boolean {
  const prefix = `${words.join(':')}:`
  return [...ids].some((id) => id.startsWith(prefix))
}
