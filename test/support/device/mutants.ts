import {
  everyCrash,
  ForgetfulDisk,
  type Note,
  type Snapshot,
  type Step,
  snapshotOf,
  type View,
} from './crash-model.ts'

/** Operations of a flow on a folder that was as `before` says; undefined: there was none. */
export type Run = {
  readonly before: string | undefined
  readonly steps: readonly Step[]
  /** What had been told before. */
  readonly told: readonly Note[]
  /** Folders that every run of the updater syncs first (settle); those of a tree if not given. */
  readonly settled?: readonly string[]
}

export type Verdict = {readonly states: number; readonly broken?: string}

/**
 * Cuts the power after every step from `from` on; stops at the first promise that `broken` says is
 * broken. Steps before a change of a run are those of the run itself, which was looked at.
 */
export function cutEverywhere(
  {before, steps, told}: Run,
  broken: (view: View, notes: readonly Note[]) => string | undefined,
  from = 0,
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
  if (from === 0) look('at the start')
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
    if (index < from) continue
    look(at)
    if (found !== undefined) return {states, broken: found}
  }
  return {states}
}

/** How far a change of a trace is looked at: further than any flow needs to be itself again. */
const WINDOW = 60

/** What a reader may find between two promises: of the run as it is, and of the changed one alone. */
export type Segment = {
  readonly right: ReadonlyMap<string, Snapshot>
  readonly alone: ReadonlyMap<string, Snapshot>
}

/**
 * Follows a changed run beside the run itself until both disks are in the same state, for equal states
 * behave alike for ever; undefined where they never are. What was told stays told: a state that could
 * be found before a promise counts no more after it.
 */
export function beside(
  {before, steps, settled = ['.rel', '']}: Run,
  changed: readonly Step[],
  index: number,
  {observed, outcome}: Pick<Judge, 'observed' | 'outcome'>,
): readonly Segment[] | undefined {
  const start = () => {
    const disk = new ForgetfulDisk(before)
    for (const step of steps.slice(0, index)) if (step.op !== 'note') disk.run(step)
    return disk
  }
  const gather = (disk: ForgetfulDisk, into: Map<string, Snapshot>) =>
    everyCrash(disk, (view) => {
      const text = observed(view)
      if (!into.has(text)) into.set(text, outcome === undefined ? new Map() : snapshotOf(view))
    })
  const [right, wrong] = [start(), start()]
  // a step that was left out leaves the two a step apart
  const lag = steps.length - changed.length
  // what is behind the end of a run: the next one
  const nextRun = settled.map((path): Step => ({op: 'sync_dir', path}))
  const [all, others] = [
    [...steps, ...nextRun],
    [...changed, ...nextRun],
  ]
  const segments: Segment[] = []
  let [found, seen] = [new Map<string, Snapshot>(), new Map<string, Snapshot>()]
  const begin = () => {
    ;[found, seen] = [new Map(), new Map()]
    gather(right, found)
    gather(wrong, seen)
  }
  const end = () => {
    const alone = new Map([...seen].filter(([text]) => !found.has(text)))
    if (alone.size > 0) segments.push({right: found, alone})
  }
  begin()
  for (let at = index; at < Math.min(index + WINDOW, all.length); at++) {
    const [step, other] = [all[at], others[at - lag]]
    if (step?.op === 'note') {
      end()
      begin()
      continue
    }
    if (step !== undefined) right.run(step)
    gather(right, found)
    if (at - lag >= index && other !== undefined && other.op !== 'note') {
      wrong.run(other)
      gather(wrong, seen)
    }
    if (at > index && wrong.fingerprint() === right.fingerprint()) {
      end()
      return segments
    }
  }
  return undefined
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

/** How states are looked at. */
export type Judge = {
  /** The first promise that a state breaks. */
  broken(view: View, notes: readonly Note[]): string | undefined
  /** What a reader can tell apart. */
  observed(view: View): string
  /** What a node in such a state comes to when its updater runs again, without times and numbers. */
  outcome?(files: Snapshot): Promise<string>
}

/** How many changes were noticed, lead to no other state, or only to states that come to the same. */
export type Score = {caught: number; same: number; mended: number; readonly missed: string[]}

export function noScore(): Score {
  return {caught: 0, same: 0, mended: 0, missed: []}
}

/** Judges every change of the part of a run that is its own; earlier parts are other runs. */
export async function judgeMutants(
  run: Run & {readonly name: string; readonly resumedAt: number},
  mutants: readonly Mutant[],
  judge: Judge,
  score: Score,
): Promise<void> {
  for (const {index, steps} of mutants) {
    if (index < run.resumedAt) continue
    const {broken} = cutEverywhere({...run, steps}, judge.broken, index)
    if (broken !== undefined) score.caught++
    else {
      const alone = beside(run, steps, index, {observed: judge.observed})
      if (alone?.length === 0) score.same++
      else if (alone !== undefined && (await isMended(run, {index, steps}, judge))) score.mended++
      else score.missed.push(`${run.name} ${index}: ${JSON.stringify(run.steps[index])}`)
    }
  }
}

/**
 * Proof by running it: from each state that only the changed run can leave behind, the updater comes
 * to what it comes to from a state of the run as it is.
 */
async function isMended(run: Run, {index, steps}: Mutant, judge: Judge): Promise<boolean> {
  const {outcome} = judge
  if (outcome === undefined) return false
  for (const {right, alone} of beside(run, steps, index, judge) ?? []) {
    const rightful = new Set<string>()
    for (const files of right.values()) rightful.add(await outcome(files))
    for (const files of alone.values()) if (!rightful.has(await outcome(files))) return false
  }
  return true
}
