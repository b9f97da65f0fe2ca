import {type ChildProcess, type StdioOptions, spawn} from 'node:child_process'
import {accessSync, constants, statSync} from 'node:fs'
import {delimiter, isAbsolute, join, resolve} from 'node:path'

export type ProgramRun = {
  readonly argv: readonly [string, ...string[]]
  readonly cwd: string
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>
  readonly timeoutSecs: number
  /** Called with what the program writes; 'stop' ends it, 'flood' ends it as too talkative. */
  readonly onOutput: (stream: 'stdout' | 'stderr', bytes: Buffer) => 'stop' | 'flood' | undefined
  /** Sockets for the child's descriptors from 3 on. */
  readonly sockets?: number
  /** Called once, when the program runs. */
  readonly onStart?: (running: Running) => void
}

export type Running = {
  readonly child: ChildProcess
  /** Ends the run from outside as 'stopped'. */
  readonly stop: () => void
}

export type ProgramEnd =
  | {readonly end: 'exited'; readonly exitCode: number}
  | {readonly end: 'signalled'; readonly signal: string}
  | {readonly end: 'timeout' | 'flood' | 'stopped'}
  | {readonly end: 'not_started'; readonly reason: string}

/** How long output may still come from what a program left behind when it ended. */
const DRAIN_MS = 1000

/**
 * Runs a program in a session of its own and returns when it and its children are gone: all of them
 * are killed at its end, at the time limit, and when this process ends.
 */
export function runProgram(run: ProgramRun): Promise<ProgramEnd> {
  const {cwd, env, onOutput, sockets = 0} = run
  const [file = '', ...args] = [...tiedToUs(env.PATH ?? ''), ...run.argv]
  const stdio: StdioOptions = ['ignore', 'pipe', 'pipe', ...Array(sockets).fill('pipe')]
  const child = spawn(file, args, {cwd, env, stdio, detached: true})
  let cut: 'timeout' | 'flood' | 'stopped' | undefined
  const killAll = () => killGroup(child)
  const stop = (reason: 'timeout' | 'flood' | 'stopped') => {
    cut ??= reason
    killAll()
  }
  process.on('exit', killAll)
  const timer = setTimeout(() => stop('timeout'), run.timeoutSecs * 1000)
  const take = (stream: 'stdout' | 'stderr') => (bytes: Buffer) => {
    if (cut !== undefined) return
    const answer = onOutput(stream, bytes)
    if (answer !== undefined) stop(answer === 'stop' ? 'stopped' : 'flood')
  }
  return new Promise<ProgramEnd>((done, fail) => {
    const guarded = (listener: (bytes: Buffer) => void) => (bytes: Buffer) => {
      try {
        listener(bytes)
      } catch (error) {
        stop('stopped') // the log cannot be written
        fail(error)
      }
    }
    child.stdout?.on('data', guarded(take('stdout')))
    child.stderr?.on('data', guarded(take('stderr')))
    child.once('error', (error: NodeJS.ErrnoException) => {
      done({end: 'not_started', reason: error.code ?? error.message})
    })
    child.once('exit', () => {
      killAll()
      setTimeout(() => closeStreams(child), DRAIN_MS).unref()
    })
    child.once('close', (exitCode, signal) => {
      if (cut !== undefined) done({end: cut})
      else if (exitCode !== null) done({end: 'exited', exitCode})
      else done({end: 'signalled', signal: signal ?? 'unknown'})
    })
    child.once('spawn', () => run.onStart?.({child, stop: () => stop('stopped')}))
  }).finally(() => {
    clearTimeout(timer)
    process.off('exit', killAll)
  })
}

/** With util-linux, the kernel ends the program when this process is killed outright. */
function tiedToUs(path: string): string[] {
  const setpriv = findProgram('setpriv', path)
  return setpriv === undefined ? [] : [setpriv, '--pdeathsig', 'KILL', '--']
}

/** The path of a program that PATH finds, or that a path names; undefined when it cannot be run. */
export function findProgram(program: string, path: string, cwd = '/'): string | undefined {
  if (program.includes('/')) {
    const file = isAbsolute(program) ? program : resolve(cwd, program)
    return isProgram(file) ? file : undefined
  }
  const folders = path.split(delimiter).filter((folder) => isAbsolute(folder))
  return folders.map((folder) => join(folder, program)).find(isProgram)
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** The group has the number of the child, because it leads a session. */
function killGroup({pid}: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // all of them are gone
  }
}

function closeStreams(child: ChildProcess): void {
  for (const stream of child.stdio) stream?.destroy()
}
