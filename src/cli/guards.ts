import {RelError} from '../system/error.ts'
import {removeLeftovers} from '../system/leftovers.ts'

/** Exit codes of a process ended by a signal: 128 plus its number. */
const signalExits = {SIGINT: 130, SIGTERM: 143, SIGHUP: 129} as const

export type Guards = {
  /** Prints one failure; `exit` overrides the code's own. */
  report(error: unknown, exit?: number): void
}

let finished = false
let said = false
let stop: ((signal: string) => void) | undefined

/** For commands that run until they are told to stop: the first signal, which then ends nothing. */
export function onStop(): Promise<string> {
  return new Promise((resolve) => {
    stop = resolve
  })
}

/** The outcome is out: a signal that comes now, or came while work blocked the loop, changes nothing. */
export function markSaid(): void {
  said = true
}

/** From here on the exit code is what the command said; before it, leaving quietly is a bug. */
export function markFinished(): void {
  finished = true
}

/**
 * No way out of the process that prints nothing or says 0 without the effect: signals, uncaught
 * errors, promises that never settle, and process.exit() by a library.
 */
export function installGuards({report}: Guards): void {
  for (const [signal, exit] of Object.entries(signalExits)) {
    let seen = 0
    process.on(signal, () => {
      seen += 1
      if (seen === 1 && stop !== undefined) {
        stop(signal)
        return
      }
      if (said && seen === 1) return
      if (seen === 1) report(new RelError('interrupted', `stopped by ${signal}`), exit)
      end(exit)
    })
  }
  const broken = (error: unknown) => {
    report(error)
    end(typeof process.exitCode === 'number' && process.exitCode !== 0 ? process.exitCode : 1)
  }
  process.on('uncaughtException', broken)
  process.on('unhandledRejection', broken)
  process.on('beforeExit', () => {
    if (!finished) broken(new RelError('internal_error', 'the command stopped before its end'))
  })
  process.on('exit', (code) => {
    removeLeftovers()
    if (!finished && code === 0) process.exitCode = 1
  })
}

function end(exit: number): void {
  finished = true
  process.exit(exit)
}

/**
 * A reader that has gone (`| head`) ends the output, not the work. Any other error of a stream
 * means that a result was lost, which must not end in 0.
 */
export function guardStreams(report: (error: unknown) => void): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') return
      report(new RelError('write_failed', `cannot write the output: ${error.code}`))
      process.exitCode = 28
    })
}

/**
 * Resolves when everything written so far has left the process, or its reader has gone; the error
 * of a failed write has been heard by then.
 */
export async function drained(stream: NodeJS.WriteStream): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
  if (stream.destroyed || stream.writableLength === 0) return
  await new Promise<void>((resolve) => {
    stream.once('close', resolve)
    stream.write('', () => resolve())
  })
}
