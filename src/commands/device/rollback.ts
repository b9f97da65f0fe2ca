import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {changeFlags, deviceArgs, grantFlag} from '../../cli/device-flags.ts'

export default class DeviceRollback extends BaseCommand<typeof DeviceRollback> {
  static override summary = 'Go back to the version before the last update.'
  static override description =
    'The target is verified first; data is not touched and the floor stays where it is. While a new version is on trial, ends the trial: another process that waits for health is asked to. With --grant, only if the grant is for this node and this very step: for a rollback that somebody else asks for.'
  static override args = deviceArgs
  static override flags = {...changeFlags, grant: grantFlag}
  static override examples = [
    '<%= config.bin %> device rollback /opt/edge-agent',
    '<%= config.bin %> device rollback /opt/edge-agent --dry-run',
    '<%= config.bin %> device rollback /opt/edge-agent --grant back.json',
  ]

  protected async perform({args, flags}: Input<typeof DeviceRollback>): Promise<Outcome> {
    const {deviceRollback} = await import('../../cli/device.ts')
    return deviceRollback(args.root, flags)
  }
}
