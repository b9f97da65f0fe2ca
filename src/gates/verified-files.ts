import {createHash} from 'node:crypto'
import {closeSync, constants, fstatSync, openSync, readdirSync, readSync} from 'node:fs'
import {join} from 'node:path'
import {fileError, statIfThere} from '../system/files.ts'
import {type GateResult, passed, type Refusal, refused} from './gate.ts'

/** Files that a build must have as they were verified. */
export type FilesSpec = {
  readonly gate: string
  readonly folder: string
  readonly files: readonly {
    /** Below the folder. */
    readonly path: string
    /** 64 lower-case hex digits. */
    readonly sha256: string
    readonly size: number
  }[]
}

const CHUNK_BYTES = 1 << 18

/**
 * That a build has each verified file byte for byte, and no other firmware beside them: the GPU
 * loads what it finds by name (docs/formats/gates.md). Refuses with build_file_missing, build_file_differs,
 * build_file_unexpected. Throws file_unreadable.
 */
export function verifiedFiles({gate, folder, files}: FilesSpec): GateResult {
  if (files.length === 0)
    return refused(gate, {code: 'build_file_missing', summary: 'no verified file belongs there'})
  const refusal = firstRefusal(folder, files) ?? unexpected(folder, files)
  if (refusal !== undefined) return refused(gate, refusal)
  const bytes = files.reduce((sum, {size}) => sum + size, 0)
  return passed(gate, `all ${files.length} files are the verified ones, ${bytes} bytes`)
}

function firstRefusal(folder: string, files: FilesSpec['files']): Refusal | undefined {
  for (const {path, sha256, size} of files) {
    const seen = digestOf(join(folder, path), size)
    if (seen === undefined)
      return {code: 'build_file_missing', summary: `${path} is not there as a plain file`}
    if (seen !== sha256)
      return {code: 'build_file_differs', summary: `${path} is not the verified file: ${seen}`}
  }
  return undefined
}

/** The digest, or how the size differs; undefined for what is no plain file. Links are not followed. */
function digestOf(path: string, size: number): string | undefined {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  } catch (error) {
    const {code = ''} = error as NodeJS.ErrnoException
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'].includes(code)) return undefined
    throw fileError(error, path, 'read')
  }
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile()) return undefined
    if (stat.size !== size) return `it has ${stat.size} bytes, verified are ${size}`
    const hasher = createHash('sha256')
    const chunk = Buffer.alloc(CHUNK_BYTES)
    for (let read = readSync(fd, chunk); read > 0; read = readSync(fd, chunk))
      hasher.update(chunk.subarray(0, read))
    return hasher.digest('hex')
  } finally {
    closeSync(fd)
  }
}

const firmware = /^(?:start|fixup)[0-9a-z_]*\.(?:elf|dat)$|\.dtbo$/i

function unexpected(folder: string, files: FilesSpec['files']): Refusal | undefined {
  const known = new Set(files.map(({path}) => path))
  const folders = new Set(files.map(({path}) => path.split('/').slice(0, -1).join('/')))
  for (const inside of folders) {
    if (statIfThere(join(folder, inside)) === undefined) continue
    const other = readdirSync(join(folder, inside))
      .map((name) => (inside === '' ? name : `${inside}/${name}`))
      .find((path) => firmware.test(path.split('/').at(-1) ?? '') && !known.has(path))
    if (other !== undefined)
      return {code: 'build_file_unexpected', summary: `${other} is none of the verified files`}
  }
  return undefined
}
