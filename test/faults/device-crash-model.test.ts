import {existsSync, mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {realFs, recordingFs} from '../../src/device/durable-fs.ts'
import {paths} from '../../src/device/layout.ts'
import {resume} from '../../src/device/resume.ts'
import {
  everyCrash,
  ForgetfulDisk,
  restore,
  type Snapshot,
  type Step,
  snapshotText,
} from '../support/device/crash-model.ts'
import {d2LiteralUpdate, d2Root} from '../support/device/d2-literal-port.ts'
import {brokenPromise, linked, observed} from '../support/device/invariants.ts'
import {viewOf} from '../support/device/memory.ts'
import {
  cutEverywhere,
  judgeMutants,
  type Mutant,
  noScore,
  type Run,
  withoutSyncs,
  withSwaps,
} from '../support/device/mutants.ts'
import {deviceAt} from '../support/device/node.ts'
import {lazyFs} from '../support/device/program-node.ts'
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

/** What a node comes to, without numbers and times: how often it was killed is no promise. */
function restOf(root: string): string {
  const text = observed(viewOf(root))
  return text.replaceAll(/\\"(?:seq|verified_at)\\":\d+|sha256:[0-9a-f]{64}/g, '')
}

const outcomes = new Map<string, Promise<string>>()

/** The updater itself, on a disk that a power cut has left like this. */
function outcomeIn({broken = []}: Trace): (files: Snapshot) => Promise<string> {
  return (files) => {
    const key = `${broken} ${snapshotText(files)}`
    const known = outcomes.get(key) ?? outcomeOf(files, broken)
    outcomes.set(key, known)
    return known
  }
}

async function outcomeOf(files: Snapshot, broken: readonly string[]): Promise<string> {
  const root = join(temporaryFolder(), 'node')
  restore(files, root)
  if (!existsSync(join(root, paths.states[0])) && !existsSync(join(root, paths.states[1])))
    return 'no node'
  const ended = await resume(deviceAt(root, {broken, fs: lazyFs(root)})).then(
    () => 'rest',
    (error: {code?: string}) => error.code ?? String(error),
  )
  // told to whoever has called; what runs, and what is known of it, is the same
  const end = ['rest', 'upgrade_rolled_back', 'upgrade_degraded'].includes(ended) ? '' : ended
  return `${end} ${restOf(root)}`
}

const kinds: readonly [string, (run: Run) => Mutant[]][] = [
  ['every sync that is left out', withoutSyncs],
  ['every swapped pair', withSwaps],
]

for (const [name, mutantsOf] of kinds)
  test(`${name} is noticed, or proven to harm nobody`, async () => {
    const score = noScore()
    for (const trace of traces)
      await judgeMutants(
        trace,
        mutantsOf(trace),
        {
          broken: (view, notes) => brokenPromise(view, {...trace, trees, notes}),
          observed,
          outcome: outcomeIn(trace),
        },
        score,
      )
    const {caught, same, mended, missed} = score
    console.log(
      `${name}: ${caught} noticed, ${same} proven the same, ${mended} proven to come to the same, ${missed.length} missed`,
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
