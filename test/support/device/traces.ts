import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {apply, rollback} from '../../../src/device/apply.ts'
import type {Device} from '../../../src/device/device.ts'
import {
  type DurableFs,
  type DurableOp,
  realFs,
  recordingFs,
} from '../../../src/device/durable-fs.ts'
import {loadRecords, paths} from '../../../src/device/layout.ts'
import {parseFloor} from '../../../src/device/record.ts'
import {repair} from '../../../src/device/repair.ts'
import {resume} from '../../../src/device/resume.ts'
import {stage} from '../../../src/device/stage.ts'
import {temporaryFolder} from '../tmp.ts'
import type {ModelOp, Note, Step} from './crash-model.ts'
import {operationsOf, runGuard} from './guard.ts'
import type {Trees} from './invariants.ts'
import type {Memory} from './memory.ts'
import {
  bundleOf,
  deviceAt,
  type FakeWorld,
  installOne,
  makeSources,
  plain,
  type Sources,
} from './node.ts'

/** What a flow did, and the folder as it was before; undefined: there was none. */
export type Trace = {
  readonly name: string
  readonly before: string | undefined
  readonly steps: readonly Step[]
  /** Where the run after a cut begins; what is before it is a part of another flow. */
  readonly resumedAt: number
  /** What had been told before the flow. */
  readonly told: readonly Note[]
  readonly noFloorUpTo: number | undefined
  readonly damaged: readonly string[]
  /** Versions that never become healthy. */
  readonly broken: readonly string[]
}

export const sources = await makeSources('1.0.0', '1.1.0', '1.2.0')

/** Every file of every version that is signed. */
export async function signedTrees(): Promise<Trees> {
  const trees = new Map<string, ReadonlyMap<string, Buffer>>()
  for (const version of ['1.0.0', '1.1.0', '1.2.0']) {
    const {files, manifestBytes} = await bundleOf(version)
    const all = [...files].map(([path, {content}]) => [path, content] as const)
    trees.set(version, new Map([...all, ['manifest.json', manifestBytes] as const]))
  }
  return trees
}

/** Thrown by a port in the middle of a flow. */
export class Cut extends Error {}

/** A port that throws before the operation that `isCut` names. */
export function cuttingFs(fs: DurableFs, isCut: (op: DurableOp) => boolean): DurableFs {
  return recordingFs(fs, (op) => {
    if (isCut(op)) throw new Cut(op.op)
  })
}

/** A port that throws before its n-th operation. */
export function cutAt(fs: DurableFs, n: number): DurableFs {
  let count = 0
  return cuttingFs(fs, () => ++count > n)
}

const ends = ['upgrade_rolled_back', 'upgrade_degraded']

/** Runs work that a cut may end; false when it was cut. */
export async function untilCut(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    if (isCutError(error)) return false
    if (ends.includes((error as {code?: string}).code ?? '')) return true
    throw error
  }
}

function isCutError(error: unknown): boolean {
  return error instanceof Cut || (error instanceof Error && isCutError(error.cause))
}

/** Writes down what was not done through the port. */
type Tell = {
  readonly step: (step: ModelOp) => void
  readonly note: (what: Note['what'], count?: number) => void
}

export type Do = (device: Device, all: Sources, tell: Tell) => Promise<unknown>

/** Another node than the plain one, and what it remembers beside its records. */
export type Ground = {
  at(root: string, fake: FakeWorld): Device
  install(device: Device): Promise<void>
  memory?(root: string): Memory
}

const plainGround: Ground = {
  at: (root, fake) => deviceAt(root, fake),
  install: (device) => installOne(device, sources),
}

export type Flow = {
  readonly name: string
  /** Done before, and taken as durable; none for an installation. */
  readonly prepare?: Do
  readonly run: readonly Do[]
  readonly broken?: readonly string[]
  readonly mayLackFloor?: boolean
  readonly damaged?: readonly string[]
}

const stageOf =
  (version: string): Do =>
  (device, all) =>
    stage(device, all.of(version), plain)
const applied: Do = (device) => untilCut(() => apply(device, plain))

const updated: Do = async (device, all, tell) => {
  await stageOf('1.1.0')(device, all, tell)
  await applied(device, all, tell)
}

/** The same node with another port. */
export function withFs(device: Device, fs: DurableFs): Device {
  return {...device, world: {...device.world, fs}}
}

