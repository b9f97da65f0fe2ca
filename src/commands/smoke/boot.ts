import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'

export default class SmokeBoot extends BaseCommand<typeof SmokeBoot> {
  static override summary = 'Boot an arm64 kernel or disk image in QEMU and judge it.'
  static override description =
    'Passes only when the booted system itself says, with a number made for this run, which kernel runs. Panic, oops, hang, a wrong kernel, a missing init and a forged proof are refused, each with its own code. QEMU missing is never a pass. Logs are kept with their SHA-256.'
  static override flags = {
    kernel: Flags.string({
      dependsOn: ['initrd'],
      exclusive: ['disk'],
      helpValue: 'FILE',
      summary: 'Kernel to boot.',
    }),
    initrd: Flags.string({
      dependsOn: ['kernel'],
      helpValue: 'FILE',
      summary: 'Its initrd, with /bin/sh; the probe is added behind a copy of it.',
    }),
    dtb: Flags.string({
      dependsOn: ['kernel'],
      helpValue: 'FILE',
      summary: 'Device tree; the Raspberry Pi machines need one.',
    }),
    append: Flags.string({
      dependsOn: ['kernel'],
      helpValue: 'WORDS',
      summary: 'Words added to the kernel command line.',
    }),
    disk: Flags.string({
      helpValue: 'FILE',
      summary: 'Raw disk image to start through UEFI instead; it is not written to.',
    }),
    machine: Flags.option({default: 'virt', options: ['virt', 'raspi3b', 'raspi4b'] as const})({
      summary: 'Machine of QEMU; raspi4b needs QEMU 9.',
    }),
    'expect-release': Flags.string({
      helpValue: 'RELEASE',
      summary: 'Expected uname -r; that of the kernel file when not given.',
    }),
    heartbeat: Flags.boolean({
      default: false,
      summary: 'Wait for an HTTP request of the guest to http://10.0.2.100.',
    }),
    ssh: Flags.boolean({
      default: false,
      summary: 'Wait for an SSH server of the guest on port 22.',
    }),
    timeout: Flags.integer({
      default: 60,
      helpValue: 'SECS',
      max: 3600,
      min: 1,
      summary: 'Seconds after which it hangs.',
    }),
    log: Flags.string({
      default: 'rel-evidence',
      helpValue: 'DIR',
      summary: 'Directory for the logs.',
    }),
  }
  static override examples = [
    '<%= config.bin %> smoke boot --kernel vmlinuz --initrd initrd.img',
    '<%= config.bin %> smoke boot --kernel vmlinuz --initrd initrd.img --expect-release 6.1.0-56-arm64 --log evidence',
    '<%= config.bin %> smoke boot --disk node.img --heartbeat --ssh --timeout 180',
  ]

  protected async perform({flags}: Input<typeof SmokeBoot>): Promise<Outcome> {
    const {bootFromFlags} = await import('../../cli/gate-boot.ts')
    return bootFromFlags(flags)
  }
}
