import {RelError} from '../system/error.ts'

/** Bytes of a file, read as they are needed: a vendored program may have hundreds of MB. */
export type ByteSource = {
  readonly size: number
  /** Exactly `length` bytes; only called within `size`. */
  read(offset: number, length: number): Uint8Array
}

/** Machines by the names of `uname -m`; e_machine, class and byte order of the ABI in use today. */
const machines = {
  x86_64: {number: 62, bits: 64, order: 'little'},
  i686: {number: 3, bits: 32, order: 'little'},
  aarch64: {number: 183, bits: 64, order: 'little'},
  arm: {number: 40, bits: 32, order: 'little'},
  riscv64: {number: 243, bits: 64, order: 'little'},
  ppc64le: {number: 21, bits: 64, order: 'little'},
  s390x: {number: 22, bits: 64, order: 'big'},
  loongarch64: {number: 258, bits: 64, order: 'little'},
} as const

export type ElfMachine = keyof typeof machines
export const elfMachines = Object.keys(machines) as ElfMachine[]

/** What the headers of an ELF file say (System V ABI, chapters 4 and 5). */
export type Elf = {
  /** 'e_machine 8' and the like for what is not in the list. */
  readonly machine: ElfMachine | `e_machine ${number}`
  readonly bits: 32 | 64
  /** A program is ET_EXEC, or ET_DYN with a loader or with the flag DF_1_PIE. */
  readonly type: 'program' | 'library' | 'other'
  /** PT_INTERP: the loader it asks for. */
  readonly interpreter: string | undefined
  /** How many shared libraries it names (DT_NEEDED). */
  readonly neededCount: number
}

/** Linkers write a dozen; the format itself allows 65,535. */
const MAX_SEGMENTS = 512
/** 64 KiB of dynamic entries name 4,096 libraries. */
const MAX_DYNAMIC_BYTES = 64 * 1024
/** PATH_MAX of Linux. */
const MAX_INTERPRETER_BYTES = 4096

const PT_DYNAMIC = 2
const PT_INTERP = 3
const DT_NULL = 0
const DT_NEEDED = 1
const DT_FLAGS_1 = 0x6ffffffb
const DF_1_PIE = 0x08000000

type Layout = {readonly bits: 32 | 64; readonly little: boolean}
type Segment = {readonly type: number; readonly offset: number; readonly size: number}

/**
 * Reads the headers that decide how a program is loaded: the file header, the program headers, the
 * loader's name, the dynamic section. Section headers are for debuggers and are not believed.
 * Refuses with elf_not, elf_truncated, elf_malformed.
 */
export function readElf(source: ByteSource): Elf {
  const layout = readIdentity(source)
  const {bits} = layout
  const header = reader(source, 0, bits === 64 ? 64 : 52, layout)
  const type = header.number(16, 2)
  const segments = readSegments(source, header, layout)
  const interpreter = readInterpreter(source, segments)
  const {neededCount, isPie} = readDynamic(source, segments, layout)
  const isProgram = type === 2 || (type === 3 && (interpreter !== undefined || isPie))
  return {
    machine: machineOf(header.number(18, 2), layout),
    bits,
    type: isProgram ? 'program' : type === 3 ? 'library' : 'other',
    interpreter,
    neededCount,
  }
}

function readIdentity(source: ByteSource): Layout {
  const start = source.read(0, Math.min(16, source.size))
  if (start[0] !== 0x7f || String.fromCharCode(...start.subarray(1, 4)) !== 'ELF')
    throw new RelError('elf_not', 'the file does not begin as an ELF file does')
  if (start.length < 16) throw truncated(source)
  const [bits, little, version] = [start[4], start[5], start[6]]
  if ((bits !== 1 && bits !== 2) || (little !== 1 && little !== 2) || version !== 1)
    throw malformed(`class ${bits}, byte order ${little}, version ${version}`)
  return {bits: bits === 2 ? 64 : 32, little: little === 1}
}

