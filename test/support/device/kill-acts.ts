import {existsSync, readFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {apply, rollback} from '../../../src/device/apply.ts'
import {parseConfig} from '../../../src/device/config.ts'
import {type Device, recordsOf} from '../../../src/device/device.ts'
import {type DurableFs, recordingFs} from '../../../src/device/durable-fs.ts'
import {goBack} from '../../../src/device/go-back.ts'
import {parseGrant} from '../../../src/device/grant.ts'
import {install, makeRoot} from '../../../src/device/init.ts'
import {loadRecords, paths} from '../../../src/device/layout.ts'
import {openSource} from '../../../src/device/open-source.ts'
import {flushResults} from '../../../src/device/outbox.ts'
import {repair} from '../../../src/device/repair.ts'
import {resume} from '../../../src/device/resume.ts'
import {stage} from '../../../src/device/stage.ts'
import {turn} from '../../../src/device/update.ts'
import {deviceAt, plain} from './node.ts'
import {programAt, programConfig} from './program-node.ts'

/** Paths that an act is given. */
export type Given = {
  /** A bundle, a delta, or the folder of releases. */
  readonly source: string
  readonly anchor?: string
  readonly grant?: string
}

/** One thing that a node does, which may be begun again after it was killed. */
type Act = {
  device(folder: string): Device
  act(device: Device, given: Given): Promise<unknown>
}

/** What is staged already is not fetched again, and what runs already is not staged. */
async function update(device: Device, to: string, put: () => Promise<unknown>): Promise<void> {
  const {record} = await resume(device)
  if (record.running.version === to) return
  if (record.state !== 'staged') await put()
  await apply(device, plain)
}

const grantIn = ({grant = ''}: Given) => parseGrant(readFileSync(grant))
const named = (root: string) => deviceAt(root, {}, {node: 'berlin-7'})
const runs = ({root}: Device) => loadRecords(root).record.running.version

/** Until its first record is there it is no node, and is begun anew. */
async function takeOver(device: Device, {source, anchor = ''}: Given): Promise<unknown> {
  if (existsSync(join(device.root, paths.states[0]))) return resume(device)
  makeRoot(device.root)
  const configText = JSON.stringify(programConfig(dirname(device.root)))
  return install(device, {configText, anchorPath: anchor, source: join(source, '1.0.0')})
}

/** The acts that a child does and its parent does again. */
export const acts: Readonly<Record<string, Act>> = {
  'update a program': {
    device: programAt,
    act: (device, {source}) =>
      update(device, '1.1.0', () => stage(device, join(source, '1.1.0'), plain)),
  },
  'roll a program back': {
    device: programAt,
    act: async (device) => {
      const {record} = await resume(device)
      return record.state === 'rolled_back' ? record : rollback(device)
    },
  },
  'end the trial of a program': {
    device: programAt,
    act: async (device) =>
      recordsOf(device).record.state === 'trial' ? goBack(device, () => {}) : resume(device),
  },
  'repair a program': {device: programAt, act: (device) => repair(device)},
  'take a program over': {device: programAt, act: takeOver},
  'update by a delta': {
    device: (root) => deviceAt(root),
    act: (device, {source}) => update(device, '1.1.0', () => stage(device, source, plain)),
  },
  'roll back by a grant': {
    device: named,
    act: async (device, given) => {
      const {record} = await resume(device)
      return record.state === 'rolled_back' ? record : rollback(device, grantIn(given))
    },
  },
  'update to an older version by a grant': {
    device: named,
    act: (device, given) =>
      update(device, '1.0.0', () => stage(device, given.source, {...plain, grant: grantIn(given)})),
  },
  'update by turns': {
    device: (root) => ({
      ...deviceAt(root),
      config: parseConfig(readFileSync(join(root, 'device.json'))),
    }),
    act: async (device) => {
      await turn(device, await openSource(device))
      if (runs(device) === '1.1.0') await turn(device, await openSource(device))
      await flushResults(device)
    },
  },
}

/** Both ports of a device, told of each operation before and after it. */
export function watched(device: Device, on: (when: 'before' | 'after') => void): Device {
  const watch = (fs: DurableFs): DurableFs => {
    const before = recordingFs(fs, () => on('before'))
    return {
      root: fs.root,
      run: (op) => {
        before.run(op)
        on('after')
      },
    }
  }
  const {world} = device
  const programFs = world.programFs === undefined ? {} : {programFs: watch(world.programFs)}
  return {...device, world: {...world, fs: watch(world.fs), ...programFs}}
}
