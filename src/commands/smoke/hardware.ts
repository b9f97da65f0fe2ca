import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {keyFlags} from '../../cli/key-flags.ts'

export default class SmokeHardware extends BaseCommand<typeof SmokeHardware> {
  static override summary = 'Sign evidence of a run on real hardware.'
  static override description =
    'For what no emulator executes, such as the GPU firmware of a Raspberry Pi. You run the version on the board; this command signs which files ran there, by SHA-256, on which board and when, and the log you kept. It runs nothing itself: your signature is the evidence, and rel bump takes it with --hardware-evidence.'
  static override args = {
    item: Args.string({
      description: 'Item, as in playbooks/ITEM.yaml.',
      name: 'ITEM',
      required: true,
    }),
    version: Args.string({
      description: 'Version that ran.',
      name: 'VERSION',
      required: true,
    }),
  }
  static override flags = {
    about: Flags.option({
      default: 'gpu_firmware',
      options: ['gpu_firmware', 'boot_loader'] as const,
    })({summary: 'What only hardware executes.'}),
    board: Flags.string({
      helpValue: 'TEXT',
      required: true,
      summary: 'The board, such as "Raspberry Pi 4 Model B Rev 1.5".',
    }),
    file: Flags.string({
      helpValue: 'FILE',
      multiple: true,
      required: true,
      summary: 'A file as it was on the board, such as start4.elf; may be given several times.',
    }),
    log: Flags.string({
      helpValue: 'FILE',
      required: true,
      summary: 'What the board printed; its SHA-256 is signed, you keep the file.',
    }),
    'tested-at': Flags.string({
      helpValue: 'TIME',
      summary: 'When it ran, such as 2026-04-10T12:00:00Z; now when not given.',
    }),
    out: Flags.string({
      helpValue: 'FILE',
      required: true,
      summary: 'Where the evidence goes; a file that exists is not replaced.',
    }),
    ...keyFlags,
  }
  static override examples = [
    '<%= config.bin %> smoke hardware rpi4-firmware 1.20250915 --board "Raspberry Pi 4 Model B Rev 1.5" --file boot/start4.elf --file boot/fixup4.dat --log serial.log --key bench --out evidence.json',
    '<%= config.bin %> smoke hardware rpi4-firmware 1.20250915 --about boot_loader --board "Raspberry Pi 4 Model B Rev 1.5" --file pieeprom.bin --log serial.log --tested-at 2026-04-10T12:00:00Z --signer ssh-agent:bench --out evidence.json --json',
  ]

  protected async perform({args, flags}: Input<typeof SmokeHardware>): Promise<Outcome> {
    const {hardwareRun} = await import('../../cli/hardware-run.ts')
    return hardwareRun(args, flags)
  }
}