function machineOf(number: number, {bits, little}: Layout): Elf['machine'] {
  const found = elfMachines.find((name) => {
    const machine = machines[name]
    const sameOrder = (machine.order === 'little') === little
    return machine.number === number && machine.bits === bits && sameOrder
  })
  return found ?? `e_machine ${number}`
}

type Reader = {number(offset: number, width: 2 | 4 | 8): number}

function readSegments(source: ByteSource, header: Reader, layout: Layout): Segment[] {
  const wide = layout.bits === 64
  const offset = wide ? header.number(32, 8) : header.number(28, 4)
  const size = header.number(wide ? 54 : 42, 2)
  const count = header.number(wide ? 56 : 44, 2)
  if (count === 0) return []
  const want = wide ? 56 : 32
  if (size !== want) throw malformed(`program headers of ${size} bytes, want ${want}`)
  if (count > MAX_SEGMENTS)
    throw malformed(`${count} program headers, want at most ${MAX_SEGMENTS}`)
  const table = reader(source, offset, count * size, layout)
  return Array.from({length: count}, (_, index) => {
    const at = index * size
    const segment = {
      type: table.number(at, 4),
      offset: wide ? table.number(at + 8, 8) : table.number(at + 4, 4),
      size: wide ? table.number(at + 32, 8) : table.number(at + 16, 4),
    }
    if (segment.offset + segment.size > source.size) throw truncated(source)
    return segment
  })
}

function readInterpreter(source: ByteSource, segments: readonly Segment[]): string | undefined {
  const segment = onlyOne(segments, PT_INTERP, 'PT_INTERP')
  if (segment === undefined) return undefined
  const {offset, size} = segment
  if (size > MAX_INTERPRETER_BYTES) throw malformed(`a loader name of ${size} bytes`)
  const name = source.read(offset, size)
  if (size < 2 || name.indexOf(0) !== size - 1) throw malformed('a loader name without its end')
  return String.fromCharCode(...name.subarray(0, -1)).replace(/[^\x20-\x7e]/g, '?')
}

function readDynamic(
  source: ByteSource,
  segments: readonly Segment[],
  layout: Layout,
): {readonly neededCount: number; readonly isPie: boolean} {
  const segment = onlyOne(segments, PT_DYNAMIC, 'PT_DYNAMIC')
  if (segment === undefined) return {neededCount: 0, isPie: false}
  if (segment.size > MAX_DYNAMIC_BYTES)
    throw malformed(`a dynamic section of ${segment.size} bytes`)
  const table = reader(source, segment.offset, segment.size, layout)
  const width = layout.bits === 64 ? 8 : 4
  let neededCount = 0
  let isPie = false
  for (let at = 0; at + 2 * width <= segment.size; at += 2 * width) {
    const tag = table.number(at, width)
    if (tag === DT_NULL) break
    if (tag === DT_NEEDED) neededCount += 1
    if (tag === DT_FLAGS_1) isPie = (table.number(at + width, width) & DF_1_PIE) !== 0
  }
  return {neededCount, isPie}
}

/** The kernel takes the first of two, another loader the last: a file with two is refused. */
function onlyOne(segments: readonly Segment[], type: number, name: string): Segment | undefined {
  const found = segments.filter((segment) => segment.type === type)
  if (found.length > 1) throw malformed(`${found.length} segments ${name}`)
  return found[0]
}

/** Numbers of a part of the file, which is there as a whole. */
function reader(source: ByteSource, offset: number, length: number, {little}: Layout): Reader {
  if (offset + length > source.size) throw truncated(source)
  const bytes = source.read(offset, length)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return {
    number(at, width) {
      if (width === 2) return view.getUint16(at, little)
      if (width === 4) return view.getUint32(at, little)
      const value = view.getBigUint64(at, little)
      // more than 2^53 is behind the end of any file, which the caller checks
      return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value)
    },
  }
}

function truncated(source: ByteSource): RelError {
  return new RelError('elf_truncated', `its headers point behind its end, ${source.size} bytes`)
}

function malformed(seen: string): RelError {
  return new RelError('elf_malformed', `the ELF file has ${seen}`)
}
