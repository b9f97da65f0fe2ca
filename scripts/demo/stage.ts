import {spawn} from 'node:child_process'
import {mkdirSync, mkdtempSync, realpathSync, rmSync} from 'node:fs'
import {rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {styleText} from 'node:util'
import {type ErrorCode, exitCodeOf} from '../../src/system/codes.ts'

export const root = join(import.meta.dirname, '../..')
/** Everything happens in here; it is removed at the end. */
export const folder = realpathSync(mkdtempSync(join(tmpdir(), 'rel-demo-')))

/** The program as it was just built: what is attacked is another copy of it. */
const rel = join(folder, 'packing/source/bin/rel')
const isTerminal = process.stdout.isTTY === true
let attacks = 0

process.on('exit', () => rmSync(folder, {recursive: true, force: true}))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))

/** Takes away what the story is done with, meanwhile: thousands of files are slow to remove. */
export function discard(name: string): void {
  rm(join(folder, name), {recursive: true, force: true}).catch(() => {}) // the end tries again
}

/** How many stories were announced. */
export function attackCount(): number {
  return attacks
}

export function announce(story: string): void {
  attacks += 1
  say('', `  ${bold(`${story}.`)}`)
}

/** Where a command runs, below the folder of the demo, and what it finds in its environment. */
export type Place = {readonly cwd?: string; readonly env?: Readonly<Record<string, string>>}

type Ended = {readonly status: number | null; readonly said: string}

/** Not spawnSync: servers of the demo answer from this process meanwhile. */
export async function runProgram(
  file: string,
  args: readonly string[],
  {cwd = '.', env = {}}: Place = {},
): Promise<Ended> {
  const child = startProgram(file, args, {cwd, env})
  const said: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => said.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => said.push(chunk))
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const text = Buffer.concat(said).toString('utf8')
  return {status, said: text.replaceAll(`${folder}/`, '').trimEnd()}
}

function startProgram(file: string, args: readonly string[], {cwd = '.', env = {}}: Place) {
  const home = join(folder, 'home')
  mkdirSync(home, {recursive: true})
  const {PATH = '/usr/bin:/bin'} = process.env
  const color = isTerminal ? {FORCE_COLOR: '1'} : {NO_COLOR: '1'}
  return spawn(file, args, {
    cwd: join(folder, cwd),
    env: {PATH, HOME: home, REL_NODE: process.execPath, ...color, ...env},
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** A server that runs until it is told to stop. */
export type Server = {
  /** What it said when it was ready. */
  readonly welcome: string
  /** Ends with its exit code. */
  readonly ended: Promise<number | null>
  stop(): Promise<void>
}

/** Shows a command that serves, with what it tells people once that matches `ready`. */
export async function serve(words: string, ready: RegExp, place: Place = {}): Promise<Server> {
  say('', command(`rel ${words} &`))
  const child = startProgram(rel, words.split(' '), place)
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  let said = ''
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', (code) => {
      process.off('exit', kill)
      resolve(code)
    })
  })
  const isReady = new Promise<true>((resolve) => {
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk
      if (ready.test(said)) resolve(true)
    })
  })
  child.stdout.resume()
  if ((await Promise.race([isReady, ended])) !== true) fail(`a panel that listens: ${said}`)
  // its log, one JSON object a line, goes to the same stream
  const lines = said.replaceAll(`${folder}/`, '').split('\n')
  const welcome = lines.filter((line) => !line.startsWith('{')).join('\n')
  say(indented(welcome))
  const stop = async () => {
    child.kill('SIGTERM')
    const code = await ended
    if (code !== 0) fail(`the panel to stop with 0, got ${code}: ${said}`)
  }
  return {welcome, ended, stop}
}

/** A command of rel that runs already and is shown when its turn comes. */
export type Begun = {readonly words: string; readonly ended: Promise<Ended>}

/** Starts a slow command before the story comes to it. */
export function begin(words: string, place?: Place): Begun {
  return {words, ended: runProgram(rel, words.split(' '), place)}
}

/** Shows a command of rel with its output; it must end as announced. */
export function run(words: string, exit: number, place?: Place): Promise<string> {
  return show(begin(words, place), exit)
}

/** The same of a command that was started before. */
export async function show({words, ended}: Begun, exit: number): Promise<string> {
  say('', command(`rel ${words}`))
  const {status, said} = await ended
  say(indented(shortened(said)))
  if (status !== exit) fail(`exit ${exit}, got ${status}`)
  return said
}

/** Shows a command that must refuse with this code, this exit code and a fix. */
export function runRefused(words: string, code: ErrorCode, place?: Place): Promise<void> {
  return showRefused(begin(words, place), code)
}

/** The same of a command that was started before. */
export async function showRefused(begun: Begun, code: ErrorCode): Promise<void> {
  const said = await show(begun, exitCodeOf(code))
  if (!said.includes(` ${code}: `) || !said.includes('Fix: ')) fail(`the code ${code} and a fix`)
}

/** A new file in a diff is long, and its beginning says what it is; of an event its name does. */
function shortened(said: string): string {
  const events = said.replace(/^\{"event":.*\}$/gm, (line) => {
    const {event, details} = JSON.parse(line) as {event: string; details: {version?: string}}
    return `event ${event} ${details.version ?? ''}`.trimEnd()
  })
  return events.replace(/^((?:\+.*\n){6})((?:\+.*\n){6,})/gm, (_, shown: string, rest: string) => {
    return `${shown}… ${rest.split('\n').length - 1} more lines\n`
  })
}

/** A command that the story takes for granted; returns what it printed. */
export async function quietly(words: string, place?: Place): Promise<string> {
  const {status, said} = await runProgram(rel, words.split(' '), place)
  if (status !== 0) fail(`rel ${words} to work: ${said}`)
  return said
}

export function fail(wanted: string): never {
  process.stderr.write(`\nThe demo went wrong: it wanted ${wanted}.\n`)
  process.exit(1)
}

export function say(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** A chapter that this machine cannot show, and what it would take. */
export function skip(what: string, reason: string): void {
  say(`  - skipped: ${what}: ${reason}`)
}

export function heading(words: string): string {
  return `\n${isTerminal ? styleText(['bold', 'cyan'], words) : `== ${words}`}`
}

export function command(words: string): string {
  return `  ${isTerminal ? styleText('dim', '$') : '$'} ${bold(words)}`
}

export function bold(words: string): string {
  return isTerminal ? styleText('bold', words) : words
}

export function indented(words: string): string {
  return words.trimEnd().replace(/^/gm, '  ')
}
