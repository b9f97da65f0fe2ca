import {spawn} from 'node:child_process'
import {lstatSync, readdirSync, readFileSync, readlinkSync} from 'node:fs'
import {syncBuiltinESMExports} from 'node:module'
import {Socket} from 'node:net'
import {join} from 'node:path'
import timers from 'node:timers/promises'
import type {Device} from '../../../src/device/device.ts'
import {openSource} from '../../../src/device/open-source.ts'
import type {Source} from '../../../src/device/source.ts'
import {look, stageOffer} from '../../../src/device/update.ts'
import {RelError} from '../../../src/system/error.ts'
import {sha256Hex} from '../../../src/system/hash.ts'
import {builtPackage} from '../built.ts'
import {cleanEnv} from '../rel.ts'
import {plain} from './node.ts'

// What a node does with a source in wrong hands, and what that must not have changed.

/** All that is below the root of a node but its memory, with inodes and times. */
export function outside(root: string, path = ''): string[] {
  return readdirSync(join(root, path))
    .map((name) => (path === '' ? name : `${path}/${name}`))
    .filter((name) => name !== '.rel')
    .flatMap((name) => {
      const stat = lstatSync(join(root, name), {bigint: true})
      if (stat.isDirectory()) return [name, ...outside(root, name)]
      const content = stat.isSymbolicLink()
        ? readlinkSync(join(root, name))
        : sha256Hex(readFileSync(join(root, name)))
      return [[name, stat.ino, stat.mtimeNs, stat.mode, content].join(' ')]
    })
}

/** The floor and what failed before, as bytes. */
export const recordBytes = (root: string) =>
  ['state.json', 'state.json.1', 'floor.json'].flatMap((name) => {
    const path = join(root, '.rel', name)
    return lstatSync(path, {throwIfNoEntry: false}) === undefined ? [] : [readFileSync(path, 'hex')]
  })

/** What 10 s to 60 s of a patience take here: enough for an answer that does come. */
const PATIENCE_MS = 100

/** A clock that runs ahead, for this process: pauses are none, patience ends soon. */
export async function whileTimeRuns<T>(work: () => Promise<T>): Promise<T> {
  const [real, {setTimeout: ofSocket}] = [globalThis.setTimeout, Socket.prototype]
  const {setTimeout: pause} = timers
  const soon = (ms: number) => (ms > 9_999 ? PATIENCE_MS : Math.min(ms, 1))
  const quick = (run: () => void, ms = 0) => real(run, soon(ms))
  globalThis.setTimeout = quick as typeof setTimeout
  timers.setTimeout = ((ms, value, options) => pause(soon(ms ?? 0), value, options)) as typeof pause
  syncBuiltinESMExports()
  Socket.prototype.setTimeout = function (ms, late) {
    return ofSocket.call(this, ms === 0 ? 0 : PATIENCE_MS, late)
  }
  try {
    return await work()
  } finally {
    globalThis.setTimeout = real
    timers.setTimeout = pause
    syncBuiltinESMExports()
    Socket.prototype.setTimeout = ofSocket
  }
}

/** Looks, and stages what is offered; the code of a refusal. */
export async function outcome(node: Device, source?: Source): Promise<string> {
  try {
    const {answer, closed} = await look(node, source ?? (await openSource(node)), {
      isRetry: false,
    })
    if (answer.offer === undefined) return 'nothing'
    if (closed[0] !== undefined) return closed[0].code
    await stageOffer(node, answer.offer, plain)
    return 'staged'
  } catch (error) {
    if (error instanceof RelError) return error.code
    throw error
  }
}

/** Codes that say what is wrong with a source, or with what it gives. */
export const allowed =
  /^(?:nothing|staged|upgrade_(?!io_error|state|layout|config)[a-z_]+|version_mismatch|channel_mismatch|product_mismatch|manifest_expired|release_expired|timestamp_future)$/

/** The most memory that a command had, in bytes, asked for while it runs. */
export async function memoryOf(
  root: string,
): Promise<{readonly code: number | null; readonly peak: number}> {
  const rel = join(await builtPackage(), 'bin', 'rel')
  const child = spawn(rel, ['device', 'stage', root], {env: cleanEnv(), stdio: 'ignore'})
  let code: number | null | undefined
  child.once('close', (exit) => {
    code = exit
  })
  let peak = 0
  while (code === undefined) {
    const path = `/proc/${child.pid}/status`
    try {
      const kB = Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(path, 'utf8'))?.[1] ?? 0)
      peak = Math.max(peak, kB * 1024)
    } catch {
      // it has ended
    }
    await timers.setTimeout(5)
  }
  return {code, peak}
}
