import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {deviceArgs} from '../../cli/device-flags.ts'

export default class DeviceInstallUnit extends BaseCommand<typeof DeviceInstallUnit> {
  static override summary = 'Write the guard of a node and its systemd units.'
  static override description =
    'The guard takes a new version back that does not come up, without rel and without Node.js: before each start of the program, and when the window of a trial is over. A timer asks for new versions. Nothing is enabled or started; the commands for that are printed.'
  static override args = deviceArgs
  static override flags = {
    'dry-run': Flags.boolean({default: false, summary: 'Print what would be written.'}),
    service: Flags.string({
      helpValue: 'NAME',
      required: true,
      summary: 'Service of the program; it gets a drop-in.',
    }),
    out: Flags.string({
      default: '/etc/systemd/system',
      helpValue: 'DIR',
      summary: 'Folder of units.',
    }),
    rel: Flags.string({
      default: '/usr/local/bin/rel',
      helpValue: 'PATH',
      summary: 'Where rel is on the node.',
    }),
    'verify-at-start': Flags.boolean({
      default: false,
      summary: 'Start the program only when its files are the signed ones.',
    }),
  }
  static override examples = [
    '<%= config.bin %> device install-unit /opt/edge-agent --service edge-agent',
    '<%= config.bin %> device install-unit /opt/edge-agent --service edge-agent --out ./units --dry-run',
  ]

  protected async perform({args, flags}: Input<typeof DeviceInstallUnit>): Promise<Outcome> {
    const {deviceInstallUnit} = await import('../../cli/device-units.ts')
    return deviceInstallUnit(args.root, flags)
  }
}
