import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {deviceArgs, updateFlags} from '../../cli/device-flags.ts'

export default class DeviceApply extends BaseCommand<typeof DeviceApply> {
  static override summary = 'Make the staged version the one that runs.'
  static override description =
    'The links are swapped, the program is restarted and must become healthy in its window; else the version before runs again and the command ends with upgrade_rolled_back.'
  static override args = deviceArgs
  static override flags = updateFlags
  static override examples = [
    '<%= config.bin %> device apply /opt/edge-agent',
    '<%= config.bin %> device apply /opt/edge-agent --unattended --events',
  ]

  protected async perform({args, flags}: Input<typeof DeviceApply>): Promise<Outcome> {
    const {deviceApply} = await import('../../cli/device.ts')
    return deviceApply(args.root, flags)
  }
}
