import {randomBytes} from 'node:crypto'
import {readdirSync} from 'node:fs'
import {basename, dirname, join} from 'node:path'
import {statIfThere} from '../../system/files.ts'

/** What a run makes beside its target before the target is complete: a directory, a file. */
export type LeftoverKind = 'rel-unpack' | 'rel-tmp'

/** A name beside `place` that nobody else has: hidden, of one target, of one process, random. */
export function leftoverName(place: string, kind: LeftoverKind): string {
  const random = randomBytes(8).toString('hex')
  return join(dirname(place), `.${basename(place)}.${process.pid}.${random}.${kind}`)
}

/** Where runs for the same target have left something: of our user, and of no process alive. */
export function leftoversOf(place: string, kind: LeftoverKind): readonly string[] {
  const parent = dirname(place)
  return namesIn(parent)
    .filter((name) => isOfTheDead(name, basename(place), kind))
    .map((name) => join(parent, name))
    .filter((path) => statIfThere(path)?.uid === process.getuid?.())
}

/** A folder in which one may write but not look has nothing that could be swept. */
function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function isOfTheDead(name: string, base: string, kind: LeftoverKind): boolean {
  if (!name.startsWith(`.${base}.`) || !name.endsWith(`.${kind}`)) return false
  const middle = name.slice(base.length + 2, -kind.length - 1)
  const pid = /^([1-9][0-9]{0,9})\.[0-9a-f]{16}$/.exec(middle)?.[1]
  return pid !== undefined && !isAlive(Number(pid))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as {code?: string}).code === 'EPERM'
  }
}
