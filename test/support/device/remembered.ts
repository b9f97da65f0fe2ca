import {cpSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {compareVersions} from '../../../src/bundle/version.ts'
import {parseConfig} from '../../../src/device/config.ts'
import type {Device} from '../../../src/device/device.ts'
import {paths} from '../../../src/device/layout.ts'
import {testNow} from '../anchors.ts'
import type {Note, View} from './crash-model.ts'
import {type Memory, memoryAt, memoryOf, resultsOf} from './memory.ts'
import {deviceAt} from './node.ts'
import {type NodeTerms, panelConfig, panelNode} from './panel-node.ts'
import {cutAt, type Do, type Flow, type Ground, type Trace, untilCut, withFs} from './traces.ts'

/** A node with a panel, installed once and copied for each flow. */
export function panelGround(terms: NodeTerms): Ground {
  const template = panelNode(terms)
  const config = parseConfig(Buffer.from(JSON.stringify(panelConfig(terms))))
  return {
    at: (root, fake) => ({...deviceAt(root, fake), config}),
    install: async ({root}) =>
      cpSync((await template).root, root, {recursive: true, verbatimSymlinks: true}),
    memory: memoryAt,
  }
}

/** Every file below a folder. */
export function filesBelow(folder: string): ReadonlyMap<string, Buffer> {
  const names = readdirSync(folder, {recursive: true, withFileTypes: true})
    .filter((it) => it.isFile())
    .map((it) => join(it.parentPath, it.name).slice(folder.length + 1))
  return new Map(names.map((path) => [path, readFileSync(join(folder, path))]))
}

/** A flow of one act, which may be done again after any cut. */
export type Act = {
  readonly name: string
  readonly prepare: Do
  readonly act: Do
  readonly broken?: readonly string[]
}

/** The act as it is, or ended before its n-th operation and then done again. */
export function flowOf({act, ...rest}: Act, cut?: number): Flow {
  if (cut === undefined) return {...rest, run: [(...all) => untilCut(() => act(...all))]}
  const cutAct: Do = (device: Device, ...others) =>
    untilCut(() => act(withFs(device, cutAt(device.world.fs, cut)), ...others))
  return {
    ...rest,
    name: `${rest.name}, interrupted at ${cut}`,
    run: [cutAct, (...all) => untilCut(() => act(...all))],
  }
}

/**
 * What is remembered, judged against the promises of this page; throws the first that is broken.
 * Nothing here has been sent: a report that waits is there until it is.
 */
export function judgeMemory(
  view: View,
  notes: readonly Note[],
  {steps, resumedAt}: Pick<Trace, 'steps' | 'resumedAt'>,
): void {
  const own = steps.slice(resumedAt).flatMap((it) => (it.op === 'rename' ? [it.to] : []))
  const memory = memoryOf(view) // 0: each file is as it was or as it was to be, never half
  const told = notes.at(-1)?.memory
  judgeAlone(memory)
  judgeResults(view, memory)
  if (told !== undefined) judgeTold(memory, told, own)
}

const WEEK = 7 * 86_400

/** What one file says of another. */
function judgeAlone({clock, vouched, outbox, etag}: Memory): void {
  // a 304 shows no signed time again: whoever knows the answer knows when it was signed
  if ((vouched > 0 && clock < vouched - WEEK) || (etag !== undefined && clock < testNow - 60))
    throw new Error('clock: a statement is remembered, and not when it was signed')
  const names = outbox.map(({code, version}) => `${code} ${version}`)
  if (new Set(names).size < names.length)
    throw new Error('outbox: one result has two names, and would count twice')
}

/** What the panel hears is what the record says, all of it and nothing else. */
function judgeResults(view: View, {reported, outbox}: Memory): void {
  const {running, failed, candidate} = resultsOf(view)
  const waits = (code: string, version: string) =>
    outbox.some((it) => it.code === code && it.version === version)
  for (const {code, version} of outbox) {
    if (code === 'upgrade_completed' && running.version !== version)
      throw new Error(`outbox: ${version} is told as completed, ${running.version} is recorded`)
    if (code === 'upgrade_rolled_back' && !failed.some((it) => it.version === version))
      throw new Error(`outbox: ${version} is told as rolled back, which is not recorded`)
  }
  if (reported === undefined) return
  for (const {version, digest} of failed)
    if (reported.failed.includes(digest) && !waits('upgrade_rolled_back', version))
      throw new Error(`reported: ${version} was rolled back, and nobody is told`)
  if (reported.running === running.digest && running.version !== '1.0.0')
    if (!waits('upgrade_completed', running.version) && candidate === undefined)
      throw new Error(`reported: ${running.version} was committed, and nobody is told`)
}

const ofRecord = ['upgrade_completed', 'upgrade_rolled_back']

/** What was remembered when something was told is remembered for ever, or better. */
function judgeTold(memory: Memory, told: Memory, own: readonly string[]): void {
  const gone = (what: string) => new Error(`${what}: what was told is forgotten`)
  if (memory.clock < told.clock) throw gone('clock')
  if (memory.log < told.log || memory.vouched < told.vouched) throw gone('seen')
  if (compareVersions(memory.offered, told.offered) < 0) throw gone('offered')
  if (told.refused.some((it) => !memory.refused.includes(it))) throw gone('refused')
  if (told.reported !== undefined && memory.reported?.salt !== told.reported.salt)
    throw gone('reported')
  const ids = memory.outbox.map(({id}) => id)
  // a failure is no part of the record: the report of a run that was killed may go with it
  const kept = told.outbox.filter(
    ({id, code}) => ofRecord.includes(code) || own.includes(`${paths.outbox}/${id}`),
  )
  if (kept.some(({id}) => !ids.includes(id))) throw gone('outbox')
  if (memory.wait < told.wait) throw gone('wait')
  const {version, failures} = told.deltas
  if (failures > 0 && memory.deltas.version === version && memory.deltas.failures < failures)
    throw gone('deltas')
  if (failures > 0 && memory.deltas.version === '') throw gone('deltas')
  if (memory.serial < told.serial) throw gone('license')
  for (const {nonce, seq} of told.grants) {
    const now = memory.grants.find((it) => it.nonce === nonce)
    if (now === undefined || (seq === undefined && now.seq !== undefined)) throw gone('grants')
  }
}

/**
 * A grant is taken once, and not for nothing: without an effect it can be used again, with one it
 * cannot, whatever the cut; the effect is a record later than `seq`.
 */
export function judgeGrant(
  view: View,
  notes: readonly Note[],
  {nonce, seq}: {readonly nonce: string; readonly seq: number},
): void {
  const record = resultsOf(view)
  const entry = memoryOf(view).grants.find((it) => it.nonce === nonce)
  const isUsable = entry === undefined || entry.seq === record.seq
  if (record.seq > seq && isUsable) throw new Error('grant: it has had its effect, and can be used')
  if (record.seq <= seq && !isUsable) throw new Error('grant: it is used up for nothing')
  const {what} = notes.at(-1) ?? {}
  if (what === 'reported' && (notes.at(-1)?.seq ?? 0) > seq && entry?.seq !== undefined)
    throw new Error('grant: state files that somebody puts back would let it in again')
}
