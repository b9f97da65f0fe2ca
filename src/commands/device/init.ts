import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {changeFlags, deviceArgs} from '../../cli/device-flags.ts'

export default class DeviceInit extends BaseCommand<typeof DeviceInit> {
  static override summary = 'Make a folder a node that can be updated.'
  static override description =
    'Verifies a bundle with the trust anchor, installs it and writes the records. With --repair, rebuilds records that are damaged from what runs, if that verifies. With --adopt, takes over what another updater has laid out with links, without moving what runs.'
  static override args = deviceArgs
  static override flags = {
    ...changeFlags,
    bundle: Flags.string({
      helpValue: 'BUNDLE',
      summary: 'First version: directory or archive; for one program, the folder of a release.',
    }),
    config: Flags.string({helpValue: 'FILE', summary: 'Configuration, kept as DIR/device.json.'}),
    trust: Flags.string({helpValue: 'FILE', summary: 'Trust anchor, kept with the node.'}),
    adopt: Flags.boolean({
      default: false,
      exclusive: ['bundle', 'repair'],
      summary: 'Take over the current and previous links that another updater has made.',
    }),
    repair: Flags.boolean({
      default: false,
      exclusive: ['bundle', 'config', 'trust'],
      summary: 'Rebuild the records of a node from what runs.',
    }),
  }
  static override examples = [
    '<%= config.bin %> device init /opt/edge-agent --config device.json --trust trust.json --bundle edge-agent-1.4.1.tar.zst',
    '<%= config.bin %> device init /opt/edge-agent --adopt --config device.json --trust trust.json --dry-run',
    '<%= config.bin %> device init /opt/edge-agent --repair',
  ]

  protected async perform({args, flags}: Input<typeof DeviceInit>): Promise<Outcome> {
    const {deviceInit} = await import('../../cli/device.ts')
    return deviceInit(args.root, flags)
  }
}
