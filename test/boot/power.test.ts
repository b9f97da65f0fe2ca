import {randomInt} from 'node:crypto'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {buildExecutables} from '../../scripts/build-sea.ts'
import {type Arm64, debianArm64} from '../support/arm64.ts'
import {randomFrom} from '../support/delta.ts'
import {startAppPanel} from '../support/device/panel-node.ts'
import {
  type DiskKind,
  type GuestFiles,
  makeGuestFiles,
  powerOn,
  whyNoXfs,
} from '../support/device/power-guest.ts'
import {
  mustHold,
  type NodeSeen,
  Published,
  type Told,
  versionOf,
} from '../support/device/power-node.ts'
import {CachingDisk, type Left, type LogEntry, readWriteLog} from '../support/device/write-log.ts'
import {needs, needsThat} from '../support/needs.ts'
import {temporaryFolder} from '../support/tmp.ts'

// The executable for arm64, in a guest with a kernel and a disk of its own, updates itself from a
// real panel. QEMU is killed, of what was not flushed a part is lost, and the guest is booted again
// with what is left: each boot is the rerun of the cut before, and ends in the next cut.
//
//     REL_POWER_CUTS   how many cuts; in the long suite a third of them is on xfs
//     REL_POWER_DISK   ext4 or xfs: all cuts on this one
//     REL_POWER_SEED   repeats the choices of a run, though not its timing
//     REL_POWER_REL    another executable, such as one without syncs: it must fail
//     REL_POWER_KEEP   where to write the disk that broke a promise

const {REL_POWER_CUTS, REL_POWER_DISK, REL_POWER_SEED, REL_POWER_REL, REL_POWER_KEEP} = process.env
const isLong = process.env.REL_TEST_LONG === '1'
const allCuts = Number(REL_POWER_CUTS ?? (isLong ? 20 : 3))
const seed = Number(REL_POWER_SEED ?? randomInt(2 ** 31))

/** Moments of each boot that are looked at besides its end, on this machine alone. */
const MOMENTS = isLong ? 12 : 8
const PATIENCE_SECS = 600

const below = randomFrom(seed)
const chance = () => below(1 << 30) / (1 << 30)
const folder = temporaryFolder()
const say = (text: string) => process.stdout.write(`${text}\n`)

type Disk = {readonly disk: Buffer; readonly kind: DiskKind}

/** One boot: what it has written until it was killed, and what it has said. */
type Boot = {
  readonly entries: readonly LogEntry[]
  /** Versions that were told to be completed, and how long the log was by then. */
  readonly heard: readonly {readonly version: string; readonly logged: number}[]
  readonly starts: string
  readonly upSecs: number
}

/** How much one update writes; learned from the first one of each file system. */
const updateBytes = new Map<DiskKind, number>()

/** Boots the guest with a disk; kills it somewhere in an update, or after its last one. */
async function boot(
  files: GuestFiles,
  published: Published,
  {disk, kind, options, isLast}: Disk & {options: string; isLast: boolean},
): Promise<Boot> {
  const [path, log] = [join(folder, 'disk'), join(folder, 'log')]
  writeFileSync(path, disk)
  const begun = performance.now()
  const heard: {version: string; logged: number}[] = []
  const onText = (text: string) => {
    const told = [...text.matchAll(/"event":"upgrade_completed".*?"version":"([^"]+)"/g)]
    for (const [, version = ''] of told.slice(heard.length))
      heard.push({version, logged: guest.written()})
  }
  const on = {...files, disk: path, log, kind, options, patienceSecs: PATIENCE_SECS, onText}
  const guest = powerOn(on)
  const isDone = () => heard.at(-1)?.version === versionOf(published.newest)
  try {
    await guest.until('program that starts', () => /MARK up \S+ in/.test(guest.console()))
    const upSecs = (performance.now() - begun) / 1000
    const [, starts = ''] = /MARK up (\S*)/.exec(guest.console()) ?? []
    let from = guest.written()
    if (!updateBytes.has(kind)) {
      await guest.until('first update', isDone)
      updateBytes.set(kind, guest.written() - from)
      from = guest.written()
      await published.next()
    }
    // a fifth of the cuts, and those of slow writers, are after the report
    const target = isLast
      ? Number.POSITIVE_INFINITY
      : from + chance() * 1.25 * (updateBytes.get(kind) ?? 0)
    const pauseMs = chance() * 3000
    let doneAt: number | undefined
    await guest.until('end of the update', () => {
      if (isDone()) doneAt ??= performance.now()
      return guest.written() > target || performance.now() > (doneAt ?? Infinity) + pauseMs
    })
    await guest.kill()
    return {entries: readWriteLog(readFileSync(log)), heard, starts, upSecs}
  } finally {
    await guest.kill()
  }
}

