import {copyFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {busyboxInitrd, type KeptArm64, keptArm64} from '../../test/support/arm64.ts'
import {isOnPath} from '../../test/support/needs.ts'
import {announce, fail, folder, heading, run, runRefused, say, skip} from './stage.ts'

const EMULATOR = 'qemu-system-aarch64'

/** A kernel of Debian boots in QEMU; then one whose system dies while QEMU itself ends well. */
export async function showBoot(): Promise<void> {
  say(heading('8. A real arm64 kernel boots before anybody ships it'))
  const arm64 = keptArm64()
  if (!isOnPath(EMULATOR)) {
    skip('booting a kernel', `${EMULATOR} not found; Debian has it in qemu-system-arm`)
  } else if (typeof arm64 === 'string') {
    skip('booting a kernel', `${arm64}; npm test downloads one, signed by Debian`)
  } else {
    await boot(arm64)
  }
}

async function boot(arm64: KeptArm64): Promise<void> {
  say(`  vmlinuz is Debian's own ${arm64.release}; the initrd has busybox and nothing else.`)
  copyFileSync(arm64.kernel, join(folder, 'vmlinuz'))
  writeFileSync(join(folder, 'initrd'), busyboxInitrd(arm64, '#!/bin/sh\n'))
  const said = await run('smoke boot --kernel vmlinuz --initrd initrd', 0)
  if (!said.includes(arm64.release)) fail(`the kernel to say that it is ${arm64.release}`)
  announce('The system inside dies; the kernel panics, and QEMU still ends with 0')
  const content = Buffer.from('#!/bin/busybox sh\nexit 1\n')
  const shell = {type: 'file', path: 'bin/sh', mode: 0o755, content} as const
  writeFileSync(join(folder, 'dead-initrd'), busyboxInitrd(arm64, '#!/bin/sh\n', [shell]))
  await runRefused('smoke boot --kernel vmlinuz --initrd dead-initrd', 'boot_panic')
}
