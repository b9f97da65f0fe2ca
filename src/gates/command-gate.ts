import {mkdtempSync, rmSync} from 'node:fs'
import {join} from 'node:path'
import {trackLeftover} from '../system/leftovers.ts'
import {type GateResult, type GateWorld, passed, refused, unavailable} from './gate.ts'
import {endMarked} from './marked-processes.ts'
import {badEnd, runLogged} from './run-logged.ts'
import {findProgram} from './run-program.ts'
import {closedWords, startedBy} from './sandbox.ts'

/** A command of a playbook, such as the rebuild of an image. */
export type CommandSpec = {
  readonly gate: string
  /** Program and arguments; no shell reads them. */
  readonly argv: readonly [string, ...string[]]
  readonly cwd: string
  /** Added to PATH, HOME, LANG and LC_ALL: nothing else is inherited, so no token is. */
  readonly env?: Readonly<Record<string, string>>
  readonly timeoutSecs: number
}

/**
 * Runs a command; exit code 0 passes. Refuses with run_failed, run_timeout, run_log_limit;
 * gate_unavailable when there is no such program. It runs with all rights of the user. What it
 * started ends with it; where that cannot be made sure, a caveat says so.
 */
export async function commandGate(spec: CommandSpec, world: GateWorld): Promise<GateResult> {
  const {gate, argv, cwd, timeoutSecs, env} = spec
  const program = findProgram(argv[0], world.path, cwd)
  if (program === undefined) return unavailable(gate, `${argv[0]} was not found`)
  world.report?.(`running ${argv[0]}, at most ${timeoutSecs} s`)
  // a home of its own: in a shared temporary folder anybody could leave a .gitconfig or a .npmrc
  const home = mkdtempSync(join(world.scratch, 'rel-home-'))
  const forget = trackLeftover(home)
  try {
    const base = {PATH: world.path, HOME: home, LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8'}
    const {words, caveats} = await closedWords(world)
    const {end, log} = await runLogged(
      {
        gate,
        argv: startedBy(words, [program, ...argv.slice(1)]),
        cwd,
        env: {...base, ...env},
        timeoutSecs,
      },
      world,
    )
    const extras = {caveats, logs: [log]}
    const refusal = badEnd(end, timeoutSecs)
    if (refusal !== undefined)
      return refused(gate, {...refusal, summary: `${argv[0]}: ${refusal.summary}`}, extras)
    return passed(gate, `${argv[0]} ended well`, extras)
  } finally {
    endMarked('HOME', home)
    rmSync(home, {recursive: true, force: true})
    forget()
  }
}