/** Looks at what power cuts of a boot leave. Throws with the first promise that is broken. */
class Judge {
  moments = 0
  readonly states = new Map<string, number>()
  readonly #published: Published
  readonly #kind: DiskKind

  constructor(published: Published, kind: DiskKind) {
    this.#published = published
    this.#kind = kind
  }

  async look(disk: Buffer, told: Told, what: string): Promise<NodeSeen> {
    try {
      const seen = await mustHold({disk, kind: this.#kind}, this.#published.trees, told)
      const {record, current} = seen
      const isOld = current === record.running.version
      const state =
        record.state === 'trial' ? `trial of the ${isOld ? 'old' : 'new'}` : record.state
      this.states.set(state, (this.states.get(state) ?? 0) + 1)
      this.moments += 1
      return seen
    } catch (error) {
      if (REL_POWER_KEEP !== undefined) writeFileSync(REL_POWER_KEEP, disk)
      throw new Error(`${what}, seed ${seed}: ${(error as Error).message}`)
    }
  }

  /** Some moments before the end of a boot. */
  async lookBefore({entries, heard}: Boot, disk: Buffer, told: Told): Promise<void> {
    const chosen = new Set(Array.from({length: MOMENTS}, () => below(entries.length)))
    const caching = new CachingDisk(Buffer.from(disk))
    for (const [at, entry] of entries.entries()) {
      caching.take(entry)
      if (!chosen.has(at)) continue
      const completed = heard.findLast(({logged}) => logged <= entry.end)?.version
      const left: Left = below(3) === 0 ? 'nothing' : chance
      const now = {...told, ...(completed === undefined ? {} : {completed})}
      await this.look(caching.cut(left), now, `entry ${at} of ${entries.length}`)
    }
  }
}

/** What a mount is given besides: nothing, or what asks most of the syncs. */
const mounts: Readonly<Record<DiskKind, readonly string[]>> = {
  ext4: ['errors=remount-ro', 'errors=remount-ro,data=writeback,noauto_da_alloc'],
  xfs: ['rw', 'allocsize=4k'],
}

async function cutPower(arm64: Arm64, kind: DiskKind, cuts: number): Promise<void> {
  files ??= makeGuestFiles(arm64, await executable())
  if (typeof files === 'string') throw new Error(files)
  const panel = await startAppPanel({
    clock: () => Math.floor(Date.now() / 1000),
    config: {pollSecs: 1},
  })
  try {
    const published = new Published(panel)
    const judge = new Judge(published, kind)
    let disk = await published.firstDisk(kind)
    let told: Told = {seq: 0}
    let node = await judge.look(disk, told, 'the first disk')
    for (let cut = 1; cut <= cuts + 1; cut++) {
      const begun = performance.now()
      const isLast = cut > cuts
      if (node.record.running.version === versionOf(published.newest)) await published.next()
      const options = mounts[kind][below(2)] ?? 'rw'
      const ran = await boot(files, published, {disk, kind, options, isLast})
      assert.is(ran.starts, node.current, 'what the guest starts')
      told = {...told, seq: node.record.seq}
      await judge.lookBefore(ran, disk, told)
      const completed = ran.heard.at(-1)?.version ?? told.completed
      told = {...told, ...(completed === undefined ? {} : {completed})}
      const caching = new CachingDisk(disk)
      for (const entry of ran.entries) caching.take(entry)
      for (const left of ['nothing', 'everything'] as const)
        await judge.look(caching.cut(left), told, `cut ${cut}, ${left} of the cache is left`)
      disk = caching.cut(chance)
      node = await judge.look(disk, told, `cut ${cut}`)
      const {state, running} = node.record
      say(
        `${isLast ? 'the last boot' : `cut ${cut}`}: ${state}, ${running.version}, ${completed ?? 'none'} was told; ${kind} ${options}; ` +
          `${ran.entries.length} entries, ${caching.cached} writes in the cache; ` +
          `${ran.upSecs.toFixed(1)} s to start, ${((performance.now() - begun) / 1000).toFixed(1)} s in all`,
      )
    }
    assert.is(node.record.running.version, versionOf(published.newest), 'the last rerun converges')
    const states = [...judge.states].map(([state, count]) => `${count} ${state}`).join(', ')
    say(`${kind}: ${cuts} cuts, ${judge.moments} disks: ${states}; seed ${seed}`)
  } finally {
    await panel.stop()
  }
}

let files: GuestFiles | string | undefined

async function executable(): Promise<string> {
  if (REL_POWER_REL !== undefined) return REL_POWER_REL
  await buildExecutables(folder, ['arm64'], false)
  return join(folder, 'rel-linux-arm64')
}

const SECTOR = 512

/** A log as QEMU writes it: one sector of `text` at each place, undefined for a flush. */
function logOf(told: number, ...entries: readonly (readonly [number, string] | undefined)[]) {
  const sectors = [Buffer.alloc(SECTOR)]
  sectors[0]?.writeBigUInt64LE(0x6a736677736872n)
  sectors[0]?.writeBigUInt64LE(BigInt(told), 16)
  sectors[0]?.writeUInt32LE(SECTOR, 24)
  for (const entry of entries) {
    const header = Buffer.alloc(SECTOR)
    header.writeBigUInt64LE(BigInt(entry?.[0] ?? 0))
    header.writeBigUInt64LE(entry === undefined ? 0n : 1n, 8)
    header.writeBigUInt64LE(entry === undefined ? 1n : 0n, 16)
    sectors.push(header, ...(entry === undefined ? [] : [Buffer.alloc(SECTOR, entry[1])]))
  }
  return Buffer.concat(sectors)
}

test('the disk forgets what was not flushed, all of it, nothing, or by chance', () => {
  const disk = new CachingDisk(Buffer.alloc(3 * SECTOR, '-'))
  const entries = readWriteLog(logOf(2, [0, 'a'], undefined, [1, 'b'], [2, 'c']))
  for (const entry of entries) disk.take(entry)
  const letters = (left: Left) =>
    [0, 1, 2].map((at) => String.fromCharCode(disk.cut(left)[at * SECTOR] ?? 0)).join('')
  assert.is(disk.cached, 2)
  assert.is(letters('nothing'), 'a--')
  assert.is(letters('everything'), 'abc')
  const seen = new Set(Array.from({length: 200}, () => letters(chance)))
  assert.equal([...seen].sort(), ['a--', 'a-c', 'ab-', 'abc'])
})

test('a log is cut where QEMU was killed, and refused where it misses what was told', () => {
  const whole = logOf(1, [0, 'a'], [1, 'b'])
  assert.is(readWriteLog(whole).length, 2)
  assert.is(readWriteLog(whole.subarray(0, -1)).length, 1)
  assert.throws(() => readWriteLog(logOf(3, [0, 'a'], [1, 'b'])))
})

const arm64 = debianArm64()
const canBoot =
  needs('qemu-system-aarch64') &&
  needsThat('arm64 packages', typeof arm64 !== 'string', String(arm64))

const onXfs =
  REL_POWER_DISK === 'xfs' ? allCuts : isLong && !REL_POWER_DISK ? Math.round(allCuts / 3) : 0
const why = onXfs === 0 ? 'none is wanted' : whyNoXfs()
const hasXfs = onXfs > 0 && needsThat('xfs', why === undefined, `no xfs here: ${why}`)
const counts: Readonly<Record<DiskKind, number>> = {
  ext4: allCuts - onXfs,
  xfs: hasXfs ? onXfs : 0,
}

if (canBoot && typeof arm64 !== 'string')
  for (const [kind, cuts] of Object.entries(counts) as [DiskKind, number][])
    if (cuts > 0)
      test(`power is cut ${cuts} times on ${kind}: nothing that was told is lost, each rerun converges`, () =>
        cutPower(arm64, kind, cuts))

test.run()
