import {RelError} from '../system/error.ts'
import {NONCE_FW_CFG, PROBE_INIT} from './boot-probe.ts'

/** Machines whose QEMU model boots a kernel; the Raspberry Pi ones lack network and PCIe. */
export const bootMachines = ['virt', 'raspi3b', 'raspi4b'] as const
export type BootMachine = (typeof bootMachines)[number]

/** What to boot, and what it must show (docs/formats/gates.md). */
export type BootSpec = {
  /** The name in the playbook, such as "boot-smoke arm64". */
  readonly gate: string
  readonly machine: BootMachine
  readonly boot:
    | {
        readonly kind: 'kernel'
        readonly kernel: string
        readonly initrd: string
        readonly dtb?: string
        /** Added to the kernel command line. */
        readonly append?: string
      }
    /** A raw disk image, started by UEFI. */
    | {readonly kind: 'disk'; readonly image: string}
  /** Expected `uname -r`; read from the kernel file when absent and possible. */
  readonly release?: string
  /** The guest must send an HTTP request to http://10.0.2.100. */
  readonly heartbeat: boolean
  /** An SSH server of the guest must answer on port 22. */
  readonly ssh: boolean
  readonly timeoutSecs: number
}

/** Private files of one run. */
export type BootFiles = {
  /** initrd with the probe behind it. */
  readonly initrd: string
  readonly nonce: string
  readonly firmware: string
  /** Our copy of the UEFI variables. */
  readonly variables: string
}

/** Descriptor of the socket that the heartbeat comes in on; the guest alone has its other end. */
export const HEARTBEAT_FD = 3

/** Where the guest finds the heartbeat listener, in QEMU's user-mode network. */
const HEARTBEAT_ADDRESS = '10.0.2.100:80'

const MAX_TIMEOUT_SECS = 3600

/** Refuses with usage_invalid what no machine can do. */
export function checkBootSpec(spec: BootSpec): void {
  const {machine, boot, heartbeat, ssh, timeoutSecs} = spec
  if (!Number.isInteger(timeoutSecs) || timeoutSecs < 1 || timeoutSecs > MAX_TIMEOUT_SECS)
    throw new RelError('usage_invalid', `a time limit is 1 to ${MAX_TIMEOUT_SECS} seconds`)
  if (machine === 'virt') return
  if (boot.kind === 'disk')
    throw new RelError('usage_invalid', `QEMU's ${machine} has no UEFI: boot its kernel and initrd`)
  if (boot.dtb === undefined)
    throw new RelError('usage_invalid', `QEMU's ${machine} needs the device tree of the board`)
  if (heartbeat || ssh)
    throw new RelError('usage_invalid', `QEMU's ${machine} has no network here: use virt`)
}

/** True when the probe must speak: an image may prove itself by heartbeat or SSH instead. */
export function wantsProbe({boot, heartbeat, ssh}: BootSpec): boolean {
  return boot.kind === 'kernel' || !(heartbeat || ssh)
}

/**
 * The arguments of qemu-system-aarch64. No device with an option ROM, no monitor, no display; the
 * network, when asked for, reaches nothing but what is forwarded here. The nonce is in a file: a
 * command line can be read by every user of the machine.
 */
export function bootArguments(spec: BootSpec, files: BootFiles, sshPort: number): string[] {
  const {boot} = spec
  return [
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-monitor', 'none'],
    ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ...['-serial', 'stdio', '-accel', 'tcg'],
    ...machineArguments(spec.machine),
    ...networkArguments(spec, sshPort),
    ...(boot.kind === 'kernel' ? kernelArguments(boot, files) : diskArguments(boot.image, files)),
  ]
}

/** The Raspberry Pi models have memory and processors of their own. */
function machineArguments(machine: BootMachine): string[] {
  if (machine !== 'virt') return ['-machine', machine]
  return ['-machine', 'virt', '-cpu', 'cortex-a72', '-smp', '1', '-m', '1024']
}

function kernelArguments(
  {kernel, dtb, append}: Extract<BootSpec['boot'], {kind: 'kernel'}>,
  {initrd}: BootFiles,
): string[] {
  const words = ['console=ttyAMA0', 'panic=-1', append ?? '', `rdinit=${PROBE_INIT}`]
  const line = words.filter((word) => word !== '').join(' ')
  const tree = dtb === undefined ? [] : ['-dtb', dtb]
  return ['-kernel', kernel, '-initrd', initrd, ...tree, '-append', line]
}

/** snapshot=on: whatever the guest writes goes to a temporary file and is lost. */
function diskArguments(image: string, {firmware, variables, nonce}: BootFiles): string[] {
  const flash = 'if=pflash,format=raw'
  return [
    ...['-drive', `${flash},unit=0,readonly=on,file=${quoted(firmware)}`],
    ...['-drive', `${flash},unit=1,file=${quoted(variables)}`],
    ...['-drive', `if=none,id=disk,format=raw,snapshot=on,file=${quoted(image)}`],
    ...['-device', 'virtio-blk-pci,drive=disk,bootindex=1'],
    ...['-fw_cfg', `name=${NONCE_FW_CFG},file=${quoted(nonce)}`],
  ]
}

function networkArguments({heartbeat, ssh}: BootSpec, sshPort: number): string[] {
  if (!heartbeat && !ssh) return ['-nic', 'none']
  const forwards = [
    ...(heartbeat ? [`guestfwd=tcp:${HEARTBEAT_ADDRESS}-chardev:heartbeat`] : []),
    ...(ssh ? [`hostfwd=tcp:127.0.0.1:${sshPort}-:22`] : []),
  ]
  const socket = heartbeat ? ['-chardev', `socket,id=heartbeat,fd=${HEARTBEAT_FD}`] : []
  return [
    ...socket,
    ...['-netdev', `user,id=net,restrict=on,ipv6=off,${forwards.join(',')}`],
    ...['-device', 'virtio-net-pci,netdev=net,romfile='],
  ]
}

/** QEMU's option lists are split at commas; a doubled one stands for itself. */
function quoted(path: string): string {
  return path.replaceAll(',', ',,')
}
