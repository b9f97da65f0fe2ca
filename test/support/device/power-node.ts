import {mkdirSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {compareVersions} from '../../../src/bundle/version.ts'
import {parseConfig} from '../../../src/device/config.ts'
import {loadRecords} from '../../../src/device/layout.ts'
import type {DeviceRecord} from '../../../src/device/record.ts'
import {verifyDevice} from '../../../src/device/status.ts'
import {noise, randomFrom} from '../delta.ts'
import type {TestPanel} from '../panel.ts'
import {run} from '../rel.ts'
import {temporaryFolder} from '../tmp.ts'
import {everyCrash, ForgetfulDisk} from './crash-model.ts'
import {brokenPromise, type Trees} from './invariants.ts'
import {deviceAt} from './node.ts'
import {
  nodeAnchor,
  packedBundle,
  panelConfig,
  panelLicense,
  panelNode,
  publishBundle,
} from './panel-node.ts'
import {type DiskKind, guestProgram, makeDisk, readNode} from './power-guest.ts'

// The node on the disk of the guest, and what its disk must hold after every power cut.

/** The versions of these tests follow each other. */
export const versionOf = (number: number): string => `1.${number}.0`

/** What is signed, by version. */
export class Published {
  readonly trees = new Map<string, ReadonlyMap<string, Buffer>>()
  newest = 0
  readonly #panel: TestPanel

  constructor(panel: TestPanel) {
    this.#panel = panel
  }

  /** Puts the next version on the panel; with enough in it that it takes several writes. */
  async next(): Promise<void> {
    this.newest += 1
    const version = versionOf(this.newest)
    const bytes = await packedBundle({version, filler: noise(300_000, randomFrom(this.newest))})
    this.trees.set(version, await filesIn(bytes))
    await publishBundle(this.#panel, version, bytes)
  }

  /** The disk of a node that runs 1.0.0 and does what the panel says. */
  async firstDisk(kind: DiskKind): Promise<Buffer> {
    const url = this.#panel.url.replace('127.0.0.1', '10.0.2.2')
    const {file: license} = await panelLicense(this.#panel)
    const upgrade = {
      policy: 'auto',
      poll_interval_secs: 1,
      boot_health_window_secs: 120,
      // a trial that is cut again and again is not taken back: each rerun is to converge
      max_boot_attempts: 100,
    }
    const terms = {url, anchor: await nodeAnchor(this.#panel), license, upgrade}
    const {root} = await panelNode(terms)
    const config = {...panelConfig(terms), ...guestProgram}
    writeFileSync(join(root, 'device.json'), JSON.stringify(config))
    this.trees.set(versionOf(0), await filesIn(await packedBundle({version: versionOf(0)})))
    const folder = temporaryFolder()
    const [top, path] = [join(folder, 'top'), join(folder, 'disk')]
    mkdirSync(top)
    renameSync(root, join(top, 'node'))
    makeDisk(path, kind, kind === 'xfs' ? '48M' : '32M', top)
    const disk = readFileSync(path)
    rmSync(folder, {recursive: true})
    return disk
  }
}

async function filesIn(archive: Buffer): Promise<ReadonlyMap<string, Buffer>> {
  const folder = temporaryFolder()
  const [path, tree] = [join(folder, 'archive'), join(folder, 'tree')]
  writeFileSync(path, archive)
  mkdirSync(tree)
  await run('tar', ['-xzf', path, '-C', tree])
  const {stdout} = await run('find', [tree, '-type', 'f', '-printf', '%P\\n'])
  const names = stdout.trim().split('\n')
  const files = new Map(names.map((name) => [name, readFileSync(join(tree, name))]))
  rmSync(folder, {recursive: true})
  return files
}

/** What somebody was told before the cut. */
export type Told = {
  /** The last version that was told to be completed. */
  readonly completed?: string | undefined
  /** The number of a record that was seen. */
  readonly seq: number
}

/** What a disk holds. */
export type NodeSeen = {readonly record: DeviceRecord; readonly current: string}

/** The node on a disk after a power cut. Throws with the first promise that it breaks. */
export async function mustHold(
  {disk, kind}: {readonly disk: Buffer; readonly kind: DiskKind},
  trees: Trees,
  told: Told,
): Promise<NodeSeen> {
  const root = readNode(disk, kind)
  try {
    const floor = told.completed ?? versionOf(0)
    const notes = [
      // nobody can say from outside when the new version answered
      {op: 'note', what: 'judged', seq: 0, floor: versionOf(0)},
      {op: 'note', what: 'reported', seq: told.seq, floor},
    ] as const
    everyCrash(new ForgetfulDisk(root), (view) => {
      const why = brokenPromise(view, {trees, notes})
      if (why !== undefined) throw new Error(why)
    })
    const {record} = loadRecords(root)
    checkCompleted(record, told)
    const config = parseConfig(readFileSync(join(root, 'device.json')))
    await verifyDevice({...deviceAt(root), config})
    return {record, current: readlinkSync(join(root, 'current')).replace('versions/', '')}
  } finally {
    rmSync(root, {recursive: true})
  }
}

/** What was told to be completed runs, and the version before it can be gone back to. */
function checkCompleted({running, previous}: DeviceRecord, {completed}: Told): void {
  if (completed === undefined) return
  if (compareVersions(running.version, completed) < 0)
    throw new Error(`${completed} was completed, ${running.version} is recorded`)
  const before = versionOf(Number(running.version.split('.')[1]) - 1)
  if (previous?.version !== before) throw new Error(`there is no way back to ${before}`)
}
