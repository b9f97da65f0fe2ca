import {spawn, spawnSync} from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as after} from 'node:timers/promises'
import {type Arm64, arm64Packages, busyboxInitrd, guestEntries} from '../arm64.ts'
import {temporaryFolder} from '../tmp.ts'
import {put} from './watchdog-guest.ts'

// A guest whose disk holds a node, and whose power can be cut. The updater is the executable as it
// is shipped; it is on a second disk, which is only read, so that the first one stays small.

/** What the executable is linked with. */
const libraries = ['libc6', 'libgcc-s1', 'libstdc++6', 'libatomic1']

const drivers = [
  'virtio_pci_modern_dev',
  'virtio_pci_legacy_dev',
  'virtio_pci',
  'virtio_blk',
  'failover',
  'net_failover',
  'virtio_net',
  'crc16',
  'mbcache',
  'jbd2',
  'crc32c_generic',
  'ext4',
  'libcrc32c',
  'xfs',
]

const init = `#!/bin/busybox sh
for name in ${drivers.join(' ')}; do /bin/busybox insmod /lib/$name.ko; done
/bin/busybox mount -t devtmpfs dev /dev
until [ -b /dev/vda ] && [ -b /dev/vdb ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 -o ro /dev/vdb /root
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /bin/start
`

/** Where the disk of the node is mounted in the guest. */
const NODE = '/data/node'

/** Words that the kernel does not know become the environment of its first program. */
const start = `#!/bin/sh
exec >/dev/console 2>&1
export PATH=/bin HOME=/tmp
mount -t proc proc /proc
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
date -s @$NOW >/dev/null
mount -t $FSTYPE -o $OPTIONS /dev/vda /data
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
restart
health
echo "MARK up $(cat /run/version) in $(cut -d ' ' -f 1 /proc/uptime)"
rel device run ${NODE}
echo "MARK ended $?"
poweroff -f
`

/** The program of a bundle is one line of shell, \`app VERSION\`: this is the command in it. */
const app = `#!/bin/sh
echo $1 >/run/version.new
mv /run/version.new /run/version
exec sleep 1000000
`

const restart = `#!/bin/sh
[ ! -f /run/pid ] || kill $(cat /run/pid)
rm -f /run/version
sh ${NODE}/current/bin/app &
echo $! >/run/pid
`

/** Waits for the program, which a busy machine starts slowly. */
const health = `#!/bin/sh
for _ in 1 2 3 4 5 6 7 8 9 10; do
  [ ! -f /run/version ] || break
  sleep 0.3
done
[ "$(cat /run/version)" = "$REL_VERSION" ]
`

const applets = 'sh cat cut date ip kill mount mv poweroff rm sleep'.split(' ')

/** What device.json says of the program in the guest. */
export const guestProgram = {
  health: {command: ['/bin/health']},
  restart: ['/bin/restart'],
}

export type GuestFiles = {readonly kernel: string; readonly initrd: string; readonly tools: string}

/** Makes what every boot reads; why not when the packages cannot be had. */
export function makeGuestFiles(arm64: Arm64, executable: string): GuestFiles | string {
  const folders = arm64Packages(...libraries)
  if (typeof folders === 'string') return folders
  const folder = temporaryFolder()
  const root = join(folder, 'root')
  mkdirSync(root)
  for (const from of folders) cpSync(from, root, {recursive: true, verbatimSymlinks: true})
  for (const path of ['usr/share', 'usr/lib/aarch64-linux-gnu/gconv'])
    rmSync(join(root, path), {recursive: true, force: true})
  for (const path of ['bin', 'data', 'dev', 'proc', 'run', 'tmp'])
    mkdirSync(join(root, path), {recursive: true})
  cpSync(arm64.busybox, join(root, 'bin/busybox'))
  for (const name of applets) symlinkSync('busybox', join(root, 'bin', name))
  for (const [name, text] of Object.entries({start, app, restart, health}))
    put(root, `bin/${name}`, text, 0o755)
  cpSync(executable, join(root, 'bin/rel'))
  const [tools, initrd] = [join(folder, 'tools'), join(folder, 'initrd')]
  makeDisk(tools, 'ext4', '256M', root)
  const extras = guestEntries(arm64, ['dev', 'root', 'lib'], drivers)
  writeFileSync(initrd, busyboxInitrd(arm64, init, extras))
  rmSync(root, {recursive: true})
  return {kernel: arm64.kernel, initrd, tools}
}

/** File systems that the node of the guest is on. */
export type DiskKind = 'ext4' | 'xfs'

/** Makes a file system with what is in a folder. */
export function makeDisk(path: string, kind: DiskKind, size: string, from: string): void {
  if (kind === 'xfs') {
    makeXfs(path, size, from)
    return
  }
  const options = ['-q', '-t', 'ext4', '-b', '4096', '-m', '0', '-J', 'size=4']
  tool('mke2fs', [...options, '-E', 'root_owner=0:0,lazy_itable_init=0', '-d', from, path, size])
}

/** What fstests set: without it mkfs.xfs makes nothing below 300 MB. */
const small = {TEST_DIR: '/', TEST_DEV: '/', QA_CHECK_FS: '1'}

function makeXfs(path: string, size: string, from: string): void {
  writeFileSync(path, '')
  tool('truncate', ['-s', size, path])
  tool('mkfs.xfs', ['-q', '-d', 'agcount=1', path], {env: small})
  whileMounted(path, 'cp -a "$3/." "$2"', from)
}