/** A trial whose updater is gone. */
const abandoned: Do = async (device, all, tell) => {
  await stageOf('1.1.0')(device, all, tell)
  const world = {...device.world, restart: () => Promise.reject(new Cut())}
  await untilCut(() => apply({...device, world}, plain))
}

/** The guard as it is shipped; what it did is told as the operations behind its calls. */
function guarded(kill?: {at: number; when: 'before' | 'after'}): Do {
  return async ({root}, _all, {step, note}) => {
    const names = ['.current.guard.rel-tmp', '.rel/.attempts.rel-tmp']
    const there = new Map(names.map((path) => [path, existsSync(join(root, path))]))
    note('guarding')
    const run = await runGuard(root, kill === undefined ? {} : {kill})
    const calls = kill?.when === 'before' ? run.calls.slice(0, -1) : run.calls
    for (const op of operationsOf({...run, calls}, (path) => there.get(path) === true)) step(op)
    if (kill !== undefined) return false
    const isBack = readlinkSync(join(root, 'current')) === 'versions/1.0.0'
    const count = /^count=(\d+)$/m.exec(textOf(root, paths.attempts))?.[1]
    if (isBack) note('taken_back')
    else note('counted', Number(count ?? 0))
    return undefined
  }
}

function textOf(root: string, path: string): string {
  const absolute = join(root, path)
  return existsSync(absolute) ? readFileSync(absolute, 'utf8') : ''
}

/** A trial that was started as often as it may be. */
const started: Do = async (...all) => {
  await abandoned(...all)
  for (let count = 0; count < 3; count++) await guarded()(...all)
}

const resumed: Do = (device) => untilCut(() => resume(device))

/** A candidate that fails while what it replaced is damaged. */
const damagedStage: Do = async (device, all, tell) => {
  await stageOf('1.1.0')(device, all, tell)
  writeFileSync(join(device.root, 'versions/1.0.0/data.txt'), 'x')
}

const isFloor = (op: DurableOp) => op.op === 'create' && op.path.includes('floor.json')
const brokenFlow = ['1.1.0']
const range = (length: number) => Array.from({length}, (_, at) => at)

/** More than an apply that fails has. */
const APPLY_STEPS = 36
/** More than the calls of the guard that leads back. */
const GUARD_CALLS = range(9).map((at) => at + 1)

/** A rollback that had ended before the cut is not done twice. */
function noPrevious(error: unknown): void {
  if ((error as {code?: string}).code !== 'upgrade_no_previous') throw error
}

export const flows: readonly Flow[] = [
  {name: 'install', run: []},
  {name: 'first update', prepare: async () => {}, run: [stageOf('1.1.0'), applied]},
  {name: 'second update', prepare: updated, run: [stageOf('1.2.0'), applied]},
  {
    name: 'failed update',
    prepare: async () => {},
    run: [stageOf('1.1.0'), applied],
    broken: brokenFlow,
  },
  {name: 'rollback', prepare: updated, run: [(device) => rollback(device)]},
  ...range(14).map(
    (cut): Flow => ({
      name: `rollback interrupted at ${cut}`,
      prepare: updated,
      run: [
        (device) => untilCut(() => rollback(withFs(device, cutAt(device.world.fs, cut)))),
        (device) => rollback(device).catch(noPrevious),
      ],
    }),
  ),
  ...range(APPLY_STEPS).map(
    (cut): Flow => ({
      name: `apply interrupted at ${cut}`,
      prepare: stageOf('1.1.0'),
      run: [
        (device) => untilCut(() => apply(withFs(device, cutAt(device.world.fs, cut)), plain)),
        (device) => resume(device),
      ],
    }),
  ),
  ...range(APPLY_STEPS).map(
    (cut): Flow => ({
      name: `failing apply interrupted at ${cut}`,
      prepare: stageOf('1.1.0'),
      broken: brokenFlow,
      run: [
        (device) => untilCut(() => apply(withFs(device, cutAt(device.world.fs, cut)), plain)),
        (device) => untilCut(() => resume(device)),
      ],
    }),
  ),
  {
    name: 'trial interrupted',
    prepare: stageOf('1.1.0'),
    run: [
      (device) =>
        untilCut(() =>
          apply(
            {...device, world: {...device.world, restart: () => Promise.reject(new Cut())}},
            plain,
          ),
        ),
      (device) => resume(device),
    ],
  },
  {
    name: 'floor raised late',
    prepare: async (device, all, tell) => {
      await stageOf('1.1.0')(device, all, tell)
      const fs = cuttingFs(device.world.fs, isFloor)
      await untilCut(() => apply(withFs(device, fs), plain))
    },
    run: [(device) => resume(device)],
  },
  {name: 'guard counts a start', prepare: abandoned, run: [guarded()]},
  {
    name: 'guard counts another start',
    prepare: async (...all) => {
      await abandoned(...all)
      await guarded()(...all)
    },
    run: [guarded()],
  },
  {name: 'guard takes a trial back', prepare: started, run: [guarded(), resumed]},
  ...GUARD_CALLS.flatMap((at) =>
    [[resumed], [guarded(), resumed]].map(
      (rest, which): Flow => ({
        name: `guard killed at ${at}, then ${which === 0 ? 'the updater' : 'the guard'}`,
        prepare: started,
        run: [guarded({at, when: 'before'}), ...rest],
      }),
    ),
  ),
  {
    name: 'degraded',
    prepare: damagedStage,
    broken: brokenFlow,
    damaged: ['1.0.0'],
    run: [applied, resumed],
  },
  ...range(APPLY_STEPS).map(
    (cut): Flow => ({
      name: `degrading apply interrupted at ${cut}`,
      prepare: damagedStage,
      broken: brokenFlow,
      damaged: ['1.0.0'],
      run: [
        (device) => untilCut(() => apply(withFs(device, cutAt(device.world.fs, cut)), plain)),
        resumed,
      ],
    }),
  ),
  {
    name: 'a good release leads out of degraded',
    prepare: async (...all) => {
      await damagedStage(...all)
      await applied(...all)
    },
    broken: brokenFlow,
    damaged: ['1.0.0'],
    run: [stageOf('1.2.0'), applied],
  },
  {
    name: 'repair',
    prepare: async (device) => rmSync(join(device.root, '.rel/floor.json')),
    run: [(device) => repair(device)],
    mayLackFloor: true,
  },
]

