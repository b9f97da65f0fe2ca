import {spawn} from 'node:child_process'
import {join} from 'node:path'
import {builtPackage} from './built.ts'
import {temporaryFolder} from './tmp.ts'

/** How a process ended and what it said. */
export type Ran = {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

export type RunOptions = {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  /** 60 when not given. */
  readonly patienceSecs?: number
}

/** No test of the command line takes this long; a command that waits for an answer would. */
const PATIENCE_SECS = 60

const home = temporaryFolder()

/** An environment of its own: no configuration, cache or secret of the person who runs the tests. */
export function cleanEnv(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    HOME: home,
    XDG_CONFIG_DIRS: join(home, 'xdg'),
    REL_NODE: process.execPath,
    ...extra,
  }
}

/** Runs the built rel as a user does: through bin/rel, without a terminal, standard input closed. */
export async function runRel(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return run(join(await builtPackage(), 'bin', 'rel'), args, options)
}

/** Runs a program to its end; killed, and so failed, when it does not end by itself. */
export async function run(
  file: string,
  args: readonly string[],
  {cwd = home, env = {}, input, patienceSecs = PATIENCE_SECS}: RunOptions = {},
): Promise<Ran> {
  const stdin = input === undefined ? 'ignore' : 'pipe'
  const child = spawn(file, args, {cwd, env: cleanEnv(env), stdio: [stdin, 'pipe', 'pipe']})
  const timer = setTimeout(() => child.kill('SIGKILL'), patienceSecs * 1000)
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk))
  child.stdin?.on('error', () => {}) // a program need not read it
  child.stdin?.end(input)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      const stdout = Buffer.concat(out).toString('utf8')
      resolve({code, signal, stdout, stderr: Buffer.concat(err).toString('utf8')})
    })
  })
}

/** The work of all items, two at a time: as many as the smallest machine has cores. */
export async function inPairs<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items]
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  }
  await Promise.all([worker(), worker()])
}
