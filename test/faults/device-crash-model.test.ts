import {mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {realFs, recordingFs} from '../../src/device/durable-fs.ts'
import {paths} from '../../src/device/layout.ts'
import {everyCrash, ForgetfulDisk, type Step} from '../support/device/crash-model.ts'
import {d2LiteralUpdate, d2Root} from '../support/device/d2-literal-port.ts'
import {brokenPromise, linked, observed} from '../support/device/invariants.ts'
import {
  cutEverywhere,
  isSameRun,
  type Mutant,
  type Run,
  withoutSyncs,
  withSwaps,
} from '../support/device/mutants.ts'
import {flows, signedTrees, sources, type Trace, traceOf} from '../support/device/traces.ts'
import {temporaryFolder} from '../support/tmp.ts'

const trees = await signedTrees()
const traces: Trace[] = []
for (const flow of flows) traces.push(await traceOf(flow))

/** Cuts the power after every step; stops at the first broken promise. */
const check = (trace: Trace, steps: readonly Step[]) =>
  cutEverywhere({...trace, steps}, (view, notes) => brokenPromise(view, {...trace, trees, notes}))

for (const trace of traces)
  test(`no power cut breaks a promise: ${trace.name}`, () => {
    assert.ok(trace.steps.length >= 3, `${trace.steps.length} steps`)
    const {states, broken} = check(trace, trace.steps)
    assert.is(broken, undefined)
    assert.ok(states > trace.steps.length, `${states} states`)
  })

/**
 * Changes that can be seen and harm nobody: one of the two syncs with which a resumed run settles
 * what it found, where that run itself does the same again before it relies on it. After a cut at a
 * record, or at what the guard was told or has decided, the next record is synced before a link changes; after a cut at `previous`, that link is
 * swapped again, and synced, before `current` is. The check is that it is so.
 */
function nameOf(step: Step | undefined): string {
  return step?.op === 'unlink' ? step.path : ''
}

function isMadeUpFor({steps, resumedAt}: Trace, index: number): boolean {
  const before = steps[resumedAt - 1]
  const step = steps[index]
  if (step?.op !== 'sync_dir' || index > resumedAt + 1) return false
  const changed = before?.op === 'rename' || before?.op === 'link' ? before.to : nameOf(before)
  const isRecord = changed.startsWith('.rel/') && !changed.endsWith('.rel-tmp')
  if (step.path !== (isRecord ? '.rel' : '') || !(isRecord || changed === 'previous')) return false
  const rest = steps.slice(resumedAt + 2).filter((it) => it.op === 'rename' || it.op === 'sync_dir')
  const [first, second] = rest
  const isAgain = isRecord
    ? first?.op === 'rename' && first.to.startsWith('.rel/state.json')
    : rest.findIndex((it) => it.op === 'rename' && it.to === 'previous') <
      rest.findIndex((it) => it.op === 'rename' && it.to === 'current')
  const isSynced = isRecord ? second?.op === 'sync_dir' && second.path === '.rel' : true
  return isAgain && isSynced
}

/** Of every state that a cut could leave here, whether a reader finds this path. */
function isAlwaysThere(trace: Trace, index: number, path: string): boolean {
  const disk = new ForgetfulDisk(trace.before)
  for (const step of trace.steps.slice(0, index)) if (step.op !== 'note') disk.run(step)
  let isThere = true
  everyCrash(disk, (view) => {
    isThere &&= view.read(path) !== undefined
  })
  return isThere
}

const renames = (step: Step | undefined, to: string) => step?.op === 'rename' && step.to === to

/**
 * Changes that no promise of the guard depends on. A trial that is resumed is told again with a later
 * window, and a cut may bring the earlier one back: the guard still knows of it. Counted starts whose
 * trial is gone count for nothing. Before a trial is told for the first time the record that counts
 * its attempt may lag behind: the sync of the trial is the sync of the record, and comes before the
 * swap. What the guard has taken back is known without the trial.
 */
function isOfNoPromise(trace: Trace, index: number): boolean {
  const {steps} = trace
  if (nameOf(steps[index + 1]) === paths.trial && isAlwaysThere(trace, index, paths.reverted))
    return true
  const at = steps[index]?.op === 'sync_dir' ? index - 1 : index
  const [step, sync] = [steps[at], steps[at + 1]]
  if (sync?.op !== 'sync_dir' || sync.path !== paths.private) return false
  if (renames(step, paths.trial)) return isAlwaysThere(trace, at, paths.trial)
  if (step?.op === 'unlink')
    return step.path === paths.attempts && !isAlwaysThere(trace, at, paths.trial)
  const rest = steps.slice(at + 2)
  // of a run that was killed
  if (rest[0]?.op === 'unlink') rest.shift()
  const [create, write, synced, rename, again] = rest
  return (
    paths.states.some((path) => renames(step, path)) &&
    [create?.op, write?.op, synced?.op].join() === 'create,write,sync' &&
    renames(rename, paths.trial) &&
    again?.op === 'sync_dir' &&
    again.path === paths.private
  )
}

const kinds: readonly [string, (run: Run) => Mutant[]][] = [
  ['every sync that is left out', withoutSyncs],
  ['every swapped pair', withSwaps],
]

for (const [name, mutantsOf] of kinds)
  test(`${name} is noticed, or proven to be the same program`, () => {
    let caught = 0
    let same = 0
    let argued = 0
    const missed: string[] = []
    for (const trace of traces)
      for (const {index, steps} of mutantsOf(trace)) {
        if (index < trace.resumedAt) continue
        if (check(trace, steps).broken !== undefined) caught++
        else if (isSameRun(trace, steps, index, observed)) same++
        else if (isMadeUpFor(trace, index) || isOfNoPromise(trace, index)) argued++
        else missed.push(`${trace.name} ${index}: ${JSON.stringify(trace.steps[index])}`)
      }
    console.log(
      `${name}: ${caught} noticed, ${same} proven the same, ${argued} argued, ${missed.length} missed`,
    )
    assert.equal(missed, [])
    assert.ok(caught > 100, `${caught} noticed`)
  })

test('the procedure of D2 fails, also after it has ended well', () => {
  const root = join(temporaryFolder(), 'node')
  mkdirSync(root)
  d2Root(root)
  const steps: Step[] = []
  const fs = recordingFs(realFs(root), (op) => void steps.push(op))
  for (const version of ['1.0.0', '1.1.0']) d2LiteralUpdate(fs, sources.of(version), version)
  const disk = new ForgetfulDisk(undefined)
  disk.run({op: 'mkdir', path: 'versions'})
  disk.run({op: 'sync_dir', path: ''})
  let atTheEnd = new Set<string>()
  let cuts = 0
  for (const step of steps) {
    if (step.op === 'note') continue
    disk.run(step)
    atTheEnd = new Set()
    everyCrash(disk, (view) => {
      try {
        const version = linked(view, 'current', trees)
        if (version === undefined) throw new Error('nothing runs')
      } catch (error) {
        atTheEnd.add((error as Error).message)
      }
    })
    if (atTheEnd.size > 0) cuts++
  }
  assert.ok(cuts > 0)
  assert.ok(atTheEnd.size > 0, 'a power cut after success finds a version that is not as signed')
})

test('an updater that does nothing breaks what it told', () => {
  const [trace] = traces.filter(({name}) => name === 'first update')
  assert.ok(trace)
  const lies = trace.steps.filter(({op}) => op === 'note')
  assert.match(check(trace, lies).broken ?? '', /7: record/)
})

test.run()