/** The model knows what a sync does; the disk of the test machine need not do it. */
function lazyFs(root: string): DurableFs {
  const fs = realFs(root)
  return {root, run: (op) => (op.op === 'sync' || op.op === 'sync_dir' ? undefined : fs.run(op))}
}

/** Runs a flow on a real folder and writes down what its port was asked and what was promised. */
export async function traceOf(flow: Flow, ground = plainGround): Promise<Trace> {
  const around = temporaryFolder()
  const root = join(around, 'node')
  const steps: Step[] = []
  const told: Note[] = []
  const noteAt = (what: Note['what']): Note => {
    const memory = ground.memory?.(root)
    return {...toldAt(root, what), ...(memory === undefined ? {} : {memory})}
  }
  const quiet = ground.at(root, {broken: flow.broken ?? [], fs: lazyFs(root)})
  const before = join(around, 'before')
  if (flow.prepare !== undefined) {
    await ground.install(quiet)
    await flow.prepare(quiet, sources, {step: () => undefined, note: () => undefined})
    if (flow.mayLackFloor !== true) told.push(noteAt('reported'))
    cpSync(root, before, {recursive: true, verbatimSymlinks: true})
  }
  const note = (what: Note['what'], count?: number) =>
    void steps.push({...noteAt(what), ...(count === undefined ? {} : {count})})
  const device = ground.at(root, {
    broken: flow.broken ?? [],
    restart: () => note('started'),
    onHealth: (isHealthy) => note(isHealthy ? 'judged' : 'unhealthy'),
    fs: recordingFs(lazyFs(root), (op) => void steps.push(op)),
  })
  if (flow.prepare === undefined) {
    mkdirSync(root)
    await ground.install(device)
    note('installed')
  }
  const tell = {step: (step: ModelOp) => void steps.push(step), note}
  let resumedAt = 0
  for (const run of flow.run) {
    // who was killed has told nothing
    if ((await run(device, sources, tell)) !== false) note('reported')
    else resumedAt = steps.length
  }
  return {
    name: flow.name,
    before: existsSync(before) ? before : undefined,
    steps,
    resumedAt,
    told,
    noFloorUpTo: flow.mayLackFloor === true ? 0 : undefined,
    damaged: flow.damaged ?? [],
    broken: flow.broken ?? [],
  }
}

function toldAt(root: string, what: Note['what']): Note {
  const floor = parseFloor(readFileSync(join(root, paths.floor)), paths.floor)
  return {op: 'note', what, seq: loadRecords(root).record.seq, floor}
}
