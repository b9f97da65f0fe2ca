import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {changeFlags, deviceArgs} from '../../cli/device-flags.ts'

export default class DeviceRollback extends BaseCommand<typeof DeviceRollback> {
  static override summary = 'Go back to the version before the last update.'
  static override description =
    'The target is verified first; data is not touched and the floor stays where it is.'
  static override args = deviceArgs
  static override flags = changeFlags
  static override examples = [
    '<%= config.bin %> device rollback /opt/edge-agent',
    '<%= config.bin %> device rollback /opt/edge-agent --dry-run',
  ]

  protected async perform({args, flags}: Input<typeof DeviceRollback>): Promise<Outcome> {
    const {deviceRollback} = await import('../../cli/device.ts')
    return deviceRollback(args.root, flags)
  }
}
