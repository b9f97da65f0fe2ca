import {type CpioEntry, cpioArchive} from './cpio.ts'

/** Where the probe stands in the initramfs; rdinit= names it. */
export const PROBE_INIT = '/rel-probe/init'

/** The name under which a disk image finds its nonce below /sys/firmware/qemu_fw_cfg/by_name. */
export const NONCE_FW_CFG = 'opt/rel.boot/nonce'

/** What the probe said of the kernel that ran it. */
export type ProbeReport = {
  /** `uname -r`. */
  readonly release: string
  /** `uname -m`. */
  readonly machine: string
  /** The initramfs has an executable /init of its own. */
  readonly hasInit: boolean
}

/**
 * Neither the script nor the file with the nonce holds a whole sentinel, so that a log that shows
 * them both proves nothing. /proc is asked first: an initramfs need not have uname.
 */
const script = `#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
exec </dev/console >/dev/console 2>&1
[ -r /proc/version ] || mount -t proc proc /proc 2>/dev/null || busybox mount -t proc proc /proc
read -r release </proc/sys/kernel/osrelease || release=$(uname -r)
read -r machine 2>/dev/null </proc/sys/kernel/arch || machine=$(uname -m)
read -r nonce </rel-probe/nonce
init=no
[ -x /init ] && init=yes
{ echo 1 >/proc/sys/kernel/printk; } 2>/dev/null
name=REL-BOOT
for round in 1 2 3; do
  echo
  echo "$name-PROBE nonce=$nonce release=$release machine=$machine init=$init"
done
[ -e /rel-probe/hand-over ] && exec /init
while :; do sleep 1; done
`

/** 32 lower-case hex digits; one per run. */
const NONCE = /^[0-9a-f]{32}$/

/**
 * The second archive of the initramfs: a console, the probe, the nonce. With `handOver` the probe
 * runs the initramfs's own /init after it has spoken.
 */
export function probeArchive(nonce: string, handOver: boolean): Buffer {
  if (!NONCE.test(nonce)) throw new TypeError('a nonce has 32 hex digits')
  const text = (content: string) => Buffer.from(content, 'utf8')
  const entries: CpioEntry[] = [
    {type: 'directory', path: 'dev', mode: 0o755},
    {type: 'character', path: 'dev/console', mode: 0o600, major: 5, minor: 1},
    {type: 'directory', path: 'proc', mode: 0o755},
    {type: 'directory', path: 'rel-probe', mode: 0o755},
    {type: 'file', path: 'rel-probe/init', mode: 0o755, content: text(script)},
    {type: 'file', path: 'rel-probe/nonce', mode: 0o600, content: text(`${nonce}\n`)},
  ]
  const flag: CpioEntry = {
    type: 'file',
    path: 'rel-probe/hand-over',
    mode: 0o600,
    content: text(''),
  }
  return cpioArchive(handOver ? [...entries, flag] : entries)
}

/** Only what kernels are called: these words end up in reports. */
const SENTINEL =
  /REL-BOOT-PROBE nonce=([0-9a-f]{32}) release=([\w.+~-]{1,128}) machine=(\w{1,32}) init=(yes|no)(?=\s|$)/

/** What a line of the console says of a probe: this run's, another one's ('forged'), nothing. */
export function readSentinel(line: string, nonce: string): ProbeReport | 'forged' | undefined {
  const match = SENTINEL.exec(line)
  if (match === null) return undefined
  const [, seen, release = '', machine = '', init] = match
  if (seen !== nonce) return 'forged'
  return {release, machine, hasInit: init === 'yes'}
}
