import {readdirSync, readFileSync} from 'node:fs'

/** A process that starts another one while it is looked at is found in the next round. */
const ROUNDS = 50

/**
 * Ends this user's processes that have `variable=value` in the environment they were started with:
 * what a command left behind in another session. What took the variable out of its environment, or
 * is another user's by now, is not found; nor is anything without Linux's /proc.
 */
export function endMarked(variable: string, value: string): void {
  const mark = `${variable}=${value}`
  for (let round = 0; round < ROUNDS; round++) if (!endOnce(mark)) return
}

/** True when something was ended. */
function endOnce(mark: string): boolean {
  let found = false
  for (const pid of processes()) {
    if (pid === process.pid || !isMarked(pid, mark)) continue
    try {
      process.kill(pid, 'SIGKILL')
      found = true
    } catch {
      // it ended by itself
    }
  }
  return found
}

function processes(): readonly number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^[0-9]+$/.test(name))
      .map(Number)
  } catch {
    return []
  }
}

/** What has ended has no environment any more. */
function isMarked(pid: number, mark: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(mark)
  } catch {
    return false
  }
}
