import {RelError} from './error.ts'

export type ProcessOptions = {
  /** Wall-clock limit in seconds; the process is killed after it. */
  readonly timeoutSecs: number
  readonly input?: Uint8Array
  readonly cwd?: string
  /** The whole environment of the child; PATH and HOME are added, nothing else is inherited. */
  readonly env?: Readonly<Record<string, string>>
  /** Bytes of output kept at most, per stream; 1 MiB when not given. */
  readonly maxOutput?: number
}

export type ProcessResult = {
  readonly exitCode: number
  readonly stdout: Buffer
  readonly stderr: string
}

/** Between the signal that asks a program to end and the one that it cannot refuse. */
const KILL_MS = 1000

/**
 * Runs a program as file + argument array, never through a shell, and returns however it ended.
 * Refuses with tool_missing (not on PATH) and process_failed (time-out, signal, too much output).
 * Arguments end up in error messages: never pass a secret as one.
 */
export async function runProcess(
  file: string,
  args: readonly string[],
  options: ProcessOptions,
): Promise<ProcessResult> {
  const {execa} = await import('execa') // costs as much to load as all of oclif
  const {PATH = '/usr/bin:/bin', HOME = '/'} = process.env
  const maxBuffer = options.maxOutput ?? 1024 * 1024
  const running = execa(file, args, {
    reject: false,
    extendEnv: false,
    env: {PATH, HOME, ...options.env},
    encoding: 'buffer',
    timeout: options.timeoutSecs * 1000,
    forceKillAfterDelay: KILL_MS,
    maxBuffer,
    stripFinalNewline: false,
    ...(options.input === undefined ? {stdin: 'ignore'} : {input: options.input}),
    ...(options.cwd === undefined ? {} : {cwd: options.cwd}),
  })
  // what the program has started may hold its pipes open for as long as it likes
  const letGo = () => {
    running.stdout.destroy()
    running.stderr.destroy()
  }
  const timer = setTimeout(letGo, options.timeoutSecs * 1000 + KILL_MS)
  const result = await running.finally(() => clearTimeout(timer))
  if (result.code === 'ENOENT')
    throw new RelError('tool_missing', `${file} was not found on PATH`, {cause: result})
  if (result.timedOut)
    throw new RelError('process_failed', `${file} did not end within ${options.timeoutSecs} s`)
  // A program may have ended well before its output was found too long: what was kept is a part.
  if (result.isMaxBuffer)
    throw new RelError('process_failed', `${file} printed more than ${maxBuffer} bytes`)
  if (result.exitCode === undefined)
    throw new RelError('process_failed', `${file} was ended: ${result.signal ?? result.code}`)
  return {
    exitCode: result.exitCode,
    stdout: Buffer.from(result.stdout),
    stderr: Buffer.from(result.stderr).toString('utf8'),
  }
}
