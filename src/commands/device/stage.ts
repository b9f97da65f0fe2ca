import {Args, Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {deviceArgs, grantFlag, updateFlags} from '../../cli/device-flags.ts'

export default class DeviceStage extends BaseCommand<typeof DeviceStage> {
  static override summary = 'Verify a bundle and put it beside what runs.'
  static override description =
    'From a directory or an archive on this machine, or without BUNDLE the newest that the source of device.json has. The manifest must be signed for this node, the gates must be open, and every file must be as signed; what runs is not touched.'
  static override args = {
    ...deviceArgs,
    bundle: Args.string({
      description: 'Directory, archive or delta; for one program, the folder of a release.',
      name: 'BUNDLE',
    }),
  }
  static override flags = {
    ...updateFlags,
    grant: grantFlag,
    to: Flags.string({
      helpValue: 'VERSION',
      summary: 'From the source, this version instead of the newest.',
    }),
  }
  static override examples = [
    '<%= config.bin %> device stage /opt/edge-agent',
    '<%= config.bin %> device stage /opt/edge-agent edge-agent-1.4.2.tar.zst',
    '<%= config.bin %> device stage /opt/edge-agent /media/usb/edge-agent-1.4.2 --dry-run',
    '<%= config.bin %> device stage /opt/edge-agent edge-agent-1.4.0.tar.zst --grant back.json',
  ]

  protected async perform({args, flags}: Input<typeof DeviceStage>): Promise<Outcome> {
    const {deviceStage} = await import('../../cli/device.ts')
    return deviceStage(args.root, args.bundle, flags)
  }
}