/**
 * Mounted by this machine, since there is no other reader of xfs; where nobody else sees it, for a
 * namespace that is copied meanwhile would hold it, and its journal would not be ended.
 */
function whileMounted(image: string, command: string, other: string): void {
  const folder = temporaryFolder()
  const script = `mount -t xfs -o loop,nouuid "$1" "$2" && ${command} && umount "$2"`
  tool('unshare', ['--mount', 'sh', '-c', script, 'sh', image, folder, other])
}

/** Why no xfs can be looked into on this machine; undefined where it can. */
export function whyNoXfs(): string | undefined {
  const folder = temporaryFolder()
  try {
    makeXfs(join(folder, 'disk'), '32M', temporaryFolder())
    return undefined
  } catch (error) {
    return String(error)
  } finally {
    rmSync(folder, {recursive: true})
  }
}

/**
 * Copies the node out of a disk, as its next mount would find it. Throws when the file system has
 * more wrong with it than its journal mends.
 */
export function readNode(disk: Buffer, kind: DiskKind): string {
  const folder = temporaryFolder()
  const image = join(folder, 'disk')
  writeFileSync(image, disk)
  if (kind === 'xfs') {
    whileMounted(image, 'cp -a "$2/node" "$3"', folder)
    // one group has no second superblock to compare with, which xfs_repair wants to be told
    tool('xfs_repair', ['-f', '-n', '-o', 'force_geometry', image])
  } else {
    // 1: it has mended something, as after every power cut
    tool('e2fsck', ['-fp', image], {most: 1})
    tool('debugfs', ['-R', `rdump /node ${folder}`, image])
  }
  rmSync(image)
  return join(folder, 'node')
}

function tool(
  program: string,
  args: readonly string[],
  {most = 0, env = {}}: {readonly most?: number; readonly env?: Record<string, string>} = {},
): void {
  const {status, stdout, stderr, error} = spawnSync(program, args, {
    encoding: 'utf8',
    env: {...process.env, ...env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`},
  })
  if (status === null || status > most)
    throw new Error(`${program}: ${error?.message ?? `${status} ${stdout}${stderr}`}`)
}

export type PoweredGuest = {
  /** What it has said so far. */
  console(): string
  /** How many bytes of its writes are in the log. */
  written(): number
  /** Waits until it holds; throws after the patience of the guest, or when it ends. */
  until(what: string, holds: () => boolean): Promise<void>
  /** Kills the emulator, and waits until it is gone. */
  kill(): Promise<void>
}

export type PowerOn = GuestFiles & {
  readonly disk: string
  /** Becomes the log of all writes to the disk. */
  readonly log: string
  readonly kind: DiskKind
  /** Of the mount. */
  readonly options: string
  readonly patienceSecs: number
  readonly onText?: (text: string) => void
}

/**
 * Starts the guest. Killing QEMU alone loses nothing that the guest has written, since it is in the
 * page cache of this machine by then: what a power cut loses is decided by the log of its writes.
 */
export function powerOn(on: PowerOn): PoweredGuest {
  writeFileSync(on.log, '')
  const drive = [
    'driver=blklogwrites,node-name=node',
    `file.driver=file,file.filename=${on.disk},file.cache.no-flush=on`,
    `log.driver=file,log.filename=${on.log},log.cache.no-flush=on`,
  ].join(',')
  const words = `console=ttyAMA0 quiet panic=-1 NOW=${Math.floor(Date.now() / 1000)} FSTYPE=${on.kind} OPTIONS=${on.options}`
  const args = [
    ['-machine', 'virt', '-cpu', 'cortex-a57', '-smp', '2', '-m', '768'],
    ['-nographic', '-no-reboot', '-kernel', on.kernel, '-initrd', on.initrd, '-append', words],
    ['-blockdev', drive, '-device', 'virtio-blk-pci,drive=node,addr=4'],
    ['-drive', `file=${on.tools},if=none,id=tools,format=raw,readonly=on`],
    ['-device', 'virtio-blk-pci,drive=tools,addr=5'],
    ['-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net,romfile='],
  ].flat()
  const child = spawn('qemu-system-aarch64', args, {stdio: ['ignore', 'pipe', 'pipe']})
  const gone = new Promise<void>((done) => child.once('close', () => done()))
  const seen = process.env.REL_GUEST_CONSOLE
  let console = ''
  let isGone = false
  void gone.then(() => {
    isGone = true
  })
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece: Buffer) => {
      console += piece.toString('latin1').replaceAll('\r', '')
      if (seen !== undefined) appendFileSync(seen, piece)
      on.onText?.(console)
    })
  const end = performance.now() + on.patienceSecs * 1000
  const failed = (what: string) => new Error(`${what}:\n${console.slice(-4000)}`)
  const guest: PoweredGuest = {
    console: () => console,
    written: () => statSync(on.log).size,
    until: async (what, holds) => {
      while (!holds()) {
        if (isGone) throw failed(`the guest ended before ${what}`)
        if (performance.now() > end) {
          await guest.kill()
          throw failed(`no ${what} within ${on.patienceSecs} s`)
        }
        await after(5)
      }
    },
    kill: async () => {
      child.kill('SIGKILL')
      await gone
    },
  }
  return guest
}
