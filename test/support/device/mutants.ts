import {everyCrash, ForgetfulDisk, type Note, type Step, type View} from './crash-model.ts'

/** Operations of a flow on a folder that was as `before` says; undefined: there was none. */
export type Run = {
  readonly before: string | undefined
  readonly steps: readonly Step[]
  /** What had been told before. */
  readonly told: readonly Note[]
}

export type Verdict = {readonly states: number; readonly broken?: string}

/** Cuts the power after every step; stops at the first promise that `broken` says is broken. */
export function cutEverywhere(
  {before, steps, told}: Run,
  broken: (view: View, notes: readonly Note[]) => string | undefined,
): Verdict {
  const disk = new ForgetfulDisk(before)
  const notes: Note[] = [...told]
  let states = 0
  let found: string | undefined
  const look = (at: string) => {
    states += everyCrash(disk, (view) => {
      const promise = broken(view, notes)
      if (promise !== undefined) found ??= `${at}: ${promise}`
    })
  }
  look('at the start')
  for (const [index, step] of steps.entries()) {
    const at = `after ${index}: ${step.op} ${step.op === 'note' ? step.what : step.path}`
    if (step.op === 'note') notes.push(step)
    else {
      try {
        disk.run(step)
      } catch (error) {
        return {states, broken: `${at}: ${(error as Error).message}`}
      }
    }
    look(at)
    if (found !== undefined) return {states, broken: found}
  }
  return {states}
}

/** How far a change of a trace is looked at: further than any flow needs to be itself again. */
const WINDOW = 40

/**
 * Proof that a changed run is the same program. From some later step on both disks are in the same
 * state; until then nothing was told to anybody, and a reader of the changed one can find nothing
 * that they could not find in the unchanged one. Equal states behave alike for ever.
 */
export function isSameRun(
  {before, steps}: Run,
  changed: readonly Step[],
  index: number,
  observed: (view: View) => string,
): boolean {
  const start = () => {
    const disk = new ForgetfulDisk(before)
    for (const step of steps.slice(0, index)) if (step.op !== 'note') disk.run(step)
    return disk
  }
  const gather = (disk: ForgetfulDisk, into: Set<string>) =>
    everyCrash(disk, (view) => void into.add(observed(view)))
  const [right, wrong] = [start(), start()]
  const [found, seen] = [new Set<string>(), new Set<string>()]
  gather(right, found)
  // a step that was left out leaves the two a step apart
  const lag = steps.length - changed.length
  const advanceBoth = (at: number): boolean => {
    const [step, other] = [steps[at], changed[at - lag]]
    if (step === undefined || step.op === 'note') return false
    right.run(step)
    gather(right, found)
    if (at - lag < index) return true
    if (other === undefined || other.op === 'note') return false
    wrong.run(other)
    gather(wrong, seen)
    return true
  }
  for (let at = index; at < index + WINDOW; at++) {
    if (!advanceBoth(at)) return false
    if (wrong.fingerprint() === right.fingerprint())
      return [...seen].every((text) => found.has(text))
  }
  return false
}

export type Mutant = {readonly index: number; readonly steps: readonly Step[]}

/** The run without one of its syncs, for each of them. */
export function withoutSyncs({steps}: Run): Mutant[] {
  return steps.flatMap(({op}, index) =>
    op === 'sync' || op === 'sync_dir' ? [{index, steps: steps.toSpliced(index, 1)}] : [],
  )
}

/** The run with two neighbours swapped, for each pair. */
export function withSwaps({steps}: Run): Mutant[] {
  return steps.flatMap((a, index) => {
    const b = steps[index + 1]
    if (b === undefined || a.op === 'note' || b.op === 'note') return []
    return [{index, steps: steps.toSpliced(index, 2, b, a)}]
  })
}
