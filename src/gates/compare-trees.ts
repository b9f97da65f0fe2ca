import {
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
} from 'node:fs'
import {basename, join} from 'node:path'
import type {Difference} from './repro-plan.ts'

/** Compared first where it exists: it names every other file with its digest. */
const MANIFEST = 'build-manifest.json'
const CHUNK = 1 << 20
/** More of them say nothing new. */
const MAX_DIFFERENCES = 100

/**
 * Where two trees differ, at most 100 places: build manifests first, then by path. `outputs` are
 * paths below both; everything when empty. Types, links, the executable bit and bytes count; times
 * and other modes are those of the machine and do not.
 */
export function compareTrees(
  first: string,
  second: string,
  outputs: readonly string[] = [],
): Difference[] {
  const paths = new Set([...pathsBelow(first, outputs), ...pathsBelow(second, outputs)])
  const found: Difference[] = []
  for (const path of [...paths].sort(manifestsFirst)) {
    const difference = compareEntry(join(first, path), join(second, path))
    if (difference !== undefined) found.push({path, ...difference})
    if (found.length === MAX_DIFFERENCES) break
  }
  return found
}

/** True when something at or below `outputs` has another time than all copied files, in seconds. */
export function hasNewFiles(root: string, outputs: readonly string[], copyTime: number): boolean {
  return pathsBelow(root, outputs).some(
    (path) => lstatSync(join(root, path)).mtimeMs !== copyTime * 1000,
  )
}

/** Every path at and below `outputs` that exists, folders included; '' is the tree itself. */
function pathsBelow(root: string, outputs: readonly string[]): string[] {
  const walk = (path: string): string[] => {
    const stat = statOf(join(root, path))
    if (stat === undefined) return []
    if (!stat.isDirectory()) return [path]
    const names = readdirSync(join(root, path))
    return [path, ...names.flatMap((name) => walk(path === '' ? name : `${path}/${name}`))]
  }
  return (outputs.length === 0 ? [''] : outputs).flatMap(walk).filter((path) => path !== '')
}

function manifestsFirst(a: string, b: string): number {
  const [isA, isB] = [basename(a) === MANIFEST, basename(b) === MANIFEST]
  if (isA !== isB) return isA ? -1 : 1
  return a < b ? -1 : 1
}

function compareEntry(first: string, second: string): Omit<Difference, 'path'> | undefined {
  const [a, b] = [statOf(first), statOf(second)]
  if (a === undefined || b === undefined)
    return {what: a === undefined ? 'only_in_second' : 'only_in_first'}
  if (typeOf(a) !== typeOf(b)) return {what: 'type'}
  if (a.isSymbolicLink())
    return readlinkSync(first) === readlinkSync(second) ? undefined : {what: 'link'}
  if (!a.isFile()) return undefined
  const offset = firstDifference(first, second)
  if (offset !== undefined) return {what: 'content', offset}
  return (a.mode & 0o100) === (b.mode & 0o100) ? undefined : {what: 'executable'}
}

function statOf(path: string): Stats | undefined {
  return lstatSync(path, {throwIfNoEntry: false})
}

function typeOf({mode}: Stats): number {
  return mode & 0o170000
}

/** Offset of the first different byte, or the length of the shorter one; undefined when equal. */
function firstDifference(first: string, second: string): number | undefined {
  const files = [openSync(first, 'r'), openSync(second, 'r')] as const
  const buffers = [Buffer.alloc(CHUNK), Buffer.alloc(CHUNK)] as const
  try {
    for (let offset = 0; ; offset += CHUNK) {
      const a = readChunk(files[0], buffers[0], offset)
      const b = readChunk(files[1], buffers[1], offset)
      if (!a.equals(b)) return offset + differentAt(a, b)
      if (a.length < CHUNK) return undefined
    }
  } finally {
    for (const fd of files) closeSync(fd)
  }
}

function readChunk(fd: number, buffer: Buffer, position: number): Buffer {
  let length = 0
  while (length < buffer.length) {
    const count = readSync(fd, buffer, length, buffer.length - length, position + length)
    if (count === 0) break
    length += count
  }
  return buffer.subarray(0, length)
}

function differentAt(a: Buffer, b: Buffer): number {
  const shorter = Math.min(a.length, b.length)
  for (let at = 0; at < shorter; at++) if (a[at] !== b[at]) return at
  return shorter
}
