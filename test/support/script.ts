import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {dirname, join} from 'node:path'
import * as assert from 'uvu/assert'
import {type Ran, runRel} from './rel.ts'
import {temporaryFolder} from './tmp.ts'

/** A script and the files it starts with, in txtar form: text, then `-- name --` before each file. */
export type Script = {
  readonly lines: readonly {readonly text: string; readonly number: number}[]
  readonly files: ReadonlyMap<string, string>
}

/** Parses a script; the first line that begins a file ends the commands. */
export function parseScript(text: string): Script {
  const [head = '', ...rest] = text.split(/^-- (.+) --\n/m)
  const files = new Map<string, string>()
  for (let i = 0; i < rest.length; i += 2) files.set(rest[i] ?? '', rest[i + 1] ?? '')
  const lines = head
    .split('\n')
    .map((line, index) => ({text: line.trim(), number: index + 1}))
    .filter((line) => line.text !== '' && !line.text.startsWith('#'))
  return {lines, files}
}

/** What a script has done so far. */
type State = {
  /** Where it is: `cd` changes it. */
  folder: string
  readonly env: Record<string, string>
  last: Ran | undefined
}

type Verb = (state: State, words: readonly string[], negated: boolean) => Promise<void> | void

/**
 * `rel …` must succeed, `! rel …` must fail; `exit N`, `[!] stdout RE`, `[!] stderr RE`,
 * `json PATH VALUE`, `cmp A B`, `[!] exists FILE`, `env K=V`, `cd`, `cp`, `mkdir`, `rm`, `chmod`, `append`.
 */
const verbs: Readonly<Record<string, Verb>> = {
  rel: async (state, words, negated) => {
    state.last = await runRel(words, {cwd: state.folder, env: state.env})
    const {code, stdout, stderr} = state.last
    assert.is(code !== 0, negated, `exit ${code}\n${stdout}${stderr}`)
  },
  exit: ({last}, [code]) => assert.is(String(last?.code), code, last?.stderr ?? 'nothing ran'),
  stdout: ({last}, [pattern = ''], negated) => matches(last?.stdout, pattern, negated),
  stderr: ({last}, [pattern = ''], negated) => matches(last?.stderr, pattern, negated),
  json: ({last}, [path = '', value = '']) => {
    const found = path.split('.').reduce(step, JSON.parse(last?.stdout ?? ''))
    assert.is(typeof found === 'string' ? found : JSON.stringify(found), value, last?.stdout)
  },
  cmp: ({folder}, [a = '', b = '']) =>
    assert.is(readFileSync(join(folder, a), 'utf8'), readFileSync(join(folder, b), 'utf8')),
  exists: ({folder}, [path = ''], negated) => {
    assert.is(existsSync(join(folder, path)), !negated, path)
  },
  env: ({env}, [setting = '']) => {
    const [name = '', value = ''] = setting.split(/=(.*)/s)
    env[name] = value
  },
  cd: (state, [path = '']) => {
    state.folder = join(state.folder, path)
  },
  cp: ({folder}, [from = '', to = '']) =>
    cpSync(join(folder, from), join(folder, to), {recursive: true}),
  mkdir: ({folder}, [path = '']) => void mkdirSync(join(folder, path), {recursive: true}),
  rm: ({folder}, [path = '']) => rmSync(join(folder, path), {recursive: true}),
  chmod: ({folder}, [mode = '', path = '']) =>
    chmodSync(join(folder, path), Number.parseInt(mode, 8)),
  append: ({folder}, [path = '', text = '']) =>
    writeFileSync(join(folder, path), `${text}\n`, {flag: 'a'}),
}

function step(value: unknown, key: string): unknown {
  return (value as Record<string, unknown> | undefined)?.[key]
}

function matches(text: string | undefined, pattern: string, negated: boolean): void {
  const found = new RegExp(pattern, 'm').test(text ?? '')
  assert.is(found, !negated, `${negated ? 'unwanted' : 'missing'} /${pattern}/ in:\n${text}`)
}

/** Runs a script in a folder of its own; an unknown verb fails, and so does the first line that is wrong. */
export async function runScript(text: string): Promise<void> {
  const {lines, files} = parseScript(text)
  assert.ok(lines.length > 0, 'the script says nothing')
  const state: State = {folder: temporaryFolder(), env: {}, last: undefined}
  for (const [name, content] of files) {
    mkdirSync(dirname(join(state.folder, name)), {recursive: true})
    writeFileSync(join(state.folder, name), content)
  }
  for (const line of lines) await runLine(state, line)
}

async function runLine(state: State, {text, number}: Script['lines'][number]): Promise<void> {
  const negated = text.startsWith('! ')
  const [name = '', ...words] = splitWords(negated ? text.slice(2) : text)
  const verb = verbs[name]
  if (verb === undefined) throw new Error(`line ${number}: no such verb: ${name}`)
  try {
    await verb(state, words, negated)
  } catch (error) {
    throw new Error(`line ${number}: ${text}\n${(error as Error).message}`, {cause: error})
  }
}

/** Words apart by spaces; '…' keeps spaces. */
export function splitWords(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')
}
