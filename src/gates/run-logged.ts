import {EvidenceLog, logName} from './evidence-log.ts'
import type {GateLog, GateWorld, Refusal} from './gate.ts'
import {type ProgramEnd, type ProgramRun, runProgram} from './run-program.ts'

/** What a build may print. */
const MAX_LOG_BYTES = 32 << 20
/** What is kept in memory to look for a text; a version is said in the first lines. */
const MAX_TEXT_BYTES = 1 << 20

export type LoggedRun = Pick<ProgramRun, 'argv' | 'cwd' | 'env' | 'timeoutSecs'> & {
  /** The name of the gate, and of the log. */
  readonly gate: string
}

export type LoggedEnd = {
  readonly end: ProgramEnd
  /** The first part of what it wrote, to both streams. */
  readonly text: string
  readonly log: GateLog
}

/** Runs a program to its end with its output in a log, which begins with its arguments. */
export async function runLogged(run: LoggedRun, {evidence}: GateWorld): Promise<LoggedEnd> {
  const log = new EvidenceLog(evidence, logName(run.gate, '.log'), MAX_LOG_BYTES)
  const kept: Buffer[] = []
  let room = MAX_TEXT_BYTES
  log.write(`$ ${run.argv.map((word) => JSON.stringify(word)).join(' ')}\n`)
  const end = await runProgram({
    ...run,
    onOutput: (_stream, bytes) => {
      kept.push(bytes.subarray(0, room))
      room -= Math.min(room, bytes.length)
      return log.write(bytes) ? undefined : 'flood'
    },
  })
  log.write(`\n${JSON.stringify(end)}\n`)
  return {end, text: Buffer.concat(kept).toString('utf8'), log: log.close()}
}

/** Why a run is refused for the way it ended; undefined after exit code 0. */
export function badEnd(end: ProgramEnd, timeoutSecs: number): Refusal | undefined {
  switch (end.end) {
    case 'exited':
      if (end.exitCode === 0) return undefined
      return {code: 'run_failed', summary: `it ended with ${end.exitCode}`}
    case 'signalled':
      return {code: 'run_failed', summary: `it was ended by ${end.signal}`}
    case 'not_started':
      return {code: 'run_failed', summary: `it could not be started: ${end.reason}`}
    case 'flood':
      return {code: 'run_log_limit', summary: 'it printed more than its log may hold'}
    default:
      return {code: 'run_timeout', summary: `it did not end within ${timeoutSecs} s`}
  }
}
