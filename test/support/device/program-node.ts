import {mkdirSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import type {Device, DeviceEvent} from '../../../src/device/device.ts'
import {type DurableFs, realFs} from '../../../src/device/durable-fs.ts'
import {install, makeRoot} from '../../../src/device/init.ts'
import {programPort} from '../../../src/device/program.ts'
import type {Release, Slot} from '../../../src/release/release.ts'
import {releaseText, signRelease} from '../../../src/release/release-manifest.ts'
import {channelOf} from '../../../src/release/version.ts'
import {signedAnchor, testAnchor, testNow, testSigner} from '../anchors.ts'
import {testArtifact} from '../releases.ts'
import {temporaryFolder} from '../tmp.ts'
import {configJson, deviceAt, type FakeWorld} from './node.ts'

/** The program of a version. */
export function programBytes(version: string): Buffer {
  return Buffer.from(`#!/bin/sh\necho agent ${version}\n`)
}

const agent: Slot = {component: 'agent', os: 'linux', arch: 'arm64'}
const cli: Slot = {...agent, component: 'cli'}

/** A release of a program for one machine, and of one that is for somebody else. */
export async function programRelease(version: string, change: Partial<Release> = {}) {
  const artifacts = [
    await testArtifact(agent, 'agent-linux-arm64', programBytes(version)),
    await testArtifact(cli, 'cli-linux-arm64', Buffer.from(`cli ${version}\n`)),
  ]
  const channel = channelOf(version)
  const release = {
    product: 'edge-agent',
    version,
    channel,
    timestamp: testNow,
    artifacts,
    ...change,
  }
  return signRelease(release, testSigner('manifest'))
}

export type ProgramSources = {readonly anchor: string; readonly of: (version: string) => string}

/** Folders with a release and the program, as a publisher has them. */
export async function programSources(...versions: readonly string[]): Promise<ProgramSources> {
  const folder = join(temporaryFolder(), 'with space')
  mkdirSync(folder)
  const anchor = join(folder, 'trust.json')
  const grants = ['root', 'manifest', 'artifact'].map((role) => ({role, keys: [role]}) as never)
  writeFileSync(anchor, await signedAnchor(testAnchor(...grants), 'root'))
  for (const version of versions) await writeRelease(join(folder, version), version)
  return {anchor, of: (version) => join(folder, version)}
}

export async function writeRelease(
  folder: string,
  version: string,
  change: Partial<Release> = {},
): Promise<void> {
  mkdirSync(folder)
  writeFileSync(join(folder, 'release.json'), releaseText(await programRelease(version, change)))
  writeFileSync(join(folder, 'agent-linux-arm64'), programBytes(version))
}

/** Of a program below the folder `around`, and of the node beside it. */
export function programConfig(around: string) {
  return {
    ...configJson,
    product: 'edge-agent',
    target: 'linux-arm64',
    binary: {path: join(around, 'bin/agent'), component: 'agent'},
  }
}

export type ProgramDevice = Device & {readonly events: DeviceEvent[]; readonly path: string}

/** A node at `around/node`, whose program is `around/bin/agent`. */
export function programAt(
  around: string,
  fake: FakeWorld & {readonly programFs?: DurableFs} = {},
  change: object = {},
): ProgramDevice {
  const config = {...programConfig(around), ...change}
  const device = deviceAt(join(around, 'node'), fake, config)
  const {path} = config.binary
  const programFs = fake.programFs ?? programPort(path)
  return {...device, world: {...device.world, programFs}, path}
}

/** Installs a version. */
export async function installProgram(
  device: ProgramDevice,
  sources: ProgramSources,
  version = '1.0.0',
): Promise<void> {
  makeRoot(device.root)
  await install(device, {
    configText: JSON.stringify(programConfig(dirname(device.root))),
    anchorPath: sources.anchor,
    source: sources.of(version),
  })
}

/** A folder for a program, and none in it. */
export function programFolder(): string {
  const around = join(temporaryFolder(), 'around')
  mkdirSync(join(around, 'bin'), {recursive: true, mode: 0o755})
  return around
}

/** A node that runs 1.0.0. */
export async function makeProgramNode(
  sources: ProgramSources,
  fake: FakeWorld = {},
): Promise<ProgramDevice> {
  const device = programAt(programFolder(), fake)
  await installProgram(device, sources)
  return device
}

/** A port to a folder of another one's, so that one trace has the operations of both. */
export function below(fs: DurableFs, folder: string): DurableFs {
  const at = (path: string) => (path === '' ? folder : `${folder}/${path}`)
  return {
    root: join(fs.root, folder),
    run: (op) =>
      fs.run('to' in op ? {...op, path: at(op.path), to: at(op.to)} : {...op, path: at(op.path)}),
  }
}

/** Syncs that the model does and the disk of the test machine need not. */
export function lazyFs(root: string): DurableFs {
  const fs = realFs(root)
  return {root, run: (op) => (op.op === 'sync' || op.op === 'sync_dir' ? undefined : fs.run(op))}
}
