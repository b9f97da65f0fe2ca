import {RelError} from '../system/error.ts'

/** What a kernel file says of itself (Documentation/arch/arm64/booting.rst). */
export type KernelImage = {
  /** Of its "Linux version" text; undefined when that is compressed. */
  readonly release: string | undefined
}

const PE_OFFSET = 0x3c
const ARM64_MAGIC = 56

/**
 * Reads an uncompressed kernel for aarch64, so that a wrong or cut file is told as such and not as
 * a guest that says nothing. Refuses with boot_kernel_invalid, boot_kernel_truncated.
 */
export function readKernelImage(bytes: Buffer): KernelImage {
  if (ascii(bytes, 0x202, 4) === 'HdrS') throw invalid('a kernel for x86')
  if (ascii(bytes, 0, 4) === '\x7fELF') throw invalid('an ELF file')
  if (ascii(bytes, ARM64_MAGIC, 4) === 'RSC\x05') throw invalid('a kernel for riscv')
  const isCompressed = ascii(bytes, 0, 2) === 'MZ' && ascii(bytes, 4, 4) === 'zimg'
  if (!isCompressed && ascii(bytes, ARM64_MAGIC, 4) !== 'ARM\x64') throw invalid('no arm64 image')
  if (ascii(bytes, 0, 2) === 'MZ') checkSections(bytes)
  return {release: releaseIn(bytes)}
}

/** The EFI stub names the place of every section in the file (PE/COFF). */
function checkSections(bytes: Buffer): void {
  const pe = number(bytes, PE_OFFSET, 4)
  if (ascii(bytes, pe, 4) !== 'PE\0\0') throw truncated(bytes)
  const count = number(bytes, pe + 6, 2)
  const table = pe + 24 + number(bytes, pe + 20, 2)
  for (let index = 0; index < count; index++) {
    const section = table + index * 40
    const end = number(bytes, section + 20, 4) + number(bytes, section + 16, 4)
    if (end > bytes.length) throw truncated(bytes)
  }
}

function releaseIn(bytes: Buffer): string | undefined {
  const marker = 'Linux version '
  for (let at = bytes.indexOf(marker); at !== -1; at = bytes.indexOf(marker, at + 1)) {
    const [, release] = /^(\d[\w.+~-]{0,127}) \(/.exec(ascii(bytes, at + marker.length, 200)) ?? []
    if (release !== undefined) return release
  }
  return undefined
}

function number(bytes: Buffer, offset: number, width: 2 | 4): number {
  if (offset + width > bytes.length) throw truncated(bytes)
  return bytes.readUIntLE(offset, width)
}

function ascii(bytes: Buffer, offset: number, length: number): string {
  return bytes.toString('latin1', offset, offset + length)
}

function invalid(seen: string): RelError {
  return new RelError('boot_kernel_invalid', `the kernel is ${seen}, want an aarch64 image`)
}

function truncated(bytes: Buffer): RelError {
  return new RelError(
    'boot_kernel_truncated',
    `the kernel ends after ${bytes.length} bytes, before what its header announces`,
  )
}
