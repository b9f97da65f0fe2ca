import {test} from 'uvu'
import * as assert from 'uvu/assert'
import {readKernelImage} from '../../../src/gates/kernel-image.ts'
import {throwsCode} from '../../support/rejects.ts'

const banner = 'Linux version 6.1.0-56-arm64 (debian-kernel@lists.debian.org) #1 SMP'

/** An arm64 image with EFI stub: header, one section with the banner; synthetic, 8 KiB. */
function image(): Buffer {
  const bytes = Buffer.alloc(8192)
  bytes.write('MZ', 0)
  bytes.write('ARM\x64', 56, 'latin1')
  bytes.writeUInt32LE(64, 0x3c)
  bytes.write('PE\0\0', 64, 'latin1')
  bytes.writeUInt16LE(1, 64 + 6)
  bytes.writeUInt16LE(160, 64 + 20)
  const section = 64 + 24 + 160
  bytes.writeUInt32LE(4096, section + 16)
  bytes.writeUInt32LE(4096, section + 20)
  bytes.write(`Linux version %s\0${banner}`, 5000, 'latin1')
  return bytes
}

test('the release is that of its own text, not of the format of the message', () => {
  assert.is(readKernelImage(image()).release, '6.1.0-56-arm64')
})

test('a compressed image tells no release', () => {
  const bytes = image().subarray(0, 8192)
  bytes.fill(0, 5000)
  bytes.write('zimg', 4)
  bytes.fill(0, 56, 60)
  assert.is(readKernelImage(bytes).release, undefined)
})

test('every cut behind the magic is told as truncated', () => {
  for (const size of [60, 64, 70, 88, 260, 4096, 8191]) {
    throwsCode(() => readKernelImage(image().subarray(0, size)), 'boot_kernel_truncated')
  }
})

const wrong: readonly [string, (bytes: Buffer) => void][] = [
  ['an x86 kernel', (bytes) => bytes.write('HdrS', 0x202)],
  ['an ELF file', (bytes) => bytes.write('\x7fELF', 0, 'latin1')],
  ['a riscv kernel', (bytes) => bytes.write('RSC\x05', 56, 'latin1')],
  ['text', (bytes) => bytes.fill('x')],
]
for (const [name, change] of wrong) {
  test(`${name} is refused`, () => {
    const bytes = image()
    change(bytes)
    throwsCode(() => readKernelImage(bytes), 'boot_kernel_invalid')
  })
}

test('nothing is refused', () => {
  throwsCode(() => readKernelImage(Buffer.alloc(0)), 'boot_kernel_invalid')
})

test('hostile header values end in a refusal', () => {
  for (const [offset, width] of [
    [0x3c, 4],
    [70, 2],
    [84, 2],
    [264, 4],
    [268, 4],
  ] as const) {
    const bytes = image()
    bytes.fill(0xff, offset, offset + width)
    throwsCode(() => readKernelImage(bytes), 'boot_kernel_truncated')
  }
})

test.run()
