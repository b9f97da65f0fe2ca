import {readFileSync} from 'node:fs'
import {hostname} from 'node:os'
import {RelError} from '../system/error.ts'
import type {Git} from '../system/git.ts'

/** Who holds a lock: a process, told apart from later ones with its number by when it started. */
type Owner = {readonly pid: number; readonly host: string; readonly started: string}

const ABSENT = '0'.repeat(40)

/**
 * Takes the lock of an item, a ref that only git's compare-and-swap moves: of two at once exactly
 * one gets it, and the lock of a process that has died is taken over by exactly one. Returns what
 * gives it back. Refuses with bump_in_progress.
 */
export async function takeLock(git: Git, item: string): Promise<() => Promise<void>> {
  const ref = `refs/rel/lock/${item}`
  const own = await git.text(['hash-object', '-w', '--stdin'], {
    input: Buffer.from(JSON.stringify({...self(), item})),
  })
  const before = await held(git, ref)
  if (before !== undefined && isAlive(before.owner)) throw inProgress(item, before.owner)
  const {exitCode} = await git.run(['update-ref', ref, own, before?.id ?? ABSENT])
  if (exitCode !== 0) throw inProgress(item, (await held(git, ref))?.owner)
  return async () => {
    await git.run(['update-ref', '-d', ref, own])
  }
}

function self(): Owner {
  return {pid: process.pid, host: hostname(), started: startOf(process.pid) ?? ''}
}

async function held(git: Git, ref: string): Promise<{id: string; owner: Owner} | undefined> {
  const {exitCode, stdout} = await git.run(['rev-parse', '--verify', '--quiet', ref])
  if (exitCode !== 0) return undefined
  const id = stdout.toString('utf8').trim()
  return {id, owner: JSON.parse(await git.text(['cat-file', 'blob', id])) as Owner}
}

/** A process of another machine that shares this repository cannot be looked at: it counts. */
function isAlive({pid, host, started}: Owner): boolean {
  if (host !== hostname()) return true
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
  }
  const now = startOf(pid)
  return now === undefined || started === '' || now === started
}

/** Clock ticks after boot at which a process started (proc(5), field 22); Linux only. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

function inProgress(item: string, owner: Owner | undefined): RelError {
  const who = owner === undefined ? 'another process' : `process ${owner.pid} on ${owner.host}`
  return new RelError('bump_in_progress', `${who} is bumping ${item}`, {
    hint: `Wait for it; if that machine is gone: git update-ref -d refs/rel/lock/${item}`,
  })
}
