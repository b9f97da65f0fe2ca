import {closeSync, constants, fstatSync, openSync, readSync} from 'node:fs'
import {RelError} from '../system/error.ts'
import {fileError} from '../system/files.ts'
import {type ByteSource, type Elf, type ElfMachine, readElf} from './elf.ts'
import {type GateResult, passed, type Refusal, refused} from './gate.ts'

/** What a vendored program must be. */
export type ElfSpec = {
  readonly gate: string
  /** A path, or the bytes themselves. */
  readonly file: string | Uint8Array
  readonly machine: ElfMachine
  /** No loader and no shared library. */
  readonly isStatic: boolean
}

/**
 * The check that people make with `file`: an ELF program for this machine, static when asked for
 * (docs/formats/gates.md). Refuses with elf_*; throws file_missing, file_unreadable.
 */
export function elfCheck({gate, file, machine, isStatic}: ElfSpec): GateResult {
  try {
    const elf = typeof file === 'string' ? readElfFile(file) : readElf(bytesSource(file))
    const refusal = judgeElf(elf, machine, isStatic)
    return refusal === undefined ? passed(gate, describeElf(elf)) : refused(gate, refusal)
  } catch (error) {
    if (!(error instanceof RelError) || !error.code.startsWith('elf_')) throw error
    return refused(gate, {code: error.code, summary: error.message})
  }
}

/** readElf of a file, of which only the headers are read. */
export function readElfFile(path: string): Elf {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw fileError(error, path, 'read')
  }
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile()) throw new RelError('file_unreadable', `${path} is not a file`)
    return readElf({size: stat.size, read: (offset, length) => readAt(fd, offset, length, path)})
  } finally {
    closeSync(fd)
  }
}

function readAt(fd: number, offset: number, length: number, path: string): Uint8Array {
  const bytes = Buffer.alloc(length)
  if (readSync(fd, bytes, 0, length, offset) === length) return bytes
  throw new RelError('file_unreadable', `${path} became shorter while it was read`)
}

function bytesSource(bytes: Uint8Array): ByteSource {
  return {size: bytes.length, read: (offset, length) => bytes.slice(offset, offset + length)}
}

function judgeElf(elf: Elf, machine: ElfMachine, isStatic: boolean): Refusal | undefined {
  if (elf.machine !== machine)
    return {code: 'elf_machine', summary: `the program is for ${elf.machine}, want ${machine}`}
  if (elf.type !== 'program')
    return {
      code: 'elf_type',
      summary: `the ELF file is ${elf.type === 'library' ? 'a library' : 'no program'}`,
    }
  const {interpreter, neededCount} = elf
  if (isStatic && (interpreter !== undefined || neededCount > 0))
    return {
      code: 'elf_dynamic',
      summary: `the program asks for ${interpreter ?? 'no loader'} and ${neededCount} libraries, want none`,
    }
  return undefined
}

function describeElf({machine, bits, interpreter, neededCount}: Elf): string {
  const isStatic = interpreter === undefined && neededCount === 0
  return `ELF ${bits}-bit program for ${machine}, ${isStatic ? 'static' : 'dynamic'}`
}
