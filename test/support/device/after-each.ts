import {mkdirSync, readdirSync, readlinkSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import * as assert from 'uvu/assert'
import {compareVersions} from '../../../src/bundle/version.ts'
import type {Device} from '../../../src/device/device.ts'
import {loadRecords} from '../../../src/device/layout.ts'
import {verifyDevice} from '../../../src/device/status.ts'

/** Folders beside versions/ that are of the program and of nobody else. */
const programs = ['data', 'cache', 'run', 'logs']

/** Gives a node something that no update may touch. */
export function fillFolders(root: string): void {
  for (const name of programs) {
    mkdirSync(join(root, name))
    writeFileSync(join(root, name, 'kept'), `of the program: ${name}\n`)
  }
}

/** What was so before, and must be so after whatever was done to a node. */
export type Before = {readonly floor: string; readonly kept: string}

export function beforeOf(root: string): Before {
  return {floor: loadRecords(root).floor, kept: keptOf(root)}
}

/** The folders of the program, with inodes and times. */
function keptOf(root: string): string {
  return programs
    .flatMap((name) => [name, ...readdirSync(join(root, name)).map((file) => `${name}/${file}`)])
    .map((path) => {
      const {ino, mtimeNs, size, mode} = statSync(join(root, path), {bigint: true})
      return [path, ino, mtimeNs, size, mode].join(' ')
    })
    .join('\n')
}

/** What must be so whatever was done to a node. */
export async function checkStands(device: Device, before: Before, what: string): Promise<void> {
  await verifyDevice(device).catch((error) => {
    throw new Error(`${what}: what runs does not verify: ${error}`)
  })
  const {floor} = loadRecords(device.root)
  assert.ok(compareVersions(floor, before.floor) >= 0, `${what}: the floor fell to ${floor}`)
  assert.is(keptOf(device.root), before.kept, `${what}: folders of the program`)
}

export type Aim = {
  readonly name: string
  /** True when a node is where a run was to bring it, with nothing left to be done. */
  isThere(device: Device): boolean
  /** Brings a node there, from wherever a fault has left it. */
  rerun(device: Device): Promise<unknown>
}

/** True for a node at rest that runs a version, with a floor of at least `floor`. */
export function runs({root}: Device, version: string, floor: string): boolean {
  const records = loadRecords(root)
  const isAtRest = ['committed', 'rolled_back'].includes(records.record.state)
  const isRunning = records.record.running.version === version
  const isLinked = readlinkSync(join(root, 'current')) === `versions/${version}`
  return isAtRest && isRunning && isLinked && compareVersions(records.floor, floor) >= 0
}

/**
 * The check after each fault: what runs is a verified version, the floor never fell, the folders of
 * the program are as they were, 0 was told at the aim only, and one more run brings the node there.
 */
export async function checkAfter(
  device: Device,
  before: Before,
  aim: Aim,
  {code, what}: {readonly code: number | null; readonly what: string},
): Promise<void> {
  await checkStands(device, before, what)
  if (code === 0) assert.ok(aim.isThere(device), `${what}: 0 with less than ${aim.name}`)
  await aim.rerun(device)
  await checkStands(device, before, `${what}, then once more`)
  assert.ok(aim.isThere(device), `${what}: one more run does not end it`)
}
