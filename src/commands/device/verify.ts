import {BaseCommand, type Input, type Outcome} from '../../cli/base-command.ts'
import {deviceArgs} from '../../cli/device-flags.ts'

export default class DeviceVerify extends BaseCommand<typeof DeviceVerify> {
  static override summary = 'Verify that what runs is exactly as signed.'
  static override description =
    'Signatures by the trust anchor of the node, then every file; the links must be where the records say.'
  static override args = deviceArgs
  static override examples = [
    '<%= config.bin %> device verify /opt/edge-agent',
    '<%= config.bin %> device verify /opt/edge-agent --json',
  ]

  protected async perform({args}: Input<typeof DeviceVerify>): Promise<Outcome> {
    const {deviceVerify} = await import('../../cli/device.ts')
    return deviceVerify(args.root)
  }
}
