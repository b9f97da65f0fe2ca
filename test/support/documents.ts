/** What the manifest of oclif says of a command, as far as a document may name it. */
export type CommandShape = {
  readonly flags: Readonly<
    Record<
      string,
      {
        readonly name: string
        readonly char?: string
        readonly type: 'boolean' | 'option'
        readonly allowNo?: boolean
        readonly aliases?: readonly string[]
      }
    >
  >
}

/** Targets of links that are no file, or no heading of their file; addresses are not followed. */
export function badLinks(
  text: string,
  exists: (path: string) => boolean,
  textOf: (path: string) => string,
): string[] {
  const targets = [...withoutFences(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, to = '']) => to)
  return targets.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false
    const [path = '', anchor] = target.split('#')
    if (path !== '' && !exists(path)) return true
    return anchor !== undefined && !anchorsOf(textOf(path)).includes(anchor)
  })
}

/** Anchors of the headings of a page, as GitHub makes them. */
function anchorsOf(text: string): string[] {
  return [...withoutFences(text).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}

/** The words of every `rel …` in the fences and the code spans of a page; `…` and `|` end one. */
export function commandsIn(text: string): string[][] {
  const fenced = [...text.matchAll(/^```\w*\n([\s\S]*?)^```/gm)].flatMap(([, block = '']) =>
    block.split('\n').filter((line) => /^\s*(?:\$ |rel )/.test(line)),
  )
  const spans = [...withoutFences(text).matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span)
  return [...fenced, ...spans]
    .flatMap((line) => line.split(/&&|\|\||[;|]| # /))
    .map((part) => part.trim().replace(/^\$ /, ''))
    .filter((part) => /^(?:bin\/)?rel(?: |$)/.test(part))
    .map((part) => part.split(/\s+/).slice(1))
    .filter((words) => words.length > 0)
}

/** Why a command line could not be run: no such command, no such flag. Undefined when it could. */
export function badCommand(
  words: readonly string[],
  shapes: Readonly<Record<string, CommandShape>>,
): string | undefined {
  const line = `rel ${words.join(' ')}`
  if (/^(?:--version|--help|help|autocomplete|version)$/.test(words[0] ?? '')) return undefined
  const names = [3, 2, 1].map((count) => words.slice(0, count).join(':'))
  const id = names.find((name) => shapes[name])
  if (id === undefined) return isTopic(words, shapes) ? undefined : `${line}: no such command`
  const bad = words.filter((word) => word.startsWith('-') && !takes(shapes[id], word))
  return bad.length === 0 ? undefined : `${line}: no flag ${bad.join(', ')}`
}

/** A topic by itself, such as `rel keys`, or with a list of its commands, such as `new|import`. */
function isTopic(words: readonly string[], shapes: Readonly<Record<string, unknown>>): boolean {
  const [topic = '', rest] = words
  const names = rest === undefined ? [] : rest.split('|')
  const isKnown = Object.keys(shapes).some((id) => id.startsWith(`${topic}:`))
  return isKnown && names.every((name) => Object.hasOwn(shapes, `${topic}:${name}`))
}

function takes(shape: CommandShape | undefined, word: string): boolean {
  const [written = ''] = word.replace(/[.…,]+$/, '').split('=')
  if (/^(?:-|--|--json|--help|-h)$/.test(written)) return true
  return Object.values(shape?.flags ?? {}).some(({name, char, allowNo, aliases = []}) =>
    [name, ...aliases, ...(allowNo === true ? [`no-${name}`] : [])]
      .map((spelling) => `--${spelling}`)
      .concat(char === undefined ? [] : [`-${char}`])
      .includes(written),
  )
}

function withoutFences(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, '').replace(/<!--[\s\S]*?-->/g, '')
}
