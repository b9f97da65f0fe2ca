import {spawn, spawnSync} from 'node:child_process'
import {
  chmodSync,
  cpSync,
  globSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {dirname, join} from 'node:path'
import {type Arm64, arm64Packages, busyboxInitrd, guestEntries} from '../arm64.ts'

// A guest with Debian's systemd and a disk of its own. It has no Node.js: what it proves of the guard
// holds when the runtime of the node is broken. Nothing of it runs on this machine.

/** systemd, a shell, coreutils, and the libraries they are linked with. */
const packages = [
  'systemd',
  'libsystemd-shared',
  'libsystemd0',
  'dash',
  'coreutils',
  'mount',
  'libacl1',
  'libapparmor1',
  'libargon2-1',
  'libattr1',
  'libaudit1',
  'libblkid1',
  'libc6',
  'libcap-ng0',
  'libcap2',
  'libcrypt1',
  'libcryptsetup12',
  'libdevmapper1.02.1',
  'libfdisk1',
  'libffi8',
  'libgcc-s1',
  'libgcrypt20',
  'libgmp10',
  'libgpg-error0',
  'libip4tc2',
  'libjson-c5',
  'libkmod2',
  'liblz4-1',
  'liblzma5',
  'libmount1',
  'libp11-kit0',
  'libpam0g',
  'libpcre2-8-0',
  'libseccomp2',
  'libselinux1',
  'libsmartcols1',
  'libssl3',
  'libudev1',
  'libuuid1',
  'libzstd1',
  'zlib1g',
]

const drivers = [
  'virtio_pci_modern_dev',
  'virtio_pci_legacy_dev',
  'virtio_pci',
  'virtio_blk',
  'crc16',
  'mbcache',
  'jbd2',
  'crc32c_generic',
  'ext4',
]

const init = `#!/bin/busybox sh
for name in ${drivers.join(' ')}; do /bin/busybox insmod /lib/$name.ko; done
/bin/busybox mount -t devtmpfs dev /dev
until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /disk
/bin/busybox mount -t proc proc /disk/proc
/bin/busybox mount -t sysfs sys /disk/sys
/bin/busybox mount --move /dev /disk/dev
exec /bin/busybox switch_root /disk /lib/systemd/systemd
`

const accounts = {
  passwd: 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
  group: 'root:x:0:\nnogroup:x:65534:\n',
  'machine-id': '0123456789abcdef0123456789abcdef\n',
  'os-release': 'ID=debian\n',
  hostname: 'node\n',
  fstab: '',
}

/** Makes the root of the guest in a folder; why not when its packages cannot be had. */
export function makeGuestRoot(root: string): string | undefined {
  const folders = arm64Packages(...packages)
  if (typeof folders === 'string') return folders
  mkdirSync(root)
  for (const folder of folders) cpSync(folder, root, {recursive: true, verbatimSymlinks: true})
  for (const path of ['usr/share', 'usr/lib/aarch64-linux-gnu/gconv'])
    rmSync(join(root, path), {recursive: true, force: true})
  // what a boot would start besides: without it systemd is up after a second instead of twenty
  for (const path of globSync(`${root}/lib/systemd/system/*.{wants,requires}`))
    rmSync(path, {recursive: true})
  rmSync(join(root, 'lib/systemd/system-generators'), {recursive: true})
  for (const path of ['proc', 'sys', 'dev', 'run', 'tmp', 'var/log', 'opt'])
    mkdirSync(join(root, path), {recursive: true})
  for (const [name, text] of Object.entries(accounts)) put(root, `etc/${name}`, text)
  return undefined
}

/** Writes a file into the root of the guest. */
export function put(root: string, path: string, text: string, mode = 0o644): void {
  const absolute = join(root, path)
  mkdirSync(dirname(absolute), {recursive: true})
  if (lstatSync(absolute, {throwIfNoEntry: false}) !== undefined) rmSync(absolute)
  writeFileSync(absolute, text)
  chmodSync(absolute, mode)
}

/** An initrd that mounts the disk and hands over to systemd. */
export function writeInitrd(arm64: Arm64, path: string): void {
  const extras = guestEntries(arm64, ['dev', 'disk', 'lib'], drivers)
  writeFileSync(path, busyboxInitrd(arm64, init, extras))
}

/** Makes the disk of the guest of its root. */
export function writeDisk(root: string, path: string): void {
  tool('mke2fs', ['-q', '-t', 'ext4', '-m', '0', '-E', 'root_owner=0:0', '-d', root, path, '192M'])
}

/** Copies a folder of the disk out, once the guest has ended; below `to` it keeps its own name. */
export function readDisk(disk: string, folder: string, to: string): void {
  // what the journal of the file system still holds
  spawnSync('e2fsck', ['-p', disk])
  mkdirSync(to, {recursive: true})
  tool('debugfs', ['-R', `rdump ${folder} ${to}`, disk])
}

function tool(program: string, args: readonly string[]): void {
  const {status, stderr, error} = spawnSync(program, args, {
    encoding: 'utf8',
    env: {...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`},
  })
  if (status !== 0) throw new Error(`${program}: ${error?.message ?? stderr}`)
}

export type Boot = {
  readonly kernel: string
  readonly initrd: string
  readonly disk: string
  readonly patienceSecs: number
  /** Whether it may start again; else that is a failure. */
  readonly reboots: boolean
}

/** Boots the guest until it powers itself off: seconds of wall time, and of CPU of this machine. */
export async function bootGuest(boot: Boot): Promise<{secs: number; cpuSecs: number}> {
  const append = 'console=ttyAMA0 panic=-1 quiet audit=0 apparmor=0 systemd.unit=matrix.target'
  const args = [
    ['-machine', 'virt', '-cpu', 'cortex-a57', '-m', '512'],
    ['-nographic', '-kernel', boot.kernel, '-initrd', boot.initrd, '-append', append],
    ['-drive', `file=${boot.disk},if=none,id=disk,format=raw,cache=unsafe`],
    ['-device', 'virtio-blk-pci,drive=disk', '-nic', 'none'],
    boot.reboots ? [] : ['-no-reboot'],
  ].flat()
  const begun = performance.now()
  const child = spawn('qemu-system-aarch64', args, {stdio: ['ignore', 'pipe', 'pipe']})
  let [console, cpuSecs] = ['', 0]
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece) => {
      console += piece
      cpuSecs = cpuSecsOf(child.pid) ?? cpuSecs
    })
  const timer = setTimeout(() => child.kill('SIGKILL'), boot.patienceSecs * 1000)
  await new Promise((done) => child.once('exit', done))
  clearTimeout(timer)
  // after a panic it would have ended as well
  if (!console.includes('reboot: Power down'))
    throw new Error(`the guest did not power itself off:\n${console.slice(-4000)}`)
  return {secs: (performance.now() - begun) / 1000, cpuSecs}
}

/** Its last line comes as it powers off: what it has used until then is nearly all. */
function cpuSecsOf(pid = 0): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /, '')
      .split(' ')
    const TICKS = 100
    return (Number(fields[11]) + Number(fields[12])) / TICKS
  } catch {
    return undefined
  }
}

/** Text of a file that was copied out; '' when it is not there. */
export function textAt(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
