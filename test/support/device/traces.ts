import {cpSync, existsSync, mkdirSync, readFileSync, rmSync} from 'node:fs'
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
import type {Note, Step} from './crash-model.ts'
import type {Trees} from './invariants.ts'
import {bundleOf, deviceAt, installOne, makeSources, plain, type Sources} from './node.ts'

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

/** Runs work that a cut may end; false when it was cut. */
export async function untilCut(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    if (isCutError(error)) return false
    if ((error as {code?: string}).code === 'upgrade_rolled_back') return true
    throw error
  }
}

function isCutError(error: unknown): boolean {
  return error instanceof Cut || (error instanceof Error && isCutError(error.cause))
}

type Do = (device: Device, all: Sources) => Promise<unknown>

type Flow = {
  readonly name: string
  /** Done before, and taken as durable; none for an installation. */
  readonly prepare?: Do
  readonly run: readonly Do[]
  readonly broken?: readonly string[]
  readonly mayLackFloor?: boolean
}

const stageOf =
  (version: string): Do =>
  (device, all) =>
    stage(device, all.of(version), plain)
const applied: Do = (device) => untilCut(() => apply(device, plain))

const updated: Do = async (device, all) => {
  await stageOf('1.1.0')(device, all)
  await applied(device, all)
}

/** The same node with another port. */
export function withFs(device: Device, fs: DurableFs): Device {
  return {...device, world: {...device.world, fs}}
}

const isFloor = (op: DurableOp) => op.op === 'create' && op.path.includes('floor.json')
const brokenFlow = ['1.1.0']
const range = (length: number) => Array.from({length}, (_, at) => at)

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
  ...range(27).map(
    (cut): Flow => ({
      name: `apply interrupted at ${cut}`,
      prepare: stageOf('1.1.0'),
      run: [
        (device) => untilCut(() => apply(withFs(device, cutAt(device.world.fs, cut)), plain)),
        (device) => resume(device),
      ],
    }),
  ),
  ...range(27).map(
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
    prepare: async (device, all) => {
      await stageOf('1.1.0')(device, all)
      const fs = cuttingFs(device.world.fs, isFloor)
      await untilCut(() => apply(withFs(device, fs), plain))
    },
    run: [(device) => resume(device)],
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
export async function traceOf(flow: Flow): Promise<Trace> {
  const around = temporaryFolder()
  const root = join(around, 'node')
  const steps: Step[] = []
  const told: Note[] = []
  const quiet = deviceAt(root, {broken: flow.broken ?? [], fs: lazyFs(root)})
  const before = join(around, 'before')
  if (flow.prepare !== undefined) {
    await installOne(quiet, sources)
    await flow.prepare(quiet, sources)
    if (flow.mayLackFloor !== true) told.push(noteAt(root, 'reported'))
    cpSync(root, before, {recursive: true, verbatimSymlinks: true})
  }
  const note = (what: Note['what']) => steps.push(noteAt(root, what))
  const device = deviceAt(root, {
    broken: flow.broken ?? [],
    restart: () => void note('started'),
    fs: recordingFs(lazyFs(root), (op) => void steps.push(op)),
  })
  if (flow.prepare === undefined) {
    mkdirSync(root)
    await installOne(device, sources)
    note('installed')
  }
  let resumedAt = 0
  for (const run of flow.run) {
    // who was killed has told nothing
    if ((await run(device, sources)) !== false) note('reported')
    else resumedAt = steps.length
  }
  return {
    name: flow.name,
    before: existsSync(before) ? before : undefined,
    steps,
    resumedAt,
    told,
    noFloorUpTo: flow.mayLackFloor === true ? 0 : undefined,
  }
}

function noteAt(root: string, what: Note['what']): Note {
  const floor = parseFloor(readFileSync(join(root, paths.floor)), paths.floor)
  return {op: 'note', what, seq: loadRecords(root).record.seq, floor}
}
