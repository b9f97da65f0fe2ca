import {copyFileSync, mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {busyboxInitrd, type KeptArm64, keptArm64} from '../../test/support/arm64.ts'
import {isOnPath} from '../../test/support/needs.ts'
import {
  announce,
  type Begun,
  begin,
  fail,
  folder,
  heading,
  say,
  show,
  showRefused,
  skip,
} from './stage.ts'

const EMULATOR = 'qemu-system-aarch64'
const TITLE = '8. A real arm64 kernel boots before anybody ships it'

/**
 * Starts a kernel of Debian in QEMU, then one whose system dies while QEMU itself ends well: an
 * emulated machine is slow, so it runs while other things are shown. What is returned shows both.
 */
export function beginBoot(): () => Promise<void> {
  const arm64 = keptArm64()
  if (!isOnPath(EMULATOR)) return skipped(`${EMULATOR} not found; Debian has it in qemu-system-arm`)
  if (typeof arm64 === 'string')
    return skipped(`${arm64}; npm test downloads one, signed by Debian`)
  const place = {cwd: 'boot'}
  const path = join(folder, 'boot')
  mkdirSync(path)
  copyFileSync(arm64.kernel, join(path, 'vmlinuz'))
  writeFileSync(join(path, 'initrd'), busyboxInitrd(arm64, '#!/bin/sh\n'))
  const content = Buffer.from('#!/bin/busybox sh\nexit 1\n')
  const shell = {type: 'file', path: 'bin/sh', mode: 0o755, content} as const
  writeFileSync(join(path, 'dead-initrd'), busyboxInitrd(arm64, '#!/bin/sh\n', [shell]))
  const words = 'smoke boot --kernel vmlinuz --initrd'
  const good = begin(`${words} initrd`, place)
  const bad = begin(`${words} dead-initrd --log dead-evidence`, place)
  return () => showBoot(arm64, good, bad)
}

function skipped(reason: string): () => Promise<void> {
  return async () => {
    say(heading(TITLE))
    skip('booting a kernel', reason)
  }
}

async function showBoot({release}: KeptArm64, good: Begun, bad: Begun): Promise<void> {
  say(heading(TITLE))
  say(`  vmlinuz is Debian's own ${release}; the initrd has busybox and nothing else.`)
  const said = await show(good, 0)
  if (!said.includes(release)) fail(`the kernel to say that it is ${release}`)
  announce('The system inside dies; the kernel panics, and QEMU still ends with 0')
  await showRefused(bad, 'boot_panic')
}
