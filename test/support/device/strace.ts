import {spawnSync} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {type Ran, run} from '../rel.ts'
import {temporaryFolder} from '../tmp.ts'

/** What changes a disk or makes it durable, and every file that is opened on the way. */
export const calls = [
  'openat',
  'write',
  'pwrite64',
  'fsync',
  'rename',
  'symlink',
  'unlink',
  'mkdir',
  'rmdir',
  'fchmod',
  'ftruncate',
] as const

export type SystemCall = {
  readonly name: string
  /** What it touches, from the traced folder on. */
  readonly path: string
  /** Which one of its name at that path in its thread, from 1: what `when` counts beside `-P`. */
  readonly at: number
  /** The line of strace. */
  readonly line: string
}

export type Injection = {
  readonly call: Pick<SystemCall, 'name' | 'path' | 'at'>
  /** `signal=KILL`, `error=EIO`. */
  readonly fault: string
}

/** Undefined where a process may be traced here; else why it may not. */
export function whyNotTraced(): string | undefined {
  const {error, status, stderr} = spawnSync('strace', ['-f', '-e', 'trace=none', 'true'], {
    encoding: 'utf8',
  })
  if (error !== undefined) return error.message
  return status === 0 ? undefined : `ptrace is not allowed: ${stderr}`
}

/**
 * Runs a program under strace, with at most one fault; the calls that touch a folder, or with a fault
 * its path there. How often Node opens and writes of its own is not the same in each run, so a fault
 * counts the calls at its own path and no others.
 */
export async function traced(
  command: readonly string[],
  folder: string,
  injection?: Injection,
): Promise<Ran & {readonly calls: readonly SystemCall[]}> {
  const log = join(temporaryFolder(), 'strace.log')
  const ran = await run(
    // ends what strace has started as well, should a fault make it wait for ever
    'timeout',
    ['--signal=KILL', '60', 'strace', '-f', '-y', '-o', log, '-e', `trace=${calls.join()}`].concat(
      injection === undefined ? [] : wordsOf(injection, folder),
      command,
    ),
    {patienceSecs: 120},
  )
  return {...ran, calls: callsOf(readFileSync(log, 'utf8'), folder)}
}

function wordsOf({call, fault}: Injection, folder: string): string[] {
  return ['-P', folder + call.path, '-e', `inject=${call.name}:${fault}:when=${call.at}`]
}

function callsOf(log: string, folder: string): SystemCall[] {
  const counts = new Map<string, number>()
  const found: SystemCall[] = []
  for (const line of log.split('\n')) {
    const [, pid, name] = /^(\d+) +(\w+)\(/.exec(line) ?? []
    if (pid === undefined || name === undefined) continue
    const start = line.indexOf(folder)
    if (start === -1) continue
    const path = /^[^">]*/.exec(line.slice(start + folder.length))?.[0] ?? ''
    const key = `${pid} ${name} ${path}`
    const at = (counts.get(key) ?? 0) + 1
    counts.set(key, at)
    found.push({name, path, at, line})
  }
  return found
}
