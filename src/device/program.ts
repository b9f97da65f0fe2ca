import {createHash} from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  realpathSync,
  type Stats,
} from 'node:fs'
import {basename, dirname, join} from 'node:path'
import {RelError} from '../system/error.ts'
import {fileError, readFileLimited} from '../system/files.ts'
import type {JsonValue} from '../system/json.ts'
import {parseStrictJson} from '../trust/strict-json.ts'
import type {Device} from './device.ts'
import {type DurableFs, type Owner, realFs, replaceFile} from './durable-fs.ts'
import {versionPath} from './layout.ts'
import {checkFolder} from './owned.ts'

// The profile `binary` (D0): one program at a fixed path, replaced by rename, so that the one that
// runs keeps its own bytes until it ends and no start finds half a file.

/** Files of versions/VERSION: the release manifest as it was published, and the program. */
export const kept = {release: 'release.json', program: 'program'} as const

const MODE = 0o755
const BLOCK = 1024 * 1024

/** The way back that needs no rel: the name of the program before, beside the program. */
const BACKUP = '.rel-prev'

/** The port to the folder of a program. Refuses with upgrade_layout_invalid. */
export function programPort(path: string): DurableFs {
  try {
    return realFs(realpathSync(dirname(path)))
  } catch (error) {
    throw new RelError('upgrade_layout_invalid', `there is no folder ${dirname(path)}`, {
      cause: error,
    })
  }
}

type Program = {readonly fs: DurableFs; readonly name: string; readonly path: string}

function programOf({config, world}: Device): Program {
  const {profile} = config
  if (profile.kind !== 'binary' || world.programFs === undefined)
    throw new RelError('internal_error', 'this node has no program of its own')
  return {fs: world.programFs, name: basename(profile.path), path: profile.path}
}

/** The program a version keeps below the root. */
function keptProgram(root: string, version: string): string {
  return join(root, versionPath(version), kept.program)
}

/**
 * SHA-256 in hex of the program at its place; undefined when nothing is there. Refuses with
 * upgrade_layout_invalid where it is no regular file, or where others could put something else.
 */
export function programDigest(device: Device): string | undefined {
  const {fs, name, path} = programOf(device)
  checkFolder(fs.root)
  const stat = lstatSync(join(fs.root, name), {throwIfNoEntry: false})
  if (stat === undefined) return undefined
  checkFile(path, stat)
  return digestOf(join(fs.root, name))
}

function checkFile(path: string, stat: Stats): void {
  if (!stat.isFile()) throw new RelError('upgrade_layout_invalid', `${path} is no regular file`)
  if ((stat.mode & 0o022) !== 0)
    throw new RelError('upgrade_layout_invalid', `${path} can be written by group or others`)
}

function digestOf(path: string): string {
  const digest = createHash('sha256')
  for (const block of blocksOf(path)) digest.update(block)
  return digest.digest('hex')
}

/** Bytes of a regular file, block by block. */
export function* blocksOf(path: string): Generator<Buffer> {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    if (!fstatSync(fd).isFile())
      throw new RelError('upgrade_layout_invalid', `${path} is no regular file`)
    for (;;) {
      const block = Buffer.allocUnsafe(BLOCK)
      const count = readSync(fd, block, 0, BLOCK, null)
      if (count === 0) return
      yield block.subarray(0, count)
    }
  } finally {
    closeSync(fd)
  }
}

/** The blocks of a file that must have a digest; the end is not reached when it has another one. */
function* exactly(path: string, digest: string): Generator<Buffer> {
  const seen = createHash('sha256')
  for (const block of blocksOf(path)) {
    seen.update(block)
    yield block
  }
  if (seen.digest('hex') !== digest)
    throw new RelError('upgrade_checksum_mismatch', `${basename(path)} is not what was recorded`)
}

/**
 * Puts the bytes of a file in the place of the program, or beside it as the way back. What is
 * renamed is what was hashed: nobody can change it between the two.
 */
function put({fs, name}: Program, from: string, digest: string, suffix = ''): void {
  const there = lstatSync(join(fs.root, name), {throwIfNoEntry: false})
  // the way back is of whom rel runs as: a version on trial must not be able to spoil it
  const owner = suffix === '' ? ownerOf(there) : undefined
  replaceFile(fs, `${name}${suffix}`, exactly(from, digest), MODE, owner)
}

function ownerOf(stat: Stats | undefined): Owner | undefined {
  if (stat === undefined || (stat.uid === process.getuid?.() && stat.gid === process.getgid?.()))
    return undefined
  return {uid: stat.uid, gid: stat.gid}
}

/** Makes a kept version the program, durable once this returns, with no way back. */
export function putProgram(device: Device, version: string, digest: string): void {
  put(programOf(device), keptProgram(device.root, version), digest)
}

/** Makes durable what somebody else has put there. */
export function settleProgram(device: Device): void {
  const {fs, name} = programOf(device)
  fs.run({op: 'sync', path: name})
  fs.run({op: 'sync_dir', path: ''})
}

/** Keeps the program that is there as the way back, durable once this returns. */
export function backUp(device: Device, digest: string): void {
  const program = programOf(device)
  put(program, join(program.fs.root, program.name), digest, BACKUP)
}

/** Makes the way back the program. Refuses with upgrade_checksum_mismatch. */
export function putBackup(device: Device, digest: string): void {
  const program = programOf(device)
  put(program, join(program.fs.root, `${program.name}${BACKUP}`), digest)
}

/** True when the way back is there and has these bytes. */
export function isBackup(device: Device, digest: string): boolean {
  const {fs, name} = programOf(device)
  try {
    return digestOf(join(fs.root, `${name}${BACKUP}`)) === digest
  } catch (error) {
    if (error instanceof RelError || (error as {code?: string}).code === 'ENOENT') return false
    if ((error as {code?: string}).code === 'ELOOP') return false
    throw fileError(error, `${name}${BACKUP}`, 'read')
  }
}

/** More than 1,000 artifacts of a release need. */
const MAX_RELEASE = 1024 * 1024

/** True when a folder in versions/ says of itself that it is a release of that version. */
export function isKept(root: string, version: string): boolean {
  try {
    const bytes = readFileLimited(join(root, versionPath(version), kept.release), MAX_RELEASE)
    const json = parseStrictJson(bytes, {bytes: MAX_RELEASE, depth: 6}) as {
      readonly manifest?: {readonly version?: JsonValue}
    } | null
    return json?.manifest?.version === version
  } catch (error) {
    if (error instanceof RelError) return false
    throw error
  }
}
