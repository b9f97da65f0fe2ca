import type {BootMachine, BootSpec} from '../gates/boot-plan.ts'
import {bootSmoke} from '../gates/boot-smoke.ts'
import {RelError} from '../system/error.ts'
import type {Outcome} from './base-command.ts'
import {gateOutcome, gateWorld} from './gate-outcome.ts'
import {withProgress} from './progress.ts'

type Flags = {
  readonly kernel?: string | undefined
  readonly initrd?: string | undefined
  readonly dtb?: string | undefined
  readonly append?: string | undefined
  readonly disk?: string | undefined
  readonly machine: BootMachine
  readonly 'expect-release'?: string | undefined
  readonly heartbeat: boolean
  readonly ssh: boolean
  readonly timeout: number
  readonly log: string
  readonly json?: boolean | undefined
  readonly quiet: boolean
}

/** `rel smoke boot`: one boot in QEMU, its verdict and its logs. */
export async function bootFromFlags(flags: Flags): Promise<Outcome> {
  const spec = bootSpec(flags)
  const result = await withProgress('booting in QEMU', flags, (report) =>
    bootSmoke(spec, gateWorld(flags.log, report)),
  )
  return gateOutcome(result, {
    machine: spec.machine,
    release: result.release ?? null,
    secs: result.secs ?? null,
  })
}

function bootSpec(flags: Flags): BootSpec {
  const {machine, heartbeat, ssh, timeout} = flags
  const release = flags['expect-release']
  return {
    gate: `boot-smoke ${machine}`,
    machine,
    boot: bootOf(flags),
    ...(release === undefined ? {} : {release}),
    heartbeat,
    ssh,
    timeoutSecs: timeout,
  }
}

function bootOf({kernel, initrd, dtb, append, disk}: Flags): BootSpec['boot'] {
  if (disk !== undefined) return {kind: 'disk', image: disk}
  if (kernel === undefined || initrd === undefined)
    throw new RelError('usage_invalid', 'want --kernel and --initrd, or --disk')
  return {
    kind: 'kernel',
    kernel,
    initrd,
    ...(dtb === undefined ? {} : {dtb}),
    ...(append === undefined ? {} : {append}),
  }
}
