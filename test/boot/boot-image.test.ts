import {createHash} from 'node:crypto'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {test} from 'uvu'
import * as assert from 'uvu/assert'
import type {BootSpec} from '../../src/gates/boot-plan.ts'
import {bootSmoke} from '../../src/gates/boot-smoke.ts'
import type {GateWorld} from '../../src/gates/gate.ts'
import {type Arm64, busyboxInitrd, debianArm64, guestEntries} from '../support/arm64.ts'
import {needs, needsThat} from '../support/needs.ts'
import {run} from '../support/rel.ts'
import {temporaryFolder} from '../support/tmp.ts'

// Guests that prove themselves from inside: over the network, and a disk image started by UEFI.

const folder = temporaryFolder()
const world: GateWorld = {
  path: process.env.PATH ?? '/usr/bin:/bin',
  evidence: join(folder, 'evidence'),
  scratch: folder,
}
const drivers = [
  'virtio_pci_modern_dev',
  'virtio_pci_legacy_dev',
  'virtio_pci',
  'failover',
  'net_failover',
  'virtio_net',
  'qemu_fw_cfg',
]
const start = `#!/bin/busybox sh
for name in ${drivers.join(' ')}; do /bin/busybox insmod /lib/$name.ko; done
`
const network = `until /bin/busybox ip link set eth0 up; do /bin/busybox sleep 1; done
/bin/busybox ip addr add 10.0.2.15/24 dev eth0
`
const beat = `{
${network}
while :; do
  printf 'POST /beat HTTP/1.1\\r\\nHost: panel\\r\\n\\r\\n' | /bin/busybox nc -w 3 10.0.2.100 80
  /bin/busybox sleep 1
done; } &
`
/** No real SSH server: busybox greets as one. */
const greet = 'while :; do echo SSH-2.0-busybox | /bin/busybox nc -l -p 22; done\n'
const chatter = 'while :; do echo hello | /bin/busybox nc -l -p 22; done\n'
const idle = 'while :; do /bin/busybox sleep 9; done\n'

function drivenInitrd(arm64: Arm64, name: string, script: string): string {
  const extras = guestEntries(arm64, ['dev', 'lib', 'proc', 'sys'], drivers)
  const path = join(folder, name)
  writeFileSync(path, busyboxInitrd(arm64, start + script, extras))
  return path
}

function kernelSpec(arm64: Arm64, initrd: string, rest: Partial<BootSpec>): BootSpec {
  return {
    gate: 'boot-smoke arm64',
    machine: 'virt',
    boot: {kind: 'kernel', kernel: arm64.kernel, initrd},
    heartbeat: false,
    ssh: false,
    timeoutSecs: 90,
    ...rest,
  }
}

/** A FAT file system with a boot loader, a kernel and an initrd: what a small board boots from. */
async function diskImage(arm64: Arm64, initrd: string): Promise<string> {
  const image = join(folder, 'disk.img')
  const entry = join(folder, 'node.conf')
  const loader = join(folder, 'loader.conf')
  writeFileSync(image, Buffer.alloc(96 << 20))
  writeFileSync(
    entry,
    'title node\nlinux /vmlinuz\ninitrd /initrd\noptions console=ttyAMA0 panic=-1\n',
  )
  writeFileSync(loader, 'timeout 0\ndefault node.conf\n')
  const commands: readonly (readonly [string, ...string[]])[] = [
    ['mformat', '-i', image, '-F', '::'],
    ['mmd', '-i', image, '::EFI', '::EFI/BOOT', '::loader', '::loader/entries'],
    ['mcopy', '-i', image, arm64.loader, '::EFI/BOOT/BOOTAA64.EFI'],
    ['mcopy', '-i', image, loader, '::loader/loader.conf'],
    ['mcopy', '-i', image, entry, '::loader/entries/node.conf'],
    ['mcopy', '-i', image, arm64.kernel, '::vmlinuz'],
    ['mcopy', '-i', image, initrd, '::initrd'],
  ]
  for (const [program, ...args] of commands) {
    const {code, stderr} = await run(program, args)
    assert.is(code, 0, stderr)
  }
  return image
}

function suite(arm64: Arm64): void {
  const online = drivenInitrd(arm64, 'online', beat + greet)
  const mute = drivenInitrd(arm64, 'mute', network + chatter)

  test('a guest that sends a heartbeat and answers SSH passes', async () => {
    const spec = kernelSpec(arm64, online, {heartbeat: true, ssh: true})
    const result = await bootSmoke(spec, world)
    assert.is(result.verdict, 'passed', result.summary)
    assert.match(result.summary, /sent a heartbeat, answers SSH/)
  })

  test('a guest without heartbeat: boot_heartbeat_missing', async () => {
    const result = await bootSmoke(
      kernelSpec(arm64, mute, {heartbeat: true, timeoutSecs: 20}),
      world,
    )
    assert.is(result.code, 'boot_heartbeat_missing', result.summary)
  })

  test('something else than SSH on port 22: boot_ssh_missing', async () => {
    const result = await bootSmoke(kernelSpec(arm64, mute, {ssh: true, timeoutSecs: 20}), world)
    assert.is(result.code, 'boot_ssh_missing', result.summary)
  })

  if (needs('mformat', 'mmd', 'mcopy')) {
    test('a disk image boots through UEFI, proves itself, and is not written to', async () => {
      const proof = `/bin/busybox mount -t sysfs sysfs /sys
read -r nonce </sys/firmware/qemu_fw_cfg/by_name/opt/rel.boot/nonce/raw
echo "REL-BOOT-PROBE nonce=$nonce release=$(/bin/busybox uname -r) machine=$(/bin/busybox uname -m) init=yes"
`
      const image = await diskImage(arm64, drivenInitrd(arm64, 'proof', proof + beat + idle))
      const before = digest(image)
      const spec = kernelSpec(arm64, '', {boot: {kind: 'disk', image}, release: arm64.release})
      const passing = await bootSmoke(spec, world)
      assert.is(passing.verdict, 'passed', passing.summary)
      assert.is(passing.release, arm64.release)
      const byHeartbeat = await bootSmoke({...spec, heartbeat: true}, world)
      assert.is(byHeartbeat.verdict, 'passed', byHeartbeat.summary)
      const wrong = await bootSmoke({...spec, release: '6.1.0-5-arm64', heartbeat: true}, world)
      assert.is(wrong.code, 'boot_wrong_kernel', wrong.summary)
      assert.is(digest(image), before)
    })
  }

  test('an empty disk: boot_hang', async () => {
    const image = join(folder, 'empty.img')
    writeFileSync(image, Buffer.alloc(1 << 20))
    const spec = kernelSpec(arm64, '', {boot: {kind: 'disk', image}, timeoutSecs: 8})
    assert.is((await bootSmoke(spec, world)).code, 'boot_hang')
  })

  test('a Raspberry Pi 3 boots from its device tree', async () => {
    const {kernel, dtb} = arm64
    const boot = {kind: 'kernel', kernel, initrd: online, dtb} as const
    const result = await bootSmoke({...kernelSpec(arm64, '', {}), machine: 'raspi3b', boot}, world)
    assert.is(result.verdict, 'passed', result.summary)
  })
}

function digest(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

if (needs('qemu-system-aarch64', 'apt-get', 'dpkg-deb', 'flock', 'gzip')) {
  const arm64 = debianArm64()
  if (typeof arm64 !== 'string') suite(arm64)
  else needsThat('a Debian kernel for arm64', false, arm64)
}

test.run()
