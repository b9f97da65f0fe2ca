import {spawn} from 'node:child_process'
import {chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {temporaryFolder} from '../tmp.ts'
import type {ModelOp} from './crash-model.ts'

// Runs the guard as it is shipped, with the shells and the tools it must do with.

export const guardScript = join(import.meta.dirname, '../../../templates/systemd/rel-guard')

/** What the guard calls that changes or syncs something. */
const changing = ['rm', 'ln', 'mv', 'sync'] as const
const stubbed = [...changing, 'readlink', 'sha256sum', 'sleep', 'timeout']

/**
 * Stands before the real tools: writes down each call, and kills the guard, and itself, before or
 * after the n-th.
 */
const stub = `#!/bin/sh
name=\${0##*/}
bytes=
case $name in sync) [ ! -f "$1" ] || bytes=$(base64 -w0 <"$1") ;; esac
printf '%s\\t%s\\t%s\\n' "$name" "$*" "$bytes" >>"$GUARD_LOG"
count=$(wc -l <"$GUARD_LOG")
[ "$count$GUARD_WHEN" != "\${GUARD_AT}before" ] || kill -9 0
PATH=$GUARD_REAL "$name" "$@"
code=$?
[ "$count$GUARD_WHEN" != "\${GUARD_AT}after" ] || kill -9 0
exit $code
`

const systemctl = `#!/bin/sh
printf '%s\\n' "$*" >>"$GUARD_LOG.systemctl"
`

const tools = temporaryFolder()
const REAL = '/usr/sbin:/usr/bin:/sbin:/bin'
mkdirSync(join(tools, 'stubs'))
mkdirSync(join(tools, 'busybox'))
for (const name of stubbed) program(join(tools, 'stubs', name), stub)
for (const folder of ['stubs', 'busybox']) program(join(tools, folder, 'systemctl'), systemctl)
for (const name of stubbed) symlinkSync('/bin/busybox', join(tools, 'busybox', name))

function program(path: string, text: string): void {
  writeFileSync(path, text)
  chmodSync(path, 0o755)
}

/** Debian's sh with coreutils, and busybox with nothing but itself. */
export const shells = {
  dash: {words: ['/bin/dash'], path: `${tools}/stubs:${REAL}`},
  busybox: {words: ['/bin/busybox', 'sh'], path: `${tools}/busybox`},
} as const

export type GuardRun = {
  readonly code: number | null
  readonly signal: string | null
  readonly stderr: string
  /** Calls of tools, in order; none are known of busybox. */
  readonly calls: readonly {readonly name: string; readonly words: string; readonly bytes: Buffer}[]
  /** What systemctl was asked for. */
  readonly restarts: readonly string[]
}

/** Runs the guard on a node; `kill` ends it before or after its n-th call. */
export async function runGuard(
  root: string,
  options: {
    readonly shell?: keyof typeof shells
    readonly args?: readonly string[]
    /** Of the service, instead of the stubs. */
    readonly path?: string
    /** What systemd gives to ExecStop= while the program is there. */
    readonly mainPid?: number
    readonly verifySecs?: number
    readonly kill?: {readonly at: number; readonly when: 'before' | 'after'}
  } = {},
): Promise<GuardRun> {
  const {words, path} = shells[options.shell ?? 'dash']
  const [shell = '', ...before] = words
  const log = join(temporaryFolder(), 'log')
  writeFileSync(log, '')
  const {at = 0, when = 'before'} = options.kill ?? {}
  const env = {
    PATH: options.path ?? path,
    ...(options.path === undefined ? {REL_GUARD_PATH: path} : {}),
    GUARD_REAL: REAL,
    GUARD_LOG: log,
    GUARD_AT: String(at),
    GUARD_WHEN: when,
    REL_GUARD_PAUSE_SECS: '0.01',
    REL_GUARD_VERIFY_SECS: String(options.verifySecs ?? 60),
    ...(options.mainPid === undefined ? {} : {MAINPID: String(options.mainPid)}),
  }
  const child = spawn(shell, [...before, guardScript, root, ...(options.args ?? [])], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  })
  let stderr = ''
  child.stderr.on('data', (piece) => {
    stderr += piece
  })
  const [code, signal] = await new Promise<[number | null, string | null]>((done) =>
    child.once('close', (...how) => done(how)),
  )
  const calls = linesOf(log).map((line) => {
    const [name = '', args = '', bytes = ''] = line.split('\t')
    return {name, words: args, bytes: Buffer.from(bytes, 'base64')}
  })
  return {code, signal, stderr, calls, restarts: linesOf(`${log}.systemctl`)}
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(0, -1)
  } catch {
    return []
  }
}

/** The operations behind the calls of one run; paths are relative to the root of the node. */
export function operationsOf({calls}: GuardRun, isThere: (path: string) => boolean): ModelOp[] {
  const made = new Map<string, boolean>()
  const there = (path: string) => made.get(path) ?? isThere(path)
  return calls.flatMap(({name, words, bytes}): ModelOp[] => {
    const args = words.split(' ').filter((word) => !word.startsWith('-'))
    const [a = '', b = ''] = args.map((word) => (word === '.' ? '' : word))
    if (name === 'rm') {
      if (!there(a)) return []
      made.set(a, false)
      return [{op: 'unlink', path: a}]
    }
    if (name === 'ln') {
      made.set(b, true)
      const isHard = !words.startsWith('-s')
      return [isHard ? {op: 'link', path: a, to: b} : {op: 'symlink', path: b, target: a}]
    }
    if (name === 'mv') {
      made.set(a, false)
      made.set(b, true)
      return [{op: 'rename', path: a, to: b}]
    }
    if (name !== 'sync') return []
    if (bytes.length === 0) return [{op: 'sync_dir', path: a}]
    // the shell itself has written it since the last call
    made.set(a, true)
    return [
      {op: 'create', path: a, mode: 0o600},
      {op: 'write', path: a, bytes},
      {op: 'sync', path: a},
    ]
  })
}
