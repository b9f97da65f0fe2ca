import {accessSync, constants} from 'node:fs'
import {delimiter, join} from 'node:path'

/** What was left out and why; counted by test/run.ts, which fails on it under CI=true. */
export type NamedSkip = {readonly name: string; readonly reason: string}

const record = globalThis as {relNamedSkips?: NamedSkip[]}

/** The named skips of this process so far. */
export function namedSkips(): readonly NamedSkip[] {
  return record.relNamedSkips ?? []
}

/**
 * True when all programs are on PATH; otherwise registers one skip that names the absent ones.
 * Call it at the top of a file, around the tests that need them:
 * `if (needs('minisign')) test('…', …)`.
 */
export function needs(...programs: readonly string[]): boolean {
  const absent = programs.filter((program) => !isOnPath(program))
  const reason = `${absent.join(', ')} not found; install it or run node scripts/setup-debian.ts`
  return needsThat(programs.join(' + '), absent.length === 0, reason)
}

/** needs for anything but a program: `present` is the finding, `reason` what to say when false. */
export function needsThat(name: string, present: boolean, reason: string): boolean {
  if (present) return true
  const skip = {name, reason}
  record.relNamedSkips = [...namedSkips(), skip]
  process.stderr.write(`skipped ${name}: ${reason}\n`)
  return false
}

/** True for a program that PATH finds and that may be run. */
export function isOnPath(program: string): boolean {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  return folders.some((folder) => isExecutable(join(folder, program)))
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
