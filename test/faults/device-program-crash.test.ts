import {cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {compareVersions} from '../../src/bundle/version.ts'
import {apply, rollback} from '../../src/device/apply.ts'
import {recordingFs} from '../../src/device/durable-fs.ts'
import {loadRecords, paths} from '../../src/device/layout.ts'
import {type DeviceRecord, parseFloor, parseRecord, recordText} from '../../src/device/record.ts'
import {repair} from '../../src/device/repair.ts'
import {resume} from '../../src/device/resume.ts'
import {stage} from '../../src/device/stage.ts'
import {
  type Note,
  restore,
  type Snapshot,
  type Step,
  type View,
} from '../support/device/crash-model.ts'
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
import {plain} from '../support/device/node.ts'
import {
  below,
  installProgram,
  lazyFs,
  type ProgramDevice,
  programAt,
  programBytes,
  programFolder,
  programSources,
} from '../support/device/program-node.ts'
import {cutAt, untilCut} from '../support/device/traces.ts'

// The crash model for the profile `binary`: one disk holds the node and the folder of its program.

const versions = ['1.0.0', '1.1.0', '1.2.0']
const sources = await programSources(...versions)
const releases = new Map(
  versions.map((version) => [version, readFileSync(join(sources.of(version), 'release.json'))]),
)

type Do = (device: ProgramDevice) => Promise<unknown>
type Flow = {
  readonly name: string
  /** Done before, and taken as durable; none for an installation. */
  readonly prepare?: Do
  readonly run: readonly Do[]
  readonly broken?: readonly string[]
  /** A program that somebody else has put there. */
  readonly there?: string
  readonly mayLackFloor?: boolean
}
type Trace = Run & {
  readonly name: string
  readonly resumedAt: number
  readonly noFloorUpTo: number
  /** Versions that never become healthy. */
  readonly failing: readonly string[]
}

const stageOf =
  (version: string): Do =>
  (device) =>
    stage(device, sources.of(version), plain)
const applied: Do = (device) => untilCut(() => apply(device, plain))
const updated: Do = async (device) => {
  await stageOf('1.1.0')(device)
  await applied(device)
}

/** The same node, both of whose ports end after n operations. */
function cutNode(device: ProgramDevice, n: number): ProgramDevice {
  const {world} = device
  const shared = cutAt({root: '', run: () => undefined}, n)
  const counted = (fs: typeof world.fs) => recordingFs(fs, (op) => shared.run(op))
  const programFs = counted(world.programFs as typeof world.fs)
  return {...device, world: {...world, fs: counted(world.fs), programFs}}
}

const range = (length: number) => Array.from({length}, (_, at) => at)

const flows: readonly Flow[] = [
  {name: 'install', run: []},
  {name: 'take over a program', run: [], there: '1.0.0'},
  {name: 'first update', prepare: async () => {}, run: [stageOf('1.1.0'), applied]},
  {name: 'second update', prepare: updated, run: [stageOf('1.2.0'), applied]},
  {
    name: 'failed update',
    prepare: async () => {},
    run: [stageOf('1.1.0'), applied],
    broken: ['1.1.0'],
  },
  {name: 'rollback', prepare: updated, run: [(device) => rollback(device)]},
  ...range(24).map(
    (cut): Flow => ({
      name: `apply interrupted at ${cut}`,
      prepare: stageOf('1.1.0'),
      run: [
        (device) => untilCut(() => apply(cutNode(device, cut), plain)),
        (device) => resume(device),
      ],
    }),
  ),
  ...range(12).map(
    (at): Flow => ({
      name: `failing apply interrupted at ${at * 3}`,
      prepare: stageOf('1.1.0'),
      broken: ['1.1.0'],
      run: [
        (device) => untilCut(() => apply(cutNode(device, at * 3), plain)),
        (device) => untilCut(() => resume(device)),
      ],
    }),
  ),
  {
    name: 'repair',
    prepare: async (device) => {
      rmSync(join(device.root, '.rel/floor.json'))
      rmSync(device.path)
    },
    run: [(device) => repair(device)],
    mayLackFloor: true,
  },
]

/** Runs a flow on a real folder and writes down what its ports were asked and what was promised. */
async function traceOf(flow: Flow): Promise<Trace> {
  const around = programFolder()
  const steps: Step[] = []
  const told: Note[] = []
  const [lazy, before] = [lazyFs(around), join(programFolder(), 'before')]
  const {broken = []} = flow
  const ports = (fs: typeof lazy) => ({fs: below(fs, 'node'), programFs: below(fs, 'bin')})
  const root = join(around, 'node')
  if (flow.prepare !== undefined) {
    const quiet = programAt(around, {broken, ...ports(lazy)})
    await installProgram(quiet, sources)
    await flow.prepare(quiet)
    if (flow.mayLackFloor !== true) told.push(noteAt(root, 'reported'))
  } else mkdirSync(root)
  if (flow.there !== undefined)
    writeFileSync(join(around, 'bin/agent'), programBytes(flow.there), {mode: 0o755})
  cpSync(around, before, {recursive: true, verbatimSymlinks: true})
  const note = (what: Note['what']) => steps.push(noteAt(root, what))
  const recorded = recordingFs(lazy, (op) => void steps.push(op))
  const restart = () => void note('started')
  const quiet = programAt(around, {broken, restart, ...ports(recorded)})
  const health = async (version: string) => {
    const reason = await quiet.world.health(version)
    if (reason === undefined) note('judged')
    return reason
  }
  const device = {...quiet, world: {...quiet.world, health}}
  if (flow.prepare === undefined) {
    await installProgram(device, sources)
    note('installed')
  }
  let resumedAt = 0
  for (const run of flow.run) {
    // who was killed has told nothing
    if ((await run(device)) !== false) note('reported')
    else resumedAt = steps.length
  }
  const settled = ['node/.rel', 'node', 'bin']
  const noFloorUpTo = flow.mayLackFloor === true ? 0 : -1
  return {name: flow.name, before, steps, told, resumedAt, noFloorUpTo, failing: broken, settled}
}

function noteAt(root: string, what: Note['what']): Note {
  const floor = parseFloor(readFileSync(join(root, paths.floor)), paths.floor)
  return {op: 'note', what, seq: loadRecords(root).record.seq, floor}
}

const bytesOf = (view: View, path: string) => {
  const found = view.read(path)
  return found?.kind === 'file' ? found.bytes : undefined
}

function newest(view: View): DeviceRecord | undefined {
  return paths.states
    .flatMap((path) => {
      const bytes = bytesOf(view, `node/${path}`)
      return bytes === undefined ? [] : [parseRecord(bytes, `2: ${path}`)]
    })
    .sort((a, b) => b.seq - a.seq)[0]
}

/** The version whose bytes a program has. */
function versionOf(view: View, path: string): string | undefined {
  const bytes = bytesOf(view, path)
  if (bytes === undefined) return undefined
  const version = versions.find((it) => programBytes(it).equals(bytes))
  if (version === undefined) throw new Error(`1: ${path} is no program that was signed`)
  return version
}

function checkKept(view: View, version: string): void {
  const folder = `node/versions/${version}`
  const isWhole =
    bytesOf(view, `${folder}/program`)?.equals(programBytes(version)) === true &&
    bytesOf(view, `${folder}/release.json`)?.equals(releases.get(version) as Buffer) === true
  if (!isWhole) throw new Error(`4: ${version} is recorded, and is not as signed`)
}

function judge(view: View, notes: readonly Note[], {name, noFloorUpTo}: Trace): void {
  const told = notes.at(-1)
  const runs = versionOf(view, 'bin/agent')
  const back = versionOf(view, 'bin/agent.rel-prev')
  const record = newest(view)
  if (record === undefined) {
    if (told !== undefined) throw new Error('2: the record is gone')
    return
  }
  const {state, running, candidate, target, previous} = record
  // a repair begins with a node whose program is gone
  if (runs === undefined && (name !== 'repair' || told !== undefined))
    throw new Error('1: nothing runs')
  for (const slot of [running, previous, target])
    if (slot !== undefined) checkKept(view, slot.version)
  if ((state === 'staged' || state === 'trial') && candidate !== undefined)
    checkKept(view, candidate.version)
  if (state === 'trial' && runs === candidate?.version && back !== running.version)
    throw new Error('4: a trial without a way back beside the program')
  const isRest = state !== 'trial' && state !== 'rolling_back'
  if (isRest && runs !== undefined && runs !== running.version)
    throw new Error(`5: ${state} says ${running.version}, ${runs} runs`)
  const legal = [undefined, running.version, candidate?.version, target?.version]
  if (!legal.includes(runs)) throw new Error(`6: ${runs} runs under no record`)
  const bytes = bytesOf(view, `node/${paths.floor}`)
  if (bytes === undefined && record.seq > noFloorUpTo) throw new Error('2: floor.json is gone')
  const floor = bytes === undefined ? undefined : parseFloor(bytes, '2: floor.json')
  if (floor !== undefined && compareVersions(floor, record.floor) > 0)
    throw new Error('7: the floor is above what was committed')
  judgeTrial(view, record, runs, notes)
  if (told === undefined) return
  if (told.what === 'started' && state === 'trial' && runs !== candidate?.version)
    throw new Error('4: the attempt that was counted starts something else')
  if (record.seq < told.seq) throw new Error('7: a record that was told is gone')
  if (floor !== undefined && compareVersions(floor, told.floor) < 0)
    throw new Error('7: the floor that was told is gone')
  for (const path of [paths.anchor, paths.config])
    if (bytesOf(view, `node/${path}`)?.at(-1) === undefined) throw new Error(`7: ${path} is gone`)
}

/** What starts is what was committed, or what the guard can take back; its answer ends a trial. */
function judgeTrial(
  view: View,
  {state, running, candidate}: DeviceRecord,
  runs: string | undefined,
  notes: readonly Note[],
): void {
  const trial = bytesOf(view, `node/${paths.trial}`)?.toString('latin1')
  if (trial !== undefined && !/^rel-trial 1\n(?:.+\n)+end\n$/.test(trial))
    throw new Error('8: the trial that the guard reads is not whole')
  if (trial !== undefined && state !== 'trial' && state !== 'rolling_back')
    throw new Error(`8: a trial that the guard knows of under ${state}`)
  const isNew = runs === candidate?.version && runs !== running.version
  const last = notes.findLast(({what}) => what === 'judged' || what === 'started')
  if (isNew && (state === 'trial' || state === 'rolling_back') && trial === undefined)
    if (last?.what !== 'judged') throw new Error('8: a trial that the guard does not know of')
}

const broken = (trace: Trace) => (view: View, notes: readonly Note[]) => {
  try {
    judge(view, notes, trace)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** What a reader can tell apart. Without a record it is no node, and only what runs is looked at. */
function observed(view: View, shown = (text: string) => text): string {
  const read = (path: string) => bytesOf(view, path)?.toString('latin1') ?? ''
  const programs = ['bin/agent', 'bin/agent.rel-prev'].map(read)
  const last = newest(view)
  if (last === undefined) return JSON.stringify(programs)
  const record = recordText(last)
  const named = record.matchAll(/"version":"([^"]+)"/g)
  const folders = [...new Set([...named].map(([, it]) => `node/versions/${it}`))].sort()
  const kept = folders.flatMap((it) => [read(`${it}/program`), read(`${it}/release.json`)])
  const {floor, anchor, config, reverted, attempts} = paths
  const files = [floor, anchor, reverted, attempts].map((it) => read(`node/${it}`))
  // its window is of one boot, which a power cut ends
  const trial = read(`node/${paths.trial}`).replace(/^(?:deadline|path)=.*$/gm, '')
  const isConfigured = read(`node/${config}`) !== ''
  return JSON.stringify([programs, shown(record), kept, files.map(shown), trial, isConfigured])
}

const traces: Trace[] = []
for (const flow of flows) traces.push(await traceOf(flow))

for (const trace of traces)
  test(`no power cut breaks a promise: ${trace.name}`, () => {
    assert.ok(trace.steps.length >= 3, `${trace.steps.length} steps`)
    const {states, broken: promise} = cutEverywhere(trace, broken(trace))
    assert.is(promise, undefined)
    assert.ok(states > trace.steps.length, `${states} states`)
  })

/** The updater itself, on a disk that a power cut has left like this. */
async function outcomeOf(files: Snapshot, failing: readonly string[]): Promise<string> {
  const around = join(programFolder(), 'around')
  restore(files, around)
  if (!existsSync(join(around, 'node/.rel/floor.json'))) return 'no node'
  const lazy = lazyFs(around)
  const ports = {fs: below(lazy, 'node'), programFs: below(lazy, 'bin')}
  const ended = await resume(programAt(around, {broken: failing, ...ports})).then(
    () => '',
    (error: {code?: string}) => (error.code === 'upgrade_rolled_back' ? '' : String(error.code)),
  )
  // without numbers and times: how often it was killed is no promise
  const volatile = /"(?:seq|verified_at)":\d+|sha256:[0-9a-f]{64}/g
  return `${ended} ${observed(viewOf(around), (text) => text.replaceAll(volatile, ''))}`
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
          broken: broken(trace),
          observed: (view) => observed(view),
          outcome: (files) => outcomeOf(files, trace.failing),
        },
        score,
      )
    const {caught, same, mended, missed} = score
    console.log(
      `${name}: ${caught} noticed, ${same} proven the same, ${mended} proven to come to the same, ${missed.length} missed`,
    )
    assert.equal(missed, [])
    assert.ok(caught > 50, `${caught} noticed`)
  })

test('the traces reach both folders', () => {
  const all = traces.flatMap(({steps}) =>
    steps.flatMap((it) => (it.op === 'rename' ? [it.to] : [])),
  )
  for (const path of ['bin/agent', 'bin/agent.rel-prev', 'node/.rel/floor.json'])
    assert.ok(all.includes(path), path)
  assert.ok(existsSync(sources.anchor))
})

test.run()
