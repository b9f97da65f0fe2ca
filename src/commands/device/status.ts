import {Flags} from '@oclif/core'
import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {deviceArgs} from '../../cli/device-flags.ts'

export default class DeviceStatus extends BaseCommand<typeof DeviceStatus> {
  static override summary = 'Show what a node runs and what could happen next.'
  static override description =
    'Reads the records and the links; nothing is changed. --explain prints the state machine.'
  static override args = deviceArgs
  static override flags = {
    explain: Flags.boolean({default: false, summary: 'Print every transition with its promise.'}),
  }
  static override examples = [
    '<%= config.bin %> device status /opt/edge-agent',
    '<%= config.bin %> device status /opt/edge-agent --explain',
  ]

  protected async perform({args, flags}: Input<typeof DeviceStatus>): Promise<Outcome> {
    const {deviceStatus} = await import('../../cli/device.ts')
    return deviceStatus(args.root, flags)
  }
}
