import {compareVersions} from '../../../src/bundle/version.ts'
import {paths} from '../../../src/device/layout.ts'
import {type DeviceRecord, parseFloor, parseRecord, recordText} from '../../../src/device/record.ts'
import type {Note, View} from './crash-model.ts'

/** Path of a file to its bytes, for each version that was signed. */
export type Trees = ReadonlyMap<string, ReadonlyMap<string, Buffer>>

export type Expected = {
  readonly trees: Trees
  /** What was told so far. */
  readonly notes: readonly Note[]
  /** Versions that somebody has damaged: nothing is promised of their bytes. */
  readonly damaged?: readonly string[] | undefined
  /** A repair starts without floor.json, and with this record. */
  readonly noFloorUpTo?: number | undefined
}

/** The first promise that a state breaks, in words; undefined for a good state. */
export function brokenPromise(view: View, expected: Expected): string | undefined {
  try {
    judge(view, expected)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

function judge(view: View, {trees: all, notes, noFloorUpTo = -1, damaged = []}: Expected): void {
  const trees = withoutDamaged(all, damaged)
  const told = notes.at(-1)
  const current = linked(view, 'current', trees) // 1: it resolves and every byte is as signed
  const previous = linked(view, 'previous', trees) // 3: and so does previous, if it is there
  const record = newest(view) // 2: every generation that is there parses
  if (record === undefined) {
    if (told !== undefined) throw new Error('2: the record is gone')
    return
  }
  const {state, running, candidate, target} = record
  if (current === undefined) throw new Error('1: nothing runs')
  judgeGuard(view, record, current, notes, damaged.includes(running.version))
  for (const slot of [running, record.previous, target])
    if (slot !== undefined) checkTree(view, slot.version, trees, `4: ${slot.version} is recorded`)
  if ((state === 'staged' || state === 'trial') && candidate !== undefined)
    checkTree(view, candidate.version, trees, '4: the candidate')
  if (state === 'trial' && current === candidate?.version && previous !== running.version)
    throw new Error('4: a trial without a way back in previous')
  const isRest = state !== 'trial' && state !== 'rolling_back'
  if (isRest && current !== running.version)
    throw new Error(`5: ${state} says ${running.version}, ${current} runs`)
  const legal = [running, candidate, target].map((slot) => slot?.version)
  if (!legal.includes(current)) throw new Error(`6: ${current} runs under no record`)
  const floor = floorOf(view, record.seq <= noFloorUpTo)
  if (floor !== undefined && compareVersions(floor, record.floor) > 0)
    throw new Error('7: the floor is above what was committed')
  if (told === undefined) return
  if (verdicts.includes(told.what) && state === 'trial' && current !== candidate?.version)
    throw new Error('4: the attempt that was counted starts something else')
  if (record.seq < told.seq)
    throw new Error(`7: record ${told.seq} was told, ${record.seq} is there`)
  if (floor !== undefined && compareVersions(floor, told.floor) < 0)
    throw new Error('7: the floor that was told is gone')
  for (const path of [paths.anchor, paths.config])
    if (bytesOf(view, path)?.at(-1) === undefined) throw new Error(`7: ${path} is gone`)
}

const verdicts: readonly Note['what'][] = ['started', 'judged', 'unhealthy']

/** 8: what the guard and the updater tell each other. */
function judgeGuard(
  view: View,
  {state, running, candidate, target}: DeviceRecord,
  current: string,
  notes: readonly Note[],
  hasNoWayBack: boolean,
): void {
  const told = notes.at(-1)
  const [trial, reverted, attempts] = [paths.trial, paths.reverted, paths.attempts].map((path) => {
    const text = bytesOf(view, path)?.toString('utf8')
    if (text !== undefined && !/^rel-(?:trial|attempts) 1\n(?:.+\n)+end\n$/.test(text))
      throw new Error(`8: ${path} is not whole`)
    return text
  })
  const isOnTrial = state === 'trial' && current === candidate?.version
  if (trial !== undefined && state !== 'trial' && state !== 'rolling_back')
    throw new Error(`8: a trial that the guard knows of under ${state}`)
  if (reverted !== undefined && !['trial', 'rolling_back', 'degraded'].includes(state))
    throw new Error(`8: a trial that was taken back under ${state}`)
  // once the new version has answered, the updater ends the trial for the guard before it commits
  const verdict = notes.findLast(({what}) => verdicts.includes(what))?.what
  const mayEnd = verdict === 'judged' || (hasNoWayBack && verdict === 'unhealthy')
  if (isOnTrial && trial === undefined && reverted === undefined && !mayEnd)
    throw new Error('8: a trial that the guard does not know of')
  const isTakenBack = state === 'rolling_back' && target?.version === running.version
  if (
    isTakenBack &&
    current === candidate?.version &&
    trial === undefined &&
    reverted === undefined
  )
    throw new Error('8: what is being taken back could start without the guard')
  const began = notes.findLastIndex(({what}) => what === 'guarding')
  if (told?.what === 'counted' && countedStarts(attempts) < (told.count ?? 0))
    throw new Error('8: a start that was counted is forgotten')
  if (began < 0) return
  if (state === 'trial' && current === running.version && reverted === undefined)
    throw new Error('8: what the guard led back would be swapped forward again')
  if (told?.what === 'taken_back' && current !== running.version)
    throw new Error('8: what the guard took back starts again')
}

function countedStarts(text: string | undefined): number {
  return Number(/^count=(\d+)$/m.exec(text ?? '')?.[1] ?? 0)
}

function withoutDamaged(trees: Trees, damaged: readonly string[]): Trees {
  return new Map(
    [...trees].map(([version, files]) => [version, damaged.includes(version) ? new Map() : files]),
  )
}

/**
 * What a reader of a node sees, as text: states that read alike are the same state. Without a record
 * it is no node, and nothing but what runs is looked at; trees are looked at when something names them.
 */
export function observed(view: View): string {
  const links = ['current', 'previous'].map((name) => {
    const found = view.read(name)
    return found?.kind === 'link' ? found.target : undefined
  })
  const last = newest(view)
  const record = last === undefined ? '' : recordText(last)
  const named = [...record.matchAll(/"version":"([^"]+)"/g)].map(([, it]) => `versions/${it}`)
  const folders = [...new Set([...links.filter((it) => it !== undefined), ...named])].sort()
  const trees = folders.map((path) => [path, treeText(view, path)])
  if (last === undefined) return JSON.stringify([links, trees])
  const files = [paths.floor, paths.anchor, paths.config, paths.reverted].map((path) =>
    bytesOf(view, path)?.toString('base64'),
  )
  // a resumed trial is told again with another window, and starts are counted for a trial only
  const trial = bytesOf(view, paths.trial)?.toString('utf8')
  const attempts = trial === undefined ? undefined : bytesOf(view, paths.attempts)
  const guard = [trial?.replace(/^deadline=.*$/m, ''), attempts?.toString('utf8')]
  return JSON.stringify([links, record, trees, files, guard])
}

function treeText(view: View, path: string): unknown {
  const found = view.read(path)
  if (found?.kind === 'dir')
    return found.names.map((name) => [name, treeText(view, `${path}/${name}`)])
  if (found?.kind === 'file') return found.bytes.toString('base64')
  return found?.target ?? null
}

function bytesOf(view: View, path: string): Buffer | undefined {
  const found = view.read(path)
  return found?.kind === 'file' ? found.bytes : undefined
}

function newest(view: View): DeviceRecord | undefined {
  return paths.states
    .flatMap((path) => {
      const bytes = bytesOf(view, path)
      return bytes === undefined ? [] : [parseRecord(bytes, `2: ${path}`)]
    })
    .sort((a, b) => b.seq - a.seq)[0]
}

function floorOf(view: View, mayLack: boolean): string | undefined {
  const bytes = bytesOf(view, paths.floor)
  if (bytes !== undefined) return parseFloor(bytes, `2: ${paths.floor}`)
  if (mayLack) return undefined
  throw new Error('2: floor.json is gone')
}

/** The version a link leads to, its tree checked; links of D2 may be absolute. */
export function linked(view: View, name: string, trees: Trees): string | undefined {
  const found = view.read(name)
  if (found === undefined) return undefined
  if (found.kind !== 'link') throw new Error(`1: ${name} is no link`)
  const version = found.target.split('/').at(-1) ?? ''
  checkTree(view, version, trees, `1: ${name}`)
  return version
}

function checkTree(view: View, version: string, trees: Trees, what: string): void {
  const wanted = trees.get(version)
  if (wanted === undefined) throw new Error(`${what}: ${version} was never signed`)
  if (wanted.size === 0) return
  const seen = new Map<string, Buffer>()
  walk(view, `versions/${version}`, '', seen)
  const same = [...wanted].every(([path, bytes]) => seen.get(path)?.equals(bytes) === true)
  if (!same || seen.size !== wanted.size) throw new Error(`${what}: ${version} is not as signed`)
}

function walk(view: View, root: string, below: string, seen: Map<string, Buffer>): void {
  const found = view.read(root)
  if (found?.kind === 'file') seen.set(below, found.bytes)
  if (found?.kind !== 'dir') return
  for (const name of found.names)
    walk(view, `${root}/${name}`, below === '' ? name : `${below}/${name}`, seen)
}
