export type ProgramArch = 'amd64' | 'arm64'

/** e_machine of the System V ABI. */
const machines: Readonly<Record<ProgramArch, number>> = {amd64: 62, arm64: 183}
const HEADERS = 64 + 56
const LOAD_ADDRESS = 0x400000

/**
 * A real static ELF program of a few hundred bytes: it prints a text and ends with 0. A stand-in
 * for a vendored program that gates can inspect and run.
 */
export function printingProgram(arch: ProgramArch, text: string): Buffer {
  const message = Buffer.from(text)
  const code = arch === 'amd64' ? amd64Code(message.length) : arm64Code(message.length)
  const size = HEADERS + code.length + message.length
  return Buffer.concat([fileHeader(machines[arch]), loadSegment(size), code, message])
}

function fileHeader(machine: number): Buffer {
  const header = Buffer.alloc(64)
  header.write('\x7fELF\x02\x01\x01', 0, 'latin1') // 64 bits, little endian, version 1
  header.writeUInt16LE(2, 16) // ET_EXEC
  header.writeUInt16LE(machine, 18)
  header.writeUInt32LE(1, 20)
  header.writeBigUInt64LE(BigInt(LOAD_ADDRESS + HEADERS), 24) // e_entry
  header.writeBigUInt64LE(64n, 32) // e_phoff
  header.writeUInt16LE(64, 52) // e_ehsize
  header.writeUInt16LE(56, 54) // e_phentsize
  header.writeUInt16LE(1, 56) // e_phnum
  return header
}

/** The whole file, readable and executable. */
function loadSegment(size: number): Buffer {
  const header = Buffer.alloc(56)
  header.writeUInt32LE(1, 0) // PT_LOAD
  header.writeUInt32LE(5, 4) // PF_R + PF_X
  header.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 16)
  header.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 24)
  header.writeBigUInt64LE(BigInt(size), 32)
  header.writeBigUInt64LE(BigInt(size), 40)
  header.writeBigUInt64LE(0x10000n, 48)
  return header
}

/** write(1, message behind the code, length); exit(0). */
function amd64Code(length: number): Buffer {
  const code = Buffer.from(
    'b801000000' + // mov eax, 1
      'bf01000000' + // mov edi, 1
      '488d3510000000' + // lea rsi, [rip + 16]
      'ba00000000' + // mov edx, length
      '0f05' + // syscall
      'b83c000000' + // mov eax, 60
      '31ff' + // xor edi, edi
      '0f05', // syscall
    'hex',
  )
  code.writeUInt32LE(length, 18)
  return code
}

function arm64Code(length: number): Buffer {
  if (length > 0xffff) throw new Error('the message is too long for one movz')
  const words = [
    0xd2800020, // movz x0, #1
    0x100000e1, // adr x1, 28 bytes ahead
    0xd2800002 | (length << 5), // movz x2, #length
    0xd2800808, // movz x8, #64
    0xd4000001, // svc #0
    0xd2800000, // movz x0, #0
    0xd2800ba8, // movz x8, #93
    0xd4000001, // svc #0
  ]
  const code = Buffer.alloc(4 * words.length)
  for (const [index, word] of words.entries()) code.writeUInt32LE(word >>> 0, 4 * index)
  return code
}
